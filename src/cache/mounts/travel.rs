//! The caches of one build: from where they come, to where they go, and what people hear of it. Whatever
//! goes wrong is a warning.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::error::MountError;
use super::find::{Found, find};
use super::key::MountKey;
use super::limits::{self, LeftOut};
use super::memory::Memory;
use super::place::Place;
use super::restore::{self, Ground, Restored, Scratch};
use super::save::{Saved, Saving};
use super::scan;
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
        let (counter, told) = Default::default();
        Self { from, to, limits, reporter, cancel, counter, told }
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
    ) -> Option<Memory> {
        let task = self.reporter.start(&format!("restore cache {}", key.shown()));
        let oldest = now().saturating_sub(self.limits.age.as_secs());
        let failed = |place: &Place, error: MountError| self.complain(place, &error);
        let Some(found) = find(&self.from, key, oldest, &failed) else {
            task.skipped("nothing was saved yet");
            return None;
        };
        match self.lay_down(&found, into, at, build, &task) {
            Ok(Restored { memory, files, brought }) => {
                let of = if found.is_exact { "" } else { ", of a similar cache" };
                task.done_with(format!(
                    "{} in {files} files, {} brought{of}",
                    size(restore::size(&memory)),
                    size(brought)
                ));
                Some(memory)
            }
            Err(error) => {
                task.skipped("it begins empty");
                if !build.is_cancelled() {
                    self.reporter.warning(&format!(
                        "the cache {} begins empty, because what {} has of it cannot be used: {error}",
                        key.shown(),
                        found.place.name()
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
        let has = |place: &&Place| {
            let is_here = |kept: &&super::memory::Kept| place.is(&kept.place);
            let kept = memory.kept.iter().find(is_here);
            !kept.is_some_and(|kept| kept.content == content && kept.saved >= fresh)
        };
        let places: Vec<&Place> = self.to.iter().filter(has).collect();
        if places.is_empty() {
            return Ok(None);
        }
        self.tell(key, &left_out);
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
                Ok(None) => task.skipped("already there"),
                Ok(Some(saved)) => {
                    let Saved { kept: new, packs: of_it, sent } = saved;
                    task.done_with(format!("{} sent", size(sent)));
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
        (self.limits.age / REFRESHED).max(REFRESHED_MIN)
    }

    /// A new name in a directory.
    fn name(&self, dir: &Path) -> PathBuf {
        dir.join(format!("travel-{}", self.counter.fetch_add(1, Ordering::Relaxed)))
    }

    fn tell(&self, key: &MountKey, left_out: &LeftOut) {
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
                size(self.limits.size)
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
        let to = place.map(|place| format!(" to {}", place.name())).unwrap_or_default();
        self.reporter.warning(&format!("the cache {} was not saved{to}: {error}", key.shown()));
    }

    /// Warns of a place once, however many caches are looked for there.
    fn complain(&self, place: &Place, error: &MountError) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(place.name()) {
            self.reporter.warning(&format!(
                "caches of RUN cannot be brought from {}: {error}",
                place.name()
            ));
        }
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    Timestamp::now().secs.max(0).cast_unsigned()
}

/// A number of bytes as people read it.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
