//! The layer in the making: what was planned so far, over what the image has.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::CopyError;
use crate::layer::content::{Content, Node, Tree};
use crate::layer::{Entry, Kind, Metadata};
use crate::rootfs::view::{Resolved, View, ViewError, resolve};

/// The tree to write, always with all parents of what is in it.
pub(super) struct Plan<'a> {
    target: &'a dyn View,
    tree: Tree,
    /// The other names of planned files, by the name that has the content.
    names: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

/// What a directory gets that has to be made on the way.
pub(super) struct NewDir {
    pub(super) meta: Metadata,
    /// What it takes over from a parent with the set-group-ID bit, as with mkdir(2).
    pub(super) inherits: Inherits,
}

/// What mkdir(2) takes over from a directory with the set-group-ID bit (inode(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inherits {
    /// Nothing, as after chmod(2) and chown(2).
    Nothing,
    /// The bit, as after chown(2).
    Bit,
    /// The bit and the group.
    BitAndGroup,
}

impl NewDir {
    fn below(&self, parent: Option<&Metadata>) -> Metadata {
        let mut meta = self.meta.clone();
        if let Some(parent) = parent.filter(|parent| parent.mode & 0o2000 != 0) {
            if self.inherits != Inherits::Nothing {
                meta.mode |= 0o2000;
            }
            if self.inherits == Inherits::BitAndGroup {
                meta.gid = parent.gid;
            }
        }
        meta
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(target: &'a dyn View) -> Self {
        Self { target, tree: Tree::new(), names: BTreeMap::new() }
    }

    /// Follows a path of the image, in its state as planned.
    pub(super) fn resolve(&self, path: &Path) -> Result<Resolved, CopyError> {
        resolve(self, path, true).map_err(|error| in_the_way(error, Path::new(""), path))
    }

    /// Follows a path as if `root`, which must not lead through links, were the image's root.
    pub(super) fn resolve_below(&self, root: &Path, path: &Path) -> Result<PathBuf, CopyError> {
        match resolve(&Below { plan: self, root }, path, true) {
            Ok(resolved) => Ok(below(root, &resolved.path)),
            Err(error) => Err(in_the_way(error, root, path)),
        }
    }

    /// Sees to it that a directory and its parents are in the tree: as they are in the image, or
    /// new ones. The path must not lead through links.
    pub(super) fn ensure_dir(&mut self, path: &Path, new: &NewDir) -> Result<(), CopyError> {
        let mut missing = Vec::new();
        for ancestor in path.ancestors().filter(|path| !path.as_os_str().is_empty()) {
            match self.tree.get(ancestor) {
                Some(node) if node.entry.kind == Kind::Dir => break,
                _ => missing.push(ancestor),
            }
        }
        for ancestor in missing.into_iter().rev() {
            match self.lstat(ancestor)? {
                Some(entry) if entry.kind == Kind::Dir => self.insert(entry, Content::None),
                None => {
                    let parent = ancestor.parent().and_then(|parent| self.tree.get(parent));
                    let meta = new.below(parent.map(|node| &node.entry.meta));
                    self.put(ancestor, meta, Kind::Dir, Content::None)?;
                }
                Some(_) => {
                    return Err(CopyError::ParentIsNoDirectory {
                        path: path.to_owned(),
                        parent: ancestor.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Plans an object, in place of whatever was planned there. Its parents must be in the tree.
    pub(super) fn put(
        &mut self,
        path: &Path,
        meta: Metadata,
        kind: Kind,
        content: Content,
    ) -> Result<(), CopyError> {
        let is_whiteout = path.file_name().is_some_and(|name| name.as_bytes().starts_with(b".wh."));
        if is_whiteout {
            return Err(CopyError::WhiteoutName(path.to_owned()));
        }
        self.insert(Entry { path: path.to_owned(), meta, kind }, content);
        Ok(())
    }

    /// Plans another name of a planned file, which gets this metadata, if any; false if there is no
    /// such file.
    pub(super) fn put_link(
        &mut self,
        path: &Path,
        file: &Path,
        meta: Option<Metadata>,
    ) -> Result<bool, CopyError> {
        let Some(node) = self.tree.get(file) else { return Ok(false) };
        let holder = match &node.entry.kind {
            Kind::Dir => return Ok(false),
            Kind::File { .. } => file.to_owned(),
            Kind::HardLink(holder) => holder.clone(),
            // Nobody can tell a second one from another name of the first.
            other => {
                let (other, meta) = (other.clone(), meta.unwrap_or(node.entry.meta.clone()));
                return self.put(path, meta, other, Content::None).map(|()| true);
            }
        };
        if holder == path {
            return Ok(true);
        }
        // It would replace the directory that the file is in.
        if holder.starts_with(path) {
            return Ok(false);
        }
        let Some(node) = self.tree.get_mut(&holder) else { return Ok(false) };
        if let Some(mut meta) = meta {
            meta.xattrs.append(&mut node.entry.meta.xattrs);
            node.entry.meta = meta;
        }
        let meta = node.entry.meta.clone();
        self.put(path, meta, Kind::HardLink(holder.clone()), Content::None)?;
        self.names.entry(holder).or_default().insert(path.to_owned());
        Ok(true)
    }

    /// The finished tree. A layer is read from its start, so of several names of a file the first
    /// one gets the content. All have the same metadata, as they are the same file.
    pub(super) fn finish(mut self) -> Tree {
        for (holder, mut names) in std::mem::take(&mut self.names) {
            let meta = self.tree.get(&holder).map(|node| node.entry.meta.clone());
            for name in &names {
                if let (Some(node), Some(meta)) = (self.tree.get_mut(name), &meta) {
                    node.entry.meta.clone_from(meta);
                }
            }
            if names.first().is_some_and(|first| *first < holder)
                && let Some(node) = self.tree.remove(&holder)
            {
                let entry = Entry { path: holder.clone(), ..node.entry.clone() };
                self.tree.insert(holder.clone(), Node { entry, content: Content::None });
                names.insert(holder);
                self.hand_over(node, names);
            }
        }
        self.tree
    }

    fn insert(&mut self, entry: Entry, content: Content) {
        let old = self.take(&entry.path);
        if old == Some(Kind::Dir) && entry.kind != Kind::Dir {
            let below = self.tree.range(entry.path.clone()..).map(|(path, _)| path);
            let below = below.take_while(|path| path.starts_with(&entry.path)).cloned();
            for path in below.collect::<Vec<_>>() {
                self.take(&path);
            }
        }
        self.tree.insert(entry.path.clone(), Node { entry, content });
    }

    /// Takes one object out of the tree and says what it was; a file with several names lives on
    /// under the others.
    fn take(&mut self, path: &Path) -> Option<Kind> {
        let node = self.tree.remove(path)?;
        let kind = node.entry.kind.clone();
        if let Kind::HardLink(holder) = &kind
            && let Some(names) = self.names.get_mut(holder)
        {
            names.remove(path);
        }
        if let Some(names) = self.names.remove(path) {
            self.hand_over(node, names);
        }
        Some(kind)
    }

    /// Gives a file's content to the first of the names, and makes the rest point to it.
    fn hand_over(&mut self, mut node: Node, mut names: BTreeSet<PathBuf>) {
        let Some(first) = names.pop_first() else { return };
        for name in &names {
            if let Some(other) = self.tree.get_mut(name) {
                other.entry.kind = Kind::HardLink(first.clone());
            }
        }
        node.entry.path.clone_from(&first);
        self.tree.insert(first.clone(), node);
        if !names.is_empty() {
            self.names.insert(first, names);
        }
    }
}

/// The image as it will be with the layer: what [`Plan::resolve`] walks through.
impl View for Plan<'_> {
    fn lstat(&self, path: &Path) -> Result<Option<Entry>, ViewError> {
        if let Some(node) = self.tree.get(path) {
            return Ok(Some(node.entry.clone()));
        }
        let planned = path.ancestors().skip(1).find_map(|parent| self.tree.get(parent));
        match planned {
            Some(parent) if parent.entry.kind != Kind::Dir => Ok(None),
            _ => self.target.lstat(path),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, ViewError> {
        let mut names: BTreeSet<OsString> = match self.target.lstat(path)? {
            Some(entry) if entry.kind == Kind::Dir => self.target.list(path)?.into_iter().collect(),
            _ => BTreeSet::new(),
        };
        let below = self.tree.range(path.to_owned()..).map(|(path, _)| path);
        let below = below.take_while(|below| below.starts_with(path));
        let children = below.filter(|below| below.parent() == Some(path));
        names.extend(children.filter_map(|child| child.file_name().map(OsString::from)));
        Ok(names.into_iter().collect())
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ViewError> {
        let Some(node) = self.tree.get(path) else { return self.target.read(path, limit) };
        if !matches!(node.entry.kind, Kind::File { .. }) {
            return Ok(None);
        }
        let mut content = Vec::new();
        let read = node.content.open().and_then(|file| file.take(limit).read_to_end(&mut content));
        read.map_err(|source| ViewError::Io { path: path.to_owned(), source })?;
        Ok(Some(content))
    }
}

/// A directory of the planned image as a root of its own.
struct Below<'b, 'a> {
    plan: &'b Plan<'a>,
    root: &'b Path,
}

impl View for Below<'_, '_> {
    fn lstat(&self, path: &Path) -> Result<Option<Entry>, ViewError> {
        self.plan.lstat(&below(self.root, path))
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, ViewError> {
        self.plan.list(&below(self.root, path))
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ViewError> {
        self.plan.read(&below(self.root, path), limit)
    }
}

/// Joined without a slash at the end where the path is empty.
fn below(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) }
}

fn in_the_way(error: ViewError, root: &Path, path: &Path) -> CopyError {
    match error {
        ViewError::NotADirectory(parent) => CopyError::ParentIsNoDirectory {
            path: root.join(path.strip_prefix("/").unwrap_or(path)),
            parent: root.join(parent),
        },
        error => error.into(),
    }
}
