//! The image's files as they were when the snapshot was taken.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;

use super::contents::Hash;
use super::ledger::{Attributes, Ledger};
use super::tree::{Node, Tree, What};
use crate::layer::{Entry, Kind};
use crate::rootfs::root::Root;
use crate::rootfs::stat::Found;
use crate::rootfs::view::{View, ViewError};

/// A [`Snapshot`](super::Snapshot) as a file system. What a layer does not have is not in it:
/// sockets, names that begin with `.wh.`, and what the sandbox put there itself. The content of
/// files is that of the directory now.
#[derive(Debug)]
pub struct SnapshotView<'a> {
    pub(super) root: &'a Root,
    pub(super) tree: &'a Tree,
    pub(super) ledger: &'a Ledger,
}

/// Whether a layer has this.
pub(super) fn is_visible(node: &Node) -> bool {
    !node.placed && !node.is_reserved() && node.stamp.found() != Found::Other
}

impl SnapshotView<'_> {
    fn find(&self, path: &Path) -> Option<&Node> {
        self.tree.find(path).filter(|node| is_visible(node))
    }

    fn entry(&self, path: &Path, node: &Node) -> Option<Entry> {
        let kind = match (node.stamp.found(), &node.what) {
            (Found::Kind(kind), _) => kind,
            (Found::Symlink, What::Symlink(target)) => Kind::Symlink(target.clone()),
            _ => return None,
        };
        let mut meta = node.stamp.metadata();
        meta.xattrs = self.attributes(node).unwrap_or_default();
        self.root.as_in_image(&mut meta);
        Some(Entry { path: path.to_owned(), meta, kind })
    }

    fn attributes(&self, node: &Node) -> Option<Attributes> {
        let found = match node.dir() {
            Some(id) => self.tree.dirs.get(id)?.attributes.clone(),
            None if node.stamp.is_regular() => self.ledger.known(&node.stamp)?.attributes,
            None => None,
        };
        found.map(|attributes| *attributes)
    }

    /// The hash of a regular file's content, if it is known.
    pub(super) fn content(&self, path: &Path) -> Option<Hash> {
        let node = self.find(path).filter(|node| node.stamp.is_regular())?;
        self.ledger.known(&node.stamp)?.content
    }
}

impl View for SnapshotView<'_> {
    fn lstat(&self, path: &Path) -> Result<Option<Entry>, ViewError> {
        if path.as_os_str().is_empty() {
            return self.root.lstat(path);
        }
        Ok(self.find(path).and_then(|node| self.entry(path, node)))
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, ViewError> {
        match self.tree.dir(path) {
            Some(dir) => {
                let nodes = dir.nodes.iter().filter(|node| is_visible(node));
                Ok(nodes.map(|node| node.name.clone()).collect())
            }
            None if self.find(path).is_some() => Err(ViewError::NotADirectory(path.to_owned())),
            None => {
                let source = io::ErrorKind::NotFound.into();
                Err(ViewError::Io { path: path.to_owned(), source })
            }
        }
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ViewError> {
        match self.find(path) {
            Some(_) => self.root.read(path, limit),
            None => Ok(None),
        }
    }

    fn has_content(&self, path: &Path, content: &mut dyn Read) -> Result<bool, ViewError> {
        let Some(known) = self.content(path) else { return Ok(false) };
        let found = self.ledger.hashing().of(content);
        let found = found.map_err(|source| ViewError::Io { path: path.to_owned(), source })?;
        Ok(known == found)
    }
}
