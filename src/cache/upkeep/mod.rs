//! How much is at a place, and less of it.

mod choose;
mod look;
mod prune;

pub use self::choose::{Candidate, Limits, choose};
pub use self::look::{look, wanted_tag};
pub use self::prune::{GRACE, Outcome, prune};

use super::backend::{Backend, Layout, Registry};
use super::error::CacheError;
use super::record::Record;
use crate::digest::Digest;

/// A place that is looked after.
#[derive(Debug)]
pub enum Kept {
    /// A repository.
    Registry(Registry),
    /// A directory.
    Layout(Layout),
}

impl Kept {
    /// What reads and writes there.
    pub fn backend(&self) -> &dyn Backend {
        match self {
            Self::Registry(registry) => registry,
            Self::Layout(layout) => layout,
        }
    }

    /// All names there.
    fn names(&self) -> Result<Vec<String>, CacheError> {
        match self {
            Self::Registry(registry) => registry.names(),
            Self::Layout(layout) => layout.names(),
        }
    }
}

/// One thing that a place has under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// The name.
    pub tag: String,
    /// The digest of its document.
    pub digest: Digest,
    /// What it is.
    pub what: What,
}

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Results of steps.
    Results(Record),
    /// A cache of a RUN that travels.
    Mount(Travelling),
}

/// A cache of a RUN that travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Travelling {
    /// Its parts, and their bytes.
    pub parts: Vec<(Digest, u64)>,
    /// When it was written: seconds since 1970, if it says so.
    pub written: Option<u64>,
}

impl Thing {
    /// Its blobs, each once, and their bytes.
    pub fn blobs(&self) -> Vec<(Digest, u64)> {
        let mut blobs: Vec<(Digest, u64)> = match &self.what {
            What::Mount(mount) => mount.parts.clone(),
            What::Results(record) => {
                let layers = record.entries.iter().filter_map(|entry| entry.layer.as_ref());
                layers.map(|layer| (layer.descriptor.digest, layer.descriptor.size)).collect()
            }
        };
        blobs.sort();
        blobs.dedup();
        blobs
    }

    /// When its results were used, or it was written: first and last, seconds since 1970.
    pub fn times(&self) -> Option<(u64, u64)> {
        match &self.what {
            What::Mount(mount) => mount.written.map(|written| (written, written)),
            What::Results(record) => {
                let used = || record.entries.iter().map(|entry| entry.used);
                Some((used().min()?, used().max()?))
            }
        }
    }
}
