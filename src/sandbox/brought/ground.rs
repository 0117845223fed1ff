//! The root that things are brought into, and where they are in it once a command has been at work.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, fstat, futimens, openat, openat2, statat,
};
use rustix::io::Errno;

use crate::rootfs;
use crate::sandbox::replica::times;
use crate::sandbox::root::{Root, path_of};

/// For listing and for changing what is in it.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A root directory.
#[derive(Debug)]
pub(super) struct Ground(OwnedFd);

/// A name in a directory.
#[derive(Debug)]
pub(super) struct Spot {
    pub dir: OwnedFd,
    pub name: OsString,
}

impl Ground {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, DIRECTORY, Mode::empty())?))
    }

    /// The same, for making mount points in.
    pub fn root(&self) -> io::Result<Root> {
        Ok(Root::keeping_times(self.0.try_clone()?))
    }

    /// Opens a directory by its literal path; nothing if there is no directory.
    pub fn directory(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve =
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        match openat2(&self.0, path, DIRECTORY, Mode::empty(), resolve) {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Where an object is now: a command may have renamed it or a directory above it, and the kernel
    /// goes on knowing the path of what is open. Nothing if it has no name in the root any more.
    pub fn find(&self, held: impl AsFd) -> io::Result<Option<Spot>> {
        let root = std::fs::read_link(path_of(self.0.as_fd()))?;
        let path = std::fs::read_link(path_of(held.as_fd()))?;
        let Ok(path) = path.strip_prefix(root) else { return Ok(None) };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let Some(dir) = self.directory(parent)? else { return Ok(None) };
        // What was removed is called `name (deleted)`, which is a possible name.
        let is_it = stat_of(&dir, name)?.is_some_and(|found| is_same(&held, &found));
        Ok(is_it.then(|| Spot { dir, name: name.to_owned() }))
    }

    /// Whether a directory is still reached from the root.
    pub fn has(&self, directory: &OwnedFd) -> io::Result<bool> {
        let is_root = is_same(&self.0, &fstat(directory)?);
        Ok(is_root || self.find(directory)?.is_some())
    }
}

impl Spot {
    /// A path by which this process reaches it.
    pub fn path(&self) -> PathBuf {
        Path::new(&path_of(self.dir.as_fd())).join(&self.name)
    }

    /// Opens it as it is, link or not, to know it again.
    pub fn hold(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.dir, &self.name, flags, Mode::empty())?)
    }

    /// Removes whatever is there, with all that is in it.
    pub fn remove(&self) -> io::Result<()> {
        // The `.`, because the root itself must not be a link.
        let dir = rootfs::Root::open(&Path::new(&path_of(self.dir.as_fd())).join("."))?;
        Ok(dir.remove_tree(Path::new(&self.name))?)
    }

    /// Does something in the directory that is no change of it.
    pub fn quietly<T>(&self, act: impl FnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        let before = fstat(&self.dir)?;
        let done = act(self);
        let kept = futimens(&self.dir, &times(&before));
        let done = done?;
        kept?;
        Ok(done)
    }
}

/// What is at a name, link or not.
pub(super) fn stat_of(dir: &OwnedFd, name: &OsStr) -> io::Result<Option<rustix::fs::Stat>> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn is_same(held: impl AsFd, found: &rustix::fs::Stat) -> bool {
    fstat(held).is_ok_and(|own| (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino))
}
