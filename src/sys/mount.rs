//! Attributes of mounts.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::mount::{MountFlags, mount_remount};

/// Makes a mount read-only: the one whose root `mount` is (a descriptor from open_tree or fsmount, or
/// an O_PATH one), and all below it if `recursive`. Other attributes stay as they are, which a user
/// namespace insists on.
pub fn set_read_only(mount: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let below = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty string, the structure has the size that is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | below,
            &attributes,
            size_of_val(&attributes),
        )
    };
    if result == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // EPERM: a seccomp profile from before there was this call.
        error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            remount_read_only(mount)
        }
        error => Err(error),
    }
}

/// The same for Linux before 5.12, which lacks mount_setattr: only for the mount itself, and only if it
/// is attached. A remount replaces all attributes, so those that are there have to be repeated.
fn remount_read_only(mount: BorrowedFd<'_>) -> io::Result<()> {
    // ST_NOSUID, ST_NODEV, ST_NOEXEC, ST_NOATIME and ST_NODIRATIME have the values of their MS_*.
    const KEPT: u64 =
        libc::ST_NOSUID | libc::ST_NODEV | libc::ST_NOEXEC | libc::ST_NOATIME | libc::ST_NODIRATIME;
    let present = rustix::fs::fstatvfs(mount)?.f_flag.bits();
    let mut flags = MountFlags::from_bits_retain((present & KEPT) as u32);
    if present & libc::ST_RELATIME != 0 {
        flags |= MountFlags::RELATIME;
    }
    let target = format!("/proc/self/fd/{}", mount.as_raw_fd());
    mount_remount(&*target, flags | MountFlags::BIND | MountFlags::RDONLY, "")?;
    Ok(())
}
