//! Locks that a step waits for.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::cancel::Cancel;
use crate::stage::workshop::Workshop;
use crate::sys::lock::LockError;
pub(super) use crate::sys::lock::{Hold, Lock};

/// Who waits longer is told why.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for a lock. `what` names what is locked.
pub(super) fn take(
    shop: &Workshop,
    cancel: &Cancel,
    path: &Path,
    hold: Hold,
    what: &str,
) -> Result<Lock> {
    let start = Instant::now();
    let mut told = false;
    let taken = Lock::take(path, hold, cancel, || {
        if !told && start.elapsed() > PATIENCE {
            shop.reporter.note(&format!("{what} is in use: waiting for it"));
            told = true;
        }
    });
    match taken {
        Err(LockError::Io(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
        Err(LockError::Cancelled(cancelled)) => Err(cancelled.into()),
        Ok(lock) => Ok(lock),
    }
}
