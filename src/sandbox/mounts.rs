//! Mounts by descriptor: made without a place (fsmount, open_tree), then attached to a place that was
//! opened before (move_mount). No path is looked up twice.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::sys;

/// For file systems that hold data.
pub(super) const NO_PROGRAMS: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

const CLONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::AT_RECURSIVE);

/// A mount that is attached nowhere, or was.
#[derive(Debug)]
pub(super) struct Mount(OwnedFd);

impl Mount {
    /// A new file system, e.g. `tmpfs` with `("size", "64k")`.
    pub fn new(
        kind: &str,
        options: &[(&str, &str)],
        attributes: MountAttrFlags,
    ) -> io::Result<Self> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "source", kind)?;
        for (name, value) in options {
            fsconfig_set_string(&context, *name, *value)?;
        }
        fsconfig_create(&context)?;
        Ok(Self(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?))
    }

    /// The same file or directory at a second place, with all that is mounted below: in a user
    /// namespace a directory that has mounts on it cannot be had without them
    /// (mount_namespaces(7), locked mounts).
    pub fn bind(place: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self(open_tree(place, "", CLONE | OpenTreeFlags::AT_EMPTY_PATH)?))
    }

    /// The same for a path of the host.
    pub fn bind_path(path: &Path) -> io::Result<Self> {
        Ok(Self(open_tree(CWD, path, CLONE)?))
    }

    /// Makes it read-only, with all below it. Before Linux 5.12 it has to be attached for that.
    pub fn read_only(self) -> io::Result<Self> {
        sys::mount::set_read_only(self.0.as_fd(), true)?;
        Ok(self)
    }

    /// Attaches it to a place.
    pub fn attach(self, place: BorrowedFd<'_>) -> io::Result<Self> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&self.0, "", place, "", flags)?;
        Ok(self)
    }

    /// Its root directory, or the file that it is.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The same, to keep.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}
