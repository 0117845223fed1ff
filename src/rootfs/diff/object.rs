//! One name in an upper directory.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::{DiffError, system};
use crate::layer::{Entry, Kind, Metadata};
use crate::rootfs::place::split;
use crate::rootfs::root::{CONTENT, DIRECTORY};
use crate::rootfs::stat::{self, Found};
use crate::rootfs::xattr::{self, Overlay};

/// What a name stands for.
pub(in crate::rootfs) enum Object {
    /// Nothing any more.
    Gone,
    /// What is below is gone.
    Whiteout,
    /// Something that a layer cannot carry.
    Socket,
    Dir {
        entry: Entry,
        dir: OwnedFd,
        /// Nothing of what is below is visible in it.
        opaque: bool,
    },
    Leaf(Leaf),
}

/// What is no directory.
pub(in crate::rootfs) struct Leaf {
    pub(in crate::rootfs) entry: Entry,
    /// A regular file's content.
    pub(in crate::rootfs) content: Option<File>,
    /// Device and inode, where it has several names.
    pub(in crate::rootfs) shared: Option<(u64, u64)>,
}

impl Object {
    /// Owner, mode, time and attributes, if it is something that a layer carries.
    pub(in crate::rootfs) fn meta_mut(&mut self) -> Option<&mut Metadata> {
        match self {
            Self::Gone | Self::Whiteout | Self::Socket => None,
            Self::Dir { entry, .. } => Some(&mut entry.meta),
            Self::Leaf(leaf) => Some(&mut leaf.entry.meta),
        }
    }
}

/// Looks at a name; in an overlay's upper directory, that is where `style` says something of its
/// marks. Only directories and regular files are opened.
pub(in crate::rootfs) fn look(
    dir: &OwnedFd,
    path: &Path,
    style: Option<Overlay>,
) -> Result<Object, DiffError> {
    let name = split(path).1;
    let mut stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Object::Gone),
        Err(errno) => return Err(system("look at", path, errno)),
    };
    if style.is_some() && stat::is_whiteout(&stat) {
        return Ok(Object::Whiteout);
    }
    let mut content = None;
    let kind = match stat::found(&stat) {
        Found::Other => return Ok(Object::Socket),
        Found::Kind(Kind::Dir) => return look_at_dir(dir, path, style),
        Found::Kind(Kind::File { .. }) => {
            let file = open(dir, path, CONTENT)?;
            stat = fstat(&file).map_err(|errno| system("look at", path, errno))?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(system("open", path, io::Error::from(io::ErrorKind::InvalidData)));
            }
            content = Some(File::from(file));
            Kind::File { size: stat::size(&stat) }
        }
        Found::Kind(kind) => kind,
        Found::Symlink => {
            let target = readlinkat(dir, name, Vec::new())
                .map_err(|errno| system("read the link", path, errno))?;
            Kind::Symlink(PathBuf::from(OsString::from_vec(target.into_bytes())))
        }
    };
    let mut meta = stat::metadata(&stat);
    if let Some(file) = &content {
        let names = attributes(file, path, style)?;
        meta.xattrs = xattr::read_named(file, &names)
            .map_err(|error| system("read the attributes of", path, error))?;
    }
    let entry = Entry { path: path.to_owned(), meta, kind };
    Ok(Object::Leaf(Leaf { entry, content, shared: shared(&stat) }))
}

fn look_at_dir(parent: &OwnedFd, path: &Path, style: Option<Overlay>) -> Result<Object, DiffError> {
    let dir = open(parent, path, DIRECTORY)?;
    let stat = fstat(&dir).map_err(|errno| system("look at", path, errno))?;
    let mut meta = stat::metadata(&stat);
    let names = attributes(&dir, path, style)?;
    let fail = |error| system("read the attributes of", path, error);
    meta.xattrs = xattr::read_named(&dir, &names).map_err(fail)?;
    let opaque = match style {
        Some(style) => style.is_opaque(&dir, &names).map_err(fail)?,
        None => false,
    };
    let entry = Entry { path: path.to_owned(), meta, kind: Kind::Dir };
    Ok(Object::Dir { entry, dir, opaque })
}

/// The names of an object's attributes, if none of them sends us elsewhere.
fn attributes(
    file: impl std::os::fd::AsFd,
    path: &Path,
    style: Option<Overlay>,
) -> Result<Vec<OsString>, DiffError> {
    let names =
        xattr::names(file).map_err(|error| system("read the attributes of", path, error))?;
    match style.and_then(|style| style.redirection(&names)) {
        Some(name) => {
            let name = name.to_string_lossy().into_owned();
            Err(DiffError::NotALayer { path: path.to_owned(), name })
        }
        None => Ok(names),
    }
}

fn open(dir: &OwnedFd, path: &Path, flags: rustix::fs::OFlags) -> Result<OwnedFd, DiffError> {
    openat(dir, split(path).1, flags, Mode::empty()).map_err(|errno| system("open", path, errno))
}

fn shared(stat: &Stat) -> Option<(u64, u64)> {
    (stat.st_nlink > 1).then_some((stat.st_dev, stat.st_ino))
}

/// A file's content, with exactly as many bytes as were announced.
pub(super) struct Exactly {
    pub(super) file: File,
    pub(super) left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut buffer[..room])?;
        if read == 0 {
            let message = "the file became shorter while it was read";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
