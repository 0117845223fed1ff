//! Unpacking only what stays visible, all layers at once and into one directory.
//!
//! 1. [`Index::visible_parts`] says what of each layer that is;
//! 2. each layer is unpacked with its part and [`Whiteouts::Skip`](crate::rootfs::Whiteouts::Skip),
//!    in any order or at the same time, since no two of them have a path in common;
//! 3. [`Index::complete`] does what no layer can do alone.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::tree::{Node, NodeKind};
use super::{Index, IndexError};
use crate::layer::Kind;
use crate::rootfs::extract::Filter;
use crate::rootfs::root::{Root, RootError};
use crate::rootfs::settle::Ownership;

/// What one layer contributes to the whole: to be put into its [`Extract`](crate::rootfs::Extract).
pub struct VisiblePart {
    /// For [`Extract::filter`](crate::rootfs::Extract::filter).
    pub filter: Filter,
    /// For [`Extract::relocate`](crate::rootfs::Extract::relocate): a hidden file whose content is
    /// still visible under a hard link is written there.
    pub relocate: BTreeMap<PathBuf, PathBuf>,
}

impl fmt::Debug for VisiblePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VisiblePart").field("relocate", &self.relocate).finish_non_exhaustive()
    }
}

/// Which paths of an image are to be unpacked, with the directories above them.
pub type Wanted = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// Where the content of hard links goes.
#[derive(Default)]
struct Links<'i> {
    /// By layer and first path: the link at which a hidden file is written instead.
    relocate: BTreeMap<(u32, &'i Path), PathBuf>,
    /// Links to what another layer has: the link, and what it is a link to.
    across: Vec<(PathBuf, PathBuf)>,
}

impl Index {
    /// What of each layer, from the bottom, stays visible and is wanted. It is an error if a layer
    /// has two files of one name, and hard links to them: then unpack the layers one after the other.
    pub fn visible_parts(
        self: &Arc<Self>,
        wanted: &Wanted,
    ) -> Result<Vec<VisiblePart>, IndexError> {
        let part = |layer| {
            let (index, wanted) = (self.clone(), wanted.clone());
            let filter: Filter =
                Box::new(move |path, kind| wanted(path) && index.shows(path, kind, layer));
            VisiblePart { filter, relocate: BTreeMap::new() }
        };
        let mut parts: Vec<_> = (0..self.layers).map(part).collect();
        for ((layer, first), link) in self.links(wanted)?.relocate {
            if let Some(part) = parts.get_mut(layer as usize) {
                part.relocate.insert(first.to_owned(), link);
            }
        }
        Ok(parts)
    }

    /// Completes an image that was unpacked in parts: directories that no part needed, hard links
    /// from one layer to another, and the metadata of all directories.
    pub fn complete(
        &self,
        root: &Root,
        ownership: Ownership,
        wanted: &Wanted,
    ) -> Result<(), CompleteError> {
        let is_dir =
            |(path, node): &(PathBuf, &Node)| matches!(node.kind, NodeKind::Dir(_)) && wanted(path);
        let dirs: Vec<_> = self.tree.walk().filter(is_dir).collect();
        for (path, _) in &dirs {
            if let Err(Errno::NOENT) = root.open_dir(path) {
                root.create_dir(path, 0o700)?;
            }
        }
        for (link, target) in self.links(wanted)?.across {
            root.create_hard_link(&link, &target)?;
        }
        // The deepest first: a mode may take away the right to go further down.
        for (path, node) in dirs.into_iter().rev() {
            root.set_metadata(&path, &node.meta.expand(), ownership)?;
        }
        Ok(())
    }

    /// Hard links from one layer to what another has: the link, and the name at which its content is.
    pub fn links_across(&self, wanted: &Wanted) -> Result<Vec<(PathBuf, PathBuf)>, IndexError> {
        Ok(self.links(wanted)?.across)
    }

    fn links(&self, wanted: &Wanted) -> Result<Links<'_>, IndexError> {
        let mut links = Links::default();
        for (link, node) in self.tree.walk() {
            let Some((layer, first)) = node.content.as_deref().filter(|_| wanted(&link)) else {
                continue;
            };
            let (layer, first) = (*layer, first.as_path());
            if first.ancestors().any(|path| self.rewritten.contains(&(layer, path.to_owned()))) {
                return Err(IndexError::Ambiguous { link, target: first.to_owned() });
            }
            let target = if wanted(first) && self.is_first_name(first, layer) {
                first
            } else {
                links.relocate.entry((layer, first)).or_insert_with(|| link.clone())
            };
            if node.origin != layer && target != link {
                let target = target.to_owned();
                links.across.push((link, target));
            }
        }
        Ok(links)
    }

    /// Whether an entry of a layer is what is visible at its path. More than the layer has to be the
    /// same: it may have a file and, later, a directory or a hard link of the same name.
    fn shows(&self, path: &Path, kind: &Kind, layer: u32) -> bool {
        let Some(id) = self.tree.find(path) else { return false };
        let node = self.tree.node(id);
        let same_kind = match kind {
            Kind::Dir => self.tree.is_dir(id),
            Kind::HardLink(_) => node.content.as_ref().is_some_and(|content| content.0 == layer),
            _ => !self.tree.is_dir(id) && node.content.is_none(),
        };
        node.origin == layer && same_kind
    }

    /// Whether the content of hard links is visible under its first name.
    fn is_first_name(&self, path: &Path, layer: u32) -> bool {
        self.tree.find(path).is_some_and(|id| {
            let node = self.tree.node(id);
            node.origin == layer && node.content.is_none() && !self.tree.is_dir(id)
        })
    }
}

/// An image that could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// Its layers.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Its directory.
    #[error(transparent)]
    Root(#[from] RootError),
}
