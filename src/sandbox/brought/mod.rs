//! The mounts that a request asks for, where nothing can be mounted: what they show is brought into the
//! root for as long as the command runs, and taken out again.
//!
//! | source | how it comes | how it leaves |
//! |---|---|---|
//! | a directory or file, read-only or discarded | as a copy ([`super::replica`]) | removed |
//! | one that is kept | moved; copied between file systems ([`kept`]) | back to where it was |
//! | a file of the request, a tmpfs | made | removed |
//! | a socket | as a hard link, else forwarded ([`forward`]) | removed |
//!
//! What the image has at the target is aside meanwhile ([`place`]). A mount point is busy, and this is
//! not: the command can rename or remove what was brought, or a directory above it. It is therefore
//! held by a descriptor, whose path the kernel goes on knowing ([`ground`]), and it leaves from
//! wherever it is then. Whatever is at the target at the end goes too.

mod forward;
mod ground;
mod guest;
mod holds;
mod kept;
mod links;
mod notes;
mod place;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use self::ground::Ground;
use self::guest::{Guest, kind_of};
pub(super) use self::holds::Holds;
use self::notes::Note;
pub(super) use self::notes::Notes;
use self::place::{Making, Place};
use super::error::{During, SandboxError};
use super::mount_request::{Access, MountSource, RunMount};
use super::replica::Replica;
use crate::cancel::Cancel;

/// Where things are brought.
pub(super) struct Site<'a> {
    /// The root directory.
    pub root: &'a Path,
    /// A directory on its file system, for what the image has at the targets.
    pub aside: &'a Path,
    /// Says no to paths that must not be covered, relative to the root; and whether something is
    /// there.
    pub allowed: &'a dyn Fn(&Path, bool) -> io::Result<()>,
    /// What was done is written down there, if the root outlives a kiln that is killed.
    pub notes: Option<&'a Notes>,
    /// Only one id is mapped: everything is root's.
    pub single_id: bool,
}

/// Everything that was brought into one root. It has to be taken out.
pub(super) struct Brought<'a> {
    site: &'a Site<'a>,
    ground: Ground,
    aside: OwnedFd,
    guests: Vec<(Place, Guest)>,
    notes: Vec<Note>,
}

impl<'a> Brought<'a> {
    /// Brings in what the mounts show, in their order. After an error nothing is left of it.
    pub fn bring(
        site: &'a Site<'a>,
        mounts: &[RunMount],
        cancel: &Cancel,
    ) -> Result<Self, SandboxError> {
        let open = |path: &Path| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(CWD, path, flags, Mode::empty()).during(format!("open `{}`", path.display()))
        };
        let ground = Ground::open(site.root).during(format!("open `{}`", site.root.display()))?;
        let aside = open(site.aside)?;
        let mut brought = Self { site, ground, aside, guests: Vec::new(), notes: Vec::new() };
        for mount in mounts {
            let target = mount.target.display();
            if let Err(error) = brought.bring_one(mount, cancel) {
                let taken_out = brought.take_out();
                cancel.check()?;
                taken_out?;
                return Err(error).during(format!("bring in the mount `{target}`"));
            }
        }
        Ok(brought)
    }

    fn bring_one(&mut self, mount: &RunMount, cancel: &Cancel) -> io::Result<()> {
        let (mount, twin) = self.as_it_is_now(mount);
        let kind = kind_of(&mount.source)?;
        let making =
            Making { ground: &self.ground, aside: &self.aside, allowed: self.site.allowed };
        let name = format!("mount-{}", self.guests.len());
        let place = Place::make(&making, &mount.target, kind, &name)?;
        let how = Replica { single_id: self.site.single_id, cancel: Some(cancel) };
        self.note(&mount, &place)?;
        let bring = || Guest::bring(&mount, &place, how, twin.as_deref());
        let guest = place.spot().quietly(|_| bring());
        match guest {
            Ok(guest) => {
                self.guests.push((place, guest));
                Ok(())
            }
            Err(error) => {
                place.give_back(&self.ground, &self.aside)?;
                Err(error)
            }
        }
    }

    /// A mount whose source is, or is inside of, one that has moved into the root: with the path that
    /// the source has now, and the one in the root if it is that very source, to be kept.
    fn as_it_is_now<'m>(&self, mount: &'m RunMount) -> (Cow<'m, RunMount>, Option<PathBuf>) {
        let MountSource::Path(path) = &mount.source else { return (Cow::Borrowed(mount), None) };
        let moved = self.guests.iter().rev().find_map(|(place, guest)| {
            Some((place.path(), path.strip_prefix(guest.source()?).ok()?))
        });
        let Some((place, rest)) = moved else { return (Cow::Borrowed(mount), None) };
        let is_all = rest.as_os_str().is_empty();
        let now = if is_all { place.to_owned() } else { place.join(rest) };
        let source = MountSource::Path(self.site.root.join(now));
        let twin = (is_all && mount.access == Access::Keep).then(|| place.to_owned());
        (Cow::Owned(RunMount { source, ..mount.clone() }), twin)
    }

    fn note(&mut self, mount: &RunMount, place: &Place) -> io::Result<()> {
        let Some(notes) = self.site.notes else { return Ok(()) };
        let source = match &mount.source {
            MountSource::Path(path) if mount.access == Access::Keep => Some(OsString::from(path)),
            _ => None,
        };
        let (path, made) = (place.path().into(), place.made().to_vec());
        self.notes.push(Note { path, made, source });
        notes.write(&self.notes)
    }

    /// Takes everything out again, the last one first. One that fails keeps none of the others; the
    /// first error is told.
    pub fn take_out(self) -> Result<(), SandboxError> {
        let mut result = Ok(());
        // To the end, even if the build is to stop.
        let how = Replica { single_id: self.site.single_id, cancel: None };
        for (place, guest) in self.guests.into_iter().rev() {
            let what = format!("take the mount `/{}` out again", place.path().display());
            let left = guest.leave(&self.ground, &place, how);
            let given = place.give_back(&self.ground, &self.aside);
            result = result.and(left.and(given).during(what));
        }
        let forgotten = self.site.notes.map_or(Ok(()), Notes::remove);
        result.and(forgotten.during("remove the notes on what was mounted"))
    }
}
