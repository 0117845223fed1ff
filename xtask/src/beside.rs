//! A program that runs beside the steps that do not need it yet.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};

/// A running program. Its output is kept, and shown only if it fails. Dropped, it is stopped: a step
/// has failed, and nobody needs it any more.
#[derive(Debug)]
pub(crate) struct Beside {
    name: String,
    child: Child,
    // Files, since a pipe that nobody reads from stops who writes to it.
    out: File,
    err: File,
}

impl Beside {
    /// Starts it.
    ///
    /// # Errors
    /// If it cannot be started, or there is no place for its output.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let (out, err) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, out, err })
    }

    /// Waits for its end. Returns its standard output.
    ///
    /// # Errors
    /// If it fails; with what it said to standard error.
    pub(crate) fn finish(mut self) -> anyhow::Result<String> {
        let status = self.child.wait()?;
        let said = text(&mut self.err)?;
        ensure!(status.success(), "{} ended with {status}:\n{said}", self.name);
        text(&mut self.out)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Both fail if it has ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(file: &mut File) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Beside {
        Beside::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn it_returns_what_it_wrote_and_fails_with_what_it_said() {
        // More than a pipe holds.
        let much = shell("head -c 200000 /dev/zero; echo noise >&2").finish().unwrap();
        assert_eq!(much.len(), 200_000);
        let error = shell("echo lost; echo it is broken >&2; exit 3").finish().unwrap_err();
        assert_eq!(error.to_string(), "sh ended with exit status: 3:\nit is broken\n");
    }

    #[test]
    fn it_is_stopped_if_nobody_waits() {
        let start = Instant::now();
        drop(shell("exec sleep 1000"));
        assert!(start.elapsed().as_secs() < 1000);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = Beside::start(&mut Command::new("/no/such/program")).unwrap_err();
        assert_eq!(error.to_string(), "cannot start /no/such/program");
    }
}
