//! Caches that travel: brought here while the build begins, saved when it has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Others;
use super::cache::Cache;
use super::lock::{Hold, Lock};
use crate::cache::mounts::{Memory, MountKey, Workplace};
use crate::cancel::Cancel;
use crate::plan::{Action, BindSource, CacheMount, Plan, RunStep, StepMount};
use crate::stage::workshop::Workshop;

/// What is known of the caches of a build, by the names of their directories.
#[derive(Debug, Default)]
pub(super) struct Trips(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// For whom the commands are that use a cache, by what is known of it before anything is built.
    platforms: BTreeMap<String, BTreeSet<String>>,
    trips: BTreeMap<String, Trip>,
}

#[derive(Debug, Default)]
struct Trip {
    key: Option<MountKey>,
    memory: Option<Memory>,
    failed: bool,
}

impl Trips {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key of a cache. One that is used for several platforms is another one than that of each.
    pub(super) fn key(&self, mount: &CacheMount, about: &str) -> MountKey {
        let platforms = self.with(|state| state.platforms.get(&kin(mount)).cloned());
        let platforms: Vec<String> = platforms.unwrap_or_default().into_iter().collect();
        MountKey::new(mount, about, &platforms.join(" "))
    }

    /// What was laid down in the directory of a cache.
    pub(super) fn remember(&self, name: &str, memory: Memory) {
        self.with(|state| state.trips.entry(name.to_owned()).or_default().memory = Some(memory));
    }

    fn used(&self, name: &str, key: MountKey) {
        self.with(|state| state.trips.entry(name.to_owned()).or_default().key = Some(key));
    }

    fn failed(&self, name: &str) {
        self.with(|state| state.trips.entry(name.to_owned()).or_default().failed = true);
    }

    /// The caches that are to be saved: all that were used, and left by every command as it should be.
    fn take(&self) -> Vec<(String, MountKey, Option<Memory>)> {
        let trips = self.with(|state| std::mem::take(&mut state.trips));
        let whole = trips.into_iter().filter(|(_, trip)| !trip.failed);
        whole.filter_map(|(name, trip)| Some((name, trip.key?, trip.memory))).collect()
    }
}

/// One command's use of a cache. If it is dropped without a word, the command has failed.
#[derive(Debug)]
pub(super) struct Use {
    trips: Arc<Trips>,
    name: String,
    succeeded: AtomicBool,
}

impl Use {
    pub(super) fn begin(trips: Arc<Trips>, name: &str, key: MountKey) -> Self {
        trips.used(name, key);
        Self { trips, name: name.to_owned(), succeeded: AtomicBool::new(false) }
    }

    pub(super) fn succeeded(&self) {
        self.succeeded.store(true, Ordering::Relaxed);
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if !self.succeeded.load(Ordering::Relaxed) {
            self.trips.failed(&self.name);
        }
    }
}

/// Threads that end before the build does.
#[derive(Debug, Default)]
pub struct Travelling {
    threads: Vec<JoinHandle<()>>,
    cancel: Cancel,
}

/// Who has been told to stop does so in this time, unless it waits for a registry's answer.
const ENDING: Duration = Duration::from_millis(500);

impl Travelling {
    fn start(&mut self, work: impl FnOnce() + Send + 'static) {
        // Without a thread the step does it itself, or the cache stays where it is.
        self.threads.extend(thread::Builder::new().spawn(work));
    }

    /// Waits for them.
    pub fn wait(&mut self) {
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }

    /// Stops them, because nobody needs them any more. Who waits for an answer is not waited for: it
    /// does nothing more when that has come.
    pub fn stop(&mut self) {
        self.cancel.cancel();
        let until = Instant::now() + ENDING;
        while Instant::now() < until && !self.threads.iter().all(JoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(5));
        }
        self.threads.retain(JoinHandle::is_finished);
        self.wait();
    }
}

impl Drop for Travelling {
    fn drop(&mut self) {
        self.wait();
    }
}

