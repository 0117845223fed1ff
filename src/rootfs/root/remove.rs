//! Removing a tree: no link is followed, no mount is entered, and the depth costs no descriptors.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, ResolveFlags, fstat, openat, unlinkat};
use rustix::io::Errno;

use super::{DIRECTORY, Root, RootError, read_dir};

impl Root {
    /// Removes whatever is at a path, with all that is in it; nothing there is no error. A file
    /// system that is mounted inside is an error (EXDEV), since it may be somebody's.
    pub fn remove_tree(&self, path: &Path) -> Result<(), RootError> {
        let (parent, name) = match self.parent_of(path) {
            Err(error) if error.is_not_found() => return Ok(()),
            parent => parent?,
        };
        remove_tree_at(parent, name).map_err(|errno| RootError::io("remove", path, errno))
    }
}

/// A directory on the way down: what is left to do in it when the one below is empty.
struct Level {
    /// Sub-directories that are still to be removed; the last one is being emptied.
    dirs: Vec<OsString>,
    /// Device and inode, to know it again.
    identity: (u64, u64),
}

/// Removes `name` in `parent`, and all that is in it.
///
/// Going back up is by `..`, not by a descriptor kept for each level: a command can nest directories
/// deeper than any limit. Whoever moves directories meanwhile gets ENOENT, not another tree removed.
pub(in crate::rootfs) fn remove_tree_at(parent: impl AsFd, name: &OsStr) -> rustix::io::Result<()> {
    if unlink(&parent, name)? {
        return Ok(());
    }
    let mut current = enter(&parent, name)?;
    let mut levels = vec![empty_files(&current)?];
    while let Some(level) = levels.last() {
        if let Some(name) = level.dirs.last() {
            current = enter(&current, name)?;
            levels.push(empty_files(&current)?);
            continue;
        }
        levels.pop();
        let Some(above) = levels.last_mut() else { break };
        current = openat(&current, "..", DIRECTORY, Mode::empty())?;
        if identity(&current)? != above.identity {
            return Err(Errno::NOENT);
        }
        if let Some(name) = above.dirs.pop() {
            unlinkat(&current, &name, AtFlags::REMOVEDIR)?;
        }
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Removes what is no directory, and lists the directories.
fn empty_files(dir: &OwnedFd) -> rustix::io::Result<Level> {
    let mut dirs = Vec::new();
    for (name, kind) in read_dir(dir)? {
        if kind == FileType::Directory || !unlink(dir, &name)? {
            dirs.push(name);
        }
    }
    Ok(Level { dirs, identity: identity(dir)? })
}

/// Removes a name that is no directory; false if it is one.
fn unlink(dir: impl AsFd, name: &OsStr) -> rustix::io::Result<bool> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn enter(dir: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(dir, name, DIRECTORY, Mode::empty(), resolve)
}

fn identity(dir: &OwnedFd) -> rustix::io::Result<(u64, u64)> {
    let stat = fstat(dir)?;
    Ok((stat.st_dev, stat.st_ino))
}
