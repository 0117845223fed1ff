//! Files that get their name when they are whole. Each is locked by the one who writes it, so that
//! what a killed process left can be told from what another one is about to finish.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::sys::lock::{Hold, Lock};

/// Names that may be taken before something else is wrong.
const TRIES: usize = 16;

/// A file without a name of its own yet. Dropped before it gets one, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Temporary {
    lock: Lock,
    path: PathBuf,
}

impl Temporary {
    /// Makes one in a directory, which is there.
    pub(super) fn make_in(dir: &Path) -> io::Result<Self> {
        for _ in 0..TRIES {
            let path = dir.join(format!("{:016x}", fastrand::u64(..)));
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            // Whoever cleans up may have been faster: then the file has no name any more.
            if let Some(lock) = Lock::try_on(file, Hold::Alone)?
                && lock.file().metadata()?.nlink() > 0
            {
                return Ok(Self { lock, path });
            }
        }
        Err(io::Error::other("no temporary file stays there"))
    }

    /// The file, to be written to.
    pub(super) fn file(&self) -> impl Write + '_ {
        self.lock.file()
    }

    /// Waits until its bytes are on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.lock.file().sync_data()
    }

    /// Gives it its name, in place of what has it.
    pub(super) fn rename(self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)
    }
}

/// After a rename there is nothing to remove: no name comes twice.
impl Drop for Temporary {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.path);
    }
}

/// Removes what killed processes left. What cannot be removed stays for another time.
pub(super) fn remove_leftovers(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // A pipe would keep who opens it waiting, and a link leads to what is not ours.
        let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
        let Ok(file) = File::options().write(true).custom_flags(flags).open(&path) else {
            continue;
        };
        if let Ok(Some(_lock)) = Lock::try_on(file, Hold::Alone) {
            _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_writes_is_removed_and_the_rest_is_not() {
        let dir = tempfile::tempdir().expect("temp");
        let count = || fs::read_dir(dir.path()).expect("readable").count();
        fs::write(dir.path().join("left"), "half").expect("written");
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).expect("a pipe");
        let ours = Temporary::make_in(dir.path()).expect("made");
        ours.file().write_all(b"whole").expect("written");
        remove_leftovers(dir.path());
        assert_eq!(count(), 2);
        fs::remove_file(pipe).expect("removed");
        let name = dir.path().join("name");
        ours.rename(&name).expect("renamed");
        assert_eq!((fs::read(&name).expect("there").as_slice(), count()), (&b"whole"[..], 1));
        drop(Temporary::make_in(dir.path()).expect("made"));
        assert_eq!(count(), 1);
        // One whose writer was killed: the lock went with it.
        let killed = Temporary::make_in(dir.path()).expect("made");
        let path = killed.path.clone();
        std::mem::forget(killed);
        remove_leftovers(dir.path());
        assert!(path.exists(), "its lock is held");
    }
}
