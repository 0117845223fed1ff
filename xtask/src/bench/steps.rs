//! The commands of one run, in its control group, with the time of each.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use testkit::process::{Daemon, Ready};

use super::cgroup::Cgroup;

/// Debian's directories only: what somebody has put into /usr/local is no part of a comparison.
pub(crate) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// What a failure shows of a command's output.
const SHOWN: usize = 15;
/// Longer than this no command takes, the largest case's neither.
const LIMIT: Duration = Duration::from_secs(900);

/// How often a daemon is asked whether it answers.
const POLL: Duration = Duration::from_millis(5);
/// How long it may take until it does.
const START: Duration = Duration::from_secs(60);

/// A line that a command wrote.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Seconds after the start of the run.
    pub(crate) at: f64,
    pub(crate) text: String,
}

/// What runs where, and for how long.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    cgroup: Option<&'a Cgroup>,
    home: PathBuf,
    tmp: PathBuf,
    start: Instant,
    /// Seconds of each phase.
    pub(crate) phases: BTreeMap<String, f64>,
}

impl<'a> Steps<'a> {
    /// Everything that is started writes below `place`, on the run's own disk.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn new(cgroup: Option<&'a Cgroup>, place: &Path) -> io::Result<Self> {
        let (home, tmp) = (place.join("home"), place.join("tmp"));
        std::fs::create_dir_all(&home)?;
        std::fs::create_dir_all(&tmp)?;
        Ok(Self { cgroup, home, tmp, start: Instant::now(), phases: BTreeMap::new() })
    }

    /// Now the peer begins.
    pub(crate) fn begin(&mut self) {
        self.start = Instant::now();
    }

    /// Seconds since then.
    pub(crate) fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// A program that enters the control group before it starts, and does not run for ever.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.unlimited("timeout");
        command.arg("--kill-after=5").arg(LIMIT.as_secs().to_string()).arg(program);
        command
    }

    /// A program that enters the control group before it starts.
    pub(crate) fn unlimited(&self, program: impl AsRef<OsStr>) -> Command {
        let doors = self.cgroup.map(Cgroup::doors).unwrap_or_default();
        let mut script = String::new();
        for door in doors {
            script += &format!("echo $$ > '{}' && ", door.display());
        }
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{script}exec \"$@\""), "sh"]).arg(program);
        command.env("PATH", PATH).env("HOME", &self.home).env("TMPDIR", &self.tmp);
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
            command.env_remove(name);
        }
        for name in ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"] {
            command.env_remove(name);
        }
        command
    }

    /// The control group's name for runtimes.
    pub(crate) fn cgroup(&self) -> Option<&Cgroup> {
        self.cgroup
    }

    /// Does something that is a phase.
    ///
    /// # Errors
    /// Its own.
    pub(crate) fn phase<T>(
        &mut self,
        name: &str,
        step: impl FnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let start = self.elapsed();
        let result = step(self);
        self.add(name, self.elapsed() - start);
        result
    }

    /// Adds to a phase.
    pub(crate) fn add(&mut self, phase: &str, seconds: f64) {
        *self.phases.entry(phase.to_owned()).or_default() += seconds;
    }

    /// Runs a command to its end. Returns what it wrote to both of its outputs.
    ///
    /// # Errors
    /// If it fails; with the last lines.
    pub(crate) fn run(&self, command: &mut Command) -> anyhow::Result<Vec<Line>> {
        let name = shown(command);
        let (reader, writer) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        // The ends of the pipe that the command holds, or it would never be at its end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut lines = Vec::new();
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            lines.push(Line { at: self.elapsed(), text });
            line.clear();
        }
        let status = child.wait()?;
        if !status.success() {
            let said: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
            bail!("{name} ended with {status}:\n{}", last(&said));
        }
        Ok(lines)
    }

    /// Runs a command that is a phase of its own.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) fn run_as(
        &mut self,
        phase: &str,
        command: &mut Command,
    ) -> anyhow::Result<Vec<Line>> {
        self.phase(phase, |steps| steps.run(command))
    }

    /// Starts a daemon, which is not waited for.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn daemon(&self, command: Command, log: &Path) -> anyhow::Result<Daemon> {
        let daemon = Daemon::start(command, log, &Ready::Started, LIMIT)?;
        Ok(daemon.grace(Duration::from_secs(30)))
    }

    /// Waits until a daemon answers.
    ///
    /// # Errors
    /// If it ends, or takes too long; with its last lines.
    pub(crate) fn wait(
        &self,
        daemon: &Daemon,
        name: &str,
        answers: impl Fn() -> bool,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + START;
        while !answers() {
            let log = daemon.log();
            let said: Vec<&str> = log.lines().collect();
            ensure!(!has_ended(daemon.pid()), "{name} has ended:\n{}", last(&said));
            ensure!(Instant::now() < end, "{name} does not answer:\n{}", last(&said));
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

/// The program behind the shell that enters the control group and behind timeout(1).
fn shown(command: &Command) -> String {
    let program = command.get_args().nth(6).unwrap_or_else(|| command.get_program());
    Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}

/// Whether a child is a zombie, the third field of proc_pid_stat(5). It is waited for elsewhere.
fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|fields| fields.starts_with('Z'))
}

/// The last lines that were written.
fn last(lines: &[&str]) -> String {
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_failure_shows_the_last_lines_of_both_outputs() {
        let dir = tempfile::tempdir().unwrap();
        let steps = Steps::new(None, dir.path()).unwrap();
        let mut command = steps.command("sh");
        command.args(["-c", "seq 100; echo why >&2; exit 3"]);
        let error = steps.run(&mut command).unwrap_err().to_string();
        assert!(error.starts_with("sh ended with exit status: 3:\n87\n"), "{error}");
        assert!(error.ends_with("100\nwhy"), "{error}");
    }

    #[test]
    fn a_daemon_that_ends_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let steps = Steps::new(None, dir.path()).unwrap();
        let mut command = steps.unlimited("sh");
        command.args(["-c", "echo no such option; exit 1"]);
        let daemon = steps.daemon(command, &dir.path().join("log")).unwrap();
        let error = steps.wait(&daemon, "thing", || false).unwrap_err().to_string();
        assert_eq!(error, "thing has ended:\nno such option");
    }

    #[test]
    fn phases_add_up_and_homes_are_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut steps = Steps::new(None, dir.path()).unwrap();
        let said = steps.run_as("one", steps.command("sh").args(["-c", "echo $HOME $TMPDIR"]));
        let place = dir.path().display();
        assert_eq!(said.unwrap()[0].text, format!("{place}/home {place}/tmp"));
        steps.add("one", 5.0);
        assert!(steps.phases["one"] > 5.0);
    }
}
