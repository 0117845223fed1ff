//! The caches of one build: from where they come, to where they go, and what people hear of it. Whatever
//! goes wrong is a warning.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::error::MountError;
use super::find::{Found, find};
use super::key::MountKey;
use super::limits::{self, LeftOut};
use super::memory::Memory;
use super::restore::{self, Ground, Restored, Scratch};
use super::save::{Saved, Saving};
use super::scan;
use crate::cache::library::Place;
use crate::cancel::Cancel;
use crate::event::{Reporter, Task};
use crate::layer::Timestamp;
use crate::request::MountLimits;
use crate::rootfs::{Ownership, Root};

/// A snapshot that did not change is saved again after this part of the age at which it would be
/// forgotten, so that it is known when its files were used.
const REFRESHED: u32 = 8;
/// But not more often than this.
const REFRESHED_MIN: Duration = Duration::from_secs(24 * 3600);

/// A cache that is used every day is never forgotten, however short the age is.
fn refreshed(age: Duration) -> Duration {
    (age / REFRESHED).max(REFRESHED_MIN).min(age / 2)
}

/// Snapshots that are laid down at the same time: each takes memory for its tree and for blocks of packs.
const AT_ONCE: usize = 2;

/// Who may lay one down.
#[derive(Debug, Default)]
struct Turns {
    taken: Mutex<usize>,
    given_back: Condvar,
}

/// A turn, until it is dropped.
struct Turn<'a>(&'a Turns);

impl Turns {
    /// Waits for one.
    fn take(&self, cancel: &Cancel) -> Result<Turn<'_>, MountError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= AT_ONCE {
            cancel.check()?;
            let pause = Duration::from_millis(50);
            let waited = self.given_back.wait_timeout(taken, pause);
            taken = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken += 1;
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.given_back.notify_one();
    }
}

/// See above.
#[derive(Debug)]
pub struct Travel {
    from: Vec<Place>,
    to: Vec<Place>,
    limits: MountLimits,
    reporter: Reporter,
    cancel: Cancel,
    counter: AtomicUsize,
    /// Places that were complained about.
    told: Mutex<BTreeSet<String>>,
    /// Places that do not answer, or not as they should.
    out: Mutex<BTreeSet<String>>,
    /// Snapshots that are laid down at this moment.
    turns: Turns,
}

/// What was brought here.
#[derive(Debug)]
pub struct Brought {
    /// What is known of it.
    pub memory: Memory,
    /// Whether it was of this very cache, not of one with the same id.
    pub is_exact: bool,
}

/// Where work is done.
#[derive(Debug, Clone, Copy)]
pub struct Workplace<'a> {
    /// A directory for a while, which goes with the build.
    pub scratch: &'a Path,
    /// What becomes of owners.
    pub ownership: Ownership,
}

impl Travel {
    /// Reads at these places in their order, and writes to those, all of them. The client behind them
    /// is not one that stops with the build, nor is `cancel`: a build that failed saves its caches.
    pub fn new(
        from: Vec<Place>,
        to: Vec<Place>,
        limits: MountLimits,
        reporter: Reporter,
        cancel: Cancel,
    ) -> Self {
        let (counter, told, out, turns) = Default::default();
        Self { from, to, limits, reporter, cancel, counter, told, out, turns }
    }

