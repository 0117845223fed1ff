//! Unpacking only what stays visible, all layers at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Index;
use super::tree::NodeKind;
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
        let part = |layer| {
            let index = self.clone();
            let filter: Filter = Box::new(move |path| index.origin(path) == Some(layer));
            VisiblePart { filter, relocate: BTreeMap::new() }
        };
        let mut parts: Vec<_> = (0..self.layers as usize).map(part).collect();
        for (link, node) in self.tree.walk() {
            let Some((layer, first)) = node.content.as_deref() else { continue };
            if *layer == node.origin
                && !self.is_first_name(first, *layer)
                && let Some(part) = parts.get_mut(*layer as usize)
            {
                part.relocate.entry(first.clone()).or_insert(link);
            }
        }
        parts
    }

    /// Gives the directories of an unpacked image the owner, mode, attributes and time that they have
    /// here. Directories that are not there are passed over.
    pub fn settle_directories(&self, root: &Root, ownership: Ownership) -> Result<(), RootError> {
        let dirs: Vec<(PathBuf, _)> = self
            .tree
            .walk()
            .filter(|(_, node)| matches!(node.kind, NodeKind::Dir(_)))
            .map(|(path, node)| (path, &node.meta))
            .collect();
        // The deepest first: a mode may take away the right to go further down.
        for (path, meta) in dirs.into_iter().rev() {
            match root.set_metadata(&path, &meta.expand(), ownership) {
                Err(error) if error.is_not_found() => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Whether the content of hard links is visible under its first name.
    fn is_first_name(&self, path: &Path, layer: u32) -> bool {
        self.tree.find(path).is_some_and(|id| {
            let node = self.tree.node(id);
            node.origin == layer && node.content.is_none() && !self.tree.is_dir(id)
        })
    }
}
