//! flock(2) on a file: for threads of this build and for other builds alike.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::fs::{FlockOperation, flock};

use crate::stage::workshop::Workshop;

/// Nobody tells a waiter that a lock is free, short of waiting in the system call, which could not be
/// cancelled.
const PAUSE: Duration = Duration::from_millis(25);
/// Who waits longer is told why.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many may hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    /// Any number, as long as nobody holds it alone.
    Together,
    /// One.
    Alone,
}

/// A lock that is held until this value is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, if it is free.
    pub(super) fn try_take(path: &Path, hold: Hold) -> io::Result<Option<Self>> {
        let file = open(path)?;
        Ok(try_lock(&file, hold)?.then_some(Self { _file: file }))
    }

    /// Waits for it. `what` names what is locked.
    pub(super) fn take(shop: &Workshop, path: &Path, hold: Hold, what: &str) -> Result<Self> {
        let cannot = || format!("cannot lock {}", path.display());
        let file = crate::stage::doing(open(path), cannot)?;
        let start = Instant::now();
        let mut told = false;
        while !crate::stage::doing(try_lock(&file, hold), cannot)? {
            if !told && start.elapsed() > PATIENCE {
                shop.reporter.note(&format!("{what} is in use: waiting for it"));
                told = true;
            }
            shop.cancel.sleep(PAUSE)?;
        }
        Ok(Self { _file: file })
    }
}

/// Not for reading only: NFS makes record locks of these, and wants write permission (flock(2)).
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn try_lock(file: &File, hold: Hold) -> io::Result<bool> {
    let operation = match hold {
        Hold::Together => FlockOperation::NonBlockingLockShared,
        Hold::Alone => FlockOperation::NonBlockingLockExclusive,
    };
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(errno) => match io::Error::from(errno) {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn many_together_or_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::try_take(&path, Hold::Together).unwrap();
        let second = Lock::try_take(&path, Hold::Together).unwrap();
        assert!(first.is_some() && second.is_some());
        assert!(Lock::try_take(&path, Hold::Alone).unwrap().is_none());
        drop((first, second));
        let alone = Lock::try_take(&path, Hold::Alone).unwrap();
        assert!(alone.is_some());
        assert!(Lock::try_take(&path, Hold::Together).unwrap().is_none());
    }
}
