//! Where an archive is let loose, and what must not have changed afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use testkit::base;
use testkit::tar::TarBytes;

use crate::common::bench::{self, Bench};
use crate::common::{Kiln, Outcome};

/// What the canary sings.
const SONG: &str = "untouched";

/// A way for an archive into kiln.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A base image below a RUN: unpacked.
    Run,
    /// A base image below a COPY: its headers are looked through.
    CopyInto,
    /// An image that is copied from: a part is unpacked.
    CopyFrom,
    /// A file of the context that ADD unpacks.
    Add,
}

pub const WAYS: [Way; 4] = [Way::Run, Way::CopyInto, Way::CopyFrom, Way::Add];
pub const IMAGE_WAYS: [Way; 3] = [Way::Run, Way::CopyInto, Way::CopyFrom];

/// A file beside the work directory, and the machine's users as they were.
#[derive(Debug)]
pub struct Canary {
    dir: PathBuf,
    passwd: Vec<u8>,
}

impl Canary {
    pub fn new(dir: &Path) -> Self {
        fs::write(dir.join("canary"), SONG).expect("a file");
        Self { dir: dir.to_owned(), passwd: fs::read("/etc/passwd").expect("users") }
    }

    #[track_caller]
    pub fn assert_untouched(&self, outcome: &Outcome) {
        let song = fs::read_to_string(self.dir.join("canary"));
        assert_eq!(song.expect("the canary"), SONG, "the canary changed\n{outcome}");
        let mut names: Vec<_> = fs::read_dir(&self.dir)
            .expect("the directory")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        assert_eq!(names, ["canary", "context", "home", "tmp"], "new files\n{outcome}");
        assert_eq!(fs::read("/etc/passwd").expect("users"), self.passwd, "{outcome}");
        for name in ["/canary", "/evil", "/tmp/evil", "/etc/evil"] {
            assert!(!Path::new(name).exists(), "{name} was made\n{outcome}");
        }
    }
}

/// Lets archives loose, one layer each, in one way.
#[track_caller]
pub fn attack(layers: &[TarBytes], way: Way) -> (Bench, Outcome) {
    let bench = Bench::new();
    let kiln = match way {
        Way::Run => image(&bench, layers, "FROM REGISTRY/base:1\nRUN echo x >/tmp/x; true\n"),
        Way::CopyInto => image(&bench, layers, "FROM REGISTRY/base:1\nCOPY Dockerfile evil/x/\n"),
        Way::CopyFrom => image(&bench, layers, "FROM scratch\nCOPY --from=REGISTRY/base:1 / /\n"),
        Way::Add => {
            let mut text = "FROM scratch\n".to_owned();
            let kiln = bench.kiln("");
            let kiln = layers.iter().enumerate().fold(kiln, |kiln, (number, layer)| {
                text.push_str(&format!("ADD {number}.tar /\n"));
                kiln.file(&format!("{number}.tar"), layer.finish())
            });
            kiln.dockerfile(&text)
        }
    };
    let outcome = run(kiln);
    (bench, outcome)
}

fn image(bench: &Bench, layers: &[TarBytes], dockerfile: &str) -> Kiln {
    let mut all = vec![base::busybox().expect("a busybox to make an image of")];
    all.extend_from_slice(layers);
    bench.registry.add_image("base", "1", all, json!({}));
    bench.kiln(dockerfile)
}

/// Runs a build beside a canary. It may fail, but only as builds do.
#[track_caller]
pub fn run(kiln: Kiln) -> Outcome {
    let canary = Canary::new(kiln.dir());
    let (outcome, dir) = kiln.run_and_keep();
    canary.assert_untouched(&outcome);
    bench::assert_gone(dir.path());
    assert!(matches!(outcome.code, Some(0 | 1)), "{outcome}");
    let bad = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!outcome.stderr.contains(bad), "{}", outcome.stderr.escape_debug());
    assert!(!outcome.stderr.contains("panicked"), "{outcome}");
    outcome
}

/// All ways must refuse the archives with a sentence that has these words in it.
#[track_caller]
pub fn refused(layers: &[TarBytes], ways: &[Way], words: &str) {
    for &way in ways {
        let (bench, outcome) = attack(layers, way);
        assert_eq!(outcome.code, Some(1), "{way:?} {outcome}");
        bench.assert_nothing_pushed(&outcome);
        let error = outcome.stderr.split("error: ").nth(1).unwrap_or_default();
        assert!(error.contains(words), "{way:?} does not say `{words}`: {outcome}");
    }
}

/// All ways must cope with the archives.
#[track_caller]
pub fn accepted(layers: &[TarBytes], ways: &[Way]) {
    for &way in ways {
        let (bench, outcome) = attack(layers, way);
        assert_eq!(outcome.code, Some(0), "{way:?} {outcome}");
        let image = testkit::image::Image::from_registry(&bench.registry, "app", "1");
        image.expect("an image").verify().expect("it is whole");
    }
}
