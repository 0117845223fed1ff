//! Where changes are found: an overlay's upper directory, or a directory that was looked at before.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::object::{Object, look};
use super::{DiffError, system};
use crate::layer::Entry;
use crate::rootfs::root::{Root, read_dir};
use crate::rootfs::scan::contents::{Hash, Hasher};
use crate::rootfs::view::{View, ViewError};
use crate::rootfs::xattr::Overlay;

/// A directory in which a command has changed something, and what it was like before.
pub(in crate::rootfs) trait Source {
    /// The directory with the changes in it.
    fn root(&self) -> &Root;

    /// The names in a directory that may have changed, in no order; those that are gone included.
    fn names(&mut self, path: &Path, dir: &OwnedFd) -> Result<Vec<OsString>, DiffError>;

    /// What a name stands for now, in the image's words.
    fn look(&mut self, dir: &OwnedFd, path: &Path) -> Result<Object, DiffError>;

    /// What the image had at a path before.
    fn below(&self, path: &Path) -> Result<Option<Entry>, ViewError>;

    /// Whether the file at a path had exactly this content before.
    fn had_content(&mut self, path: &Path, content: &mut File) -> Result<bool, ViewError>;

    /// Hashes what is handed on, where [`Source::handed_on`] wants to know.
    fn hasher(&self) -> Option<Hasher>;

    /// The content of the regular file at a path went to the sink.
    fn handed_on(&mut self, path: &Path, content: Hash);

    /// The object at a path is one of the sandbox's own, and is not in the layer.
    fn left_out(&mut self, path: &Path);
}

/// An overlay's upper directory over the merged view of what is below.
pub(super) struct Upper<'a> {
    pub(super) upper: &'a Root,
    pub(super) lower: &'a dyn View,
    pub(super) style: Overlay,
}

impl Source for Upper<'_> {
    fn root(&self) -> &Root {
        self.upper
    }

    fn names(&mut self, path: &Path, dir: &OwnedFd) -> Result<Vec<OsString>, DiffError> {
        let listed = read_dir(dir).map_err(|errno| system("list", path, errno))?;
        Ok(listed.into_iter().map(|(name, _)| name).collect())
    }

    fn look(&mut self, dir: &OwnedFd, path: &Path) -> Result<Object, DiffError> {
        let mut object = look(dir, path, Some(self.style))?;
        if let Some(meta) = object.meta_mut() {
            self.upper.as_in_image(meta);
        }
        Ok(object)
    }

    fn below(&self, path: &Path) -> Result<Option<Entry>, ViewError> {
        self.lower.lstat(path)
    }

    fn had_content(&mut self, path: &Path, content: &mut File) -> Result<bool, ViewError> {
        self.lower.has_content(path, content)
    }

    fn hasher(&self) -> Option<Hasher> {
        None
    }

    fn handed_on(&mut self, _: &Path, _: Hash) {}

    fn left_out(&mut self, _: &Path) {}
}
