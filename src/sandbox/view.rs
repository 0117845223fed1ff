//! Layers put on one another in kiln's own mount namespace.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, open, openat};
use rustix::mount::{MountAttrFlags, MountFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

use super::error::SandboxError;
use super::mounts::Mount;
use super::overlay::Stack;
use super::root::path_of;
use super::spec::Overlay;
use crate::sys;

/// A mount that lasts as long as this value.
#[derive(Debug)]
pub struct ViewMount {
    mountpoint: PathBuf,
}

impl ViewMount {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.mountpoint
    }
}

impl Drop for ViewMount {
    fn drop(&mut self) {
        // Detached: files that are still open stay so, and the mount ends with the last of them.
        rustix::mount::unmount(&*self.mountpoint, UnmountFlags::DETACH).ok();
    }
}

/// Mounts `lowers`, lowest first and relative to `base`, on `mountpoint`, read-only.
pub(super) fn mount(
    base: &Path,
    lowers: &[PathBuf],
    mountpoint: &Path,
    userxattr: bool,
) -> Result<ViewMount, SandboxError> {
    let overlay = Stack { lowers, upper: None, userxattr }.options()?;
    let mount = || -> io::Result<()> {
        let place = open(mountpoint, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        match lowers {
            [] => empty()?.attach(place.as_fd())?.read_only().map(drop),
            // An overlay needs at least two.
            [only] => {
                Mount::bind_path(&base.join(only))?.attach(place.as_fd())?.read_only().map(drop)
            }
            _ => mount_overlay(base, &overlay, &place, MountFlags::RDONLY),
        }
    };
    mount().map_err(|source| SandboxError::View {
        mountpoint: mountpoint.to_owned(),
        layers: lowers.len(),
        source,
    })?;
    Ok(ViewMount { mountpoint: mountpoint.to_owned() })
}

fn empty() -> io::Result<Mount> {
    Mount::new("tmpfs", &[("mode", "0755")], MountAttrFlags::MOUNT_ATTR_RDONLY)
}

/// Mounts an overlay whose names are relative to `base`. The working directory is the process's, so
/// this takes a thread that has one of its own.
pub(super) fn mount_overlay(
    base: &Path,
    overlay: &Overlay,
    place: &OwnedFd,
    flags: MountFlags,
) -> io::Result<()> {
    let directory = openat(CWD, base, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mount = || -> io::Result<()> {
        sys::namespace::unshare(UnshareFlags::FS)?;
        rustix::process::fchdir(&directory)?;
        overlay.mount(&path_of(place.as_fd()), flags)
    };
    std::thread::scope(|scope| scope.spawn(mount).join())
        .unwrap_or_else(|_| Err(io::Error::other("the mounting thread panicked")))
}