    /// Looks for nothing at a place that was asked already and did not answer. The user has been told.
    pub fn leave_out(&self, place: &Place) {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).insert(place.shown());
    }

    fn is_out(&self, place: &Place) -> bool {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).contains(&place.shown())
    }

    /// What stops a save.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Whether caches are brought here.
    pub fn reads(&self) -> bool {
        !self.from.is_empty()
    }

    /// Whether caches are saved.
    pub fn writes(&self) -> bool {
        !self.to.is_empty()
    }

    /// Fills an empty directory with the snapshot of a cache. Nothing where there is none, or none that
    /// can be used: what is in the directory then is of no use. `build` stops it.
    pub fn bring(
        &self,
        key: &MountKey,
        into: &Path,
        at: Workplace<'_>,
        build: &Cancel,
    ) -> Option<Brought> {
        let task = self.reporter.start(&format!("restore cache {}", key.shown()));
        let oldest = now().saturating_sub(self.limits.age.as_secs());
        let failed = |place: &Place, error: MountError| self.complain(place, &error);
        let is_out = |place: &Place| self.is_out(place);
        let Some(found) = find(&self.from, key, oldest, build, &is_out, &failed) else {
            let all_out = self.from.iter().all(is_out);
            task.skipped(if all_out { "it cannot be looked for" } else { "nothing was saved yet" });
            return None;
        };
        let laid =
            self.turns.take(build).and_then(|_turn| self.lay_down(&found, into, at, build, &task));
        match laid {
            Ok(Restored { memory, files, brought }) => {
                let of = if found.is_exact { "" } else { ", of a similar cache" };
                task.done_with(format!(
                    "{} in {files} files, {} brought{of}",
                    size(restore::size(&memory)),
                    size(brought)
                ));
                Some(Brought { memory, is_exact: found.is_exact })
            }
            Err(error) => {
                task.skipped("it begins empty");
                if !build.is_cancelled() {
                    self.reporter.warning(&format!(
                        "the cache {} begins empty, because what {} has of it cannot be used: {error}",
                        key.shown(),
                        found.place.shown()
                    ));
                }
                None
            }
        }
    }

    fn lay_down(
        &self,
        found: &Found,
        into: &Path,
        at: Workplace<'_>,
        build: &Cancel,
        task: &Task,
    ) -> Result<Restored, MountError> {
        let scratch = Scratch::make(self.name(at.scratch))?;
        let ground = Ground {
            into,
            scratch: scratch.path(),
            ownership: at.ownership,
            size_max: self.limits.size,
            cancel: build,
        };
        restore::restore(found, &ground, task)
    }

    /// Saves a cache to all places that do not have it as it is. Nobody changes the directory meanwhile.
    /// The answer is what is known of it now.
    pub fn save(
        &self,
        key: &MountKey,
        dir: &Path,
        memory: Memory,
        at: Workplace<'_>,
    ) -> Option<Memory> {
        match self.try_save(key, dir, memory, at) {
            Ok(memory) => memory,
            Err(error) => {
                self.not_saved(key, None, &error);
                None
            }
        }
    }

    fn try_save(
        &self,
        key: &MountKey,
        dir: &Path,
        memory: Memory,
        at: Workplace<'_>,
    ) -> Result<Option<Memory>, MountError> {
        let root = Root::open(dir)?.with_owners(at.ownership);
        let found = scan::scan(&root, &memory, &self.cancel)?;
        let now = now();
        let hours = scan::hours(Timestamp::from_secs(now.cast_signed()));
        let (seen, left_out) = limits::apply(found.seen, &self.limits, hours);
        let content = scan::content(&seen);
        let fresh = now.saturating_sub(self.refreshed().as_secs());
        let lacks = |place: &&Place| {
            let is_here = |kept: &&super::memory::Kept| place.shown() == kept.place;
            let kept = memory.kept.iter().find(is_here);
            !kept.is_some_and(|kept| kept.content == content && kept.saved >= fresh)
        };
        let places: Vec<&Place> = self.to.iter().filter(lacks).collect();
        if places.is_empty() {
            return Ok(None);
        }
        self.tell(key, &left_out, found.too_deep);
        let scratch = Scratch::make(self.name(at.scratch))?;
        let saving = Saving {
            key,
            root: &root,
            seen: &seen,
            content,
            memory: &memory,
            scratch: scratch.path(),
            now,
            cancel: &self.cancel,
            counter: &self.counter,
        };
        let mut kept = memory.kept.clone();
        let mut packs = memory.packs.clone();
        for place in places {
            let task = self.reporter.start(&format!("save cache {}", key.shown()));
            match saving.to(place, fresh, &task) {
                Ok(saved) => {
                    let Saved { kept: new, packs: of_it, sent } = saved;
                    match sent {
                        Some(sent) => task.done_with(format!("{} sent", size(sent))),
                        None => task.skipped("already there"),
                    }
                    kept.retain(|kept| kept.place != new.place);
                    kept.push(new);
                    let known = |pack: &super::pack::Pack| {
                        packs.iter().any(|it| it.descriptor.digest == pack.descriptor.digest)
                    };
                    let of_it: Vec<_> = of_it.into_iter().filter(|pack| !known(pack)).collect();
                    packs.extend(of_it);
                }
                Err(error) => {
                    task.skipped("not saved");
                    self.not_saved(key, Some(place), &error);
                }
            }
        }
        Ok(Some(Memory::new(seen, packs, kept)))
    }

    fn refreshed(&self) -> Duration {
        refreshed(self.limits.age)
    }

    /// A new name in a directory.
    fn name(&self, dir: &Path) -> PathBuf {
        dir.join(format!("travel-{}", self.counter.fetch_add(1, Ordering::Relaxed)))
    }

    fn tell(&self, key: &MountKey, left_out: &LeftOut, too_deep: usize) {
        let LeftOut { old, over, over_bytes } = left_out;
        let mut parts = Vec::new();
        if *old > 0 {
            parts.push(format!(
                "{old} files that were not used for {} days",
                self.limits.age.as_secs() / (24 * 3600)
            ));
        }
        if *over > 0 {
            parts.push(format!(
                "{over} files with {} that were used longest ago, because it has more than {}",
                size(*over_bytes),
                limit(self.limits.size)
            ));
        }
        if too_deep > 0 {
            parts.push(format!(
                "{too_deep} directories that lie in more than {} others",
                scan::DEPTH_MAX
            ));
        }
        if !parts.is_empty() {
            let parts = parts.join(", and ");
            self.reporter.note(&format!("the cache {} is saved without {parts}", key.shown()));
        }
    }

    fn not_saved(&self, key: &MountKey, place: Option<&Place>, error: &MountError) {
        if self.cancel.is_cancelled() {
            return;
        }
        let to = place.map(|place| format!(" to {}", place.shown())).unwrap_or_default();
        self.reporter.warning(&format!("the cache {} was not saved{to}: {error}", key.shown()));
    }

    /// Warns of a place once, however many caches are looked for there. One that does not answer is not
    /// asked again: its patience may be a minute.
    fn complain(&self, place: &Place, error: &MountError) {
        if error.is_of_place() {
            self.leave_out(place);
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(place.shown()) {
            self.reporter.warning(&format!(
                "caches of RUN cannot be brought from {}: {error}",
                place.shown()
            ));
        }
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    Timestamp::now().secs.max(0).cast_unsigned()
}

/// A limit as it is written: its units are powers of 1024.
fn limit(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{} {name}", bytes / unit))
}

/// A number of bytes as people read it.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_every_day_is_saved_again_before_it_is_forgotten() {
        const DAY: u64 = 24;
        for (age, expected) in [(30 * DAY, 90), (8 * DAY, DAY), (2 * DAY, DAY), (DAY, 12), (1, 0)] {
            let refreshed = refreshed(Duration::from_secs(age * 3600));
            assert_eq!(refreshed.as_secs() / 3600, expected, "{age}");
        }
    }

    #[test]
    fn limits_are_told_as_they_are_written() {
        for (bytes, told) in [(2 << 30, "2 GB"), (1500 << 20, "1500 MB"), (1000, "1000 B")] {
            assert_eq!(limit(bytes), told);
        }
    }

    #[test]
    fn turns_are_few_and_come_back() {
        let (turns, cancel) = (Turns::default(), Cancel::default());
        let taken: Vec<_> = (0..AT_ONCE).map(|_| turns.take(&cancel)).collect();
        assert!(taken.iter().all(Result::is_ok));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| turns.take(&cancel).is_ok());
            drop(taken);
            assert!(waits.join().expect("no panic"));
        });
        let _taken: Vec<_> = (0..AT_ONCE).map(|_| turns.take(&cancel)).collect();
        cancel.cancel();
        assert!(turns.take(&cancel).is_err());
    }
}
