//! flock(2) on a file: for threads of this process and for other processes alike. The kernel takes
//! the lock back when its holder ends, however that happens.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::cancel::{Cancel, Cancelled};

/// Nobody tells a waiter that a lock is free, short of waiting in the system call, which could not be
/// cancelled.
const PAUSE: Duration = Duration::from_millis(25);

/// How many may hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Any number, as long as nobody holds it alone.
    Together,
    /// One.
    Alone,
}

/// A lock that is held until this value is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be opened or locked.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The build was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Lock {
    /// Takes it, if it is free. The file is made where it does not exist.
    pub fn try_take(path: &Path, hold: Hold) -> io::Result<Option<Self>> {
        Self::try_on(open(path)?, hold)
    }

    /// The same for a file that is open.
    pub fn try_on(file: File, hold: Hold) -> io::Result<Option<Self>> {
        Ok(try_lock(&file, hold)?.then_some(Self { file }))
    }

    /// Waits for it; `waiting` is called before each pause.
    pub fn take(
        path: &Path,
        hold: Hold,
        cancel: &Cancel,
        mut waiting: impl FnMut(),
    ) -> Result<Self, LockError> {
        let file = open(path)?;
        while !try_lock(&file, hold)? {
            waiting();
            cancel.sleep(PAUSE)?;
        }
        Ok(Self { file })
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// A child that was forked in the meantime has the same open file, and would go on holding the lock.
impl Drop for Lock {
    fn drop(&mut self) {
        _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Not for reading only: NFS makes record locks of these, and wants write permission (flock(2)). Nor
/// through a link: where others may write, it could make a file anywhere.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
    options.open(path)
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
mod tests {
    use super::*;

    #[test]
    fn many_together_or_one_alone() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("lock");
        let take = |hold| Lock::try_take(&path, hold).expect("a lock file");
        let (first, second) = (take(Hold::Together), take(Hold::Together));
        assert!(first.is_some() && second.is_some());
        assert!(take(Hold::Alone).is_none());
        drop((first, second));
        let alone = take(Hold::Alone);
        assert!(alone.is_some());
        assert!(take(Hold::Together).is_none());
    }

    #[test]
    fn a_link_is_no_lock() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("lock");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).expect("made");
        assert!(Lock::try_take(&path, Hold::Alone).is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn who_waits_can_be_stopped_and_a_copy_of_the_file_holds_nothing() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("lock");
        let held = Lock::try_take(&path, Hold::Alone).expect("a lock file").expect("free");
        let cancel = Cancel::default();
        let waited = Lock::take(&path, Hold::Alone, &cancel, || cancel.cancel());
        assert!(matches!(waited, Err(LockError::Cancelled(_))));
        let copy = held.file().try_clone().expect("a descriptor");
        drop(held);
        assert!(Lock::try_take(&path, Hold::Alone).expect("a lock file").is_some());
        drop(copy);
    }
}
