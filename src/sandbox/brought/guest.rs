//! What is brought to a place in the root, and how it leaves.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Uid, chmodat, chownat, fstat, linkat, mkdirat, openat, symlinkat,
};
use rustix::io::Errno;

use super::forward::Forwarder;
use super::ground::{Ground, Spot};
use super::kept::{Kept, home_of};
use super::place::Place;
use crate::sandbox::mount_request::{Access, MountSource, RunMount};
use crate::sandbox::replica::Replica;
use crate::sandbox::root::Kind;

/// Something in the root that is none of the image's.
#[derive(Debug)]
pub(super) enum Guest {
    /// It vanishes, wherever the command has put it.
    Passing(OwnedFd),
    /// It vanishes, and nothing of it may stay.
    Secret(OwnedFd),
    /// A socket whose connections go on.
    Forwarded(OwnedFd, Forwarder),
    /// It goes back to where it came from.
    Kept(Kept),
}

/// What a mount takes: a directory, or a file or socket.
pub(super) fn kind_of(source: &MountSource) -> io::Result<Kind> {
    match source {
        MountSource::Tmpfs { .. } => Ok(Kind::Directory),
        MountSource::File { .. } | MountSource::Socket { .. } => Ok(Kind::File),
        MountSource::Path(path) => match path.symlink_metadata()?.file_type() {
            kind if kind.is_dir() => Ok(Kind::Directory),
            kind if kind.is_file() => Ok(Kind::File),
            _ => Err(io::Error::other("it is neither a directory nor a regular file")),
        },
        MountSource::Layers { .. } => {
            Err(io::Error::other("layers are put on one another in namespaces only"))
        }
    }
}

impl Guest {
    /// Brings what a mount shows to its place. `twin` is the path in the root at which a source that
    /// is kept is already: it is seen by way of a link then.
    pub fn bring(
        mount: &RunMount,
        place: &Place,
        how: Replica<'_>,
        twin: Option<&Path>,
    ) -> io::Result<Self> {
        let spot = place.spot();
        match &mount.source {
            MountSource::Path(path) if mount.access == Access::Keep => {
                let Some(twin) = twin else {
                    return Kept::bring(path, place, how).map(Self::Kept);
                };
                symlinkat(Path::new("/").join(twin), &spot.dir, &spot.name)?;
            }
            MountSource::Path(path) => how.copy(path, spot.dir.as_fd(), &spot.name)?,
            MountSource::Tmpfs { .. } => {
                mkdirat(&spot.dir, &spot.name, Mode::from_raw_mode(0o700))?;
                let mode = Mode::from_raw_mode(place.covered_mode().unwrap_or(0o1777));
                chmodat(&spot.dir, &spot.name, mode, AtFlags::empty())?;
            }
            MountSource::File { content, mode, uid, gid } => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                let file = openat(&spot.dir, &spot.name, flags, Mode::from_raw_mode(0o600))?;
                File::from(file).write_all(content.bytes())?;
                give(spot, *mode, (*uid, *gid), how)?;
                return spot.hold().map(Self::Secret);
            }
            MountSource::Socket { path, mode, uid, gid } => {
                let forwarder = connect(path, spot)?;
                give(spot, *mode, (*uid, *gid), how)?;
                let held = spot.hold()?;
                return Ok(match forwarder {
                    Some(forwarder) => Self::Forwarded(held, forwarder),
                    None => Self::Passing(held),
                });
            }
            MountSource::Layers { .. } => kind_of(&mount.source).map(drop)?,
        }
        spot.hold().map(Self::Passing)
    }

    /// Where it has moved away from.
    pub fn source(&self) -> Option<&Path> {
        match self {
            Self::Kept(kept) => Some(kept.source()),
            _ => None,
        }
    }

    /// Takes it out of the root.
    pub fn leave(self, ground: &Ground, place: &Place, how: Replica<'_>) -> io::Result<()> {
        let remove = |held: &OwnedFd| match ground.find(held)? {
            Some(spot) => spot.quietly(Spot::remove),
            None => Ok(()),
        };
        match self {
            Self::Passing(held) => remove(&held),
            Self::Forwarded(held, forwarder) => {
                drop(forwarder);
                remove(&held)
            }
            Self::Secret(held) => {
                remove(&held)?;
                if fstat(&held)?.st_nlink == 0 {
                    return Ok(());
                }
                Err(io::Error::other(
                    "the command has made a hard link to it, by which its content would be in the \
                     image: copy what may be there",
                ))
            }
            Self::Kept(kept) => kept.take_back(ground, place, how),
        }
    }
}

/// A second name of a socket; on another file system one of kiln's own.
fn connect(path: &Path, spot: &Spot) -> io::Result<Option<Forwarder>> {
    let home = home_of(path)?;
    match linkat(&home.dir, &home.name, &spot.dir, &spot.name, AtFlags::empty()) {
        Ok(()) => Ok(None),
        Err(Errno::NOENT) => Err(io::ErrorKind::NotFound.into()),
        Err(_) => Forwarder::start(&spot.path(), path).map(Some),
    }
}

/// Gives what is at a spot its owner and mode, in this order (chown(2)).
fn give(spot: &Spot, mode: u32, (uid, gid): (u32, u32), how: Replica<'_>) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    how.given_away(chownat(&spot.dir, &spot.name, Some(uid), Some(gid), flags))?;
    Ok(chmodat(&spot.dir, &spot.name, Mode::from_raw_mode(mode), AtFlags::empty())?)
}
