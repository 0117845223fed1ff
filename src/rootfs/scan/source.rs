//! What has changed since a snapshot, as the source of a layer.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::contents::{Hash, Hasher};
use super::ledger::{Known, Ledger};
use super::links::Group;
use super::plan::Plan;
use super::tree::Tree;
use super::view::SnapshotView;
use super::walk::attributes;
use crate::layer::Entry;
use crate::rootfs::diff::object::{Object, look};
use crate::rootfs::diff::source::Source;
use crate::rootfs::diff::{DiffError, system};
use crate::rootfs::root::{CONTENT, Links, Root, open_in};
use crate::rootfs::view::{View, ViewError};

pub(super) struct Changed<'a> {
    pub(super) before: SnapshotView<'a>,
    pub(super) after: &'a Tree,
    pub(super) plan: Plan,
    /// What was found out about files, by inode.
    pub(super) learned: HashMap<u64, Known>,
    /// What the sandbox put there.
    pub(super) placed: HashSet<PathBuf>,
}

impl Changed<'_> {
    /// Decides about the names of files that have several.
    pub(super) fn decide(&mut self, groups: Vec<Group>) -> Result<(), DiffError> {
        for group in groups {
            if group.is_new() || self.has_changed(&group.names[0].path)? {
                for name in &group.names {
                    self.plan.add(&name.path);
                }
            }
        }
        Ok(())
    }

    /// Whether anything but its stamp is different from what it was. All names of a file that none
    /// of them is new to say the same.
    fn has_changed(&mut self, path: &Path) -> Result<bool, DiffError> {
        let (Some(was), Some(now)) = (self.before.tree.find(path), self.after.find(path)) else {
            return Ok(true);
        };
        if !was.stamp.looks_like(&now.stamp) || was.what != now.what {
            return Ok(true);
        }
        if !now.stamp.is_regular() {
            return Ok(false);
        }
        let Some(found) = read(self.before.root, path, self.before.ledger)? else {
            return Ok(true);
        };
        let unchanged = self.before.ledger.known(&was.stamp).as_ref() == Some(&found);
        self.learned.insert(now.stamp.identity.inode, found);
        Ok(!unchanged)
    }

    fn learn(&mut self, path: &Path) -> Option<&mut Known> {
        let node = self.after.find(path).filter(|node| node.stamp.is_regular())?;
        Some(self.learned.entry(node.stamp.identity.inode).or_default())
    }
}

/// What a file holds now; nothing if it is gone, or if this process may not read it.
pub(super) fn read(root: &Root, path: &Path, ledger: &Ledger) -> Result<Option<Known>, DiffError> {
    let file = match open_in(root, path, CONTENT, Links::Refuse) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => return Ok(None),
        Err(errno) => return Err(system("open", path, errno)),
    };
    let attributes =
        attributes(&file).map_err(|error| system("read the attributes of", path, error))?;
    let content = ledger.hashing().of(&mut File::from(file));
    let content = content.map_err(|error| system("read", path, error))?;
    Ok(Some(Known { content: Some(content), attributes }))
}

impl Source for Changed<'_> {
    fn root(&self) -> &Root {
        self.before.root
    }

    fn names(&mut self, path: &Path, _: &OwnedFd) -> Result<Vec<OsString>, DiffError> {
        Ok(self.plan.names(path).cloned().collect())
    }

    fn look(&mut self, dir: &OwnedFd, path: &Path) -> Result<Object, DiffError> {
        if self.plan.is_gone(path) {
            return Ok(Object::Whiteout);
        }
        let mut object = look(dir, path, None)?;
        match &mut object {
            Object::Dir { opaque, .. } => *opaque = self.plan.is_opaque(path),
            Object::Leaf(leaf) if leaf.content.is_some() => {
                let found = leaf.entry.meta.xattrs.clone();
                if let Some(known) = self.learn(path) {
                    known.attributes = (!found.is_empty()).then(|| Box::new(found));
                }
            }
            Object::Leaf(_) | Object::Gone | Object::Whiteout | Object::Socket => {}
        }
        if let Some(meta) = object.meta_mut() {
            self.before.root.as_in_image(meta);
        }
        Ok(object)
    }

    fn below(&self, path: &Path) -> Result<Option<Entry>, ViewError> {
        self.before.lstat(path)
    }

    fn had_content(&mut self, path: &Path, content: &mut File) -> Result<bool, ViewError> {
        let Some(known) = self.before.content(path) else { return Ok(false) };
        let found = self.before.ledger.hashing().of(content);
        let found = found.map_err(|source| ViewError::Io { path: path.to_owned(), source })?;
        self.handed_on(path, found);
        Ok(known == found)
    }

    fn hasher(&self) -> Option<Hasher> {
        Some(self.before.ledger.hashing().begin())
    }

    fn handed_on(&mut self, path: &Path, content: Hash) {
        if let Some(known) = self.learn(path) {
            known.content = Some(content);
        }
    }

    fn left_out(&mut self, path: &Path) {
        self.placed.insert(path.to_owned());
    }
}
