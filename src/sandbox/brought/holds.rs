//! One command at a time has a source that is moved into its root.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cancel::{Cancel, Cancelled};
use crate::sandbox::mount_request::{Access, MountSource, RunMount};

/// How long a wait lasts until the build's end is asked for again.
const PATIENCE: Duration = Duration::from_millis(100);

/// The sources that commands of this process have now.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Holds {
    held: Mutex<BTreeSet<PathBuf>>,
    changed: Condvar,
}

/// Those of one command, until it is dropped.
#[derive(Debug)]
pub(in crate::sandbox) struct Hold<'a> {
    holds: &'a Holds,
    own: BTreeSet<PathBuf>,
}

impl Holds {
    /// Waits until no other command has a source that is kept: for all at once, so that no two wait
    /// for one another.
    pub fn hold(&self, mounts: &[RunMount], cancel: &Cancel) -> Result<Hold<'_>, Cancelled> {
        let kept = mounts.iter().filter(|mount| mount.access == Access::Keep);
        let own: BTreeSet<PathBuf> = kept
            .filter_map(|mount| match &mount.source {
                MountSource::Path(path) => Some(path.clone()),
                _ => None,
            })
            .collect();
        let mut held = self.lock();
        while !held.is_disjoint(&own) {
            cancel.check()?;
            let waited = self.changed.wait_timeout(held, PATIENCE);
            held = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        held.extend(own.iter().cloned());
        Ok(Hold { holds: self, own })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.holds.lock().retain(|path| !self.own.contains(path));
        self.holds.changed.notify_all();
    }
}
