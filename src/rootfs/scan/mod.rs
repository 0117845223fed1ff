//! What a command changed in a directory that kiln filled itself, where there is no overlay to write
//! it down.
//!
//! A [`Snapshot`] keeps what the system says of every object ([`stamp`]); later, one more look at
//! everything finds the names whose stamp is another one, without reading any content ([`walk`],
//! [`plan`]). These names go through the code that also reads an overlay's upper directory
//! ([`super::diff`]), with the snapshot as what is below, so that the same command makes the same
//! layer. Whether a file with a new stamp is as it was is decided by a hash of its content ([`Ledger`]).
//!
//! Two things differ from an overlay by nature. overlayfs gives a changed file an inode of its own,
//! so that its other names keep what they had; here they change with it, as they do for the command
//! on any other file system. And a directory that was moved away and back is the one that it was,
//! where overlayfs (without redirect_dir) had it copied.

mod clock;
pub(super) mod contents;
mod heap;
mod ledger;
mod links;
mod plan;
mod source;
mod stamp;
mod tree;
mod view;
mod walk;

#[cfg(test)]
mod agreement_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use self::ledger::Known;
pub use self::ledger::Ledger;
use self::plan::Plan;
use self::source::{Changed, read};
pub(super) use self::stamp::Stamp;
use self::tree::Tree;
pub use self::view::SnapshotView;
use self::walk::Walk;
use super::diff::walk::Differ;
use super::diff::{ChangeSink, DiffError, DiffStats};
use super::root::Root;
use crate::layer::Timestamp;

/// How a directory is looked at.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Paths in the image at which nothing is looked at, nor below them.
    pub skip: BTreeSet<PathBuf>,
    /// How many threads look.
    pub threads: NonZeroUsize,
    /// A directory of this machine in which a file can be made for a moment, on the file system of
    /// the image's files but not among them.
    pub scratch: PathBuf,
}

/// What was in a directory at one moment. What is mounted in it is not part of it.
#[derive(Debug)]
pub struct Snapshot {
    tree: Tree,
    ledger: Arc<Ledger>,
}

impl Snapshot {
    /// Takes one, after kiln has finished laying files down and before a command runs. `ledger` is
    /// what [`extract`](super::extract()) noted while it filled this very directory; it is kept up to
    /// date from here on, and forgets files that are not there any more. A file that it does not
    /// know counts as changed as soon as its stamp is.
    pub fn take(root: &Root, ledger: Arc<Ledger>, scan: &Scan) -> Result<Self, DiffError> {
        Self::look(root, ledger, scan, None)
    }

    fn look(
        root: &Root,
        ledger: Arc<Ledger>,
        scan: &Scan,
        before: Option<&Tree>,
    ) -> Result<Self, DiffError> {
        let tree = Walk::new(root, scan, Some(&ledger), before)?.run()?;
        let mut snapshot = Self { tree, ledger };
        snapshot.ledger.keep(&snapshot.inodes());
        snapshot.settle(root, clock::now(root, scan)?)?;
        Ok(snapshot)
    }

    /// Takes it again, after kiln itself has changed something (a COPY that was extracted with the
    /// same ledger): what is there now is no change.
    pub fn refresh(&mut self, root: &Root, scan: &Scan) -> Result<(), DiffError> {
        let mut new = Self::look(root, self.ledger.clone(), scan, Some(&self.tree))?;
        for (path, was) in self.tree.paths_of(|node| node.placed) {
            if let Some(now) = new.tree.find_mut(&path)
                && now.stamp.is_same(&was.stamp)
            {
                now.placed = true;
            }
        }
        *self = new;
        Ok(())
    }

    /// Hands what has changed since to a sink, in the order and by the rules of
    /// [`diff_upper`](super::diff_upper); `exclude` is what it is there. Afterwards this is a
    /// snapshot of what was found, for the next command.
    pub fn changes(
        &mut self,
        root: &Root,
        scan: &Scan,
        exclude: &BTreeSet<PathBuf>,
        sink: &mut dyn ChangeSink,
    ) -> Result<DiffStats, DiffError> {
        let after = Walk::new(root, scan, None, Some(&self.tree))?.run()?;
        let (plan, groups) = plan::compare(&self.tree, &after);
        let mut changed = Changed {
            before: self.view(root),
            after: &after,
            plan,
            learned: HashMap::new(),
            placed: HashSet::new(),
        };
        changed.decide(groups)?;
        let stats = Differ::new(&mut changed, exclude, sink).run()?;
        let Changed { plan, learned, mut placed, .. } = changed;
        // What was the sandbox's and has been looked at again is so only if it was left out again.
        placed.extend(plan.still_placed.iter().filter(|path| !plan.has(path)).cloned());
        self.tree = after;
        self.remember(learned, &plan);
        for path in placed {
            if let Some(node) = self.tree.find_mut(&path) {
                node.placed = true;
            }
        }
        self.settle(root, clock::now(root, scan)?)?;
        Ok(stats)
    }

    /// This as a file system, to be looked at.
    pub fn view<'a>(&'a self, root: &'a Root) -> SnapshotView<'a> {
        SnapshotView { root, tree: &self.tree, ledger: &self.ledger }
    }

    /// Every symbolic link and where it leads, in no order.
    pub fn links(&self) -> impl Iterator<Item = (PathBuf, &Path)> {
        let is_link = |node: &tree::Node| matches!(node.what, tree::What::Symlink(_));
        self.tree.paths_of(is_link).into_iter().filter_map(|(path, node)| match &node.what {
            tree::What::Symlink(target) => Some((path, target.as_path())),
            _ => None,
        })
    }

    /// How many objects there are, without the root.
    pub fn len(&self) -> usize {
        self.tree.nodes().count()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn inodes(&self) -> HashSet<u64> {
        let files = self.tree.nodes().filter(|node| node.stamp.is_regular());
        files.map(|node| node.stamp.identity.inode).collect()
    }

    /// Brings the ledger up to date. What was known of the inode of a changed file may be about
    /// another file, so only what was learned about it is true.
    fn remember(&self, mut learned: HashMap<u64, Known>, plan: &Plan) {
        if plan.has_losses {
            let mut inodes = self.inodes();
            inodes.retain(|inode| !plan.inodes.contains(inode));
            self.ledger.keep(&inodes);
        } else {
            self.ledger.forget(&plan.inodes);
        }
        for node in self.tree.nodes().filter(|node| node.stamp.is_regular()) {
            if learned.is_empty() {
                return;
            }
            if let Some(known) = learned.remove(&node.stamp.identity.inode) {
                self.ledger.note(&node.stamp, known);
            }
        }
    }

    /// Marks the files whose stamp is not to be believed the next time, and makes sure that their
    /// content is known then. Since they were looked at nobody has written to them: no command runs
    /// meanwhile. So it is what the next one does that must not have the same time, and `clock` is
    /// read as late as possible.
    fn settle(&mut self, root: &Root, clock: Timestamp) -> Result<(), DiffError> {
        self.tree.clock = clock;
        if !self.tree.mark(|stamp| stamp.is_regular() && stamp.changed >= clock) {
            return Ok(());
        }
        for (path, node) in self.tree.paths_of(|node| node.racy) {
            let known = self.ledger.known(&node.stamp);
            if known.is_some_and(|known| known.content.is_some()) {
                continue;
            }
            if let Some(known) = read(root, &path, &self.ledger)? {
                self.ledger.note(&node.stamp, known);
            }
        }
        Ok(())
    }
}
