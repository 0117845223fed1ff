//! A blob that can be read while it is being written: what is large enough is on its way to a registry
//! before it is whole.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::digest::Digest;

/// Bytes of a blob that are worth a look before it is whole.
pub const WORTH_FOLLOWING: u64 = 16 << 20;

/// The reading end. Clones read the same blob.
#[derive(Debug, Clone)]
pub struct Growing {
    file: Arc<File>,
    shared: Arc<Shared>,
}

/// How far a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// So many bytes are there, and more may come.
    Part(u64),
    /// All of it is there.
    Whole {
        /// Of the blob.
        digest: Digest,
        /// Its bytes.
        size: u64,
    },
    /// It will never be whole.
    Gone,
}

/// The writing end: tells the others how far the file is. Dropped before [`Grower::whole`], it tells
/// them that nothing comes of it.
#[derive(Debug)]
pub(super) struct Grower(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    extent: Mutex<Extent>,
    changed: Condvar,
}

impl Growing {
    /// Both ends of a blob that is written to `file`.
    pub(super) fn begin(file: File) -> (Self, Grower) {
        let shared =
            Arc::new(Shared { extent: Mutex::new(Extent::Part(0)), changed: Condvar::new() });
        (Self { file: Arc::new(file), shared: shared.clone() }, Grower(shared))
    }

    /// How far it is now.
    pub fn extent(&self) -> Extent {
        *self.shared.lock()
    }

    /// Which blob it is, once it is whole.
    pub fn digest(&self) -> Option<Digest> {
        match self.extent() {
            Extent::Whole { digest, .. } => Some(digest),
            Extent::Part(_) | Extent::Gone => None,
        }
    }

    /// Waits until at least so many bytes are there, or it is whole, or gone.
    pub fn wait(&self, bytes: u64) -> Extent {
        let is_short = |extent: &mut Extent| matches!(extent, Extent::Part(len) if *len < bytes);
        let extent = self.shared.changed.wait_while(self.shared.lock(), is_short);
        *extent.unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from a byte on, which must be there.
    pub fn read_from(&self, offset: u64) -> impl Read + use<> {
        Reader { file: self.file.clone(), offset }
    }
}

impl Grower {
    /// So many bytes are in the file.
    pub(super) fn reached(&self, bytes: u64) {
        self.set(Extent::Part(bytes));
    }

    /// The file is the blob.
    pub(super) fn whole(self, digest: Digest, size: u64) {
        self.set(Extent::Whole { digest, size });
    }

    fn set(&self, extent: Extent) {
        *self.0.lock() = extent;
        self.0.changed.notify_all();
    }
}

impl Drop for Grower {
    fn drop(&mut self) {
        let mut extent = self.0.lock();
        if matches!(*extent, Extent::Part(_)) {
            *extent = Extent::Gone;
            self.0.changed.notify_all();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Extent> {
        self.extent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has a position of its own, unlike a clone of the file.
struct Reader {
    file: Arc<File>,
    offset: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_reader_waits_for_what_it_needs() {
        let mut file = tempfile::tempfile().expect("a file");
        let (growing, grower) = Growing::begin(file.try_clone().expect("a descriptor"));
        assert_eq!(growing.extent(), Extent::Part(0));
        let digest = Digest::of(b"0123456789");
        let writer = thread::spawn(move || {
            for piece in [&b"0123"[..], b"456", b"789"] {
                thread::sleep(Duration::from_millis(5));
                file.write_all(piece).expect("written");
                grower.reached(file.metadata().expect("a size").len());
            }
            grower.whole(digest, 10);
        });
        assert!(matches!(growing.wait(5), Extent::Part(7..)));
        let mut read = [0; 3];
        growing.read_from(4).read_exact(&mut read).expect("there");
        assert_eq!(&read, b"456");
        assert_eq!(growing.wait(u64::MAX), Extent::Whole { digest, size: 10 });
        writer.join().expect("no panic");
    }

    #[test]
    fn what_is_given_up_is_gone_for_all() {
        let file = tempfile::tempfile().expect("a file");
        let (growing, grower) = Growing::begin(file);
        let other = growing.clone();
        drop(grower);
        assert_eq!((growing.wait(1), other.extent()), (Extent::Gone, Extent::Gone));
    }
}