/// Notes for whom the caches of all RUN steps are. Comes before anything is left out of the plans: which
/// cache it is does not depend on what is known already.
pub fn note_platforms(shop: &Workshop, plans: &[Plan]) {
    shop.caches.trips.with(|state| {
        for (run, platform) in all_runs(plans) {
            for mount in caches(run) {
                state.platforms.entry(kin(mount)).or_default().insert(platform.clone());
            }
        }
    });
}

/// Begins to bring the caches of the RUN steps that will be carried out. A step waits for those that it
/// mounts.
pub fn bring_caches(shop: &Arc<Workshop>, plans: &[Plan]) -> Travelling {
    let mut travelling = Travelling { threads: Vec::new(), cancel: shop.cancel.child() };
    if !shop.travel.as_ref().is_some_and(|travel| travel.reads()) {
        return travelling;
    }
    let mut wanted: BTreeMap<String, CacheMount> = BTreeMap::new();
    for mount in all_runs(plans).into_iter().flat_map(|(run, _)| caches(run)) {
        if matches!(mount.seed, None | Some(BindSource::Nothing)) {
            let name = Cache::new(shop, mount, &Others(Vec::new())).name;
            wanted.entry(name).or_insert_with(|| mount.clone());
        }
    }
    for mount in wanted.into_values() {
        let (shop, cancel) = (shop.clone(), travelling.cancel.clone());
        travelling.start(move || {
            let nothing = Others(Vec::new());
            let cache = Cache::new(&shop, &mount, &nothing).stopped_by(cancel);
            // What goes wrong here goes wrong again in the step, which says so.
            drop(cache.prefill());
        });
    }
    travelling
}

fn all_runs(plans: &[Plan]) -> Vec<(&RunStep, String)> {
    let mut all = Vec::new();
    for stage in plans.iter().flat_map(|plan| &plan.stages) {
        for step in &stage.steps {
            if let Action::Run(run) = &step.action {
                all.push((run, stage.platform.to_string()));
            }
        }
    }
    all
}

fn caches(run: &RunStep) -> impl Iterator<Item = &CacheMount> {
    run.mounts.iter().filter_map(|mount| match mount {
        StepMount::Cache(cache) => Some(cache),
        _ => None,
    })
}

/// What is known of a cache before the stage is built that it begins with.
fn kin(mount: &CacheMount) -> String {
    format!("{:?} {:?} {:?}", mount.id, mount.uid, mount.gid)
}

/// Saves the caches of a build whose stages have ended, well or not.
pub fn save_caches(shop: &Arc<Workshop>) -> Travelling {
    let mut travelling = Travelling::default();
    if shop.travel.as_ref().is_some_and(|travel| travel.writes()) {
        for (name, key, memory) in shop.caches.trips.take() {
            let shop = shop.clone();
            travelling.start(move || save(&shop, &name, &key, memory));
        }
    }
    travelling
}

fn save(shop: &Workshop, name: &str, key: &MountKey, memory: Option<Memory>) {
    let Some(travel) = &shop.travel else { return };
    let home = shop.caches.dir.join(name);
    // Somebody else may be writing there, on a machine that stays.
    let lock = match Lock::try_take(&home.join("0.lock"), Hold::Alone) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            shop.reporter.note(&format!(
                "the cache {} is in use by another build, and not saved by this one",
                key.shown()
            ));
            return;
        }
        Err(error) => {
            let cache = key.shown();
            shop.reporter.warning(&format!("the cache {cache} was not saved: {error}"));
            return;
        }
    };
    let known = home.join(KNOWN);
    let memory = memory.or_else(|| Memory::read(&known)).unwrap_or_default();
    let at = Workplace { scratch: &shop.scratch_dir, ownership: shop.ownership() };
    if let Some(memory) = travel.save(key, &home.join("0"), memory, at) {
        keep(shop, &home, &memory);
    }
    drop(lock);
}

/// What is known of the directory `0`, beside it.
const KNOWN: &str = "0.known";

/// Notes what is known where the next build finds it. Without it that one reads all files again.
pub(super) fn keep(shop: &Workshop, home: &Path, memory: &Memory) {
    if shop.commands.cache_dir.is_none() {
        return;
    }
    let unfinished = home.join("0.known.new");
    if memory.write(&unfinished).is_ok() {
        drop(fs::rename(&unfinished, home.join(KNOWN)));
    }
}
