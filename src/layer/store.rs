//! A directory of blobs, each under its digest, as an OCI layout's `blobs/` has them.
//!
//! A blob appears under its name only when it is complete: it is written to a temporary file beside
//! and renamed. So whatever the store has is whole, and the same blob may be written twice at once.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::NamedTempFile;

use super::growing::{Grower, Growing};
use super::hash_thread::BackgroundHasher;
use crate::digest::Digest;

/// Bytes gathered before a write to the file. Compressed data arrives in pieces of 100 KiB to 1 MiB,
/// larger ones pass straight through.
const BUFFER: usize = 1 << 20;

/// A store of blobs; clones are the same store.
#[derive(Debug, Clone)]
pub struct BlobStore {
    dir: Arc<Path>,
}

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No space, or over quota.
    #[error(
        "the disk that holds {dir} is full; free some space, or use --work-dir to name a directory \
         on a larger disk", dir = .dir.display()
    )]
    Full {
        /// The store's directory.
        dir: PathBuf,
    },
    /// Any other failure of the file system.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The bytes are not those that were announced.
    #[error(
        "the data does not match its digest: expected {expected} with {expected_size} bytes, got \
         {found} with {found_size} bytes"
    )]
    Mismatch {
        /// The digest that was announced.
        expected: Digest,
        /// The length that was announced.
        expected_size: u64,
        /// The digest of what came.
        found: Digest,
        /// The length of what came.
        found_size: u64,
    },
    /// Asked for a blob that was never written.
    #[error("the blob {digest} is not in {dir}", dir = .dir.display())]
    Missing {
        /// The blob.
        digest: Digest,
        /// The store's directory.
        dir: PathBuf,
    },
}

impl BlobStore {
    /// Opens the store in `dir`, making the directory where it does not exist.
    pub fn create(dir: &Path) -> Result<Self, StoreError> {
        let store = Self { dir: dir.into() };
        for part in [store.blobs(), store.temporaries()] {
            fs::create_dir_all(&part)
                .map_err(|source| store.error("create the directory", &part, source))?;
        }
        Ok(store)
    }

    /// Where the blob is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Whether the blob is here, whole.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Opens a blob for reading.
    pub fn open(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.path(digest);
        File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                StoreError::Missing { digest: *digest, dir: self.dir.to_path_buf() }
            }
            _ => self.error("open", &path, source),
        })
    }

    /// Starts a blob whose digest is not known yet.
    pub fn writer(&self) -> Result<BlobWriter, StoreError> {
        self.writer_beside(false)
    }

    /// The same, for what may be large and comes fast. With `hash_beside`, the digest of much data is
    /// computed on another thread.
    pub(super) fn writer_beside(&self, hash_beside: bool) -> Result<BlobWriter, StoreError> {
        let dir = self.temporaries();
        // Blobs end up as hard links in layouts that others read, so not tempfile's 0600.
        let file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(&dir)
            .map_err(|source| self.error("create a file in", &dir, source))?;
        let pending = Vec::with_capacity(BUFFER);
        let file = BlobFile { store: self.clone(), file, pending, written: 0, grower: None };
        Ok(BlobWriter { out: BackgroundHasher::new(file, hash_beside) })
    }

    /// Stores a blob that is in memory.
    pub fn put(&self, bytes: &[u8]) -> Result<(Digest, u64), StoreError> {
        let mut writer = self.writer()?;
        writer.push(bytes)?;
        writer.commit()
    }

    fn blobs(&self) -> PathBuf {
        self.dir.join("sha256")
    }

    fn temporaries(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    fn error(&self, action: &'static str, path: &Path, source: io::Error) -> StoreError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Full { dir: self.dir.to_path_buf() }
            }
            _ => StoreError::Io { action, path: path.to_owned(), source },
        }
    }
}

/// A blob on its way into the store. Dropped before a commit, it leaves nothing behind.
#[derive(Debug)]
pub struct BlobWriter {
    out: BackgroundHasher<BlobFile>,
}

impl BlobWriter {
    /// Bytes written so far.
    pub fn count(&self) -> u64 {
        self.out.out().count()
    }

    /// A reader of what is written from now on; one at most.
    pub(super) fn follow(&mut self) -> Result<Growing, StoreError> {
        self.out.out_mut().follow()
    }

    /// Puts the blob in its place. Returns its digest and length.
    pub fn commit(self) -> Result<(Digest, u64), StoreError> {
        let (file, digest) = self.finish()?;
        let size = file.written;
        file.rename(&digest)?;
        Ok((digest, size))
    }

    /// Puts the blob in its place if it is the one that was announced.
    pub fn commit_as(self, expected: &Digest, expected_size: u64) -> Result<(), StoreError> {
        let (file, found) = self.finish()?;
        let found_size = file.written;
        if (found, found_size) != (*expected, expected_size) {
            let expected = *expected;
            return Err(StoreError::Mismatch { expected, expected_size, found, found_size });
        }
        file.rename(expected)
    }

