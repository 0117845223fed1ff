//! Files with several names.
//!
//! In a layer, a hard link names a file of the same layer. So all names are handed on if one of them
//! is new, or if what they name has changed, and none of them if only their number has: another
//! name's removal, or one that came and went, changes the stamp of all.

use std::collections::HashMap;
use std::path::PathBuf;

use super::stamp::Identity;

/// What became of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It names another object than before, or there was none.
    New,
    /// It names the same object, which may have changed.
    Touched,
    /// Nothing.
    Quiet,
}

#[derive(Debug)]
pub(super) struct Name {
    pub(super) path: PathBuf,
    pub(super) status: Status,
}

/// All names of one object that there are.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) names: Vec<Name>,
}

impl Group {
    fn has(&self, status: Status) -> bool {
        self.names.iter().any(|name| name.status == status)
    }

    /// Whether all of them are to be handed on without a closer look.
    pub(super) fn is_new(&self) -> bool {
        self.has(Status::New)
    }
}

#[derive(Debug, Default)]
pub(super) struct Groups(HashMap<((u32, u32), u64), Group>);

impl Groups {
    pub(super) fn add(&mut self, identity: &Identity, name: Name) {
        let group = self.0.entry((identity.device, identity.inode));
        group.or_insert_with(|| Group { names: Vec::new() }).names.push(name);
    }

    /// Those with which something has happened, in no order.
    pub(super) fn finish(self) -> Vec<Group> {
        let happened = |group: &Group| group.has(Status::New) || group.has(Status::Touched);
        self.0.into_values().filter(happened).collect()
    }
}
