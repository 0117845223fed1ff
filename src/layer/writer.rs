//! Writes a layer: entries → tar → diff id → compressed blob → digest → store, in one pass.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::compress::{Compression, Compressor};
use super::content::{Node, Tree};
use super::entry::{Entry, Kind, Metadata, Timestamp};
use super::growing::{Extent, Growing, WORTH_FOLLOWING};
use super::hash_thread::BackgroundHasher;
use super::store::{BlobStore, BlobWriter, StoreError};
use super::tar_error::TarError;
use super::tar_write::TarWriter;
use super::whiteout::Whiteout;
use crate::digest::Digest;

/// With so many threads that compress, digests are computed on others. With one there is one processor.
const HASH_THREADS_FROM: usize = 2;

/// How a layer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerOptions {
    /// Of the blob.
    pub compression: Compression,
    /// No modification time is later than this (SOURCE_DATE_EPOCH).
    pub clamp: Option<Timestamp>,
    /// Threads that compress. The bytes do not depend on it.
    pub threads: usize,
}

impl Default for LayerOptions {
    /// gzip on one thread, times as they are.
    fn default() -> Self {
        Self { compression: Compression::default(), clamp: None, threads: 1 }
    }
}

/// A layer in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// How the blob is compressed.
    pub compression: Compression,
    /// Of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// Digest of the uncompressed tar, as the image's config lists it.
    pub diff_id: Digest,
}

/// A layer that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The archive, or a file's content.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Compression, or writing what came out of it.
    #[error("cannot complete the layer: {0}")]
    Finish(io::Error),
    /// A file whose content cannot be opened.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Open {
        /// Its path in the layer.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name that means the deletion of another.
    #[error(
        "{path} cannot be put into a layer: in images, names that start with `.wh.` mean that a file \
         was deleted", path = .path.display()
    )]
    ReservedName {
        /// Its path in the layer.
        path: PathBuf,
    },
    /// Hard links that lead to each other and to no file.
    #[error("{path} is a hard link that leads back to itself", path = .path.display())]
    LinkLoop {
        /// Its path in the layer.
        path: PathBuf,
    },
}

/// Hears of a layer that has become large, before it is complete.
pub type Hear<'a> = &'a (dyn Fn(Growing) + 'a);

/// A layer that is being written. Dropped before [`LayerWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct LayerWriter<'a> {
    tar: TarWriter<BackgroundHasher<Compressor<BlobWriter>>>,
    options: LayerOptions,
    count: u64,
    watch: Option<Watch<'a>>,
}

impl<'a> LayerWriter<'a> {
    /// Starts an empty layer.
    pub fn create(store: &BlobStore, options: &LayerOptions) -> Result<Self, LayerError> {
        Self::start(store, options, None)
    }

    /// The same, and tells of it once it is large.
    pub fn telling(
        store: &BlobStore,
        options: &LayerOptions,
        hear: Hear<'a>,
    ) -> Result<Self, LayerError> {
        Self::start(store, options, Some(hear))
    }

    fn start(
        store: &BlobStore,
        options: &LayerOptions,
        hear: Option<Hear<'a>>,
    ) -> Result<Self, LayerError> {
        let hash_beside = options.threads >= HASH_THREADS_FROM;
        let mut blob = store.writer_beside(hash_beside)?;
        let watch = match hear {
            Some(hear) => Some(Watch { growing: blob.follow()?, hear, told: false }),
            None => None,
        };
        let compressor = Compressor::new(blob, options.compression, options.threads);
        let hasher = BackgroundHasher::new(compressor, hash_beside);
        Ok(Self { tar: TarWriter::new(hasher), options: *options, count: 0, watch })
    }

