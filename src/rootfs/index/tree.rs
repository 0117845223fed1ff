//! The tree of an [`Index`](super::Index): nodes in one vector, so that neither its size in memory
//! nor its depth is a concern.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::layer::{Kind, Metadata, Timestamp};
use crate::rootfs::xattr::carried;

/// A node's place in the vector.
pub(super) type Id = u32;

/// The root directory's.
pub(super) const ROOT: Id = 0;

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) meta: Meta,
    pub(super) kind: NodeKind,
    /// The layer that has the entry.
    pub(super) origin: u32,
    /// The last layer that has the entry or, for a directory, something in it.
    pub(super) touched: u32,
    /// For a hard link, where its content is: the layer, and the path of the first name.
    pub(super) content: Option<Box<(u32, PathBuf)>>,
}

/// [`Metadata`] in less room.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    mtime: Timestamp,
    uid: u32,
    gid: u32,
    mode: u16,
    xattrs: Box<[(OsString, Vec<u8>)]>,
}

impl Meta {
    pub(super) fn new(meta: &Metadata) -> Self {
        let carried = meta.xattrs.iter().filter(|(name, _)| carried(name));
        let xattrs = carried.map(|(name, value)| (name.clone(), value.clone())).collect();
        Self {
            mtime: meta.mtime,
            uid: meta.uid,
            gid: meta.gid,
            mode: (meta.mode & 0o7777) as u16,
            xattrs,
        }
    }

    pub(super) fn expand(&self) -> Metadata {
        Metadata {
            mode: self.mode.into(),
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            xattrs: self.xattrs.iter().cloned().collect(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum NodeKind {
    Dir(BTreeMap<Box<OsStr>, Id>),
    /// Everything else, as a layer has it; never a directory or a hard link.
    Leaf(Kind),
}

/// A directory that a layer has something in but does not mention.
fn implicit(layer: u32) -> Node {
    let meta = Metadata { mode: 0o755, ..Metadata::default() };
    Node {
        meta: Meta::new(&meta),
        kind: NodeKind::Dir(BTreeMap::new()),
        origin: layer,
        touched: layer,
        content: None,
    }
}

#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    free: Vec<Id>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![implicit(0)], free: Vec::new() }
    }
}

impl Tree {
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    pub(super) fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// The names in a directory, sorted; none in anything else.
    pub(super) fn children(&self, id: Id) -> impl DoubleEndedIterator<Item = (&OsStr, Id)> {
        let names = match &self.node(id).kind {
            NodeKind::Dir(names) => Some(names),
            NodeKind::Leaf(_) => None,
        };
        names.into_iter().flatten().map(|(name, id)| (&**name, *id))
    }

    pub(super) fn child(&self, id: Id, name: &OsStr) -> Option<Id> {
        match &self.node(id).kind {
            NodeKind::Dir(names) => names.get(name).copied(),
            NodeKind::Leaf(_) => None,
        }
    }

    /// The node at a literal path.
    pub(super) fn find(&self, path: &Path) -> Option<Id> {
        path.iter().try_fold(ROOT, |id, name| self.child(id, name))
    }

    pub(super) fn is_dir(&self, id: Id) -> bool {
        matches!(self.node(id).kind, NodeKind::Dir(_))
    }

    /// The directory at a path, made where it is missing and in place of what is no directory.
    /// Also returns the nodes that are gone.
    pub(super) fn dir(&mut self, path: &Path, layer: u32, gone: &mut Vec<Id>) -> Id {
        let mut id = ROOT;
        self.node_mut(id).touched = layer;
        for name in path {
            id = match self.child(id, name) {
                Some(below) if self.is_dir(below) => below,
                _ => self.put(id, name, implicit(layer), gone),
            };
            self.node_mut(id).touched = layer;
        }
        id
    }

    /// Puts a node into a directory in place of what is there; but a directory that comes to a
    /// directory keeps what is in it.
    pub(super) fn put(&mut self, dir: Id, name: &OsStr, mut node: Node, gone: &mut Vec<Id>) -> Id {
        if let Some(id) = self.child(dir, name) {
            if let (NodeKind::Dir(new), NodeKind::Dir(old)) =
                (&mut node.kind, &mut self.node_mut(id).kind)
            {
                std::mem::swap(new, old);
                *self.node_mut(id) = node;
                return id;
            }
            self.remove(dir, name, gone);
        }
        let id = match self.free.pop() {
            Some(id) => {
                *self.node_mut(id) = node;
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as Id
            }
        };
        if let NodeKind::Dir(names) = &mut self.node_mut(dir).kind {
            names.insert(name.into(), id);
        }
        id
    }

    /// Removes a name and everything below it.
    pub(super) fn remove(&mut self, dir: Id, name: &OsStr, gone: &mut Vec<Id>) {
        let NodeKind::Dir(names) = &mut self.node_mut(dir).kind else { return };
        let mut pending: Vec<Id> = names.remove(name).into_iter().collect();
        while let Some(id) = pending.pop() {
            let kind = &mut self.node_mut(id).kind;
            if let NodeKind::Dir(names) = std::mem::replace(kind, NodeKind::Leaf(Kind::Fifo)) {
                pending.extend(names.into_values());
            }
            self.free.push(id);
            gone.push(id);
        }
    }

    /// Removes what a layer has not put into a directory, at any depth.
    pub(super) fn clear_lower(&mut self, dir: Id, layer: u32, gone: &mut Vec<Id>) {
        let mut pending = vec![dir];
        while let Some(dir) = pending.pop() {
            let names: Vec<_> = self.children(dir).map(|(n, id)| (n.to_owned(), id)).collect();
            for (name, id) in names {
                if self.node(id).touched == layer {
                    pending.push(id);
                } else {
                    self.remove(dir, &name, gone);
                }
            }
        }
    }

    /// Every node with its path, each directory before what is in it, sorted.
    pub(super) fn walk(&self) -> Walk<'_> {
        Walk { tree: self, pending: vec![(PathBuf::new(), ROOT)] }
    }
}

pub(super) struct Walk<'t> {
    tree: &'t Tree,
    pending: Vec<(PathBuf, Id)>,
}

impl<'t> Iterator for Walk<'t> {
    type Item = (PathBuf, &'t Node);

    fn next(&mut self) -> Option<Self::Item> {
        let (path, id) = self.pending.pop()?;
        let children = self.tree.children(id).rev();
        self.pending.extend(children.map(|(name, id)| (path.join(name), id)));
        Some((path, self.tree.node(id)))
    }
}
