//! What kiln knows of a cache's directory since it brought the files there, or saved them: how each
//! looked and what is in it, and which packs have that.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::pack::Pack;
use super::scan::Seen;
use crate::digest::Digest;

/// See above; empty of a directory that kiln knows nothing about.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub(super) seen: Vec<Seen>,
    by_path: HashMap<PathBuf, usize>,
    /// Packs that are somewhere.
    pub(super) packs: Vec<Pack>,
    /// The snapshots that have just these files.
    pub(super) kept: Vec<Kept>,
}

/// A snapshot that is at a place, under the cache's own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// The place's name.
    pub(super) place: String,
    /// What it has ([`super::scan::content`]).
    pub(super) content: Digest,
    /// Seconds since 1970.
    pub(super) saved: u64,
}

impl Memory {
    pub(super) fn new(seen: Vec<Seen>, packs: Vec<Pack>, kept: Vec<Kept>) -> Self {
        let numbered = seen.iter().enumerate();
        let by_path = numbered.map(|(at, seen)| (seen.entry.path.clone(), at)).collect();
        Self { seen, by_path, packs, kept }
    }

    pub(super) fn get(&self, path: &Path) -> Option<&Seen> {
        self.by_path.get(path).and_then(|at| self.seen.get(*at))
    }
}
