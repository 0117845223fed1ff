//! Unpacking only what stays visible, all layers at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::Index;
use super::tree::{Node, NodeKind};
use crate::layer::Kind;
use crate::rootfs::extract::Filter;
use crate::rootfs::root::{Root, RootError};
use crate::rootfs::settle::Ownership;

/// What one layer contributes to the whole: to be put into its [`Extract`](crate::rootfs::Extract).
pub struct VisiblePart {
    /// For [`Extract::filter`](crate::rootfs::Extract::filter).
    pub filter: Filter,
    /// For [`Extract::relocate`](crate::rootfs::Extract::relocate): a hidden file whose content is still visible under a hard link of
    /// the same layer is written there.
    pub relocate: BTreeMap<PathBuf, PathBuf>,
}

impl fmt::Debug for VisiblePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VisiblePart").field("relocate", &self.relocate).finish_non_exhaustive()
    }
}

impl Index {
    /// What of each layer, from the bottom, stays visible.
    pub fn visible_parts(self: &Arc<Self>) -> Vec<VisiblePart> {
        self.wanted_parts(|_| true)
    }

    /// What of each layer, from the bottom, stays visible and is wanted.
    pub fn wanted_parts(
        self: &Arc<Self>,
        wanted: impl Fn(&Path) -> bool + Send + Sync + Clone + 'static,
    ) -> Vec<VisiblePart> {
        let part = |layer| {
            let (index, wanted) = (self.clone(), wanted.clone());
            let filter: Filter =
                Box::new(move |path, kind| index.shows(path, kind, layer) && wanted(path));
            VisiblePart { filter, relocate: BTreeMap::new() }
        };
        let mut parts: Vec<_> = (0..self.layers as usize).map(part).collect();
        for (link, node) in self.tree.walk() {
            let Some((layer, first)) = node.content.as_deref() else { continue };
            if *layer == node.origin
                && wanted(&link)
                && !(self.is_first_name(first, *layer) && wanted(first))
                && let Some(part) = parts.get_mut(*layer as usize)
            {
                part.relocate.entry(first.clone()).or_insert(link);
            }
        }
        parts
    }

    /// Gives the wanted directories of an image that was unpacked in parts the owner, mode,
    /// attributes and time that they have here, and makes those that no part needed.
    pub fn settle_directories(
        &self,
        root: &Root,
        ownership: Ownership,
        wanted: impl Fn(&Path) -> bool,
    ) -> Result<(), RootError> {
        let is_dir =
            |(path, node): &(PathBuf, &Node)| matches!(node.kind, NodeKind::Dir(_)) && wanted(path);
        let dirs: Vec<_> = self.tree.walk().filter(is_dir).collect();
        for (path, _) in &dirs {
            if let Err(Errno::NOENT) = root.open_dir(path) {
                root.create_dir(path, 0o700)?;
            }
        }
        // The deepest first: a mode may take away the right to go further down.
        for (path, node) in dirs.into_iter().rev() {
            root.set_metadata(&path, &node.meta.expand(), ownership)?;
        }
        Ok(())
    }

    /// Whether what is visible at a path comes from this layer, and is of that kind as far as it
    /// matters: a layer may have a file and, later, a directory of the same name.
    fn shows(&self, path: &Path, kind: &Kind, layer: usize) -> bool {
        self.tree.find(path).is_some_and(|id| {
            self.tree.node(id).origin as usize == layer
                && self.tree.is_dir(id) == (*kind == Kind::Dir)
        })
    }

    /// Whether the content of hard links is visible under its first name.
    fn is_first_name(&self, path: &Path, layer: u32) -> bool {
        self.tree.find(path).is_some_and(|id| {
            let node = self.tree.node(id);
            node.origin == layer && node.content.is_none() && !self.tree.is_dir(id)
        })
    }
}
