//! Runs the real program, as a user would.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod bases;
pub mod bench;
pub mod containers;
pub mod processes;
pub mod tools;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub mod built;
pub mod unprivileged;

/// One call of kiln, in a temporary directory of its own.
#[derive(Debug)]
pub struct Kiln {
    dir: tempfile::TempDir,
    context: PathBuf,
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
        Self::subcommand("build")
    }

    /// The same for another command of kiln's.
    pub fn subcommand(name: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for below in ["home", "tmp", "context"] {
            std::fs::create_dir(dir.path().join(below)).expect("a directory");
        }
        let mut command = Command::new(program());
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", dir.path().join("home"))
            .env("TMPDIR", dir.path().join("tmp"))
            .current_dir(dir.path())
            .arg(name)
            .stdin(Stdio::null());
        Self { context: dir.path().join("context"), dir, command }
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Adds a flag and a path.
    pub fn arg_pair(mut self, flag: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.arg(flag).arg(value);
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

    /// Runs another program than the one that the tests were built with. Comes before other changes
    /// than arguments and variables.
    pub fn with_program(mut self, program: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(self.command.get_args()).env_clear().stdin(Stdio::null());
        command
            .envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(self.dir.path());
        self.command = command;
        self
    }

    /// Builds from this directory instead of its own.
    pub fn context_dir(mut self, dir: &Path) -> Self {
        self.context = dir.to_owned();
        self
    }

    /// Removes a file of the context.
    pub fn without_file(self, path: &str) -> Self {
        std::fs::remove_file(self.context().join(path)).expect("the file is there");
        self
    }

    /// Writes Docker's config.json.
    pub fn docker_config(self, text: &str) -> Self {
        self.home_file(".docker/config.json", text)
    }

    /// Writes credentials for one registry into Docker's config.json.
    pub fn login(self, host: &str, user: &str, password: &str) -> Self {
        let auths = serde_json::json!({ host: { "username": user, "password": password } });
        self.docker_config(&serde_json::json!({ "auths": auths }).to_string())
    }

    /// Writes the Dockerfile.
    pub fn dockerfile(self, text: &str) -> Self {
        self.file("Dockerfile", text)
    }

    /// The context directory; it is the argument unless others are given with [`Self::args`].
    pub fn context(&self) -> PathBuf {
        self.context.clone()
    }

    /// The directory around the context.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file into the home directory.
    pub fn home_file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join("home").join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, content).expect("a file");
        self
    }

    /// Lets kiln see other lines in /etc/hosts, in a mount namespace of its own. Needs root.
    pub fn hosts(self, text: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "another /etc/hosts needs root");
        let file = self.dir.path().join("hosts");
        std::fs::write(&file, text).expect("a file");
        let script = r#"mount --bind "$1" /etc/hosts && shift && exec "$@""#;
        let file = file.to_string_lossy().into_owned();
        self.under(&["unshare", "--mount", "sh", "-c", script, "sh", &file])
    }

    /// Kills kiln when it writes a file of more than so many bytes.
    pub fn file_limit(self, bytes: usize) -> Self {
        self.under(&["prlimit", &format!("--fsize={bytes}"), "--"])
    }

    /// Lets another program start kiln, with kiln's command line after these arguments.
    fn under(mut self, args: &[&str]) -> Self {
        let mut command = Command::new(args[0]);
        command.args(&args[1..]).arg(self.command.get_program()).args(self.command.get_args());
        command.env_clear().current_dir(self.dir.path()).stdin(Stdio::null());
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.command = command;
        self
    }

    /// The command, ready to be spawned, and what must outlive it.
    pub fn into_command(mut self) -> (Command, tempfile::TempDir) {
        self.command.arg(&self.context);
        (self.command, self.dir)
    }

    /// The same without the context directory as its last argument.
    pub fn into_bare_command(self) -> (Command, tempfile::TempDir) {
        (self.command, self.dir)
    }

    /// Runs it to its end. Whatever happened, its work directory must be gone.
    pub fn run(self) -> Outcome {
        self.run_and_keep().0
    }

    /// The same; the second is the directory that was its own.
    pub fn run_and_keep(self) -> (Outcome, tempfile::TempDir) {
        let (mut command, dir) = self.into_command();
        let outcome = Outcome::from(command.output().expect("kiln starts"));
        assert_no_work_dir(dir.path(), &outcome);
        (outcome, dir)
    }
}

/// The work directory of a call in this directory is gone.
#[track_caller]
pub fn assert_no_work_dir(dir: &Path, outcome: &Outcome) {
    let left: Vec<_> = std::fs::read_dir(dir.join("tmp"))
        .expect("the directory for temporary files")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}\n{outcome}");
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

/// The release binary, which is too slow to make for each test.
pub fn release() -> PathBuf {
    let path = std::env::var_os("KILN_RELEASE").map(PathBuf::from);
    path.expect("KILN_RELEASE is not set to the release binary: run these with `cargo xtask test`")
}
