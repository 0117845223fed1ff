//! A cache of RUN that travels, while many builds change and save it: each sees it as one of them left
//! it. The last one wins, whichever that is.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use testkit::Registry;

use crate::common::Kiln;
use crate::common::built::need_root;
use crate::project::base;
use crate::running::{End, Fate, run};

const AT_ONCE: usize = 8;
const BUILDS_OF_EACH: usize = 3;

/// What a build leaves is sealed: with files of two builds, or without some of them, the seal is broken.
/// Some files are replaced each time, one is new, and the oldest go.
const DOCKERFILE: &str = "\
FROM BASE/base
ARG N
RUN --mount=type=cache,id=shared,target=/c cd /c; \
seal() { sha256sum $(ls | grep -v seal) | sha256sum; }; \
if [ -e seal ]; then [ \"$(seal)\" = \"$(cat seal)\" ] || { echo a mixture; ls -la; exit 7; }; \
elif [ -n \"$(ls)\" ]; then echo no seal; exit 7; fi; \
for f in 1 2 3 4; do head -c 40000 /dev/urandom > $f; done; \
mv \"$(ls -t | grep new | tail -n 1)\" 5 2>/dev/null; echo $N > new$N; rm -f seal; seal > seal.; mv seal. seal; \
echo holds $(ls | wc -l)
";

struct Crowd {
    registry: Registry,
    place: String,
    seed: u64,
    kills: bool,
    wrong: Mutex<Vec<String>>,
}

impl Crowd {
    fn build(&self, number: usize, fate: Fate) -> End {
        let base = format!("{}/", self.registry.host());
        let kiln = Kiln::build().dockerfile(&DOCKERFILE.replace("BASE/", &base)).args([
            "--progress=plain",
            "--output=type=cacheonly",
            "--cache-mounts",
            &format!("--cache-repo={}", self.place),
            &format!("--build-arg=N={number}"),
        ]);
        run(kiln, fate)
    }

    fn worker(&self, number: usize) {
        let mut rng = Rng::with_seed(self.seed.wrapping_add(number as u64));
        for round in 0..BUILDS_OF_EACH {
            let soon = Duration::from_micros(rng.u64(..30_000));
            let fate = match rng.u8(..3) {
                0 if self.kills => Fate::DiesAt("save cache", soon),
                _ => Fate::Lives,
            };
            if let End::Failed(error) = self.build(number * 100 + round, fate) {
                self.wrong.lock().expect("a lock").push(error);
            }
        }
    }
}

/// Gives what the last build found.
fn saved_by_many(registry: Registry, place: String, kills: bool) {
    let seed = fastrand::u64(..);
    let crowd = Crowd { registry, place, seed, kills, wrong: Mutex::default() };
    thread::scope(|scope| {
        for number in 0..AT_ONCE {
            let crowd = &crowd;
            scope.spawn(move || crowd.worker(number));
        }
    });
    let wrong = crowd.wrong.lock().expect("a lock").join("\n\n");
    assert!(wrong.is_empty(), "seed {seed}: {wrong}");
    let End::Done { said, .. } = crowd.build(1_000_000, Fate::Lives) else {
        panic!("seed {seed}: the last one failed");
    };
    // Four that are replaced, at least two that are new, and the seal.
    let holds = said.split("holds ").nth(1).and_then(|rest| rest.lines().next());
    let holds: usize = holds.and_then(|count| count.parse().ok()).unwrap_or_default();
    assert!(holds >= 7, "{said}");
}

#[test]
fn a_travelling_cache_in_a_repository_is_never_a_mixture() {
    need_root();
    let registry = Registry::start();
    base(&registry);
    let place = format!("{}/cache", registry.host());
    saved_by_many(registry, place, false);
}

#[test]
fn a_travelling_cache_in_a_directory_is_never_a_mixture_whoever_is_killed() {
    need_root();
    let registry = Registry::start();
    base(&registry);
    let dir = tempfile::tempdir().expect("a directory");
    saved_by_many(registry, format!("oci:{}", dir.path().join("cache").display()), true);
}