    /// Adds an object. `content` is read for a file only, and must have exactly the file's size.
    ///
    /// Objects come out in the order in which they go in: parents before children, and a file
    /// before the hard links to it. After an error in the middle of a file the layer is lost.
    pub fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), LayerError> {
        if Whiteout::of(&entry.path).is_some() {
            return Err(LayerError::ReservedName { path: entry.path.clone() });
        }
        self.write(entry, content)
    }

    /// Adds an object with its content.
    pub fn append_node(&mut self, node: &Node) -> Result<(), LayerError> {
        let opened = node.content.open();
        let mut content =
            opened.map_err(|source| LayerError::Open { path: node.entry.path.clone(), source })?;
        self.append(&node.entry, &mut content)
    }

    /// Says that something in the layers below is gone. It belongs before the objects that this
    /// layer puts into the same place.
    pub fn whiteout(&mut self, whiteout: &Whiteout, mtime: Timestamp) -> Result<(), LayerError> {
        let entry = Entry {
            path: whiteout.to_path(),
            meta: Metadata { mtime, ..Metadata::default() },
            kind: Kind::File { size: 0 },
        };
        self.write(&entry, &mut io::empty())
    }

    /// Entries written so far, whiteouts among them.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Completes the blob and puts it into the store.
    pub fn finish(self) -> Result<Layer, LayerError> {
        let hashing = self.tar.finish().map_err(LayerError::Finish)?;
        let (compressor, diff_id) = hashing.finish().map_err(LayerError::Finish)?;
        let blob = compressor.finish().map_err(LayerError::Finish)?;
        let (digest, size) = blob.commit()?;
        Ok(Layer { compression: self.options.compression, digest, size, diff_id })
    }

    fn write(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), LayerError> {
        let entry = clamped(entry, self.options.clamp);
        match &mut self.watch {
            Some(watch) if !watch.told => self.tar.append(&entry, &mut Watched { content, watch }),
            _ => self.tar.append(&entry, content),
        }?;
        self.count += 1;
        Ok(())
    }
}

/// Who is to hear of a layer, and whether that has happened.
struct Watch<'a> {
    growing: Growing,
    hear: Hear<'a>,
    told: bool,
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("told", &self.told).finish_non_exhaustive()
    }
}

impl Watch<'_> {
    fn look(&mut self) {
        let is_large = |extent| matches!(extent, Extent::Part(len) if len >= WORTH_FOLLOWING);
        if !self.told && is_large(self.growing.extent()) {
            self.told = true;
            (self.hear)(self.growing.clone());
        }
    }
}

/// Looks how far the layer is whenever something is read for it: one file may be all of it.
struct Watched<'w, 'a> {
    content: &'w mut dyn Read,
    watch: &'w mut Watch<'a>,
}

impl Read for Watched<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watch.look();
        self.content.read(buffer)
    }
}

fn clamped(entry: &Entry, latest: Option<Timestamp>) -> Cow<'_, Entry> {
    let mtime = entry.meta.mtime.clamp_to(latest);
    if mtime == entry.meta.mtime {
        return Cow::Borrowed(entry);
    }
    let mut entry = entry.clone();
    entry.meta.mtime = mtime;
    Cow::Owned(entry)
}

/// Completes a layer with a whole tree: parents before children, hard links after what they lead to.
pub fn write_tree(mut writer: LayerWriter<'_>, tree: &Tree) -> Result<Layer, LayerError> {
    let (links, others): (Vec<_>, Vec<_>) =
        tree.iter().partition(|(_, node)| matches!(node.entry.kind, Kind::HardLink(_)));
    for (_, node) in others {
        writer.append_node(node)?;
    }
    for (path, node) in links {
        let target = first_name(tree, path)?;
        let kind = Kind::HardLink(target.to_owned());
        writer.append(&Entry { kind, ..node.entry.clone() }, &mut io::empty())?;
    }
    writer.finish()
}

/// Where a chain of hard links ends: a link to a link is one to the file.
fn first_name<'a>(tree: &'a Tree, link: &'a Path) -> Result<&'a Path, LayerError> {
    let mut name = link;
    for _ in 0..=tree.len() {
        match tree.get(name).map(|node| &node.entry.kind) {
            Some(Kind::HardLink(target)) => name = target,
            _ => return Ok(name),
        }
    }
    Err(LayerError::LinkLoop { path: link.to_owned() })
}

#[cfg(test)]
mod tests;
