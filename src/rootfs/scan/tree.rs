//! Everything that was in a directory at one moment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ledger::Attributes;
use super::stamp::Stamp;
use crate::layer::Timestamp;

/// The directories, each with what is in it; the first one is the root. Numbers depend on which
/// thread was faster, so nothing is done in their order. Two looks share those in which nothing has
/// changed; the place of one that is gone is empty.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) dirs: Vec<Arc<Dir>>,
    /// What happens from now on has this time, or a later one.
    pub(super) clock: Timestamp,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Dir {
    /// Its names were read; not so of a directory that was gone when it was to be opened.
    pub(super) is_listed: bool,
    /// Sorted by name.
    pub(super) nodes: Vec<Node>,
    /// Names at which nobody looks: mount points, and what the caller wants to be passed over.
    pub(super) covered: Vec<OsString>,
    /// The directory's own, as far as images carry them.
    pub(super) attributes: Option<Box<Attributes>>,
}

/// One name.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: OsString,
    pub(super) stamp: Stamp,
    pub(super) what: What,
    /// The sandbox put it there, and no layer has it.
    pub(super) placed: bool,
    /// A regular file that may have changed again after it was looked at without its stamp showing
    /// it, because the file system's clock had not moved on.
    pub(super) racy: bool,
}

/// What a stamp does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A directory and its number.
    Dir(usize),
    /// Where it leads.
    Symlink(PathBuf),
    Other,
}

impl Node {
    /// The number of a directory. One whose name a layer cannot carry is never entered.
    pub(super) fn dir(&self) -> Option<usize> {
        match self.what {
            What::Dir(id) => Some(id),
            What::Symlink(_) | What::Other => None,
        }
    }

    pub(super) fn is_reserved(&self) -> bool {
        is_reserved(&self.name)
    }
}

/// Whether a name would say in a layer that something is gone.
pub(super) fn is_reserved(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".wh.")
}

impl Dir {
    /// Everything that was listed, sorted.
    pub(super) fn names(&self) -> Vec<&OsStr> {
        let nodes = self.nodes.iter().map(|node| node.name.as_os_str());
        let mut names: Vec<&OsStr> = nodes.chain(self.covered.iter().map(|name| &**name)).collect();
        if !self.covered.is_empty() {
            names.sort_unstable();
        }
        names
    }

    pub(super) fn find(&self, name: &OsStr) -> Option<&Node> {
        let at = self.nodes.binary_search_by(|node| (*node.name).cmp(name)).ok()?;
        Some(&self.nodes[at])
    }

    fn find_mut(&mut self, name: &OsStr) -> Option<&mut Node> {
        let at = self.nodes.binary_search_by(|node| (*node.name).cmp(name)).ok()?;
        Some(&mut self.nodes[at])
    }
}

impl Tree {
    /// Whether nothing can have happened to an object since: not even within the same step of the
    /// clock, nor to another one that got its number. That takes a file system which keeps births.
    pub(super) fn is_untouched(&self, was: &Stamp, now: &Stamp) -> bool {
        now.identity.born.is_some() && now.changed < self.clock && was.is_same(now)
    }

    /// Marks the nodes with such stamps as racy, and no others. Says whether there are any.
    pub(super) fn mark(&mut self, racy: impl Fn(&Stamp) -> bool) -> bool {
        let mut any = false;
        for dir in &mut self.dirs {
            let is_racy = dir.nodes.iter().any(|node| racy(&node.stamp));
            any |= is_racy;
            if is_racy || dir.nodes.iter().any(|node| node.racy) {
                for node in &mut Arc::make_mut(dir).nodes {
                    node.racy = racy(&node.stamp);
                }
            }
        }
        any
    }

    /// The directory at a literal path.
    pub(super) fn dir(&self, path: &Path) -> Option<&Dir> {
        self.dirs.get(self.dir_number(path)?).map(|dir| &**dir)
    }

    fn dir_number(&self, path: &Path) -> Option<usize> {
        path.iter().try_fold(0, |dir, name| self.dirs.get(dir)?.find(name)?.dir())
    }

    /// What is at a literal path; nothing for the root, which is no name.
    pub(super) fn find(&self, path: &Path) -> Option<&Node> {
        self.dir(path.parent()?)?.find(path.file_name()?)
    }

    pub(super) fn find_mut(&mut self, path: &Path) -> Option<&mut Node> {
        let dir = self.dir_number(path.parent()?)?;
        Arc::make_mut(self.dirs.get_mut(dir)?).find_mut(path.file_name()?)
    }

    /// Every name, in no order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.dirs.iter().flat_map(|dir| &dir.nodes)
    }

    /// The paths of those names of which this is true, in no order.
    pub(super) fn paths_of(&self, wanted: impl Fn(&Node) -> bool) -> Vec<(PathBuf, &Node)> {
        let mut found = Vec::new();
        let mut pending = vec![(PathBuf::new(), 0)];
        while let Some((path, number)) = pending.pop() {
            let Some(dir) = self.dirs.get(number) else { continue };
            for node in &dir.nodes {
                if let Some(id) = node.dir() {
                    pending.push((path.join(&node.name), id));
                }
                if wanted(node) {
                    found.push((path.join(&node.name), node));
                }
            }
        }
        found
    }
}
