//! What is known of files beyond what the system says of them: what is in them, and attributes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::contents::{Hash, Hashing};
use super::stamp::Stamp;
use crate::layer::Timestamp;

/// Extended attributes that images carry, as they are on disk.
pub(super) type Attributes = BTreeMap<OsString, Vec<u8>>;

/// The content and the attributes of regular files that kiln has written or read, by inode: some 100
/// bytes for each. Several layers may be unpacked at the same time with the same ledger.
#[derive(Debug)]
pub struct Ledger {
    hashing: Hashing,
    records: Mutex<HashMap<u64, Record>>,
}

/// One inode.
#[derive(Debug, Clone)]
struct Record {
    /// With the time of modification: a file that kiln did not write may have got the number since.
    born: Option<Timestamp>,
    modified: Timestamp,
    known: Known,
}

/// What is known of a regular file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::rootfs) struct Known {
    /// Nothing where nobody has read it yet.
    pub(in crate::rootfs) content: Option<Hash>,
    /// Nothing where there are none, which is nearly everywhere.
    pub(in crate::rootfs) attributes: Option<Box<Attributes>>,
}

impl Record {
    fn is_about(&self, stamp: &Stamp) -> bool {
        self.born == stamp.identity.born && self.modified == stamp.modified
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self { hashing: Hashing::new(), records: Mutex::default() }
    }
}

impl Ledger {
    /// How contents are hashed that it knows.
    pub(in crate::rootfs) fn hashing(&self) -> Hashing {
        self.hashing
    }

    /// How many files are known.
    pub fn len(&self) -> usize {
        self.records().len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes what is known of a file; what was known of its number before is forgotten.
    pub(in crate::rootfs) fn note(&self, stamp: &Stamp, known: Known) {
        let record = Record { born: stamp.identity.born, modified: stamp.modified, known };
        self.records().insert(stamp.identity.inode, record);
    }

    pub(super) fn known(&self, stamp: &Stamp) -> Option<Known> {
        let records = self.records();
        let record = records.get(&stamp.identity.inode).filter(|record| record.is_about(stamp));
        record.map(|record| record.known.clone())
    }

    /// Those of these files of which nothing is known, by their place among them.
    pub(super) fn unknown<'s>(&self, stamps: impl Iterator<Item = &'s Stamp>) -> Vec<usize> {
        let records = self.records();
        let is_known = |stamp: &Stamp| {
            records.get(&stamp.identity.inode).is_some_and(|record| record.is_about(stamp))
        };
        stamps.enumerate().filter(|(_, stamp)| !is_known(stamp)).map(|(at, _)| at).collect()
    }

    /// Forgets all but these inodes.
    pub(super) fn keep(&self, inodes: &HashSet<u64>) {
        self.records().retain(|inode, _| inodes.contains(inode));
    }

    /// Forgets these inodes.
    pub(super) fn forget(&self, inodes: &HashSet<u64>) {
        let mut records = self.records();
        for inode in inodes {
            records.remove(inode);
        }
    }

    fn records(&self) -> MutexGuard<'_, HashMap<u64, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
