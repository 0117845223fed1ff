//! A place in a root, from which the image's own is moved aside and to which it comes back.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, OFlags, renameat, unlinkat};
use rustix::io::Errno;

use super::ground::{Ground, Spot, stat_of};
use crate::sandbox::root::{Kind, is_directory};
use crate::sandbox::run_mounts::may_be_covered;

/// What a place is made with.
pub(super) struct Making<'a> {
    pub ground: &'a Ground,
    /// An empty directory on the root's file system.
    pub aside: &'a OwnedFd,
    /// Says no to paths that must not be covered, relative to the root; and whether something is there.
    pub allowed: &'a dyn Fn(&Path, bool) -> io::Result<()>,
}

/// A place where nothing is, until it is given back.
#[derive(Debug)]
pub(super) struct Place {
    spot: Spot,
    /// Where that was: relative to the root, with all links followed.
    path: PathBuf,
    /// Directories above it that had to be made, outermost first.
    made: Vec<OwnedFd>,
    /// What they were called.
    made_names: Vec<OsString>,
    /// The name of the image's own among what was moved aside, and its mode.
    aside: Option<(OsString, u32)>,
}

impl Place {
    /// Makes room at a target, for what is called `name` among what is aside.
    pub fn make(making: &Making<'_>, target: &Path, kind: Kind, name: &str) -> io::Result<Self> {
        let mut root = making.ground.root()?;
        let target = target.strip_prefix("/").unwrap_or(target);
        let found = root.ensure(target, kind).and_then(|place| Ok((root.name_of(&place)?, place)));
        let mut made = root.into_made();
        let taken = found.and_then(|(path, found)| {
            let was_there = made.last().is_none_or(|last| *last != *path);
            Self::take(making, &path, &found, kind, was_there.then_some(name))
        });
        if taken.is_err() {
            remove_made(making.ground, &hold(making.ground, &made)?)?;
        }
        let mut place = taken?;
        made.retain(|made| *made != *place.path);
        place.made = hold(making.ground, &made)?;
        place.made_names = made;
        Ok(place)
    }

    /// Empties the place: moves aside what was there (under a name), or removes what was made.
    fn take(
        making: &Making<'_>,
        path: &Path,
        found: &OwnedFd,
        kind: Kind,
        aside: Option<&str>,
    ) -> io::Result<Self> {
        may_be_covered(path)?;
        (making.allowed)(path, aside.is_some())?;
        let is_dir = is_directory(found.as_fd())?;
        if is_dir != (kind == Kind::Directory) {
            let (there, here) =
                if is_dir { ("a directory", "a file") } else { ("a file", "a directory") };
            return Err(io::Error::other(format!(
                "the image has {there} there, and {here} is mounted"
            )));
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        let dir = making.ground.directory(parent)?.ok_or(io::ErrorKind::NotFound)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let mode = rustix::fs::fstat(found)?.st_mode & 0o7777;
        let spot = Spot { dir, name };
        spot.quietly(|spot| match aside {
            Some(aside) => renameat(&spot.dir, &spot.name, making.aside, aside).map_err(explain),
            None => spot.remove(),
        })?;
        let aside = aside.map(|name| (OsString::from(name), mode));
        let (made, made_names) = (Vec::new(), Vec::new());
        Ok(Self { spot, path: path.to_owned(), made, made_names, aside })
    }

    /// The directory and the name.
    pub fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Where it is in the root, with all links followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directories above it that had to be made, relative to the root, outermost first.
    pub fn made(&self) -> &[OsString] {
        &self.made_names
    }

    /// The mode of what the image has there.
    pub fn covered_mode(&self) -> Option<u32> {
        self.aside.as_ref().map(|(_, mode)| *mode)
    }

    /// Where it is now: the command may have renamed a directory above it, or removed it and made
    /// another one of that name. Nothing if there is no such directory.
    pub fn now(&self, ground: &Ground) -> io::Result<Option<Spot>> {
        let dir = if ground.has(&self.spot.dir)? {
            Some(self.spot.dir.try_clone()?)
        } else {
            ground.directory(self.path.parent().unwrap_or(Path::new("")))?
        };
        Ok(dir.map(|dir| Spot { dir, name: self.spot.name.clone() }))
    }

    /// Removes what is there, and brings the image's own back, as far as the command has left a
    /// directory to bring it back to.
    pub fn give_back(self, ground: &Ground, aside: &OwnedFd) -> io::Result<()> {
        match (self.now(ground)?, self.aside) {
            (Some(now), own) => now.quietly(|now| {
                now.remove()?;
                if let Some((own, _)) = own {
                    renameat(aside, own, &now.dir, &now.name)?;
                }
                Ok(())
            })?,
            (None, Some((own, _))) => Spot { dir: aside.try_clone()?, name: own }.remove()?,
            (None, None) => {}
        }
        remove_made(ground, &self.made)
    }
}

/// Holds the directories that were made.
fn hold(ground: &Ground, made: &[OsString]) -> io::Result<Vec<OwnedFd>> {
    let root = ground.root()?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    made.iter().map(|path| Ok(root.look_up(Path::new(path), flags)?)).collect()
}

/// Removes what was made for a place, innermost first; a directory stays if the command has put
/// something into it.
fn remove_made(ground: &Ground, made: &[OwnedFd]) -> io::Result<()> {
    for made in made.iter().rev() {
        let Some(spot) = ground.find(made)? else { continue };
        spot.quietly(|spot| {
            let is_dir = stat_of(&spot.dir, &spot.name)?
                .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
            let flags = if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            match unlinkat(&spot.dir, &spot.name, flags) {
                Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
                Err(errno) => Err(errno.into()),
            }
        })?;
    }
    Ok(())
}

fn explain(errno: Errno) -> io::Error {
    match errno {
        // A mount of the container's; or a directory of its image's own layers, which overlayfs does
        // not rename (Documentation/filesystems/overlayfs.rst, "renaming directories").
        Errno::BUSY | Errno::XDEV => io::Error::other(
            "what is there belongs to the container that kiln runs in, and cannot be moved aside: \
             use another target",
        ),
        errno => errno.into(),
    }
}
