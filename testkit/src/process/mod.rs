//! Other people's programs that tests run against, stopped when the test ends, however it ends.

mod docker_registry;
mod dockerd;
mod measure;

use std::fs::{self, File};
use std::io;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

pub use docker_registry::{DockerRegistry, DockerRegistryBuilder, docker_registry};
pub use dockerd::{Dockerd, DockerdBuilder, dockerd};
pub use measure::measure;

const POLL: Duration = Duration::from_millis(20);

/// How a started program shows that it is ready.
#[derive(Debug, Clone)]
pub enum Ready {
    /// It listens on this `HOST:PORT`.
    Port(String),
    /// This file or socket exists.
    File(PathBuf),
    /// It has written this text to its output.
    Log(String),
    /// At once.
    Started,
}

/// A running program in a process group of its own. Dropped, it is asked to end, and made to after
/// some seconds. If this process dies without dropping it, the program is stopped too.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    /// Waits for the end of this process with its hand on the program.
    watcher: Child,
    log: PathBuf,
    /// How long the program may take to end by itself.
    grace: Duration,
}

impl Daemon {
    /// Starts the program with its output in the file `log`, and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be started, ends, or is not ready within `timeout`; with its output.
    pub fn start(
        mut command: Command,
        log: &Path,
        ready: &Ready,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut child =
            command.process_group(0).spawn().with_context(|| format!("cannot start {name}"))?;
        let watcher = watch(&child).inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })?;
        let grace = Duration::from_secs(10);
        let mut daemon = Self { name, child, watcher, log: log.to_owned(), grace };
        daemon.wait(ready, timeout)?;
        Ok(daemon)
    }

    /// The same with another time to end in; 10 seconds is usual.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn wait(&mut self, ready: &Ready, timeout: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + timeout;
        while !self.is_ready(ready) {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.log());
            }
            let (name, seconds) = (&self.name, timeout.as_secs());
            ensure!(Instant::now() < end, "{name} is not ready after {seconds} s:\n{}", self.log());
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn is_ready(&self, ready: &Ready) -> bool {
        match ready {
            Ready::Port(address) => TcpStream::connect(address).is_ok(),
            Ready::File(path) => path.exists(),
            Ready::Log(text) => self.log().contains(text),
            Ready::Started => true,
        }
    }

    /// Ends the program. Returns how it ended.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn stop(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let pid = pid_of(&self.child)?;
        // The group: unshare(1) and others that wait for a child do not pass signals on.
        kill_process_group(pid, Signal::TERM)?;
        let end = Instant::now() + self.grace;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                kill_process_group(pid, Signal::KILL)?;
                return self.child.wait();
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nothing can be done about an error here, and the test's own result matters more.
        let _ = self.stop();
        // Before its pipe is closed, which would wake it up.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}

/// Starts a process that stops the child when the pipe to this process breaks. It is in a group of
/// its own: who ends the test's group (cargo-nextest after a timeout) must not end it.
fn watch(child: &Child) -> anyhow::Result<Child> {
    let mut command = Command::new("/bin/sh");
    let script = "read -r _; kill -TERM \"-$1\"; sleep 5; kill -KILL \"-$1\"";
    command.args(["-c", script, "watcher", &child.id().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().context("cannot start /bin/sh")
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("the process has no usable number"))
}

/// The first of these files that exists.
///
/// # Errors
/// If none does; says which package has it.
fn installed(candidates: &[&str], package: &str) -> anyhow::Result<PathBuf> {
    let found = candidates.iter().map(PathBuf::from).find(|path| path.exists());
    found.with_context(|| {
        let name = candidates.first().unwrap_or(&package);
        format!("{name} is not there; install it with: apt-get install {package}")
    })
}

#[cfg(test)]
mod tests;
