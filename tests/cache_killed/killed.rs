//! A directory as a cache: builds are killed at any moment, prunes run among them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use kiln::cache::backend::Layout;
use kiln::cancel::Cancel;

use crate::common::{Kiln, processes};
use crate::directory::{add_loose, age, blobs_are_whole, names, record_is_whole};
use crate::output::{Output, Places};
use crate::project::{Project, SIBLINGS, STEPS, cached, check};
use crate::running::{End, Fate, run, run_bare};

/// Builds at once.
const AT_ONCE: usize = 32;
/// Builds that are killed while they run.
const KILLS: usize = 200;
/// Versions of the project, of which a few are built at any time.
const VERSIONS: usize = 8;
const OF_A_TIME: usize = 4;
/// Versions whose results are old when the others begin.
const OLD: usize = 2;
/// Blobs that nothing leads to and that nobody has used for long.
const LOOSE: usize = 100;

/// What is done, and what came of it.
struct Crowd {
    project: Project,
    cache: PathBuf,
    seed: u64,
    started: AtomicUsize,
    killed: AtomicUsize,
    /// Those of them that were writing to the record, or had.
    killed_writers: AtomicUsize,
    killed_prunes: AtomicUsize,
    done: AtomicUsize,
    pruned: AtomicUsize,
    all_hits: AtomicUsize,
    /// About how long one build takes, in milliseconds.
    takes: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Crowd {
    fn new() -> Self {
        let project = Project::new();
        (0..VERSIONS).for_each(|version| project.make(version));
        Self {
            cache: project.path("cache"),
            project,
            seed: fastrand::u64(..),
            started: AtomicUsize::default(),
            killed: AtomicUsize::default(),
            killed_writers: AtomicUsize::default(),
            killed_prunes: AtomicUsize::default(),
            done: AtomicUsize::default(),
            pruned: AtomicUsize::default(),
            all_hits: AtomicUsize::default(),
            takes: AtomicU64::new(500),
            wrong: Mutex::default(),
        }
    }

    fn layout(&self) -> Layout {
        Layout::new(self.cache.clone(), Cancel::default())
    }

    fn places(&self) -> Places<'_> {
        Places { project: &self.project, cache: &self.cache }
    }

    fn is_wrong(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn goes_on(&self) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        self.killed.load(Ordering::Relaxed) < KILLS && wrong.is_empty()
    }

    /// One of those that have a number.
    fn worker(&self, number: usize) {
        let mut rng = Rng::with_seed(self.seed.wrapping_add(number as u64));
        while self.goes_on() {
            match rng.u8(..16) {
                0 => self.prune(&mut rng),
                _ => self.build(&mut rng),
            }
        }
    }

    fn build(&self, rng: &mut Rng) {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        // Old ones are asked for again now and then, new ones come as time goes by.
        let first = self.killed.load(Ordering::Relaxed) * (VERSIONS - OF_A_TIME) / KILLS;
        let version =
            if rng.u8(..8) == 0 { rng.usize(..OLD) } else { first + rng.usize(..OF_A_TIME) };
        let (flags, output) = (self.flags(rng), Output::any(rng, number));
        let isolation = if rng.bool() { "namespaces" } else { "chroot" };
        let mut args = vec!["--isolation".to_owned(), isolation.to_owned()];
        args.extend(flags);
        args.extend(output.args(&self.places()));
        let said = format!("version {version} with {}", args.join(" "));
        match run(self.project.kiln(version).args(args), self.fate(rng)) {
            End::Killed { said } => {
                self.killed.fetch_add(1, Ordering::Relaxed);
                let writes = said.contains("write cache") as usize;
                self.killed_writers.fetch_add(writes, Ordering::Relaxed);
            }
            End::Failed(error) => self.is_wrong(format!("{said}: {error}")),
            End::Done { said: log, took } => {
                self.done.fetch_add(1, Ordering::Relaxed);
                if cached(&log) == STEPS {
                    self.all_hits.fetch_add(1, Ordering::Relaxed);
                }
                let (before, now) = (self.takes.load(Ordering::Relaxed), took.as_millis() as u64);
                self.takes.store((before * 3 + now) / 4 + 1, Ordering::Relaxed);
                if log.contains("warning: ") {
                    self.is_wrong(format!("{said}: {log}"));
                }
                let image = output.image(&self.places());
                if let Err(error) = image.and_then(|image| check(&image, version)) {
                    self.is_wrong(format!("{said}: {error}\n{log}"));
                }
            }
        }
    }

    /// Reading and writing, only one of them, and two places.
    fn flags(&self, rng: &mut Rng) -> Vec<String> {
        let cache = self.cache.display();
        let from = format!("--cache-from=type=local,src={cache},tag=kiln");
        let to = format!("--cache-to=type=local,dest={cache},tag=kiln,mode=");
        let second = format!("oci:{}", self.project.path("second").display());
        match rng.u8(..8) {
            0 => vec![from],
            1 => vec![to + "min"],
            2 => vec![from, to + "max"],
            3 => vec![format!("--cache-repo={second}"), from, to + "max"],
            _ => vec![format!("--cache-repo=oci:{cache}")],
        }
    }

    fn fate(&self, rng: &mut Rng) -> Fate {
        let takes = self.takes.load(Ordering::Relaxed) * 1000;
        let soon = Duration::from_micros(rng.u64(..20_000));
        match rng.u8(..10) {
            0 => Fate::Lives,
            1 => Fate::DiesAt("write cache", soon),
            2 => Fate::DiesAt("cache layer", soon),
            _ => Fate::DiesAfter(Duration::from_micros(rng.u64(..=takes))),
        }
    }

