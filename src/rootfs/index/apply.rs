//! Building the tree, layer by layer.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::tree::{Id, Meta, Node, NodeKind, ROOT};
use super::{Index, IndexError};
use crate::layer::{Entry, Kind, Metadata};
use crate::rootfs::entries::Entries;
use crate::rootfs::place::{Places, Step, check, split};

/// About 2 GiB of memory; the largest images have some hundred thousand.
const MAX_NODES: usize = 10_000_000;

/// Longest `passwd` or `group` whose content is kept, in bytes.
const MAX_CONTENT: u64 = 1024 * 1024;

/// All of them together, in bytes.
const MAX_CONTENTS: usize = 16 * 1024 * 1024;

impl Index {
    /// Puts one layer on top. After an error the index is that of no image and good for nothing.
    pub fn apply(&mut self, entries: &mut dyn Entries) -> Result<(), IndexError> {
        self.next_layer();
        let mut places = Places::default();
        while let Some((entry, mut content)) = entries.next_entry().map_err(IndexError::Read)? {
            match places.step(&entry)? {
                Step::Root => self.put_root(&entry.meta),
                Step::Put(path) => {
                    let id = self.put(&path, &entry.meta, &entry.kind)?;
                    if let Some(id) = id
                        && is_account_file(&path)
                    {
                        self.read_content(id, &entry.kind, &mut *content)?;
                    }
                }
                Step::Link { path, target } => self.link(&path, &target)?,
                Step::Remove(path) => self.remove_lower(&path),
                Step::Opaque(dir) => {
                    let layer = self.layer();
                    self.change(|tree, gone| {
                        let dir = tree.dir(&dir, layer, gone);
                        tree.clear_lower(dir, layer, gone);
                    });
                }
                Step::Nothing => {}
            }
        }
        Ok(())
    }

    /// Begins a layer for the calls of [`Index::insert`] that follow, and returns its number.
    pub fn next_layer(&mut self) -> usize {
        self.layers += 1;
        self.layer() as usize
    }

    /// Puts one object on top, by its literal path; names of whiteouts mean nothing here.
    pub fn insert(&mut self, entry: &Entry) -> Result<(), IndexError> {
        if entry.path.as_os_str().is_empty() {
            self.put_root(&entry.meta);
            return Ok(());
        }
        check(&entry.path)?;
        match &entry.kind {
            Kind::HardLink(target) => {
                check(target)?;
                self.link(&entry.path, target)
            }
            kind => self.put(&entry.path, &entry.meta, kind).map(drop),
        }
    }

    /// Whether the content of a file at this path is kept: look-ups of users need it.
    pub fn keeps(path: &Path) -> bool {
        is_account_file(path)
    }

    /// Gives a file that was inserted its content, if it is one whose content is kept.
    pub fn insert_content(&mut self, path: &Path, content: &[u8]) {
        if let Some(id) = self.tree.find(path)
            && is_account_file(path)
        {
            self.keep_content(id, content.to_vec());
        }
    }

    /// Removes whatever is at a literal path.
    pub fn remove(&mut self, path: &Path) {
        let (dir, name) = split(path);
        if let Some(dir) = self.tree.find(dir) {
            self.change(|tree, gone| tree.remove(dir, name, gone));
        }
    }

    pub(super) fn layer(&self) -> u32 {
        self.layers.saturating_sub(1)
    }

    fn put_root(&mut self, meta: &Metadata) {
        let layer = self.layer();
        let root = self.tree.node_mut(ROOT);
        root.meta = Meta::new(meta);
        root.origin = layer;
    }

    /// Puts an object; returns nothing for a hard link, which is none.
    fn put(&mut self, path: &Path, meta: &Metadata, kind: &Kind) -> Result<Option<Id>, IndexError> {
        let kind = match kind {
            Kind::Dir => NodeKind::Dir(BTreeMap::new()),
            Kind::HardLink(_) => return Ok(None),
            kind => NodeKind::Leaf(kind.clone()),
        };
        let layer = self.layer();
        let meta = Meta::new(meta);
        self.put_node(path, Node { meta, kind, origin: layer, touched: layer, content: None })
            .map(Some)
    }

