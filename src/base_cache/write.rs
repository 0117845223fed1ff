//! Writes images to the cache: under another name first, then with one rename, so that a build sees
//! a whole image or none.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::entry::{blob_of, entry_of};
use super::error::CacheError;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::image::{Descriptor, Index, media_type};
use crate::sys::lock::{Hold, Lock, LockError};

/// Where the files are that warmers lock; they stay, because removing one races with locking it.
pub(super) const LOCKS: &str = ".kiln-locks";

/// An image's place in the cache, held against other warmers.
#[derive(Debug)]
pub struct Slot<'a> {
    dir: &'a Path,
    digest: Digest,
    _lock: Lock,
}

/// An image that is being written.
#[derive(Debug)]
pub struct Draft<'a> {
    slot: &'a Slot<'a>,
    path: PathBuf,
}

impl<'a> Slot<'a> {
    /// Waits until no other warmer writes this image.
    pub fn hold(dir: &'a Path, digest: Digest, cancel: &Cancel) -> Result<Self, CacheError> {
        let path = lock_file(dir, &digest)?;
        match Lock::take(&path, Hold::Alone, cancel, || {}) {
            Ok(lock) => Ok(Self { dir, digest, _lock: lock }),
            Err(LockError::Cancelled(cancelled)) => Err(cancelled.into()),
            Err(LockError::Io(error)) => Err(CacheError::io("lock", &path)(error)),
        }
    }

    /// The same where nobody writes it now; nothing where somebody does.
    pub(super) fn try_hold(dir: &'a Path, digest: Digest) -> Result<Option<Self>, CacheError> {
        let path = lock_file(dir, &digest)?;
        let lock = Lock::try_take(&path, Hold::Alone).map_err(CacheError::io("lock", &path))?;
        Ok(lock.map(|lock| Self { dir, digest, _lock: lock }))
    }

    /// Whether the image is there and was written less than so long ago.
    pub fn is_younger_than(&self, age: Duration) -> bool {
        let written = fs::metadata(entry_of(self.dir, &self.digest).join("index.json"));
        // A time in the future is a clock that was set back; the image is new.
        let since = written.and_then(|meta| meta.modified()).map(|time| time.elapsed());
        since.is_ok_and(|since| since.map_or(true, |since| since < age))
    }

    /// Starts to write the image, beside what may be there.
    pub fn begin(&'a self) -> Result<Draft<'a>, CacheError> {
        let path = self.beside("new");
        remove(&path)?;
        let blobs = path.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(CacheError::io("make", &blobs))?;
        Ok(Draft { slot: self, path })
    }

    /// Takes the image away: with one rename, so that nobody finds a part of it.
    pub(super) fn remove(&self) -> Result<(), CacheError> {
        let (place, old) = (entry_of(self.dir, &self.digest), self.beside("old"));
        remove(&old)?;
        match fs::rename(&place, &old) {
            Err(error) if is_gone(&error) => return Ok(()),
            moved => moved.map_err(CacheError::io("remove", &place))?,
        }
        remove(&old)
    }

    /// Removes what a warmer left that did not come to its end.
    pub(super) fn remove_leftovers(&self) -> Result<(), CacheError> {
        remove(&self.beside("new"))?;
        remove(&self.beside("old"))
    }

    fn beside(&self, what: &str) -> PathBuf {
        self.dir.join(format!(".kiln-{}-{what}", self.digest.hex()))
    }
}

impl Draft<'_> {
    /// Where a blob is to be written.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        blob_of(&self.path, digest)
    }

    /// Writes the image's own document and puts the image in its place.
    pub fn finish(self, document: &[u8], media_type: &str) -> Result<(), CacheError> {
        let digest = self.slot.digest;
        write(&self.blob(&digest), document)?;
        write(&self.path.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let index = Index {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            manifests: vec![Descriptor::new(media_type, digest, document.len() as u64)],
            annotations: Default::default(),
            other: Default::default(),
        };
        let path = self.path.join("index.json");
        let text = serde_json::to_vec(&index);
        let text = text.map_err(|error| CacheError::io("write", &path)(error.into()))?;
        write(&path, &text)?;
        self.put_in_place()
    }

    /// A directory cannot be renamed over one with files in it.
    fn put_in_place(&self) -> Result<(), CacheError> {
        let place = entry_of(self.slot.dir, &self.slot.digest);
        let old = self.slot.beside("old");
        remove(&old)?;
        match fs::rename(&place, &old) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(CacheError::io("replace", &place)(error));
            }
            _ => {}
        }
        fs::rename(&self.path, &place).map_err(CacheError::io("write", &place))?;
        remove(&old)
    }
}

/// What is not finished is of no use.
impl Drop for Draft<'_> {
    fn drop(&mut self) {
        _ = remove(&self.path);
    }
}

fn lock_file(dir: &Path, digest: &Digest) -> Result<PathBuf, CacheError> {
    let locks = dir.join(LOCKS);
    fs::create_dir_all(&locks).map_err(CacheError::io("make", &locks))?;
    Ok(locks.join(digest.hex()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    fs::write(path, bytes).map_err(CacheError::io("write", path))
}

fn remove(path: &Path) -> Result<(), CacheError> {
    match fs::remove_dir_all(path) {
        Err(error) if !is_gone(&error) => Err(CacheError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}
