//! Making things in an image.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fchmod, fstat, linkat, mkdirat, openat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::{CONTENT, DIRECTORY, HANDLE, Links, Root, RootError, open_in};
use crate::layer::Metadata;
use crate::rootfs::settle::{Ownership, Replace, set_mtime, settle};

impl Root {
    /// Makes a directory with exactly these permissions; what is there already is an error.
    pub fn create_dir(&self, path: &Path, mode: u32) -> Result<(), RootError> {
        let (parent, name) = self.parent_of(path)?;
        make_dir(&parent, name, mode)
            .map(drop)
            .map_err(|errno| RootError::io("make the directory", path, errno))
    }

    /// Makes a directory and those above it that are missing, all with these permissions. Links to
    /// directories are followed inside the root. Returns the paths that were made, outermost first.
    pub fn create_dir_all(&self, path: &Path, mode: u32) -> Result<Vec<PathBuf>, RootError> {
        let fail = |errno: Errno| RootError::io("make the directory", path, errno);
        let mut made = Vec::new();
        let mut current = open_in(self, Path::new(""), DIRECTORY, Links::Refuse).map_err(fail)?;
        let mut so_far = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(_) | Component::ParentDir => so_far.push(component),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
            }
            let flags = HANDLE.difference(OFlags::NOFOLLOW).union(OFlags::DIRECTORY);
            current = match (open_in(self, &so_far, flags, Links::Inside), component) {
                (Err(Errno::NOENT), Component::Normal(name)) => {
                    let dir = make_dir(&current, name, mode).map_err(fail)?;
                    made.push(so_far.clone());
                    dir
                }
                (result, _) => result.map_err(fail)?,
            };
        }
        Ok(made)
    }

    /// Makes a new, empty file with exactly these permissions, open for writing; what is there
    /// already is an error.
    pub fn create_file(&self, path: &Path, mode: u32) -> Result<File, RootError> {
        let (parent, name) = self.parent_of(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(parent, name, flags, Mode::from_raw_mode(0o600)).and_then(|file| {
            fchmod(&file, Mode::from_raw_mode(mode))?;
            Ok(File::from(file))
        });
        made.map_err(|errno| RootError::io("make the file", path, errno))
    }

    /// Puts a file with this content and these permissions at a path, in place of whatever else but
    /// a directory is there.
    pub fn write_file(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), RootError> {
        self.remove_file(path)?;
        let mut file = self.create_file(path, 0o600)?;
        file.write_all(content).map_err(|error| RootError::io("write", path, error))?;
        // Writing takes set-id bits away, so they come last.
        fchmod(&file, Mode::from_raw_mode(mode))
            .map_err(|errno| RootError::io("change the mode of", path, errno))
    }

    /// Makes a symbolic link; what is there already is an error.
    pub fn create_symlink(&self, path: &Path, target: &Path) -> Result<(), RootError> {
        let (parent, name) = self.parent_of(path)?;
        symlinkat(target, parent, name).map_err(|errno| RootError::io("make the link", path, errno))
    }

    /// Makes another name for what is at `target`, which is taken literally, as a hard link's is; what
    /// is at `path` already is an error.
    pub fn create_hard_link(&self, path: &Path, target: &Path) -> Result<(), RootError> {
        let (parent, name) = self.parent_of(path)?;
        let (target_dir, target_name) =
            (target.parent().unwrap_or(target), target.file_name().unwrap_or_default());
        self.open_dir(target_dir)
            .and_then(|dir| linkat(dir, target_name, parent, name, AtFlags::empty()))
            .map_err(|errno| RootError::io("make the hard link", path, errno))
    }

    /// Removes a name that is no directory; nothing there is no error.
    pub fn remove_file(&self, path: &Path) -> Result<(), RootError> {
        let (parent, name) = self.parent_of(path)?;
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(RootError::io("remove", path, errno)),
        }
    }

    /// Gives a directory or a regular file, by its literal path, this owner, mode, time and
    /// attributes, such as those of a directory that a layer did not mention
    /// ([`Extracted::implicit_dirs`](crate::rootfs::Extracted)).
    pub fn set_metadata(
        &self,
        path: &Path,
        meta: &Metadata,
        ownership: Ownership,
    ) -> Result<(), RootError> {
        let fail = |source: io::Error| RootError::io("change the metadata of", path, source);
        let open = |flags| open_in(self, path, flags, Links::Refuse).map_err(io::Error::from);
        let stat = open(HANDLE).and_then(|handle| Ok(fstat(handle)?)).map_err(fail)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::Directory | FileType::RegularFile) {
            return Err(RootError::NotAFile(path.to_owned()));
        }
        let file = open(CONTENT).map_err(fail)?;
        settle(&file, meta, ownership, Replace::Yes).map_err(|error| fail(error.source))?;
        set_mtime(&file, meta.mtime).map_err(|errno| fail(errno.into()))
    }

    /// The directory that holds a path, and the name in it. Links to directories are followed inside
    /// the root.
    pub(in crate::rootfs) fn parent_of<'p>(
        &self,
        path: &'p Path,
    ) -> Result<(OwnedFd, &'p OsStr), RootError> {
        let bad = || RootError::BadPath(path.to_owned());
        let name = path.file_name().ok_or_else(bad)?;
        let flags = HANDLE.difference(OFlags::NOFOLLOW).union(OFlags::DIRECTORY);
        let parent = open_in(self, path.parent().ok_or_else(bad)?, flags, Links::Inside)
            .map_err(|errno| RootError::io("open the directory of", path, errno))?;
        Ok((parent, name))
    }
}

fn make_dir(parent: &OwnedFd, name: &OsStr, mode: u32) -> rustix::io::Result<OwnedFd> {
    mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
    let dir = openat(parent, name, DIRECTORY, Mode::empty())?;
    fchmod(&dir, Mode::from_raw_mode(mode))?;
    Ok(dir)
}
