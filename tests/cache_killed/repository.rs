//! A repository as a cache: many builds write one tag at the same time. A registry has no lock, so what
//! one wrote may be lost; nothing else may happen.

use std::io::Read as _;
use std::sync::Mutex;
use std::thread;

use fastrand::Rng;
use kiln::cache::backend::{Backend as _, Registry as Place};
use kiln::cache::record::{self, Detail};
use kiln::cancel::Cancel;
use kiln::registry::{Client, Options, Reference};
use testkit::image::Image;

use crate::project::{Project, STEPS, cached, check};
use crate::running::{End, Fate, run};

const AT_ONCE: usize = 16;
const BUILDS_OF_EACH: usize = 2;
const VERSIONS: usize = 4;

struct Crowd {
    project: Project,
    seed: u64,
    wrong: Mutex<Vec<String>>,
}

impl Crowd {
    fn cache(&self) -> String {
        format!("{}/app/cache", self.project.registry.host())
    }

    /// Builds a version and looks at its image; how many steps were cached, and the uuid.
    fn build(&self, version: usize, number: &str) -> Result<(usize, String), String> {
        let registry = &self.project.registry;
        let name = format!("{}/app:{number}", registry.host());
        let kiln = self.project.kiln(version).args(["--cache-repo", &self.cache(), "-t", &name]);
        match run(kiln, Fate::Lives) {
            End::Done { said, .. } => {
                if said.contains("warning: ") {
                    return Err(format!("version {version}: {said}"));
                }
                let image = Image::from_registry(registry, "app", number);
                let image = image.map_err(|error| format!("{error:#}\n{said}"))?;
                let uuid = check(&image, version).map_err(|error| format!("{error}\n{said}"))?;
                Ok((cached(&said), uuid))
            }
            other => Err(format!("version {version}: {other:?}")),
        }
    }

    fn worker(&self, number: usize) {
        let mut rng = Rng::with_seed(self.seed.wrapping_add(number as u64));
        for round in 0..BUILDS_OF_EACH {
            let built = self.build(rng.usize(..VERSIONS), &format!("n{number}.{round}"));
            if let Err(error) = built {
                self.wrong.lock().expect("a lock").push(error);
            }
        }
    }

    /// The entries, whose layers are all there.
    fn entries(&self) -> usize {
        let reference: Reference = self.cache().parse().expect("a name");
        let client = Client::new(Options::default(), Cancel::default()).expect("a client");
        let place = Place::new(client, reference.repository());
        let record = record::read(&place, "kiln", Detail::About).expect("a record");
        for entry in &record.entries {
            assert!(!entry.about.step.is_empty(), "{entry:?}");
            let Some(layer) = &entry.layer else { continue };
            let mut blob = place.open(&layer.descriptor).expect("a blob");
            blob.read_to_end(&mut Vec::new()).expect("its digest");
        }
        record.entries.len()
    }
}

#[test]
fn builds_that_write_one_tag_at_once_lose_nothing_but_time() {
    let project = Project::new();
    (0..VERSIONS).for_each(|version| project.make(version));
    let crowd = Crowd { project, seed: fastrand::u64(..), wrong: Mutex::default() };
    thread::scope(|scope| {
        for number in 0..AT_ONCE {
            let crowd = &crowd;
            scope.spawn(move || crowd.worker(number));
        }
    });
    let wrong = crowd.wrong.lock().expect("a lock").join("\n\n");
    assert!(wrong.is_empty(), "seed {}: {wrong}", crowd.seed);
    eprintln!("seed {}: {} entries", crowd.seed, crowd.entries());
    // One after the other nothing is lost.
    for version in 0..VERSIONS {
        let (_, first) = crowd.build(version, "second").expect("built");
        let (cached, second) = crowd.build(version, "third").expect("built");
        assert_eq!((cached, second), (STEPS, first), "version {version}");
    }
    assert!(crowd.entries() >= VERSIONS);
}
