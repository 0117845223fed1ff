//! A container's worth of surroundings for kaniko's programs.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{Outcome, assert_no_work_dir, program};

/// A directory with a context in it.
#[derive(Debug)]
pub struct Job(tempfile::TempDir);

impl Job {
    /// A job whose context has this Dockerfile.
    pub fn new(dockerfile: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["home", "tmp", "context"] {
            std::fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        std::fs::write(dir.path().join("context/Dockerfile"), dockerfile).expect("a file");
        Self(dir)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect(name)
    }

    /// The program, called by that name.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program());
        command
            .arg0(name)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .current_dir(self.0.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, mut command: Command) -> Outcome {
        let outcome = Outcome::from(command.output().expect("kiln starts"));
        assert_no_work_dir(Path::new(self.0.path()), &outcome);
        outcome
    }

    /// `/kaniko/executor --context context …`.
    pub fn executor<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        let mut command = self.command("/kaniko/executor");
        command.args(["--context", "context"]).args(args);
        self.run(command)
    }
}
