//! A Docker daemon of the test's own, to compare with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use super::{Daemon, Ready, installed};

/// Debian's directories first: another Docker in /usr/local has no place in a comparison.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A Docker daemon before it starts.
#[derive(Debug, Default)]
pub struct DockerdBuilder {
    args: Vec<String>,
    dir: Option<PathBuf>,
}

impl DockerdBuilder {
    /// One more argument for the daemon, such as `--registry-mirror=http://127.0.0.1:5000`.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Keeps images and containers in that directory beyond the daemon's end.
    #[must_use]
    pub fn data_root(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Starts the daemon.
    ///
    /// # Errors
    /// As [`dockerd`].
    pub fn start(self) -> anyhow::Result<Dockerd> {
        let program = installed(&["/usr/sbin/dockerd", "/usr/bin/dockerd"], "docker.io")?;
        let client = installed(&["/usr/bin/docker"], "docker.io")?;
        ensure!(rustix::process::geteuid().is_root(), "a Docker daemon needs root");
        // Socket paths have 108 bytes at most, so it cannot be below just any directory.
        let dir = TempDir::with_prefix_in("dockerd-", "/tmp")?;
        let path = |name: &str| dir.path().join(name);
        let data = self.dir.unwrap_or_else(|| path("data"));
        fs::create_dir_all(&data)?;
        fs::create_dir(path("config"))?;
        fs::write(path("daemon.json"), "{}")?;
        let socket = path("docker.sock");
        let mut command = Command::new(program);
        command.env("PATH", PATH).env_remove("DOCKER_HOST");
        command.arg("--config-file").arg(path("daemon.json"));
        command.arg("--data-root").arg(&data).arg("--exec-root").arg(path("exec"));
        command.arg("--pidfile").arg(path("docker.pid"));
        command.arg("--host").arg(format!("unix://{}", socket.display()));
        // No bridge: its name and its packet filter rules belong to the whole machine.
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        command.args(["--insecure-registry=127.0.0.0/8", "--shutdown-timeout=5"]).args(self.args);
        let ready = Ready::File(socket.clone());
        let daemon = Daemon::start(command, &path("log"), &ready, Duration::from_secs(60))?;
        let daemon = daemon.grace(Duration::from_secs(30));
        let mut docker = Dockerd { daemon: Some(daemon), client, socket, data, dir };
        docker.wait_until_it_answers()?;
        Ok(docker)
    }
}

/// Starts Debian's Docker daemon in temporary directories, with a containerd of its own. There is
/// no bridge network: `docker run` and `docker build` need `--network host` or `none`.
///
/// # Errors
/// If the package is not installed, this is not root, or the daemon does not start.
pub fn dockerd() -> anyhow::Result<Dockerd> {
    Dockerd::builder().start()
}

/// A running Docker daemon. Dropped, it has ended with its containers, and its mounts are gone.
#[derive(Debug)]
pub struct Dockerd {
    daemon: Option<Daemon>,
    client: PathBuf,
    socket: PathBuf,
    data: PathBuf,
    dir: TempDir,
}

impl Dockerd {
    /// A daemon to be set up.
    pub fn builder() -> DockerdBuilder {
        DockerdBuilder::default()
    }

    /// `unix:///...`, for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Debian's client for this daemon, with BuildKit on and the user's own settings hidden.
    pub fn docker(&self) -> Command {
        let mut command = Command::new(&self.client);
        command.env("PATH", PATH).env("DOCKER_HOST", self.host()).env("DOCKER_BUILDKIT", "1");
        command.env("DOCKER_CONFIG", self.dir.path().join("config"));
        command.env_remove("DOCKER_CONTEXT");
        command
    }

    /// Runs the client with these arguments. Returns what it printed.
    ///
    /// # Errors
    /// If it fails; with what it printed.
    pub fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.docker().args(args).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        ensure!(output.status.success(), "docker {}: {out}{err}", args.join(" "));
        Ok(out)
    }

