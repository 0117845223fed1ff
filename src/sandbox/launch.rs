//! kiln's side of a RUN: starts its processes, passes their output on, hears how it ended.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::error::{During, SandboxError};
use super::request::RunReport;
use super::root::path_of;
use super::spec::{Message, Spec};
use super::supervisor;
use crate::cancel::{Cancel, Cancelled};
use crate::event::Stream;
use crate::sys;

/// A pipe's usual capacity.
const CHUNK: usize = 64 << 10;

/// Enough to empty a pipe as large as one may be made (fs.pipe-max-size, 1 MiB), but an end: whoever
/// has carried a pipe out of the sandbox may still be writing to it.
const LAST_READS: usize = 32;

/// Hears the output of a command.
pub(super) type Output<'a> = &'a (dyn Fn(Stream, &[u8]) + Sync);

/// Runs a spec with kiln's own `program`. The calling thread stays until all is over: the processes
/// die with it.
pub(super) fn run(
    program: &impl AsFd,
    spec: &Spec,
    output: Output<'_>,
    cancel: &Cancel,
) -> Result<RunReport, SandboxError> {
    cancel.check()?;
    let spec = spec.to_json().during("describe the command")?;
    let mut processes = Processes::start(program).during("start a process for the command")?;
    processes.stop_on(cancel).during("watch the command's process")?;
    processes.tell(&spec).during("describe the command to its process")?;
    let report = processes.relay(output).during("read the output of the command")?;
    let supervisor = processes.supervisor.wait().during("wait for the command's process")?;
    match conclude(&report, supervisor) {
        Err(_) if cancel.is_cancelled() => Err(Cancelled.into()),
        result => result,
    }
}

/// The supervisor with all below it, and the pipes to them.
struct Processes {
    supervisor: Child,
    spec: Option<File>,
    report: File,
    output: [(Stream, Option<File>); 2],
    /// Kept so that a cancellation after the end finds nobody.
    handle: Option<Arc<OwnedFd>>,
}

impl Processes {
    fn start(program: &impl AsFd) -> io::Result<Self> {
        let (spec_there, spec) = pipe_with(PipeFlags::CLOEXEC)?;
        let (report, report_there) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut command = Command::new(path_of(program.as_fd()));
        command
            .arg0(supervisor::NAME)
            .arg(spec_there.as_raw_fd().to_string())
            .arg(report_there.as_raw_fd().to_string())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        sys::process::inherit(&mut command, &[spec_there.as_fd(), report_there.as_fd()]);
        let mut supervisor = command.spawn()?;
        let stdout = supervisor.stdout.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        let stderr = supervisor.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        Ok(Self {
            supervisor,
            spec: Some(spec.into()),
            report: report.into(),
            output: [(Stream::Out, stdout), (Stream::Err, stderr)],
            handle: None,
        })
    }

