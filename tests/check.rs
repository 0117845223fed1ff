//! What is said of a Dockerfile without a build: `kiln check`, `--check`, `--call`; and the same
//! warnings in a build.
//!
//! What is printed stands beside the Dockerfiles of `tests/check/`. `INSTA_UPDATE=always` writes it
//! anew, as for the other snapshots.

mod common;

#[path = "check/build.rs"]
mod build;
#[path = "check/calls.rs"]
mod calls;
#[path = "check/mistakes.rs"]
mod mistakes;
#[path = "check/rules.rs"]
mod rules;

use std::path::{Path, PathBuf};

use serde_json::json;
use testkit::Registry;
use testkit::tar::TarBytes;

use crate::common::{Kiln, Outcome};

/// A registry, and calls that look at a Dockerfile whose images may come from it.
struct Desk {
    registry: Registry,
}

impl Desk {
    /// With `base:1` for this machine, and `arm:1` for arm64 whatever it was asked for.
    fn new() -> Self {
        let registry = Registry::start();
        let layer = || vec![TarBytes::new().file("etc/base", "base\n")];
        let env = json!({ "config": { "Env": ["HOME=/home/app"] } });
        registry.add_image("base", "1", layer(), env);
        registry.add_image("arm", "1", layer(), json!({ "os": "linux", "architecture": "arm64" }));
        registry.clear_requests();
        Self { registry }
    }

    /// `kiln COMMAND` of a Dockerfile that has `REGISTRY` for the registry.
    fn kiln(&self, command: &str, dockerfile: &str) -> Kiln {
        Kiln::subcommand(command)
            .dockerfile(&dockerfile.replace("REGISTRY", self.registry.host()))
            .file(".dockerignore", "hidden*\n")
            .file("app", "")
            .file("hidden.txt", "")
    }

    /// `kiln check`, for a platform that does not depend on this machine.
    fn check(&self, dockerfile: &str) -> Kiln {
        self.kiln("check", dockerfile).args(["--platform", "linux/amd64"])
    }

    /// Runs it, with `REGISTRY` and `DIR` for what differs each time.
    fn run(&self, kiln: Kiln) -> Outcome {
        let (outcome, dir) = kiln.run_and_keep();
        let redact = |text: &str| {
            let text = text.replace(self.registry.host(), "REGISTRY");
            text.replace(&dir.path().display().to_string(), "DIR")
        };
        Outcome {
            code: outcome.code,
            stdout: redact(&outcome.stdout),
            stderr: redact(&outcome.stderr),
        }
    }
}

/// Files of `tests/check/`.
fn files(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check").join(below)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text is that of the file, or becomes it.
#[track_caller]
fn assert_is(path: &Path, text: &str) {
    if std::env::var_os("INSTA_UPDATE").is_some_and(|wish| wish == "always") {
        std::fs::write(path, text).expect("the file is written");
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == text,
        "{} is other than what was printed:\n{text}\n--- expected\n{expected}",
        path.display()
    );
}
