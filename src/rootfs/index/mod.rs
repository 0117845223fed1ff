//! A file system known from its layers' headers alone: for looking up users, links and directories
//! in an image that nobody has unpacked, and for unpacking only what stays visible.

mod apply;
mod look;
mod partial;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::partial::{CompleteError, VisiblePart, Wanted};
use self::tree::{Id, Tree};
use super::place::PathError;

/// Layers that do not make up a file system. Paths are in the image.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The archive, or what it is read from.
    #[error("cannot read the layer: {0}")]
    Read(#[source] io::Error),
    /// A path that cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// More objects than memory should be spent on.
    #[error("the image has more than {0} files")]
    TooMany(usize),
    /// A hard link to nothing.
    #[error("the hard link `{}` names `{}`, which no layer has", link.display(), target.display())]
    MissingTarget {
        /// The link.
        link: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// A layer that cannot be unpacked in part.
    #[error(
        "the hard link `{}` names `{}`, of which its layer has more than one", link.display(),
        target.display()
    )]
    Ambiguous {
        /// The link.
        link: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// A hard link to a directory.
    #[error("the hard link `{}` names the directory `{}`", link.display(), target.display())]
    LinkToDirectory {
        /// The link.
        link: PathBuf,
        /// What it names.
        target: PathBuf,
    },
}

/// The merged tree of layers, without content but for `etc/passwd` and `etc/group`.
#[derive(Debug, Default)]
pub struct Index {
    tree: Tree,
    /// Layers that were begun; the last one is the one that is being applied.
    layers: u32,
    contents: HashMap<Id, Arc<[u8]>>,
    /// Paths at which a layer has put something in place of what it had put there itself.
    rewritten: BTreeSet<(u32, PathBuf)>,
}
