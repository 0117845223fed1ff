//! Signals: what a new program must find, and waiting for them one by one.

use std::io;
use std::mem::MaybeUninit;

use rustix::process::Signal;

/// A signal that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub signal: Signal,
    /// Whether the kernel sent it, as for ^C: the whole foreground process group has got it then.
    pub from_kernel: bool,
}

/// The size of the kernel's signal set, whatever the C library's is.
const SIGNAL_SET: usize = 8;

/// Gives every signal its default action and unblocks all: an ignored or blocked signal stays so
/// across exec (Rust ignores SIGPIPE, nohup ignores SIGHUP), and no program expects that.
pub fn reset() {
    // All zeroes: SIG_DFL, no flags. At least as long as struct sigaction of any architecture.
    let default = [0u64; 8];
    for number in 1..=libc::SIGRTMAX() {
        // Not by way of the C library, which does not let go of two signals that it uses itself.
        // SAFETY: reads a sigaction and writes none; SIG_DFL is no function of ours that could be
        // run. SIGKILL and SIGSTOP give EINVAL.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                SIGNAL_SET,
            )
        };
    }
    let none = [0u64; 1];
    // SAFETY: reads a signal set of the size that is given.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            none.as_ptr(),
            std::ptr::null_mut::<u64>(),
            SIGNAL_SET,
        )
    };
}

/// Lets children be waited for: with SIGCHLD ignored, as a parent may have left it, the kernel
/// forgets how they ended (wait(2), notes).
pub fn keep_children() {
    // SAFETY: SIG_DFL is no function of ours that could be run.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Holds these signals back, to be taken by [`wait`].
pub fn block(signals: &[Signal]) -> io::Result<()> {
    let signals = set(signals);
    // SAFETY: `signals` is an initialised set.
    let result = unsafe { libc::sigprocmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits for one of these signals, which must be blocked.
pub fn wait(signals: &[Signal]) -> io::Result<Received> {
    let signals = set(signals);
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    loop {
        // SAFETY: both point at memory of the right type; the call fills `info`.
        let number = unsafe { libc::sigwaitinfo(&signals, info.as_mut_ptr()) };
        if let Some(signal) = Signal::from_named_raw(number) {
            // SAFETY: filled by the call, and all zeroes is a valid siginfo_t before that.
            let info = unsafe { info.assume_init() };
            return Ok(Received { signal, from_kernel: info.si_code > 0 });
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn set(signals: &[Signal]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set.
    let mut set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    for signal in signals {
        // SAFETY: the set is initialised and the number is that of a signal.
        unsafe { libc::sigaddset(&mut set, signal.as_raw()) };
    }
    set
}
