//! How soon after its start kiln asks for something.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// The user without rights: `nobody` of most systems.
const NOBODY: u32 = 65534;
const PATIENCE: Duration = Duration::from_secs(10);

/// Who starts kiln.
#[derive(Clone, Copy)]
pub(super) enum Who {
    Root,
    Nobody,
}

impl Who {
    pub(super) const ALL: [Self; 2] = [Self::Root, Self::Nobody];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Root => "root of the machine",
            Self::Nobody => "a user without rights",
        }
    }
}

/// Milliseconds from the start of kiln's program until the first bytes of its first request have
/// come: that for the base's manifest. The build is ended then.
///
/// # Errors
/// If kiln asks for nothing, or for something else.
pub(super) fn once(kiln: &Path, who: Who) -> anyhow::Result<f64> {
    let dir = tempfile::tempdir()?;
    // Everybody may enter, and nobody write but into `tmp`.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let program = dir.path().join("kiln");
    fs::copy(kiln, &program)?;
    let tmp = dir.path().join("tmp");
    fs::create_dir(&tmp)?;
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let host = listener.local_addr()?.to_string();
    let dockerfile = format!("FROM {host}/base:1\nRUN true\n");
    fs::write(dir.path().join("Dockerfile"), dockerfile)?;
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || sender.send(first_request(&listener)));
    let mut command = Command::new(&program);
    command.arg("build").arg(dir.path()).args(["-t", &format!("{host}/app:1")]);
    command.env("TMPDIR", &tmp).env("HOME", &tmp).env_remove("XDG_CACHE_HOME");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Who::Nobody = who {
        command.uid(NOBODY).gid(NOBODY);
    }
    let start = Instant::now();
    let mut child = command.spawn().context("cannot start kiln")?;
    let answer = asked.recv_timeout(PATIENCE);
    child.kill()?;
    child.wait()?;
    let (when, line) = answer.context("kiln sent no request")??;
    ensure!(line.starts_with("GET /v2/") || line.starts_with("HEAD /v2/"), "kiln sent {line:?}");
    Ok((when - start).as_secs_f64() * 1e3)
}

fn first_request(listener: &TcpListener) -> std::io::Result<(Instant, String)> {
    let (mut stream, _) = listener.accept()?;
    let mut bytes = [0; 256];
    let count = stream.read(&mut bytes)?;
    let when = Instant::now();
    let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
    Ok((when, text.lines().next().unwrap_or_default().to_owned()))
}
