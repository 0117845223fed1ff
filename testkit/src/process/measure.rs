//! How much memory a program takes.

use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread;

/// Runs a program to its end. Besides its output: the most bytes that it, or any one of its children,
/// had in memory at one time.
///
/// # Errors
/// If it cannot be started.
pub fn measure(mut command: Command) -> io::Result<(Output, u64)> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        err.as_mut().map_or(Ok(0), |err| err.read_to_end(&mut bytes)).map(|_| bytes)
    });
    let mut stdout = Vec::new();
    out.as_mut().map_or(Ok(0), |out| out.read_to_end(&mut stdout))?;
    let stderr = reader.join().map_err(|_| io::Error::other("a reader panicked"))??;
    let (status, peak) = wait(pid)?;
    Ok((Output { status, stdout, stderr }, peak))
}

fn wait(pid: libc::pid_t) -> io::Result<(ExitStatus, u64)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to memory of the right type. The child is waited for nowhere
        // else: `Child` does it on request only.
        if unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) } == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: filled by the call; all zeroes is valid too.
    let usage = unsafe { usage.assume_init() };
    // In KiB (getrusage(2)).
    Ok((ExitStatus::from_raw(status), u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024))
}