    fn put_node(&mut self, path: &Path, node: Node) -> Result<Id, IndexError> {
        if self.tree.len() >= MAX_NODES {
            return Err(IndexError::TooMany(MAX_NODES));
        }
        let (dir, name) = split(path);
        let layer = self.layer();
        self.note_rewriting(path, matches!(node.kind, NodeKind::Dir(_)));
        Ok(self.change(|tree, gone| {
            let dir = tree.dir(dir, layer, gone);
            tree.put(dir, name, node, gone)
        }))
    }

    fn note_rewriting(&mut self, path: &Path, by_dir: bool) {
        let layer = self.layer();
        if let Some(id) = self.tree.find(path)
            && self.tree.node(id).touched == layer
            && !(by_dir && self.tree.is_dir(id))
        {
            self.rewritten.insert((layer, path.to_owned()));
        }
    }

    fn link(&mut self, path: &Path, target: &Path) -> Result<(), IndexError> {
        let layer = self.layer();
        let (dir, name) = split(path);
        if path != target {
            self.note_rewriting(path, false);
        }
        self.change(|tree, gone| {
            let dir = tree.dir(dir, layer, gone);
            if path != target && tree.find(target).is_none_or(|id| !tree.is_dir(id)) {
                tree.remove(dir, name, gone);
            }
        });
        let (link, named) = (path.to_owned(), target.to_owned());
        let Some(id) = self.tree.find(target) else {
            return Err(IndexError::MissingTarget { link, target: named });
        };
        if self.tree.is_dir(id) {
            return Err(IndexError::LinkToDirectory { link, target: named });
        }
        if path == target {
            self.tree.node_mut(id).touched = layer;
            return Ok(());
        }
        let mut node = self.tree.node(id).clone();
        if node.content.is_none() {
            node.content = Some(Box::new((node.origin, named)));
        }
        (node.origin, node.touched) = (layer, layer);
        let content = self.contents.get(&id).cloned();
        let id = self.put_node(path, node)?;
        if let Some(content) = content {
            self.contents.insert(id, content);
        }
        Ok(())
    }

    fn remove_lower(&mut self, path: &Path) {
        let (dir, name) = split(path);
        let layer = self.layer();
        self.change(|tree, gone| {
            let dir = tree.dir(dir, layer, gone);
            match tree.child(dir, name) {
                Some(id) if tree.node(id).touched == layer => tree.clear_lower(id, layer, gone),
                Some(_) => tree.remove(dir, name, gone),
                None => {}
            }
        });
    }

    /// Changes the tree, and forgets the content of what is gone.
    fn change<T>(&mut self, change: impl FnOnce(&mut super::Tree, &mut Vec<Id>) -> T) -> T {
        let mut gone = Vec::new();
        let result = change(&mut self.tree, &mut gone);
        if !self.contents.is_empty() {
            for id in gone {
                self.contents.remove(&id);
            }
        }
        result
    }

    fn read_content(
        &mut self,
        id: Id,
        kind: &Kind,
        content: &mut dyn Read,
    ) -> Result<(), IndexError> {
        if matches!(kind, Kind::File { size } if *size <= MAX_CONTENT) {
            let mut bytes = Vec::new();
            content.take(MAX_CONTENT).read_to_end(&mut bytes).map_err(IndexError::Read)?;
            self.keep_content(id, bytes);
        }
        Ok(())
    }

    fn keep_content(&mut self, id: Id, bytes: Vec<u8>) {
        let held: usize = self.contents.values().map(|content| content.len()).sum();
        if held + bytes.len() <= MAX_CONTENTS {
            self.contents.insert(id, bytes.into());
        }
    }
}

/// `etc/passwd` and `etc/group` wherever an `etc` is: some images have only a link in the usual place.
fn is_account_file(path: &Path) -> bool {
    ["etc/passwd", "etc/group"].iter().any(|name| path.ends_with(name))
}