    /// Ends the command when the build is cancelled. With SIGTERM the supervisor ends it, and itself
    /// only after it: nothing writes to the layers any more when [`run`] returns.
    fn stop_on(&mut self, cancel: &Cancel) -> io::Result<()> {
        let pid = i32::try_from(self.supervisor.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        let handle = Arc::new(pidfd_open(pid, PidfdFlags::empty())?);
        let weak = Arc::downgrade(&handle);
        cancel.on_cancel(move || {
            if let Some(handle) = weak.upgrade() {
                // It has ended by itself if this fails.
                pidfd_send_signal(&handle, Signal::TERM).ok();
            }
        });
        self.handle = Some(handle);
        Ok(())
    }

    fn tell(&mut self, spec: &[u8]) -> io::Result<()> {
        match self.spec.take().map_or(Ok(()), |mut pipe| pipe.write_all(spec)) {
            // Then it has ended, and the missing report will say so.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Passes the output on until the processes have ended, and returns their report. The end of the
    /// report's pipe is that end: the output's pipes may be held for longer by whoever got hold of
    /// one, so from then on only what is already in them is read.
    fn relay(&mut self, output: Output<'_>) -> io::Result<Vec<u8>> {
        for pipe in self.open() {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        let mut buffer = vec![0; CHUNK];
        let mut report = Vec::new();
        let mut ended = false;
        while !ended {
            self.wait_until_readable()?;
            for (stream, pipe) in &mut self.output {
                // Once, so that the two take turns.
                pass_on(*stream, pipe, output, &mut buffer, 1)?;
            }
            while let (false, Some(length)) = (ended, read(&mut self.report, &mut buffer)?) {
                report.extend_from_slice(&buffer[..length]);
                ended = length == 0;
            }
        }
        for (stream, pipe) in &mut self.output {
            pass_on(*stream, pipe, output, &mut buffer, LAST_READS)?;
        }
        Ok(report)
    }

    fn open(&self) -> impl Iterator<Item = &File> {
        self.output.iter().filter_map(|(_, pipe)| pipe.as_ref()).chain([&self.report])
    }

    fn wait_until_readable(&self) -> io::Result<()> {
        let mut pipes: Vec<_> = self.open().map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
        match poll(&mut pipes, None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // After an error here: what is not wanted any more. After `wait` it does nothing.
        self.supervisor.kill().ok();
        self.supervisor.wait().ok();
    }
}

/// Passes on what is there, in at most `reads`; at the pipe's end there is no pipe any more.
fn pass_on(
    stream: Stream,
    pipe: &mut Option<File>,
    output: Output<'_>,
    buffer: &mut [u8],
    reads: usize,
) -> io::Result<()> {
    for _ in 0..reads {
        let Some(file) = pipe else { break };
        match read(file, buffer)? {
            None => break,
            Some(0) => *pipe = None,
            Some(length) => output(stream, &buffer[..length]),
        }
    }
    Ok(())
}

/// Reads what is in a non-blocking pipe: nothing if it is empty, zero bytes at its end.
fn read(pipe: &mut File, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match pipe.read(buffer) {
            Ok(length) => return Ok(Some(length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads the report. The first word on how it ended counts: after a failed exec, the process that was
/// to become the command ends too.
fn conclude(report: &[u8], supervisor: ExitStatus) -> Result<RunReport, SandboxError> {
    let mut placeholders: Vec<OsString> = Vec::new();
    let mut asked = 0;
    for message in serde_json::Deserializer::from_slice(report).into_iter() {
        match message {
            Ok(Message::Placeholders(made)) => placeholders = made,
            Ok(Message::Asked(calls)) => asked = calls,
            Ok(Message::Ended(status)) => {
                let placeholders = placeholders.into_iter().map(Into::into).collect();
                return Ok(RunReport { status, placeholders, asked });
            }
            Ok(Message::Failed(failure)) => return Err(failure.into()),
            Ok(Message::Lost(how)) => return Err(SandboxError::Lost(how)),
            Err(error) => return Err(SandboxError::Lost(format!("its report says {error}"))),
        }
    }
    Err(SandboxError::Lost(format!("{supervisor}, without a report")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::sandbox::RunStatus;

    fn conclude(report: &[u8]) -> Result<RunReport, SandboxError> {
        super::conclude(report, ExitStatus::default())
    }

    #[test]
    fn the_first_word_on_how_it_ended_counts() {
        let failed = br#"{"Failed":{"Command":{"program":"x","exists":false,"errno":2}}}
{"Ended":{"Exited":127}}"#;
        assert!(matches!(conclude(failed), Err(SandboxError::Command { .. })));
        let ended = br#"{"Placeholders":[{"Unix":[114,117,110]}]}
{"Ended":{"Signaled":9}}"#;
        let report = conclude(ended).unwrap();
        assert_eq!(report.status, RunStatus::Signaled(9));
        assert_eq!(report.placeholders, [std::path::PathBuf::from("run")]);
        assert!(matches!(conclude(b""), Err(SandboxError::Lost(_))));
        assert!(matches!(conclude(b"{\"Ended\""), Err(SandboxError::Lost(_))));
    }
}
