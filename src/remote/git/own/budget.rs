//! What a fetch may cost at most, with all its submodules together: a thousand of them must not cost a
//! thousand times as much.

use std::cell::Cell;

use super::wrong::{Wrong, unusable};

/// What every object costs beside its bytes: looking it up, and starting to unpack it.
const EACH: u64 = 1 << 10;
/// What a path costs in memory beside its bytes.
const PATH: u64 = 64;

/// What may come at most. Far more than a commit of the largest repositories in use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of all packs.
    pub(super) bytes: u64,
    /// Of one pack.
    pub(super) objects: u32,
    /// Of one object's content, in bytes.
    pub(super) object: u64,
    /// Deltas that build on each other; git makes 4095 at most.
    pub(super) chain: u16,
    /// Bytes that are unpacked in all, however often: what looking through packs, their deltas and
    /// the checkout may cost.
    pub(super) work: u64,
    /// Files, links and directories that are made.
    pub(super) files: u64,
    /// Bytes of paths that are in memory at one time.
    pub(super) paths: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 32 << 30,
            objects: 5 << 20,
            object: 16 << 30,
            chain: 4096,
            work: 128 << 30,
            files: 2_000_000,
            paths: 512 << 20,
        }
    }
}

/// The limits, and how much of them is spent.
#[derive(Debug, Default)]
pub(super) struct Budget {
    pub(super) limits: Limits,
    bytes: Cell<u64>,
    work: Cell<u64>,
    files: Cell<u64>,
    paths: Cell<u64>,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Bytes that packs may still have.
    pub(super) fn bytes_left(&self) -> u64 {
        self.limits.bytes.saturating_sub(self.bytes.get())
    }

    /// A pack has come, with so many bytes.
    pub(super) fn received(&self, bytes: u64) {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
    }

    /// An object is unpacked or written, of so many bytes.
    pub(super) fn spend(&self, bytes: u64) -> Result<(), Wrong> {
        self.work.set(self.work.get().saturating_add(bytes).saturating_add(EACH));
        if self.work.get() > self.limits.work {
            return unusable("the repository has more bytes than kiln takes");
        }
        Ok(())
    }

    /// Something is made.
    pub(super) fn file(&self) -> Result<(), Wrong> {
        self.files.set(self.files.get() + 1);
        if self.files.get() > self.limits.files {
            return unusable(format!("the repository has more than {} files", self.limits.files));
        }
        Ok(())
    }

    /// A path stays in memory, of so many bytes.
    pub(super) fn hold(&self, path: usize) -> Result<(), Wrong> {
        self.paths.set(self.paths.get() + path as u64 + PATH);
        if self.paths.get() > self.limits.paths {
            return unusable("the repository has longer names than kiln has memory for");
        }
        Ok(())
    }

    /// A path that was held is gone.
    pub(super) fn release(&self, path: usize) {
        self.paths.set(self.paths.get().saturating_sub(path as u64 + PATH));
    }
}
