//! A registry, a kiln that is aimed at it, and the question what a build that failed has left.

use std::path::Path;

use testkit::{Registry, base};

use super::{Kiln, Outcome, processes};

/// A registry to build from and to push to. In Dockerfiles its name is `REGISTRY`.
#[derive(Debug)]
pub struct Bench {
    pub registry: Registry,
}

/// What a build that failed said, with `REGISTRY`, `DIR` and `sha256:…` for what differs each time.
#[derive(Debug)]
pub struct Failure {
    /// All that it wrote to its log.
    pub log: String,
    /// The error at its end.
    pub error: String,
    /// The directory that was the call's own.
    pub dir: tempfile::TempDir,
}

impl Bench {
    /// An empty registry.
    pub fn new() -> Self {
        Self::on(Registry::start())
    }

    /// This registry.
    pub fn on(registry: Registry) -> Self {
        Self { registry }
    }

    /// Adds the image `base:1` that has a shell.
    pub fn with_busybox(self) -> Self {
        let layer = base::busybox().expect("a busybox to make an image of");
        let config = serde_json::json!({ "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        }});
        self.registry.add_image("base", "1", vec![layer], config);
        self.registry.clear_requests();
        self
    }

    /// `kiln build -t REGISTRY/app:1` of this Dockerfile.
    pub fn kiln(&self, dockerfile: &str) -> Kiln {
        self.kiln_without_name(dockerfile).args(["-t", &self.name("app:1")])
    }

    /// `kiln build` of this Dockerfile.
    pub fn kiln_without_name(&self, dockerfile: &str) -> Kiln {
        Kiln::build().dockerfile(&dockerfile.replace("REGISTRY", self.registry.host()))
    }

    /// `REGISTRY/name`.
    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.host())
    }

    /// Runs a build that must fail with this code and leave nothing anywhere.
    #[track_caller]
    pub fn fails(&self, kiln: Kiln, code: i32) -> Failure {
        let (outcome, dir) = kiln.run_and_keep();
        self.failed(&outcome, code, dir)
    }

    /// The same for a build that has ended.
    #[track_caller]
    pub fn failed(&self, outcome: &Outcome, code: i32, dir: tempfile::TempDir) -> Failure {
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert_eq!(outcome.stdout, "", "a digest only of an image that is there");
        self.assert_nothing_pushed(outcome);
        let log = self.redact(&outcome.stderr, dir.path());
        assert_readable(&log);
        let error = log.find("error: ").map_or("", |start| &log[start..]).to_owned();
        Failure { log, error, dir }
    }

    /// No tag but those of the base image, and no upload that has not ended.
    #[track_caller]
    pub fn assert_nothing_pushed(&self, outcome: &Outcome) {
        for repository in self.registry.repositories() {
            if repository != "base" {
                let tags = self.registry.tags(&repository);
                assert!(tags.is_empty(), "{repository} has {tags:?}\n{outcome}");
            }
        }
        assert_eq!(self.registry.open_uploads(), 0, "open uploads\n{outcome}");
    }

    fn redact(&self, text: &str, dir: &Path) -> String {
        let text = text.replace(self.registry.host(), "REGISTRY");
        let text = digests_hidden(&text.replace(&dir.display().to_string(), "DIR"));
        let mut parts = text.split("kiln-build-");
        let first = parts.next().unwrap_or_default().to_owned();
        // What follows is random, until a slash or the end of the word.
        parts.fold(first, |text, part| {
            let random = part.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(part.len());
            text + "kiln-build-…" + &part[random..]
        })
    }
}

/// What holds for whatever kiln writes into a log.
#[track_caller]
fn assert_readable(log: &str) {
    let errors = log.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "one error, said once:\n{log}");
    let bad = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!log.contains(bad), "control characters:\n{}", log.escape_debug());
    for debug in ["Some(", "Err(", "Os {", "panicked", "RUST_BACKTRACE", "Error {"] {
        assert!(!log.contains(debug), "{debug} is for programmers:\n{log}");
    }
}

/// The text with `sha256:…` for each digest, and `…` for the short form of one.
fn digests_hidden(text: &str) -> String {
    let mut hidden = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let length = rest[start..].find(|c: char| !c.is_ascii_hexdigit());
        let length = length.unwrap_or(rest.len() - start);
        let before = rest[..start].chars().next_back();
        let word = &rest[start..start + length];
        let digest = length == 64 || length == 12 && before.is_none_or(|c| c == ' ' || c == ':');
        hidden.push_str(&rest[..start]);
        hidden.push_str(if digest { "…" } else { word });
        rest = &rest[start + length..];
    }
    hidden + rest
}

/// Nothing is left of a build in this directory: no process, no mount.
#[track_caller]
pub fn assert_gone(dir: &Path) {
    let left = processes::that_know(dir);
    assert!(left.is_empty(), "left behind: {left:#?}");
}
