//! One run of `git`, alone with what it is told: no settings of this machine or its user, no hooks,
//! no helpers, no questions, and no protocol that reads this machine's files or starts programs.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::auth::Remote;
use super::trust::Trust;
use crate::cancel::Cancel;
use crate::registry::Secret;
use crate::remote::{GitSettings, RemoteError};

/// As much of git's words as is kept.
const WORDS_MAX: usize = 1 << 20;
/// As many of the last lines as are shown.
const LINES: usize = 4;
const BASE_CONFIG: [(&str, &str); 11] = [
    ("core.hooksPath", "/dev/null"),
    ("credential.helper", ""),
    ("init.defaultBranch", "master"),
    ("init.templateDir", ""),
    ("advice.detachedHead", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // kiln made the directory itself, but git may see another owner from inside of a user namespace.
    ("safe.directory", "*"),
    // A server that sends nothing for a minute is gone.
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
];

/// git, in one working directory.
pub(super) struct Git<'a> {
    program: PathBuf,
    settings: &'a GitSettings,
    remote: &'a Remote,
    trust: &'a Trust,
    dir: &'a Path,
    /// Where hosts' keys are noted that nobody knew.
    new_hosts: PathBuf,
    cancel: &'a Cancel,
}

/// How a run ended that did not end well.
#[derive(Debug)]
pub(super) enum Failed {
    /// The build was stopped, or git could not be started.
    Broken(RemoteError),
    /// What it said.
    Said(String),
}

impl<'a> Git<'a> {
    /// Where the program is; none where there is none.
    pub(super) fn program(settings: &GitSettings) -> Option<PathBuf> {
        let path = settings.search_path.as_deref()?;
        let mut programs = std::env::split_paths(path).map(|dir| dir.join("git"));
        programs.find(|program| program.is_absolute() && program.is_file())
    }

    pub(super) fn new(
        program: PathBuf,
        settings: &'a GitSettings,
        remote: &'a Remote,
        trust: &'a Trust,
        dir: &'a Path,
        new_hosts: PathBuf,
        cancel: &'a Cancel,
    ) -> Self {
        Self { program, settings, remote, trust, dir, new_hosts, cancel }
    }

    /// Runs it to its end; what it printed.
    pub(super) fn run(&self, args: &[&str]) -> Result<String, Failed> {
        self.cancel.check().map_err(|stop| Failed::Broken(stop.into()))?;
        let mut command = self.command(args);
        let started = RemoteError::io("start", &self.program);
        let child = command.spawn().map_err(|error| Failed::Broken(started(error)))?;
        let (success, output, words) = self.attend(child)?;
        self.cancel.check().map_err(|stop| Failed::Broken(stop.into()))?;
        if success { Ok(output) } else { Err(Failed::Said(last_lines(&words))) }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(self.dir)
            .env_clear()
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // It starts others, and all of them end together.
            .process_group(0);
        command
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let set = |name: &str, value: &OsStr| (name.into(), value.to_owned());
        let text = |name: &str, value: &str| set(name, OsStr::new(value));
        let mut all = vec![
            text("LC_ALL", "C"),
            text("HOME", "/dev/null"),
            text("GIT_CONFIG_NOSYSTEM", "1"),
            text("GIT_CONFIG_GLOBAL", "/dev/null"),
            text("GIT_ATTR_NOSYSTEM", "1"),
            text("GIT_TERMINAL_PROMPT", "0"),
            text("GIT_ALLOW_PROTOCOL", "http:https:git:ssh"),
            set("GIT_SSH_COMMAND", &self.ssh()),
        ];
        let path = self.settings.search_path.iter().map(|path| set("PATH", path));
        let agent = self.settings.ssh_auth_sock.iter();
        let agent = agent.map(|path| set("SSH_AUTH_SOCK", path.as_os_str()));
        let proxies = self.settings.proxies.iter().map(|(name, value)| set(name, value));
        all.extend(path.chain(agent).chain(proxies));
        // Not in arguments, which every user of this machine can read.
        let config = self.config();
        all.push(text("GIT_CONFIG_COUNT", &config.len().to_string()));
        for (number, (name, value)) in config.iter().enumerate() {
            all.push(text(&format!("GIT_CONFIG_KEY_{number}"), name));
            all.push(text(&format!("GIT_CONFIG_VALUE_{number}"), value.expose()));
        }
        all
    }

    fn config(&self) -> Vec<(String, Secret)> {
        let mut all: Vec<(String, Secret)> =
            BASE_CONFIG.map(|(name, value)| (name.to_owned(), value.into())).into();
        all.extend(self.trust.config());
        if let Some(header) = self.remote.header() {
            all.push(header);
            // git would show it to whom the first answer leads to, too.
            all.push(("http.followRedirects".into(), "false".into()));
        }
        all
    }

    /// As BuildKit starts ssh: without settings, with keys of the agent only, and believing hosts
    /// that nobody knows. Here a host that the user knows by another key is not believed.
    fn ssh(&self) -> OsString {
        let mut known = quoted(&self.new_hosts);
        for file in &self.settings.known_hosts {
            known.push(" ");
            known.push(quoted(file));
        }
        let mut line = OsString::from(
            "ssh -F /dev/null -o BatchMode=yes -o IdentityFile=none -o ConnectTimeout=30 \
             -o ServerAliveInterval=15 -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile='",
        );
        line.push(known);
        line.push("'");
        line
    }

    /// Reads what it says until it has ended, or ends it with the build.
    fn attend(&self, mut child: Child) -> Result<(bool, String, String), Failed> {
        let broken = |error| Failed::Broken(RemoteError::io("wait for", &self.program)(error));
        let pid = Pid::from_child(&child);
        let running = Arc::new(Mutex::new(Some(pid)));
        let group = running.clone();
        self.cancel.on_cancel(move || {
            let group = group.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(pid) = *group {
                _ = kill_process_group(pid, Signal::KILL);
            }
        });
        let errors = child.stderr.take().map(|pipe| thread::spawn(move || read(pipe)));
        let output = child.stdout.take().map(read).unwrap_or_default();
        let words = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
        // Its number stays its own until it is waited for, and nobody is ended in its place.
        _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let status = child.wait().map_err(broken)?;
        Ok((status.success(), output, words))
    }
}

/// A path between double quotes, for ssh's own parser of options.
fn quoted(path: &Path) -> OsString {
    let mut text = OsString::from("\"");
    let plain = path.as_os_str().as_bytes().iter().all(|b| !matches!(b, b'"' | b'\'' | b'\\'));
    text.push(if plain { path.as_os_str() } else { OsStr::new("/dev/null") });
    text.push("\"");
    text
}

fn read(pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    let mut pipe = pipe;
    // The rest is read too, or it could not end.
    let kept = pipe.by_ref().take(WORDS_MAX as u64).read_to_end(&mut bytes);
    _ = kept.and_then(|_| std::io::copy(&mut pipe, &mut std::io::sink()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last lines as one, without control characters.
fn last_lines(words: &str) -> String {
    let clean = |line: &str| -> String { line.chars().filter(|c| !c.is_control()).collect() };
    let lines: Vec<String> = words
        .split(['\n', '\r'])
        .map(|line| clean(line).trim().to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with("hint:"))
        .collect();
    let from = lines.len().saturating_sub(LINES);
    match lines[from..].join("; ") {
        text if text.is_empty() => "git gave no reason".to_owned(),
        text => text,
    }
}
