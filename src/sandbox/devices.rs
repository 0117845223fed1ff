//! /dev of a RUN: a few devices on a tmpfs of its own.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, makedev, mkdirat, mknodat, openat, symlinkat};
use rustix::mount::MountAttrFlags;

use super::error::{During, SandboxError};
use super::mounts::{Mount, NO_PROGRAMS};
use super::root::{Kind, Root};

/// Names with their major and minor numbers (kernel: Documentation/admin-guide/devices.txt).
pub(super) const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

pub(super) const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Group `tty` in every distribution: who may write to a terminal.
const TTY_GROUP: (&str, &str) = ("gid", "5");

/// Mounts /dev and all in it.
pub(super) fn mount(
    root: &mut Root,
    shm_size: u64,
    user_namespace: bool,
) -> Result<(), SandboxError> {
    let place = root.ensure(Path::new("dev"), Kind::Directory).during("open /dev")?;
    let options = [("mode", "0755"), ("size", "64m")];
    let dev = Mount::new("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NOSUID)
        .and_then(|dev| dev.attach(place.as_fd()))
        .during("mount /dev")?;
    let dev = dev.as_fd();

    for (name, major, minor) in DEVICES {
        device(dev, name, (major, minor), user_namespace).during(format!("make /dev/{name}"))?;
    }
    for (name, target) in LINKS {
        symlinkat(target, dev, name).during(format!("make /dev/{name}"))?;
    }
    attach(dev, "pts", terminals()).during("mount /dev/pts")?;
    let size = shm_size.to_string();
    attach(dev, "shm", Mount::new("tmpfs", &[("mode", "1777"), ("size", &size)], NO_PROGRAMS))
        .during("mount /dev/shm")?;
    // A kernel may be built without POSIX message queues. Nothing that does not use them misses them.
    attach(dev, "mqueue", Mount::new("mqueue", &[], NO_PROGRAMS)).ok();
    Ok(())
}

/// A device node, or the host's: in a user namespace nodes cannot be made and would not work, and a
/// container's device cgroup may refuse them.
fn device(
    dev: BorrowedFd<'_>,
    name: &str,
    (major, minor): (u32, u32),
    user_namespace: bool,
) -> io::Result<()> {
    let mode = Mode::from_raw_mode(0o666);
    let number = makedev(major, minor);
    if !user_namespace && mknodat(dev, name, FileType::CharacterDevice, mode, number).is_ok() {
        return Ok(());
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(dev, name, flags, mode)?;
    let place = openat(dev, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    Mount::bind_path(&Path::new("/dev").join(name))?.attach(place.as_fd())?;
    Ok(())
}

/// Pseudo-terminals of its own (every mount is a new instance since Linux 4.7). The group may have no
/// id here (one mapped id): then without.
fn terminals() -> io::Result<Mount> {
    let options = [("ptmxmode", "0666"), ("mode", "0620"), TTY_GROUP];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Mount::new("devpts", &options, attributes)
        .or_else(|_| Mount::new("devpts", &options[..2], attributes))
}

fn attach(dev: BorrowedFd<'_>, name: &str, mount: io::Result<Mount>) -> io::Result<()> {
    let mount = mount?;
    mkdirat(dev, name, Mode::from_raw_mode(0o755))?;
    let place = openat(dev, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    mount.attach(place.as_fd())?;
    Ok(())
}
