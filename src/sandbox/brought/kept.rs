//! A source that keeps what a command writes: it moves into the root and back, or, between file
//! systems, is copied in and takes the copy's place afterwards.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid, chmodat, chownat, mkdirat, openat,
    renameat,
};
use rustix::io::Errno;

use super::ground::{Ground, Spot, stat_of};
use super::links;
use super::place::Place;
use crate::sandbox::replica::{Replica, names};

/// A source that is in the root.
#[derive(Debug)]
pub(super) struct Kept {
    /// Where it belongs, and what it was there.
    home: Spot,
    was: Stat,
    path: PathBuf,
    /// What is in the root.
    held: OwnedFd,
    /// It is the source itself, not a copy.
    moved: bool,
}

impl Kept {
    /// Brings it to a place.
    pub fn bring(source: &Path, place: &Place, how: Replica<'_>) -> io::Result<Self> {
        let home = home_of(source)?;
        let was = stat_of(&home.dir, &home.name)?.ok_or(io::ErrorKind::NotFound)?;
        let spot = place.spot();
        // Before it moves: there must be no way to lose it.
        let held = home.hold()?;
        let (held, moved) = match renameat(&home.dir, &home.name, &spot.dir, &spot.name) {
            Ok(()) => (held, true),
            // Another file system, or a mount point.
            Err(Errno::XDEV | Errno::BUSY) => {
                how.copy(source, spot.dir.as_fd(), &spot.name)?;
                (spot.hold()?, false)
            }
            Err(errno) => return Err(errno.into()),
        };
        Ok(Self { home, was, path: source.to_owned(), held, moved })
    }

    /// Where it belongs.
    pub fn source(&self) -> &Path {
        &self.path
    }

    /// Takes it back, with what the command has made of it, wherever the command has put it. What is
    /// at its place instead is it, if the command has removed it.
    pub fn take_back(self, ground: &Ground, place: &Place, how: Replica<'_>) -> io::Result<()> {
        let found = match ground.find(&self.held)? {
            Some(spot) => Some(spot),
            None => place.now(ground)?.filter(|now| self.is_alike(now)),
        };
        match found {
            Some(spot) if self.moved => {
                // First of all it is where it belongs: what is left in the root is removed.
                spot.quietly(|spot| self.move_home(spot))?;
                links::part(&self.home, how)
            }
            // In a mount, everything in it could have been removed, but not the mount point.
            None if self.moved => self.empty(&self.home),
            found => self.copy_home(found.as_ref(), how),
        }
    }

    fn is_alike(&self, spot: &Spot) -> bool {
        let kind = |stat: &Stat| FileType::from_raw_mode(stat.st_mode);
        stat_of(&spot.dir, &spot.name)
            .is_ok_and(|found| found.is_some_and(|found| kind(&found) == kind(&self.was)))
    }

    fn move_home(&self, spot: &Spot) -> io::Result<()> {
        renameat(&spot.dir, &spot.name, &self.home.dir, &self.home.name).map_err(|errno| {
            io::Error::other(format!("it cannot go back to `{}`: {errno}", self.path.display()))
        })
    }

    /// Puts a copy of what is at a spot in the source's place, or of nothing.
    fn copy_home(&self, spot: Option<&Spot>, how: Replica<'_>) -> io::Result<()> {
        let is_dir = FileType::from_raw_mode(self.was.st_mode) == FileType::Directory;
        let copied = if is_dir { self.refill(spot, how) } else { self.replace(spot, how) };
        copied.map_err(|error| {
            let path = self.path.display();
            io::Error::other(format!("what was written cannot be copied back to `{path}`: {error}"))
        })
    }

    /// The directory stays: it may be a mount point, or of an overlay's lower layer. The copy is made
    /// in it, and only when it is whole, what was there goes.
    fn refill(&self, spot: Option<&Spot>, how: Replica<'_>) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let home = openat(&self.home.dir, &self.home.name, flags, Mode::empty())?;
        let new = Spot { dir: home.try_clone()?, name: new_name() };
        self.copy_to(&new, spot, how).inspect_err(|_| _ = new.remove())?;
        let copy = openat(&new.dir, &new.name, flags, Mode::empty())?;
        for name in names(&home)?.into_iter().filter(|name| *name != new.name) {
            Spot { dir: home.try_clone()?, name }.remove()?;
        }
        for name in names(&copy)? {
            renameat(&copy, &name, &home, &name)?;
        }
        new.remove()?;
        how.settle(&copy, &home)
    }

    fn replace(&self, spot: Option<&Spot>, how: Replica<'_>) -> io::Result<()> {
        let new = Spot { dir: self.home.dir.try_clone()?, name: new_name() };
        let made = self
            .copy_to(&new, spot, how)
            .and_then(|()| Ok(renameat(&new.dir, &new.name, &self.home.dir, &self.home.name)?));
        made.inspect_err(|_| _ = new.remove())
    }

    fn copy_to(&self, new: &Spot, spot: Option<&Spot>, how: Replica<'_>) -> io::Result<()> {
        match spot {
            Some(spot) => how.copy(&spot.path(), new.dir.as_fd(), &new.name),
            None => self.empty(new),
        }
    }

    /// An empty one with the mode and owner that it had.
    fn empty(&self, spot: &Spot) -> io::Result<()> {
        let mode = Mode::from_raw_mode(self.was.st_mode & 0o7777);
        if FileType::from_raw_mode(self.was.st_mode) == FileType::Directory {
            mkdirat(&spot.dir, &spot.name, mode)?;
        } else {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            openat(&spot.dir, &spot.name, flags, mode)?;
        }
        let (uid, gid) = (Uid::from_raw(self.was.st_uid), Gid::from_raw(self.was.st_gid));
        chownat(&spot.dir, &spot.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(chmodat(&spot.dir, &spot.name, mode, AtFlags::empty())?)
    }
}

/// What a copy is called until it takes the source's place.
fn new_name() -> OsString {
    format!(".kiln-{}", std::process::id()).into()
}

/// The directory and the name of a path of this machine.
pub(super) fn home_of(path: &Path) -> io::Result<Spot> {
    let name = path.file_name().map(OsStr::to_owned).ok_or(io::ErrorKind::InvalidInput)?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(Spot { dir: openat(CWD, parent, flags, Mode::empty())?, name })
}
