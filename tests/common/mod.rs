//! Runs the real program, as a user would.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub mod built;
pub mod unprivileged;

/// One call of kiln, in a temporary directory of its own.
#[derive(Debug)]
pub struct Kiln {
    dir: tempfile::TempDir,
    command: Command,
}

/// What it printed and how it ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Kiln {
    /// `kiln build` with an empty HOME, an own TMPDIR and an empty context directory.
    pub fn build() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["home", "tmp", "context"] {
            std::fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let mut command = Command::new(program());
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", dir.path().join("home"))
            .env("TMPDIR", dir.path().join("tmp"))
            .current_dir(dir.path())
            .arg("build")
            .stdin(Stdio::null());
        Self { dir, command }
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of kiln's environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes a file of the context.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.context().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, content).expect("a file");
        self
    }

    /// Writes the Dockerfile.
    pub fn dockerfile(self, text: &str) -> Self {
        self.file("Dockerfile", text)
    }

    /// The context directory; it is the argument unless others are given with [`Self::args`].
    pub fn context(&self) -> PathBuf {
        self.dir.path().join("context")
    }

    /// The directory around the context.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The command, ready to be spawned, and what must outlive it.
    pub fn into_command(mut self) -> (Command, tempfile::TempDir) {
        self.command.arg(self.dir.path().join("context"));
        (self.command, self.dir)
    }

    /// Runs it to its end. Whatever happened, its work directory must be gone.
    pub fn run(self) -> Outcome {
        let (mut command, dir) = self.into_command();
        let outcome = Outcome::from(command.output().expect("kiln starts"));
        let left: Vec<_> = std::fs::read_dir(dir.path().join("tmp"))
            .expect("the directory for temporary files")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}\n{outcome}");
        outcome
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {:?}\n{}{}", self.code, self.stdout, self.stderr)
    }
}

impl Outcome {
    /// It must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// It must have failed with this code and said this.
    #[track_caller]
    pub fn fails(self, code: i32, saying: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(self.stderr.contains(saying), "does not say `{saying}`:\n{self}");
        self
    }
}

/// The program under test.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_kiln"))
}
