//! Looking at the tree.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;

use super::Index;
use super::tree::{Id, NodeKind};
use crate::layer::{Entry, Kind};
use crate::rootfs::view::{View, ViewError};

impl Index {
    /// The number of the layer, from 0 at the bottom, whose entry is visible at a literal path.
    pub fn origin(&self, path: &Path) -> Option<usize> {
        Some(self.tree.node(self.tree.find(path)?).origin as usize)
    }

    /// How many layers were begun.
    pub fn layers(&self) -> usize {
        self.layers as usize
    }

    /// How many objects there are, the root included.
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether no layer has put anything here.
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// Every object, each directory before what is in it, otherwise sorted by name.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.tree.walk().map(|(path, node)| Entry {
            path,
            meta: node.meta.expand(),
            kind: kind(&node.kind),
        })
    }

    fn size(&self, id: Id) -> Option<u64> {
        match self.tree.node(id).kind {
            NodeKind::Leaf(Kind::File { size }) => Some(size),
            _ => None,
        }
    }
}

impl View for Index {
    fn lstat(&self, path: &Path) -> Result<Option<Entry>, ViewError> {
        Ok(self.tree.find(path).map(|id| {
            let node = self.tree.node(id);
            Entry { path: path.to_owned(), meta: node.meta.expand(), kind: kind(&node.kind) }
        }))
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, ViewError> {
        match self.tree.find(path) {
            Some(id) if self.tree.is_dir(id) => {
                Ok(self.tree.children(id).map(|(name, _)| name.to_owned()).collect())
            }
            Some(_) => Err(ViewError::NotADirectory(path.to_owned())),
            None => Err(unreadable(path, io::ErrorKind::NotFound.into())),
        }
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ViewError> {
        let Some(id) = self.tree.find(path) else { return Ok(None) };
        let Some(size) = self.size(id) else { return Ok(None) };
        if size == 0 {
            return Ok(Some(Vec::new()));
        }
        let Some(content) = self.contents.get(&id) else {
            let error = io::Error::new(
                io::ErrorKind::Unsupported,
                "the image is not unpacked, only the names in its layers are known",
            );
            return Err(unreadable(path, error));
        };
        let end = usize::try_from(limit).unwrap_or(usize::MAX).min(content.len());
        Ok(Some(content[..end].to_vec()))
    }

    fn has_content(&self, path: &Path, content: &mut dyn Read) -> Result<bool, ViewError> {
        let Some(kept) = self.tree.find(path).and_then(|id| self.contents.get(&id)) else {
            return Ok(false);
        };
        let mut bytes = Vec::new();
        content
            .take(kept.len() as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(path, error))?;
        Ok(**kept == *bytes)
    }
}

fn kind(kind: &NodeKind) -> Kind {
    match kind {
        NodeKind::Dir(_) => Kind::Dir,
        NodeKind::Leaf(kind) => kind.clone(),
    }
}

fn unreadable(path: &Path, source: io::Error) -> ViewError {
    ViewError::Io { path: path.to_owned(), source }
}