    fn finish(mut self) -> Result<(BlobFile, Digest), StoreError> {
        let file = self.out.out_mut();
        file.flush_pending()?;
        let (store, path) = (file.store.clone(), file.file.path().to_owned());
        let finished = self.out.finish();
        finished.map_err(|source| store.error("compute the digest of", &path, source))
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.out.write_all(bytes).map_err(|error| {
            let file = self.out.out();
            let other = |source| file.store.error("write to", file.file.path(), source);
            error.downcast().unwrap_or_else(other)
        })
    }
}

impl Write for BlobWriter {
    /// Takes all of `buf`. The error carries a [`StoreError`].
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.out.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The file of a blob that has no name yet.
#[derive(Debug)]
struct BlobFile {
    store: BlobStore,
    file: NamedTempFile,
    pending: Vec<u8>,
    /// Bytes in the file.
    written: u64,
    /// Tells a reader how far it is.
    grower: Option<Grower>,
}

impl BlobFile {
    fn count(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    fn follow(&mut self) -> Result<Growing, StoreError> {
        let file = self.file.reopen();
        let file = file.map_err(|source| self.store.error("open", self.file.path(), source))?;
        let (growing, grower) = Growing::begin(file);
        grower.reached(self.written);
        self.grower = Some(grower);
        Ok(growing)
    }

    fn rename(self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.store.path(digest);
        if let Err(error) = self.file.persist(&path) {
            return Err(self.store.error("put a blob in its place at", &path, error.error));
        }
        if let Some(grower) = self.grower {
            grower.whole(*digest, self.written);
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.pending.len() + bytes.len() > BUFFER {
            self.flush_pending()?;
        }
        if bytes.len() >= BUFFER {
            return self.write_out(bytes);
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    fn flush_pending(&mut self) -> Result<(), StoreError> {
        let pending = std::mem::take(&mut self.pending);
        let result = self.write_out(&pending);
        self.pending = pending;
        self.pending.clear();
        result
    }

    fn write_out(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let result = self.file.as_file_mut().write_all(bytes);
        result.map_err(|source| self.store.error("write to", self.file.path(), source))?;
        self.written += bytes.len() as u64;
        if let Some(grower) = &self.grower {
            grower.reached(self.written);
        }
        Ok(())
    }
}

impl Write for BlobFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.push(buf).map_err(into_io)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_pending().map_err(into_io)
    }
}

fn into_io(error: StoreError) -> io::Error {
    let kind = match &error {
        StoreError::Full { .. } => io::ErrorKind::StorageFull,
        StoreError::Io { source, .. } => source.kind(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, BlobStore) {
        let dir = tempfile::tempdir().expect("a directory");
        let store = BlobStore::create(&dir.path().join("blobs")).expect("a store");
        (dir, store)
    }

    fn temporaries(store: &BlobStore) -> usize {
        fs::read_dir(store.temporaries()).expect("readable").count()
    }

    #[test]
    fn a_blob_appears_under_its_digest() {
        let (_dir, store) = store();
        let mut writer = store.writer().expect("a writer");
        let bytes = vec![7_u8; BUFFER + 3];
        for chunk in [&bytes[..1], &bytes[1..5], &bytes[5..]] {
            writer.write_all(chunk).expect("written");
        }
        let (digest, size) = writer.commit().expect("committed");
        assert_eq!((digest, size), (Digest::of(&bytes), bytes.len() as u64));
        assert!(store.has(&digest) && store.open(&digest).is_ok());
        assert_eq!(fs::read(store.path(&digest)).expect("there"), bytes);
        assert_eq!(temporaries(&store), 0);
        assert_eq!(store.put(&bytes).expect("again").0, digest);
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let (_dir, store) = store();
        let mut writer = store.writer().expect("a writer");
        writer.write_all(b"half").expect("written");
        assert_eq!(temporaries(&store), 1);
        drop(writer);
        assert_eq!(temporaries(&store), 0);
        assert!(!store.has(&Digest::of(b"half")));
        assert!(matches!(store.open(&Digest::of(b"half")), Err(StoreError::Missing { .. })));
    }

    #[test]
    fn other_bytes_than_announced_are_refused_and_both_named() {
        let (_dir, store) = store();
        for (digest, size) in [(Digest::of(b"good"), 3), (Digest::of(b"bad"), 4)] {
            let mut writer = store.writer().expect("a writer");
            writer.write_all(b"bad").expect("written");
            let error = writer.commit_as(&digest, size).expect_err("refused").to_string();
            assert!(error.contains(&digest.to_string()), "{error}");
            assert!(error.contains(&Digest::of(b"bad").to_string()), "{error}");
            assert!(!store.has(&digest));
            assert_eq!(temporaries(&store), 0);
        }
        let mut writer = store.writer().expect("a writer");
        writer.write_all(b"good").expect("written");
        writer.commit_as(&Digest::of(b"good"), 4).expect("accepted");
    }

    #[test]
    fn a_full_disk_is_explained() {
        let (_dir, store) = store();
        let mut writer = store.writer().expect("a writer");
        // Writing to it fails with ENOSPC.
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        *writer.out.out_mut().file.as_file_mut() = full;
        let error = writer.write_all(&vec![0; 2 * BUFFER]).expect_err("full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let text = error.to_string();
        assert!(text.contains("is full") && text.contains("--work-dir"), "{text}");
        assert!(text.contains(&store.dir.display().to_string()), "{text}");
    }
}