    /// The daemon's log.
    pub fn log(&self) -> String {
        self.daemon.as_ref().map(Daemon::log).unwrap_or_default()
    }

    /// The socket is there before the daemon is.
    fn wait_until_it_answers(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        while let Err(error) = self.run(&["version"]) {
            ensure!(Instant::now() < end, "dockerd does not answer: {error}\n{}", self.log());
            std::thread::sleep(super::POLL);
        }
        Ok(())
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.daemon = None;
        // dockerd takes its containerd along; only one that was killed cannot.
        stop_containerd(&self.dir.path().join("exec/containerd"));
        for root in [self.data.as_path(), self.dir.path()] {
            unmount_below(root);
        }
    }
}

/// Ends the containerd whose process number lies in this directory, if it is that one's.
fn stop_containerd(dir: &Path) {
    let pid = fs::read_to_string(dir.join("containerd.pid")).unwrap_or_default();
    let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) else { return };
    let command = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    if !String::from_utf8_lossy(&command).contains(&*dir.to_string_lossy()) {
        return;
    }
    let _ = kill_process(pid, Signal::TERM);
    let end = Instant::now() + Duration::from_secs(5);
    while test_kill_process(pid).is_ok() && Instant::now() < end {
        std::thread::sleep(super::POLL);
    }
}

/// Detaches what is mounted below a directory, the last mounted first.
fn unmount_below(root: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let below: Vec<_> = points.filter(|point| Path::new(point).starts_with(root)).collect();
    for point in below.into_iter().rev() {
        let _ = unmount(point, UnmountFlags::DETACH);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::image::Image;
    use crate::tree::Tree;
    use crate::{Registry, base};

    #[test]
    fn dockerd_starts_and_leaves_nothing() {
        if !Path::new("/usr/sbin/dockerd").exists() || !rustix::process::geteuid().is_root() {
            eprintln!("skipped: dockerd needs root and the package docker.io");
            return;
        }
        let docker = dockerd().unwrap();
        let version = docker.run(&["version", "--format", "{{.Server.Version}}"]).unwrap();
        assert!(!version.trim().is_empty());
        let containerd = docker.dir.path().join("exec/containerd/containerd.pid");
        let containerd: u32 = fs::read_to_string(containerd).unwrap().trim().parse().unwrap();
        let dir = docker.dir.path().to_owned();
        assert!(Path::new(&format!("/proc/{containerd}")).exists());
        drop(docker);
        assert!(!Path::new(&format!("/proc/{containerd}")).exists() && !dir.exists());
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&*dir.to_string_lossy()), "{mounts}");
    }

    #[test]
    fn dockerd_builds_from_the_test_registry_and_pushes_to_it() {
        let Ok(layer) = base::busybox() else {
            eprintln!("skipped: busybox-static is not installed");
            return;
        };
        if !Path::new("/usr/sbin/dockerd").exists() || !rustix::process::geteuid().is_root() {
            eprintln!("skipped: dockerd needs root and the package docker.io");
            return;
        }
        let registry = Registry::start();
        let config = json!({ "config": { "Env": ["PATH=/bin"], "Cmd": ["sh"] } });
        registry.add_image("busybox", "latest", vec![layer], config);
        let (host, context) = (registry.host(), TempDir::new().unwrap());
        let dockerfile = format!("FROM {host}/busybox\nRUN rm /etc/group && echo hi > /file\n");
        Tree::new().file("Dockerfile", dockerfile).write_to(context.path()).unwrap();
        let (name, context) = (format!("{host}/app:1"), context.path().to_str().unwrap());
        let docker = dockerd().unwrap();
        docker.run(&["build", "--network", "none", "-t", &name, context]).unwrap();
        docker.run(&["push", &name]).unwrap();
        let image = Image::from_registry(&registry, "app", "1").unwrap();
        image.verify().unwrap();
        let tree = image.tree().unwrap();
        assert_eq!(image.text("file").unwrap(), "hi\n");
        assert!(tree.contains_key("etc/passwd") && !tree.contains_key("etc/group"));
    }
}
