//! kiln's own image in real containers: Debian's dockerd with its default profiles.
//!
//! `cargo xtask test` makes the image and says where it is, in KILN_IMAGE.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::process::{Dockerd, dockerd};

use super::Outcome;
use super::built::need_root;

/// The directory that `cargo xtask image` has written to.
pub fn image_dir() -> PathBuf {
    let path = std::env::var_os("KILN_IMAGE").map(PathBuf::from);
    path.expect(
        "KILN_IMAGE is not set to the directory with kiln's image: run these with \
         `cargo xtask test`, or make it with `cargo xtask image` and name target/image",
    )
}

/// The archive of one tag, `latest` or `debug`, for `docker load`.
pub fn archive(tag: &str) -> PathBuf {
    image_dir().join(format!("kiln-{tag}.tar"))
}

/// A Docker daemon that has kiln's image.
#[derive(Debug)]
pub struct Engine {
    docker: Dockerd,
}

impl Engine {
    /// Starts it.
    pub fn start() -> Self {
        need_root();
        let docker = dockerd().expect("dockerd");
        for tag in ["latest", "debug"] {
            let archive = archive(tag);
            let archive = archive.to_str().expect("a path of text");
            let said = docker.run(&["load", "--input", archive]).expect("docker load");
            assert!(said.contains(&format!("kiln:{tag}")), "{said}");
        }
        Self { docker }
    }

    /// The daemon.
    pub fn docker(&self) -> &Dockerd {
        &self.docker
    }

    /// A container of `kiln:latest`, to be set up. It has the machine's network: the daemon has
    /// none of its own, and registries listen on the loopback.
    pub fn container(&self) -> Container<'_> {
        let flags = vec!["--network".to_owned(), "host".to_owned()];
        Container { engine: self, flags, image: "kiln:latest" }
    }
}

/// A container before it starts.
#[derive(Debug, Clone)]
pub struct Container<'a> {
    engine: &'a Engine,
    flags: Vec<String>,
    image: &'static str,
}

impl<'a> Container<'a> {
    /// Flags of `docker run`.
    pub fn flags<S: AsRef<str>>(mut self, flags: impl IntoIterator<Item = S>) -> Self {
        self.flags.extend(flags.into_iter().map(|flag| flag.as_ref().to_owned()));
        self
    }

    /// `kiln:debug`.
    pub fn debug(mut self) -> Self {
        self.image = "kiln:debug";
        self
    }

    /// The seven capabilities that Shipwright gives, and no others.
    pub fn seven_capabilities(self) -> Self {
        let seven = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SETFCAP", "KILL"];
        let add = seven.iter().flat_map(|name| ["--cap-add", name]);
        self.flags(["--cap-drop", "ALL"]).flags(add)
    }

    /// Shows a directory or file of the machine at this path.
    pub fn mount(self, from: &Path, to: &str) -> Self {
        self.flags(["--volume", &format!("{}:{to}", from.display())])
    }

    /// The same; it cannot be written to.
    pub fn mount_read_only(self, from: &Path, to: &str) -> Self {
        self.flags(["--volume", &format!("{}:{to}:ro", from.display())])
    }

    /// A variable of its environment.
    pub fn env(self, name: &str, value: &str) -> Self {
        self.flags(["--env", &format!("{name}={value}")])
    }

    /// Another program than `/kaniko/executor`; an empty one takes the first argument, as a
    /// GitLab job with `entrypoint: [""]`.
    pub fn entrypoint(self, program: &str) -> Self {
        self.flags(["--entrypoint", program])
    }

    /// Runs it to its end with these arguments. Nothing of it is left.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        let output = self.command(&["--rm"], args).output().expect("docker starts");
        Outcome::from(output)
    }

    /// Runs a shell with this script in place of the image's program.
    pub fn shell(self, script: &str) -> Outcome {
        self.entrypoint("").run(["sh", "-ec", script])
    }

    /// Starts it with these arguments, for commands to be executed in it.
    #[track_caller]
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running<'a> {
        let output = self.command(&["--detach"], args).output().expect("docker starts");
        let id = Outcome::from(output).ok().stdout.trim().to_owned();
        Running { engine: self.engine, id }
    }

    fn command<S: AsRef<OsStr>>(&self, how: &[&str], args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.engine.docker.docker();
        command.arg("run").args(how).args(&self.flags).arg(self.image).args(args);
        command.stdin(Stdio::null());
        command
    }
}

/// A running container. Dropped, it is gone with its volumes.
#[derive(Debug)]
pub struct Running<'a> {
    engine: &'a Engine,
    id: String,
}

impl Running<'_> {
    /// A command that `docker exec` runs in it, ready to be spawned.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.engine.docker.docker();
        command.args(["exec", &self.id]).args(args).stdin(Stdio::null());
        command
    }

    /// Runs a script in it to its end.
    pub fn shell(&self, script: &str) -> Outcome {
        Outcome::from(self.command(["sh", "-ec", script]).output().expect("docker starts"))
    }

    /// Copies a file out of it, or a directory with all that is in it.
    #[track_caller]
    pub fn copy_out(&self, from: &str, to: &Path) {
        let to = to.to_str().expect("a path of text");
        let from = format!("{}:{from}", self.id);
        self.engine.docker.run(&["cp", &from, to]).expect("docker cp");
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // The daemon ends with the test, and its containers with it.
        let _ = self.engine.docker.run(&["rm", "--force", "--volumes", &self.id]);
    }
}
