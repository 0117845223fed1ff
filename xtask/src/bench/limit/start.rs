//! How soon after its start kiln asks for something.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;

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

/// Where kiln is started: its program, and a context, for everybody.
pub(super) struct Stage {
    dir: TempDir,
}

impl Stage {
    /// # Errors
    /// If the disk refuses.
    pub(super) fn new(kiln: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        // Everybody may enter, and nobody write but into `tmp`.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        fs::copy(kiln, dir.path().join("kiln"))?;
        fs::create_dir(dir.path().join("tmp"))?;
        fs::set_permissions(dir.path().join("tmp"), Permissions::from_mode(0o1777))?;
        // What was written just now is not to be written to the disk while kiln starts.
        rustix::fs::sync();
        Ok(Self { dir })
    }

    /// Milliseconds from the start of kiln's program until the first request has come that the build
    /// needs: for the base's manifest, or for a place to push to. The one before it, which asks the
    /// registry how to log in, is answered and does not count. The build is ended then.
    ///
    /// # Errors
    /// If kiln asks for nothing.
    pub(super) fn once(&self, who: Who) -> anyhow::Result<f64> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let host = listener.local_addr()?.to_string();
        let dockerfile = format!("FROM {host}/base:1\nRUN true\n");
        fs::write(self.dir.path().join("Dockerfile"), dockerfile)?;
        let (sender, asked) = mpsc::channel();
        thread::spawn(move || serve(&listener, &sender));
        let tmp = self.dir.path().join("tmp");
        let mut command = Command::new(self.dir.path().join("kiln"));
        command.arg("build").arg(self.dir.path()).args(["-t", &format!("{host}/app:1")]);
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
        Ok((answer.context("kiln sent no request")? - start).as_secs_f64() * 1e3)
    }
}

/// Each connection on a thread of its own; they end with kiln.
fn serve(listener: &TcpListener, useful: &Sender<Instant>) {
    while let Ok((stream, _)) = listener.accept() {
        let useful = useful.clone();
        thread::spawn(move || answer(stream, &useful));
    }
}

fn answer(mut stream: TcpStream, useful: &Sender<Instant>) -> std::io::Result<()> {
    let mut bytes = [0; 4096];
    loop {
        let count = stream.read(&mut bytes)?;
        let when = Instant::now();
        let request = String::from_utf8_lossy(&bytes[..count]);
        if request.contains("/manifests/") || request.contains("/blobs/") {
            // Nobody listens after the first.
            let _ = useful.send(when);
        }
        if count == 0 || !request.starts_with("GET /v2/ ") {
            return Ok(());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_what_the_build_needs_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap();
        let (sender, useful) = mpsc::channel();
        thread::spawn(move || serve(&listener, &sender));
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(b"GET /v2/ HTTP/1.1\r\n\r\n").unwrap();
        let mut bytes = [0; 100];
        assert!(stream.read(&mut bytes).unwrap() > 0);
        assert!(useful.try_recv().is_err());
        stream.write_all(b"GET /v2/base/manifests/1 HTTP/1.1\r\n\r\n").unwrap();
        assert!(useful.recv_timeout(PATIENCE).is_ok());
    }
}
