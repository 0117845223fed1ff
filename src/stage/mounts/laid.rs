//! A copy of files in a directory of its own, made by the engine of COPY: what the context hides is
//! not in it, and everything in it is whose it should be.

use std::collections::btree_map::IntoValues;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use crate::layer::{Entry, Kind, Metadata, Node};
use crate::rootfs::copy::{self, CopyRequest, Owner, copy};
use crate::rootfs::glob::escape;
use crate::rootfs::ignore::Ignore;
use crate::rootfs::{Entries, Extract, Index, Root, View, Whiteouts, extract, resolve};
use crate::stage::workshop::Workshop;

/// The one name in the directory that is made.
const NAME: &str = "d";

/// What is copied.
pub(super) struct Original<'a> {
    /// Where it is.
    pub(super) root: Arc<Root>,
    /// What is hidden there.
    pub(super) ignore: Option<&'a Ignore>,
    /// Whose the copy is.
    pub(super) owner: Owner,
    /// Which part: absolute.
    pub(super) path: &'a str,
}

impl Original<'_> {
    /// Copies it into a directory, which must be empty. The answer is where it is in there.
    pub(super) fn lay_down(&self, shop: &Workshop, into: &Path) -> Result<PathBuf> {
        let request = CopyRequest {
            sources: vec![copy::CopySource::Path(escape(self.path))],
            dest: &format!("/{NAME}"),
            from: self.root.clone(),
            ignore: self.ignore,
            target: &Index::default(),
            owner: self.owner,
            chmod: None,
            unpack: copy::Unpack::Never,
            exclude: &[],
            created: shop.now,
            spool: &shop.scratch_dir,
        };
        let mut entries = Copied { nodes: copy(&request)?.into_values(), current: None };
        let to = shop.open_root(into)?;
        let policy = Extract::new(Whiteouts::Apply, shop.ownership());
        extract(&mut entries, &to, &policy)?;
        let found = resolve(&*self.root, Path::new(self.path), true)?;
        if let Some(Entry { meta, kind: Kind::Dir, .. }) = found.entry {
            // COPY gives a new directory a mode of its own.
            let (uid, gid) = match self.owner {
                Owner::Context => (0, 0),
                Owner::Fixed(uid, gid) => (uid, gid),
                Owner::Keep => (meta.uid, meta.gid),
            };
            let meta = Metadata { uid, gid, ..meta };
            if to.lstat(Path::new(NAME))?.is_none() {
                to.create_dir(Path::new(NAME), meta.mode)?;
            }
            to.set_metadata(Path::new(NAME), &meta, shop.ownership())?;
        }
        Ok(into.join(NAME))
    }
}

/// The objects of a tree as those of a layer.
struct Copied {
    nodes: IntoValues<PathBuf, Node>,
    current: Option<Node>,
}

impl Entries for Copied {
    fn next_entry(&mut self) -> io::Result<Option<(Entry, Box<dyn Read + '_>)>> {
        self.current = self.nodes.next();
        let Some(node) = &self.current else { return Ok(None) };
        Ok(Some((node.entry.clone(), node.content.open()?)))
    }
}
