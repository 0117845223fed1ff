//! Caches that travel: brought here while the build begins, saved when it has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::Others;
use super::cache::Cache;
use super::lock::{Hold, Lock};
use crate::cache::mounts::{Memory, MountKey, Workplace};
use crate::plan::{Action, BindSource, CacheMount, Plan, RunStep, StageId, StepMount};
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
pub struct Travelling(Vec<JoinHandle<()>>);

impl Travelling {
    fn start(&mut self, work: impl FnOnce() + Send + 'static) {
        // Without a thread the step does it itself, or the cache stays where it is.
        self.0.extend(thread::Builder::new().spawn(work));
    }

    /// Waits for them.
    pub fn wait(&mut self) {
        for thread in self.0.drain(..) {
            drop(thread.join());
        }
    }
}

impl Drop for Travelling {
    fn drop(&mut self) {
        self.wait();
    }
}

/// Begins to bring the caches of the RUN steps that will be carried out: `runs` is asked about each, by
/// the number of its plan, its stage, and its number in there. A step waits for those that it mounts.
/// Comes before the first step in any case.
pub fn bring_caches(
    shop: &Arc<Workshop>,
    plans: &[Plan],
    runs: &dyn Fn(usize, StageId, usize) -> bool,
) -> Travelling {
    let mut travelling = Travelling::default();
    let Some(travel) = &shop.travel else { return travelling };
    let mut wanted: BTreeMap<String, CacheMount> = BTreeMap::new();
    shop.caches.trips.with(|state| {
        for (at, stage, number, run, platform) in all_runs(plans) {
            for mount in caches(run) {
                state.platforms.entry(kin(mount)).or_default().insert(platform.clone());
                let nothing = Others(Vec::new());
                let early = matches!(mount.seed, None | Some(BindSource::Nothing));
                if early && runs(at, stage, number) {
                    let name = Cache::new(shop, mount, &nothing).name;
                    wanted.entry(name).or_insert_with(|| mount.clone());
                }
            }
        }
    });
    if travel.reads() {
        for mount in wanted.into_values() {
            let shop = shop.clone();
            travelling.start(move || {
                // What goes wrong here goes wrong again in the step, which says so.
                drop(Cache::new(&shop, &mount, &Others(Vec::new())).prefill());
            });
        }
    }
    travelling
}

fn all_runs(plans: &[Plan]) -> Vec<(usize, StageId, usize, &RunStep, String)> {
    let mut all = Vec::new();
    for (at, plan) in plans.iter().enumerate() {
        for stage in &plan.stages {
            let platform = stage.platform.to_string();
            for (number, step) in stage.steps.iter().enumerate() {
                if let Action::Run(run) = &step.action {
                    all.push((at, stage.id, number, run, platform.clone()));
                }
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
