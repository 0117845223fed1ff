//! Two looks at the same directory: what has to be looked at more closely.
//!
//! A directory is another one if its inode or its birth is: then nothing of what was in it is
//! visible any more, as with an overlay's opaque directory. Everything else goes by stamps; whether a
//! new stamp means a change in the layer is found out when the names are handed on.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::links::{Group, Groups, Name, Status};
use super::tree::{Dir, Node, Tree};
use super::view::is_visible;

/// What is to be handed on, or may be.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By directory, every one above another one included.
    names: HashMap<PathBuf, BTreeSet<OsString>>,
    /// Directories that hide what was in them.
    opaque: HashSet<PathBuf>,
    /// What is not there any more.
    gone: HashSet<PathBuf>,
    /// The inodes of files that are new or have another stamp.
    pub(super) inodes: HashSet<u64>,
    /// Something of what was there is gone, or another object has its name.
    pub(super) has_losses: bool,
    /// What the sandbox had put there before and nobody has touched.
    pub(super) still_placed: Vec<PathBuf>,
}

impl Plan {
    pub(super) fn names(&self, dir: &Path) -> impl Iterator<Item = &OsString> {
        self.names.get(dir).into_iter().flatten()
    }

    pub(super) fn is_opaque(&self, dir: &Path) -> bool {
        self.opaque.contains(dir)
    }

    pub(super) fn is_gone(&self, path: &Path) -> bool {
        self.gone.contains(path)
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        let names = path.parent().and_then(|dir| self.names.get(dir));
        names.zip(path.file_name()).is_some_and(|(names, name)| names.contains(name))
    }

    /// Adds a name, and the directories that lead to it.
    pub(super) fn add(&mut self, path: &Path) {
        for path in path.ancestors() {
            let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return };
            match self.names.get_mut(dir) {
                Some(names) if names.contains(name) => return,
                Some(names) => drop(names.insert(name.to_owned())),
                None => drop(self.names.insert(dir.to_owned(), [name.to_owned()].into())),
            }
        }
    }
}

/// A directory that both looks are compared in.
struct Pair<'t> {
    path: PathBuf,
    after: &'t Dir,
    /// Nothing where all that is in it is new.
    before: Option<&'t Dir>,
}

/// Compares two looks. Files with several names are left to the second result: only all names
/// together say whether one of them has changed.
pub(super) fn compare(before: &Tree, after: &Tree) -> (Plan, Vec<Group>) {
    let mut comparison = Comparison::new(before, after);
    while let Some(pair) = comparison.pending.pop() {
        comparison.names(&pair);
    }
    (comparison.plan, comparison.groups.finish())
}

struct Comparison<'t> {
    before: &'t Tree,
    after: &'t Tree,
    pending: Vec<Pair<'t>>,
    plan: Plan,
    groups: Groups,
}

impl<'t> Comparison<'t> {
    fn new(before: &'t Tree, after: &'t Tree) -> Self {
        let first = before.dirs.first().map(|dir| &**dir);
        let root = Pair { path: PathBuf::new(), after: &after.dirs[0], before: first };
        let (plan, groups) = (Plan::default(), Groups::default());
        Self { before, after, pending: vec![root], plan, groups }
    }

    fn names(&mut self, pair: &Pair<'t>) {
        // Both looks share it if nothing in it has changed.
        let is_same = pair.before.is_some_and(|dir| std::ptr::eq(dir, pair.after));
        for now in &pair.after.nodes {
            let find = || pair.before.and_then(|dir| dir.find(&now.name));
            let was = if is_same { Some(now) } else { find() };
            match now.dir() {
                Some(id) => {
                    self.directory(pair.path.join(&now.name), now, &self.after.dirs[id], was);
                }
                None => self.leaf(&pair.path, now, was),
            }
        }
        if is_same {
            return;
        }
        for was in pair.before.iter().flat_map(|dir| &dir.nodes) {
            self.plan.has_losses |= pair.after.find(&was.name).is_none();
            let is_there =
                pair.after.find(&was.name).is_some() || pair.after.covered.contains(&was.name);
            if !is_there && is_visible(was) {
                let path = pair.path.join(&was.name);
                self.plan.add(&path);
                self.plan.gone.insert(path);
            }
        }
    }

    fn directory(&mut self, path: PathBuf, now: &Node, after: &'t Dir, was: Option<&'t Node>) {
        let was_dir = was.and_then(|was| Some((was, &*self.before.dirs[was.dir()?])));
        let same = was_dir.filter(|(was, _)| was.stamp.identity == now.stamp.identity);
        match same {
            Some((was, before)) => {
                if was.placed {
                    self.plan.still_placed.push(path.clone());
                }
                if !was.stamp.looks_like(&now.stamp) || before.attributes != after.attributes {
                    self.plan.add(&path);
                }
            }
            None => {
                self.plan.add(&path);
                self.plan.has_losses |= was.is_some();
                if was_dir.is_some_and(|(was, _)| is_visible(was)) {
                    self.plan.opaque.insert(path.clone());
                }
            }
        }
        self.pending.push(Pair { path, after, before: same.map(|(_, before)| before) });
    }

    fn leaf(&mut self, dir: &Path, now: &Node, was: Option<&Node>) {
        let status = status(now, was);
        let was_placed = was.is_some_and(|was| was.placed);
        // Nearly everywhere. Putting its path together costs as much as comparing it.
        if status == Status::Quiet && now.stamp.links == 1 && !was_placed {
            return;
        }
        let path = dir.join(&now.name);
        if was_placed && status == Status::Quiet {
            self.plan.still_placed.push(path.clone());
        }
        self.plan.has_losses |= was.is_some_and(|was| was.stamp.identity != now.stamp.identity);
        if status != Status::Quiet && now.stamp.is_regular() {
            self.plan.inodes.insert(now.stamp.identity.inode);
        }
        let is_socket = now.stamp.file_type() == FileType::Socket;
        if now.stamp.links > 1 && !now.is_reserved() && !is_socket {
            self.groups.add(&now.stamp.identity, Name { path, status });
        } else if status != Status::Quiet {
            self.plan.add(&path);
        }
    }
}

fn status(now: &Node, was: Option<&Node>) -> Status {
    match was {
        None => Status::New,
        Some(was) if was.stamp.identity != now.stamp.identity => Status::New,
        // What the sandbox put there is empty; there is no older content that it could hide.
        Some(was) if was.placed && !was.stamp.is_same(&now.stamp) => Status::New,
        Some(was)
            if was.stamp.is_same(&now.stamp)
                && was.what == now.what
                && (!was.racy || was.placed) =>
        {
            Status::Quiet
        }
        Some(_) => Status::Touched,
    }
}
