//! Places that keep blobs, and documents under names. The same documents and blobs everywhere, so that
//! what is in a directory can be copied to a registry by any tool, and back.

mod kept_file;
mod layout;
mod registry;

use std::fmt::Debug;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use self::kept_file::KeptFile;
pub use self::layout::{Layout, Swept};
pub use self::registry::Registry;
use super::error::CacheError;
use crate::digest::Digest;
use crate::image::Descriptor;
use crate::registry::Repository;

/// A document as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Byte for byte; at most [`crate::image::stored::DOCUMENT_MAX`].
    pub bytes: Vec<u8>,
    /// Its media type.
    pub media_type: String,
}

/// The bytes of a blob that is to be kept.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// In a file, which holds nothing else.
    File(&'a Path),
    /// In a file that is made only when the bytes are wanted.
    Later(&'a (dyn Fn() -> io::Result<PathBuf> + Sync)),
    /// In memory.
    Bytes(&'a [u8]),
    /// In memory, and the same in every build: it is likely to be there.
    Constant(&'static [u8]),
}

impl Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Later(_) => "Later",
            Self::Bytes(_) => "Bytes",
            Self::Constant(_) => "Constant",
        })
    }
}

/// Where a layer of a cache is, for whoever needs its bytes or mounts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerPlace {
    /// In a repository.
    Repository(Repository),
    /// In a file of this machine, which nobody has checked. It is open, because somebody may take it away
    /// before its bytes are wanted: on a machine where this build may not write, nobody sees that it is used.
    File(KeptFile),
}

/// Makes a document out of the one that is there; nothing if it stays as it is.
pub type Change<'a> =
    dyn FnMut(Option<&Document>) -> Result<Option<Document>, CacheError> + Send + 'a;

/// A place. Calls block and may come from many threads, and from many processes at once.
pub trait Backend: Send + Sync + Debug {
    /// How people name it.
    fn name(&self) -> String;

    /// Sees to it that who else writes there knows of this one. Before anything is written.
    fn prepare(&self) -> Result<(), CacheError> {
        Ok(())
    }

    /// The registry whose repositories blobs can be mounted from; nothing where it is none.
    fn registry(&self) -> Option<&str> {
        None
    }

    /// The document under a name, a tag; nothing where there is none.
    fn document(&self, name: &str) -> Result<Option<Document>, CacheError>;

    /// The document of a digest, checked; nothing where there is none.
    fn document_by_digest(&self, digest: &Digest) -> Result<Option<Document>, CacheError>;

    /// Keeps a document that another one, which comes later, leads to.
    fn keep_document(&self, document: &Document) -> Result<(), CacheError>;

    /// What was under a name when it was read last, if anything; nothing where nobody has read it, or
    /// reading it costs nothing.
    fn remembered(&self, _name: &str) -> Option<Option<Document>> {
        None
    }

    /// Puts what `change` makes of a document in its place, under the same name. All blobs that it
    /// names are there already. Whoever reads sees the old one or the new one, whole. Where the place
    /// has locks, nobody else writes in between; a registry has none, and of two that write at once
    /// the last one wins. `change` may be called again.
    fn update(&self, name: &str, change: &mut Change<'_>) -> Result<(), CacheError>;

    /// Opens a blob. The bytes are checked against the digest when the last one is read.
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, CacheError>;

    /// Keeps a blob, unless it is there. `mount_from` is a repository that is known to have it.
    /// `progress` is told how many bytes were handed over.
    fn keep(
        &self,
        blob: &Descriptor,
        content: Content<'_>,
        mount_from: Option<&Repository>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CacheError>;

    /// Where the layer of an entry is; nothing where it is known not to be there. A place that forgets
    /// what nobody uses is to remember that this one is used.
    fn layer(&self, layer: &Descriptor) -> Option<LayerPlace>;
}
