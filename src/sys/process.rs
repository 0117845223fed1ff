//! Processes: fork, exec, and the descriptors that pass from one to the next.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, getppid, pidfd_open, set_parent_process_death_signal,
};

/// Standard input, output and error.
const STANDARD_DESCRIPTORS: RawFd = 3;

/// Which of the two processes this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The new one.
    Child,
    /// The one that was there, which must wait for this process.
    Parent(Pid),
}

/// Forks a process that has one thread. With more, the child could find a lock held for ever by a
/// thread that does not exist there, so that is an error.
pub fn fork() -> io::Result<Fork> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("fork in a process with {threads} threads")));
    }
    // SAFETY: this is the only thread, so no lock is held and the child may do what it likes.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(pid).map_or(Fork::Child, Fork::Parent))
}

/// Ends the process at once: no destructors, no exit handlers, no flushing of buffers that a forked
/// child shares with its parent.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes any number and does not return.
    unsafe { libc::_exit(code) }
}

/// Replaces the process; returns only on failure.
pub fn execve(program: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let args = pointers(args);
    let env = pointers(env);
    // SAFETY: both arrays end with a null pointer and point at strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// This process, as a child that is about to be forked will know it.
#[derive(Debug)]
pub struct Parent(OwnedFd);

impl Parent {
    /// To be called before the fork.
    pub fn this() -> io::Result<Self> {
        Ok(Self(pidfd_open(getpid(), PidfdFlags::empty())?))
    }

    /// In the child: asks for SIGKILL when the parent ends. The kernel means the *thread* that forked:
    /// it has to stay until the child has ended (prctl(2), PR_SET_PDEATHSIG). If it has ended before,
    /// nobody sends the signal, so that is an error.
    pub fn die_with(self) -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // A pidfd becomes readable when its process ends.
        let mut ended = [PollFd::new(&self.0, PollFlags::IN)];
        if poll(&mut ended, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
            Ok(())
        } else {
            Err(io::Error::other("the parent process has already ended"))
        }
    }
}

/// Puts a file in the place of standard input, output and error.
pub fn replace_standard_streams(file: BorrowedFd<'_>) -> io::Result<()> {
    for number in 0..STANDARD_DESCRIPTORS {
        // SAFETY: nothing owns the standard descriptors; the library uses them by number.
        if unsafe { libc::dup2(file.as_raw_fd(), number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Prepares a command whose process dies with the calling thread and inherits `descriptors` under
/// the numbers that they have here. The caller keeps them open until the command was started.
pub fn inherit(command: &mut Command, descriptors: &[BorrowedFd<'_>]) {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let parent = getpid();
    let prepare = move || {
        for number in &numbers {
            // SAFETY: F_SETFD changes a flag of a descriptor in this process's own table. A number
            // that is no longer open gives EBADF.
            if unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Without allocation: the parent may have other threads.
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        }
    };
    // SAFETY: the closure only makes system calls (fcntl, prctl, getppid) and neither allocates nor
    // locks: that is what a fork of a process with threads allows.
    unsafe { command.pre_exec(prepare) };
}

/// Takes over descriptors that a parent passed by number (see [`inherit`]) and closes all others but
/// the standard ones. It closes what belongs to anyone in this process, so it is for the first lines
/// of `main` and refuses where there is more than one thread.
pub fn adopt<const N: usize>(numbers: [RawFd; N]) -> io::Result<[OwnedFd; N]> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("descriptors are adopted before any thread is started"));
    }
    let mut sorted = numbers;
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) || sorted.iter().any(|n| *n < 3) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for number in numbers {
        // SAFETY: F_SETFD changes a flag; a number that is not open gives EBADF.
        if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let mut first = STANDARD_DESCRIPTORS;
    for number in sorted {
        if first < number {
            close_range(first, number - 1, 0)?;
        }
        first = number + 1;
    }
    close_range(first, RawFd::MAX, 0)?;
    // SAFETY: the numbers are open, distinct, and at the start of the program nothing owns them.
    Ok(numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) }))
}

/// Marks every descriptor but the standard ones to be closed by exec.
pub fn close_on_exec() -> io::Result<()> {
    close_range(STANDARD_DESCRIPTORS, RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: close_range(2) reads no memory. Whether the descriptors may be closed is the callers'
    // matter: `adopt` runs before anything owns one, `close_on_exec` closes nothing in this process.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives the process a new, empty session keyring: the keys of kiln's own session (Kerberos tickets,
/// for one) are not for the commands of a Dockerfile. Kernels without keyrings have none to hide.
pub fn leave_session_keyring() {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    let anonymous: *const libc::c_char = std::ptr::null();
    // SAFETY: with a null name keyctl(2) reads no memory.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous) };
}
