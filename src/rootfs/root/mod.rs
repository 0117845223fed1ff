//! A directory as an image's root. Every path is resolved by the kernel with openat2(2) so that
//! neither `..` nor a symbolic link leads out of it, whatever a layer or a command left there.
//!
//! Looking ([`View`](super::View)) takes paths literally: a symbolic link in the middle is no
//! directory. Changing and [`Root::open_file`] follow links in the middle, inside the root; the last
//! name is followed by `open_file` alone.

mod content;
mod look;
mod remove;
mod write;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

pub(super) use remove::remove_tree_at;

use super::owner;
use super::settle::Ownership;
use crate::layer::Metadata;

/// Something that could not be done in an image's root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The directory itself.
    #[error("cannot open the directory `{}`: {source}", path.display())]
    Open {
        /// On this machine.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A kernel, or a container's seccomp profile, from before 2020.
    #[error(
        "this system refuses openat2, without which an image's links could lead out of its \
         directory: Linux 5.6 or later is needed, and a container runtime that knows it"
    )]
    NoOpenat2,
    /// The system refused.
    #[error("cannot {action} `{}` in the image: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Relative to the image's root.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file was needed.
    #[error("`{}` in the image is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// A path that names no entry of a directory.
    #[error("`{}` is no path that can be changed in an image", .0.display())]
    BadPath(PathBuf),
}

impl RootError {
    pub(super) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }

    /// Whether nothing was there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl From<RootError> for io::Error {
    fn from(error: RootError) -> Self {
        let kind = match &error {
            RootError::Open { source, .. } | RootError::Io { source, .. } => source.kind(),
            RootError::NoOpenat2 => io::ErrorKind::Unsupported,
            RootError::NotAFile(_) | RootError::BadPath(_) => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    }
}

/// An image's root directory, held open.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    path: PathBuf,
    owners: Ownership,
}

impl Root {
    /// Opens a directory of this machine as an image's root.
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let dir = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())
            .map_err(|errno| RootError::Open { path: path.to_owned(), source: errno.into() })?;
        // libseccomp before 2.5 answers EPERM to system calls that it does not know.
        match open_in(&dir, Path::new(""), DIRECTORY, Links::Refuse) {
            Ok(_) => Ok(Self { dir, path: path.to_owned(), owners: Ownership::Keep }),
            Err(Errno::NOSYS | Errno::PERM) => Err(RootError::NoOpenat2),
            Err(errno) => Err(RootError::Open { path: path.to_owned(), source: errno.into() }),
        }
    }

    /// Says how its files were given owners, and thus where their owners are found.
    #[must_use]
    pub fn with_owners(self, owners: Ownership) -> Self {
        Self { owners, ..self }
    }

    /// Makes what the file system says of an object, attributes included, what the image says.
    pub(super) fn as_in_image(&self, meta: &mut Metadata) {
        owner::from_disk(meta, self.owners);
    }

    /// Where it is on this machine; for messages, mounts and child processes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a directory by its literal path.
    pub(super) fn open_dir(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        open_in(&self.dir, path, DIRECTORY, Links::Refuse)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// For directories: reading names, and as a starting point.
pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// For content. A named pipe without a writer does not block, a terminal does not become ours.
pub(super) const CONTENT: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// For looking without touching: opening a device may already do something.
pub(super) const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What happens at a symbolic link in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// ELOOP.
    Refuse,
    /// Followed; the root is `/`, and the parent of the root is the root.
    Inside,
}

/// How often a lookup is tried again when a rename elsewhere on the machine made it unsure whether
/// `..` stayed inside (EAGAIN in openat2(2)).
const UNSURE: usize = 1000;

/// openat2(2) below `dir`; the empty path is `dir` itself.
pub(super) fn open_in(
    dir: impl AsFd,
    path: &Path,
    flags: OFlags,
    links: Links,
) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    if links == Links::Refuse {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    let mut left = UNSURE;
    loop {
        match rustix::fs::openat2(&dir, path, flags, Mode::empty(), resolve) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if left > 0 => left -= 1,
            result => return result,
        }
    }
}

/// The names in an open directory with their types, in no order.
pub(super) fn read_dir(dir: impl AsFd) -> rustix::io::Result<Vec<(OsString, FileType)>> {
    let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
    let mut names = Vec::new();
    rustix::fs::seek(&dir, rustix::fs::SeekFrom::Start(0))?;
    let mut entries = RawDir::new(dir.as_fd(), &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((OsString::from_vec(name.to_vec()), entry.file_type()));
        }
    }
    Ok(names)
}
