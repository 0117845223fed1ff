//! System call filters whose decisions another process makes (seccomp_unotify(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One instruction of a filter program: code, jump if true, jump if false, operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction(pub u16, pub u8, pub u8, pub u32);

/// A system call that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    /// What the answer has to name.
    pub id: u64,
    /// The calling thread, as this process's pid namespace has it.
    pub thread: i32,
    /// `AUDIT_ARCH_*`: which table the number is from.
    pub arch: u32,
    /// The system call's number.
    pub number: i32,
    /// Its arguments.
    pub args: [u64; 6],
}

/// Where the system calls of a filtered process arrive.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// Adds a filter to the calling thread and returns its listener. Needs `no_new_privs` or
/// CAP_SYS_ADMIN, and that no filter of this thread has a listener yet (EBUSY).
pub fn install(program: &[Instruction]) -> io::Result<Listener> {
    let filter: Vec<libc::sock_filter> = program
        .iter()
        .map(|&Instruction(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k })
        .collect();
    let length = filter.len().try_into().map_err(io::Error::other)?;
    // A call that has been taken must not be interrupted by a signal, or a program with a timer
    // could begin it again for ever. Since Linux 5.19.
    let killable = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    match set_filter(&filter, length, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | killable) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            set_filter(&filter, length, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)
        }
        result => result,
    }
}

/// Asks whether this kernel knows filters with a listener, without installing one. ENOSYS and EPERM:
/// the system call itself is refused; EOPNOTSUPP and EINVAL: it does not.
pub fn ask_for_listeners() -> io::Result<()> {
    let action = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: the kernel reads one 32-bit number, which outlives the call, and writes nothing.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &action) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn set_filter(
    filter: &[libc::sock_filter],
    length: libc::c_ushort,
    flags: libc::c_ulong,
) -> io::Result<Listener> {
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel reads `len` instructions from `filter`, which outlives the call, and checks
    // them. It writes nothing.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &program) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: with SECCOMP_FILTER_FLAG_NEW_LISTENER the result is a new descriptor.
    Ok(Listener(unsafe { OwnedFd::from_raw_fd(result as i32) }))
}

impl From<OwnedFd> for Listener {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener {
    /// Lets the kernel run caller and answerer on one processor, one after the other, which halves
    /// the cost of a notification. Since Linux 6.6; without it, all works.
    pub fn wake_up_synchronously(&self) {
        let flags: u64 = 1; // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
        // SAFETY: the request takes a number and touches no memory.
        unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS as _, flags) };
    }

    /// The next system call; waits for one. ENOENT: a caller has ended before it was heard.
    pub fn receive(&self) -> io::Result<Notification> {
        // SAFETY: all zeroes is a valid seccomp_notif, and the kernel insists on it.
        let mut request: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_RECV as _, &mut request)?;
        Ok(Notification {
            id: request.id,
            thread: request.pid.cast_signed(),
            arch: request.data.arch,
            number: request.data.nr,
            args: request.data.args,
        })
    }

    /// Whether the caller still waits: what was read of it in between was its own.
    pub fn is_waiting(&self, id: u64) -> bool {
        let mut id = id;
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &mut id).is_ok()
    }

    /// The kernel carries the call out as if there were no filter.
    pub fn proceed(&self, id: u64) -> io::Result<()> {
        let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        self.send(libc::seccomp_notif_resp { id, val: 0, error: 0, flags })
    }

    /// The call returns this value.
    pub fn answer(&self, id: u64, value: i64) -> io::Result<()> {
        self.send(libc::seccomp_notif_resp { id, val: value, error: 0, flags: 0 })
    }

    /// The call fails with this positive error number.
    pub fn refuse(&self, id: u64, errno: i32) -> io::Result<()> {
        self.send(libc::seccomp_notif_resp { id, val: 0, error: -errno.abs(), flags: 0 })
    }

    /// The caller gets a descriptor for `file`, and its number as the call's result.
    pub fn give(&self, id: u64, file: BorrowedFd<'_>, close_on_exec: bool) -> io::Result<()> {
        let mut request = libc::seccomp_notif_addfd {
            id,
            // Descriptor and answer in one: a signal cannot come between them (Linux 5.14).
            flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            srcfd: file.as_raw_fd().cast_unsigned(),
            newfd: 0,
            newfd_flags: if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
        };
        match self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ADDFD as _, &mut request) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                request.flags = 0;
                let number = self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ADDFD as _, &mut request)?;
                self.answer(id, number.into())
            }
            result => result.map(drop),
        }
    }

    fn send(&self, response: libc::seccomp_notif_resp) -> io::Result<()> {
        let mut response = response;
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_SEND as _, &mut response).map(drop)
    }

    fn ioctl<T>(&self, request: u64, argument: &mut T) -> io::Result<i32> {
        loop {
            // SAFETY: each request above is called with the structure that it is defined for, which
            // the kernel reads and fills; it is borrowed exclusively during the call.
            let result = unsafe {
                libc::ioctl(self.0.as_raw_fd(), request as _, std::ptr::from_mut(argument))
            };
            if result >= 0 {
                return Ok(result);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}
