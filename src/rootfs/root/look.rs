//! Looking at what is there.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, Stat, fstat};
use rustix::io::Errno;

use super::content::same_bytes;
use super::{CONTENT, HANDLE, Links, Root, RootError, open_in, read_dir};
use crate::layer::{Entry, Kind};
use crate::rootfs::stat::{self, Found};
use crate::rootfs::view::{View, ViewError};
use crate::rootfs::xattr;

impl Root {
    /// Opens a regular file for reading; links are followed inside the root. Anything else is
    /// refused without being opened.
    pub fn open_file(&self, path: &Path) -> Result<File, RootError> {
        self.open_regular(path, Links::Inside)
            .map_err(|errno| RootError::io("open", path, errno))?
            .ok_or_else(|| RootError::NotAFile(path.to_owned()))
    }

    /// The same for what was seen to be a regular file, in half the system calls: only somebody who
    /// makes devices could have put one in its place, and nothing else does anything when it is opened.
    pub fn open_seen_file(&self, path: &Path) -> Result<File, RootError> {
        let failed = |errno| RootError::io("open", path, errno);
        let flags = CONTENT.difference(OFlags::NOFOLLOW);
        let file = open_in(self, path, flags, Links::Inside).map_err(failed)?;
        if !is_regular(&fstat(&file).map_err(failed)?) {
            return Err(RootError::NotAFile(path.to_owned()));
        }
        Ok(File::from(file))
    }

    /// The target of a symbolic link, verbatim.
    pub fn read_link(&self, path: &Path) -> Result<PathBuf, RootError> {
        let target = open_in(self, path, HANDLE, Links::Refuse).and_then(link_target);
        target.map_err(|errno| RootError::io("read the link", path, errno))
    }

    /// A regular file, or nothing if something else is there.
    fn open_regular(&self, path: &Path, links: Links) -> rustix::io::Result<Option<File>> {
        let follow = if links == Links::Inside { OFlags::NOFOLLOW } else { OFlags::empty() };
        let handle = open_in(self, path, HANDLE.difference(follow), links)?;
        if !is_regular(&fstat(&handle)?) {
            return Ok(None);
        }
        let file = open_in(self, path, CONTENT.difference(follow), links)?;
        // Looked at again: the name may have got another owner in between.
        Ok(is_regular(&fstat(&file)?).then(|| File::from(file)))
    }

    fn describe(&self, path: &Path) -> io::Result<Option<Entry>> {
        let handle = match open_in(self, path, HANDLE, Links::Refuse) {
            Ok(handle) => handle,
            Err(errno) if is_absence(errno) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let stat = fstat(&handle)?;
        let mut meta = stat::metadata(&stat);
        let kind = match stat::found(&stat) {
            Found::Kind(kind) => kind,
            Found::Symlink => Kind::Symlink(link_target(&handle)?),
            Found::Other => return Ok(None),
        };
        // Only these two can have attributes that images carry (xattr(7)), and nothing else may be
        // opened for the asking.
        if matches!(kind, Kind::File { .. } | Kind::Dir) {
            match open_in(self, path, CONTENT, Links::Refuse) {
                Ok(file) => meta.xattrs = xattr::read(file)?,
                // Another user's file, and no right to read it: nor could its content be.
                Err(Errno::ACCESS) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.as_in_image(&mut meta);
        Ok(Some(Entry { path: path.to_owned(), meta, kind }))
    }
}

impl View for Root {
    fn lstat(&self, path: &Path) -> Result<Option<Entry>, ViewError> {
        self.describe(path).map_err(|source| ViewError::Io { path: path.to_owned(), source })
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, ViewError> {
        let entries = self.open_dir(path).and_then(read_dir).map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => ViewError::NotADirectory(path.to_owned()),
            errno => ViewError::Io { path: path.to_owned(), source: errno.into() },
        })?;
        let mut names: Vec<_> = entries.into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ViewError> {
        let read = || -> io::Result<Option<Vec<u8>>> {
            let file = match self.open_regular(path, Links::Refuse) {
                Ok(Some(file)) => file,
                Ok(None) => return Ok(None),
                Err(errno) if is_absence(errno) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            };
            let mut content = Vec::new();
            file.take(limit).read_to_end(&mut content)?;
            Ok(Some(content))
        };
        read().map_err(|source| ViewError::Io { path: path.to_owned(), source })
    }

    fn has_content(&self, path: &Path, content: &mut dyn Read) -> Result<bool, ViewError> {
        let mut compare = || -> io::Result<bool> {
            match self.open_regular(path, Links::Refuse) {
                Ok(Some(mut file)) => same_bytes(&mut file, content),
                Ok(None) => Ok(false),
                Err(errno) if is_absence(errno) => Ok(false),
                Err(errno) => Err(errno.into()),
            }
        };
        compare().map_err(|source| ViewError::Io { path: path.to_owned(), source })
    }
}

/// Whether a literal path with this outcome leads to nothing. A name too long for the system cannot
/// have been made through it.
fn is_absence(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG)
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// readlinkat(2) with an empty path reads the link that an `O_PATH` descriptor stands for.
fn link_target(handle: impl AsFd) -> rustix::io::Result<PathBuf> {
    let target = rustix::fs::readlinkat(handle, "", Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}
