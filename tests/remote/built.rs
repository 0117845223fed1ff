//! A build into a layout, and its image.

use std::path::Path;
use std::process::Stdio;

use testkit::image::Image;

use crate::common::{Kiln, Outcome};

/// What came of a build; its directory lives as long.
pub struct Built {
    pub outcome: Outcome,
    dir: tempfile::TempDir,
}

/// Builds a Dockerfile with the flags.
pub fn build(dockerfile: &str, flags: &[&str]) -> Built {
    run(Kiln::build().dockerfile(dockerfile).args(flags))
}

/// Runs a build.
pub fn run(kiln: Kiln) -> Built {
    let kiln = kiln.args(["--no-push", "--oci-layout-path", "layout", "--progress", "plain"]);
    let (outcome, dir) = kiln.run_and_keep();
    Built { outcome, dir }
}

/// Builds from another context than a directory, with these bytes on standard input.
pub fn build_from(context: &str, flags: &[&str], input: &[u8]) -> Built {
    build_in(Kiln::build(), context, flags, input)
}

/// The same in a directory that is prepared.
pub fn build_in(kiln: Kiln, context: &str, flags: &[&str], input: &[u8]) -> Built {
    let kiln = kiln.args(["--no-push", "--oci-layout-path", "layout", "--progress", "plain"]);
    let (mut command, dir) = kiln.args(flags).into_bare_command();
    std::fs::write(dir.path().join("input"), input).expect("written");
    let input = std::fs::File::open(dir.path().join("input")).expect("opened");
    let output = command.arg(context).stdin(Stdio::from(input)).output().expect("kiln starts");
    let outcome = Outcome::from(output);
    crate::common::assert_no_work_dir(dir.path(), &outcome);
    Built { outcome, dir }
}

impl Built {
    /// The image, of a build that succeeded.
    #[track_caller]
    pub fn image(&self) -> Image {
        assert_eq!(self.outcome.code, Some(0), "{}", self.outcome);
        Image::from_layout(&self.dir.path().join("layout"), None).expect("a layout")
    }

    /// The text of a file of the image.
    #[track_caller]
    pub fn text(&self, path: &str) -> String {
        self.image().text(path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// All paths of the last layer.
    #[track_caller]
    pub fn paths(&self) -> Vec<String> {
        self.image().paths(0).expect("a layer")
    }

    /// A build that failed and said this.
    #[track_caller]
    pub fn fails(&self, words: &str) {
        assert_eq!(self.outcome.code, Some(1), "{}", self.outcome);
        assert!(self.outcome.stderr.contains(words), "{words}: {}", self.outcome);
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