    fn prune(&self, rng: &mut Rng) {
        let place = format!("oci:{}", self.cache.display());
        let mut kiln = Kiln::subcommand("cache").args(["prune", &place]);
        match rng.u8(..3) {
            0 => kiln = kiln.args(["--keep", "2MB"]),
            1 => kiln = kiln.args(["--older-than", "1h"]),
            _ => {}
        }
        let fate = match rng.u8(..2) {
            0 => Fate::Lives,
            _ => Fate::DiesAfter(Duration::from_micros(rng.u64(..200_000))),
        };
        match run_bare(kiln, fate) {
            End::Killed { .. } => _ = self.killed_prunes.fetch_add(1, Ordering::Relaxed),
            End::Failed(error) => self.is_wrong(format!("prune: {error}")),
            End::Done { .. } => _ = self.pruned.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn is_built_and_then_known(&self, version: usize) {
        let (_, first) = self.undisturbed(version, 2_000_000 + version);
        let (cached, second) = self.undisturbed(version, 3_000_000 + version);
        assert_eq!((cached, second), (STEPS, first), "seed {}, version {version}", self.seed);
    }

    /// A build that nobody kills; how many steps were cached, and the uuid.
    fn undisturbed(&self, version: usize, number: usize) -> (usize, String) {
        let output = Output::Layout(number);
        let cache = format!("--cache-repo=oci:{}", self.cache.display());
        let args = [vec![cache], output.args(&self.places())].concat();
        match run(self.project.kiln(version).args(args), Fate::Lives) {
            End::Done { said, .. } => {
                let uuid = output.image(&self.places()).and_then(|image| check(&image, version));
                let uuid = uuid.unwrap_or_else(|error| panic!("{error}\n{said}"));
                (cached(&said), uuid)
            }
            other => panic!("version {version}: {other:?}"),
        }
    }
}

#[test]
fn builds_that_are_killed_at_any_moment_leave_no_wrong_entry_and_no_wrong_image() {
    let crowd = Crowd::new();
    for version in 0..OLD {
        crowd.undisturbed(version, 1_000_000 + version);
    }
    let blobs = crowd.cache.join("blobs/sha256");
    let loose = (0..LOOSE).map(|number| blobs.join(add_loose(&blobs, number)));
    let loose: Vec<PathBuf> = loose.collect();
    age(&blobs, Duration::from_secs(2 * 3600));
    thread::scope(|scope| {
        for number in 0..AT_ONCE {
            let crowd = &crowd;
            scope.spawn(move || crowd.worker(number));
        }
    });
    let count = |number: &AtomicUsize| number.load(Ordering::Relaxed);
    eprintln!(
        "seed {}: {} builds killed, {} of them late, {} ended, {} of them without a command; {} prunes killed, {} ended; \
         a build takes {} ms",
        crowd.seed,
        count(&crowd.killed),
        count(&crowd.killed_writers),
        count(&crowd.done),
        count(&crowd.all_hits),
        count(&crowd.killed_prunes),
        count(&crowd.pruned),
        crowd.takes.load(Ordering::Relaxed),
    );
    let wrong = crowd.wrong.lock().unwrap_or_else(PoisonError::into_inner).join("\n\n");
    assert!(wrong.is_empty(), "seed {}: {wrong}", crowd.seed);
    assert!(count(&crowd.killed) >= KILLS && count(&crowd.done) > AT_ONCE / 2);
    // Nothing runs any more, and nothing is mounted.
    let left = processes::that_know(crowd.project.temp.path());
    assert!(left.is_empty(), "left behind: {left:#?}");
    if count(&crowd.pruned) > 0 {
        assert!(!loose.iter().any(|path| path.exists()), "nothing was swept");
    }
    let layout = crowd.layout();
    record_is_whole(&layout, "kiln");
    blobs_are_whole(&crowd.cache);
    // Each version is built, and then known. Of two that have steps in common and are built at once
    // one would give up its own result of these, and with it what it built on that.
    thread::scope(|scope| {
        for first in (0..VERSIONS).step_by(SIBLINGS) {
            let crowd = &crowd;
            scope.spawn(move || {
                (first..first + SIBLINGS)
                    .for_each(|version| crowd.is_built_and_then_known(version));
            });
        }
    });
    assert!(record_is_whole(&layout, "kiln") >= VERSIONS);
    // These have removed what killed ones left.
    assert_eq!(names(&crowd.project.work()), BTreeSet::new());
    assert_eq!(names(&crowd.cache.join(".kiln/tmp")), BTreeSet::new());
    everything_goes(&crowd, &blobs);
}

/// By design the blobs of a killed build stay until a prune an hour later, and what a killed writer of an
/// image was writing for a day.
fn everything_goes(crowd: &Crowd, blobs: &Path) {
    let mut index: serde_json::Value =
        serde_json::from_slice(&fs::read(crowd.cache.join("index.json")).expect("an index"))
            .expect("JSON");
    index["manifests"] = serde_json::json!([]);
    fs::write(crowd.cache.join("index.json"), index.to_string()).expect("written");
    for dir in [&crowd.cache, blobs] {
        age(dir, Duration::from_secs(25 * 3600));
    }
    let place = format!("oci:{}", crowd.cache.display());
    let end = run_bare(Kiln::subcommand("cache").args(["prune", &place]), Fate::Lives);
    assert!(matches!(end, End::Done { .. }), "{end:?}");
    assert_eq!(names(blobs), BTreeSet::new());
    let left = names(&crowd.cache).into_iter().collect::<Vec<_>>();
    assert_eq!(left, [".kiln", "blobs", "index.json", "oci-layout"]);
}
