//! What a cache knows: for each key that has a result, which layer that is.

pub mod inline;
mod manifest;
mod merge;
mod noted;

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

pub use self::manifest::{Detail, VERSION, of_document, read, rehearse, write};
pub use self::merge::Rivals;
use super::facts::Facts;
use super::key::{Input, Key};
use super::state::Token;
use crate::digest::Digest;
use crate::image::Descriptor;

/// The result of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which step it is the result of.
    pub key: Key,
    /// What that was carried out on, by content.
    pub below: Digest,
    /// The stages that it took files from, in the order of the step, then those that these are made of.
    pub sources: Vec<Token>,
    /// The layer that it left; nothing if it changed no file.
    pub layer: Option<KeptLayer>,
    /// What it asked of the files below.
    pub facts: Facts,
    /// When that was; RFC 3339, as in a history.
    pub created: String,
    /// When it was last of use: seconds since 1970.
    pub used: u64,
    /// For people: the step on one line, and what its key was made of. Empty where it is not known
    /// here, because it is kept apart from what every build reads.
    pub about: About,
}

/// A layer of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLayer {
    /// Its blob.
    pub descriptor: Descriptor,
    /// Digest of its uncompressed tar.
    pub diff_id: Digest,
}

/// What a step was, for an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct About {
    /// The step on one line.
    pub step: String,
    /// What the key depends on.
    pub inputs: Vec<Input>,
}

/// All results that one place has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Each pair of key and `below` and `sources` once.
    pub entries: Vec<Entry>,
}

impl Entry {
    /// Whether both are the result of the same step on the same files: either could stand for it.
    pub fn is_rival_of(&self, other: &Self) -> bool {
        (self.key, self.below, &self.sources) == (other.key, other.below, &other.sources)
    }

    /// Compressed bytes of its layer.
    pub fn size(&self) -> u64 {
        self.layer.as_ref().map_or(0, |layer| layer.descriptor.size)
    }
}

impl Record {
    /// The results of a step, whatever they were built on; the one used last comes first.
    pub fn find(&self, key: Key) -> Vec<&Entry> {
        let mut found: Vec<_> = self.entries.iter().filter(|entry| entry.key == key).collect();
        found.sort_by_key(|entry| Reverse(entry.used));
        found
    }
}
