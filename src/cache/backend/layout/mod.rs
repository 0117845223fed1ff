//! A directory of this machine in the form of an OCI layout, which every tool can read: a document's
//! name is its tag in `index.json`. The same directory may have images of somebody else's.
//!
//! Any number of processes work on it at once, and each may be killed at any moment. What is visible
//! is whole: files are written under another name first ([`temporary`]), blobs come before the
//! documents that lead to them, and `index.json` comes last, under a lock. Who only reads takes no
//! lock and writes nothing, so that the directory may be read-only.
//!
//! Source: OCI image-spec image-layout.md.

mod checked;
mod index;
mod sweep;
mod temporary;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};

use self::checked::Checked;
pub use self::sweep::Swept;
use self::temporary::Temporary;
use super::{Backend, Change, Content, Document, KeptFile, LayerPlace};
use crate::cache::error::CacheError;
use crate::cancel::Cancel;
use crate::digest::{Digest, Hasher};
use crate::image::layout::LOCK;
use crate::image::{Descriptor, open_regular, read_document};
use crate::layer::StoreError;
use crate::registry::Repository;
use crate::sys::lock::{Hold, Lock, LockError};

/// Where kiln's own files are, [`LOCK`] among them; everything else there is as the specification has it.
const OWN: &str = ".kiln";
/// Bytes between two looks at whether the build was told to stop.
const CHUNK: usize = 256 << 10;
/// Of a document that is replaced while it is looked for.
const LOOKS: usize = 8;

/// One directory, which need not exist yet.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
    cancel: Cancel,
}

impl Layout {
    /// A directory, which nobody looks into yet; absolute.
    pub fn new(dir: PathBuf, cancel: Cancel) -> Self {
        Self { dir, cancel }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn blobs(&self) -> PathBuf {
        self.dir.join("blobs/sha256")
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    fn temporaries(&self) -> PathBuf {
        self.dir.join(OWN).join("tmp")
    }

    /// Waits until no other process changes `index.json` or removes blobs. The file stays: removing
    /// it races with locking it.
    fn lock(&self) -> Result<Lock, CacheError> {
        let path = self.dir.join(LOCK);
        let lock = Lock::take(&path, Hold::Alone, &self.cancel, || {});
        lock.map_err(|error| match error {
            LockError::Io(error) => CacheError::io("lock", &path)(error),
            LockError::Cancelled(cancelled) => cancelled.into(),
        })
    }

    /// Whether the blob is there, whole; if so, it counts as used from now on. Its content is checked
    /// by whoever reads it: a file gets its name when it is complete, and a machine that lost its
    /// power leaves one that is too short.
    fn has(&self, blob: &Descriptor) -> bool {
        let path = self.blob(&blob.digest);
        let whole =
            || fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() == blob.size);
        if !whole() {
            return false;
        }
        touch(&path);
        // A prune that has not seen the touch has taken it away by now, or will put it back.
        whole()
    }

    /// Writes a file beside and gives it its name.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
        let write = || {
            let temporary = Temporary::make_in(&self.temporaries())?;
            temporary.file().write_all(bytes)?;
            // A rename may reach the disk before the data does.
            temporary.sync()?;
            temporary.rename(path)
        };
        write().map_err(CacheError::io("write", path))
    }

    /// A blob out of a file: as a hard link where that is possible, so that it takes no space and no
    /// time. Nobody writes to a blob that is complete.
    fn keep_file(
        &self,
        blob: &Descriptor,
        source: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CacheError> {
        let target = self.blob(&blob.digest);
        let file = open_regular(source).map_err(CacheError::io("read", source))?;
        let size = file.metadata().map_err(CacheError::io("read", source))?.len();
        if size == blob.size && fs::hard_link(source, &target).is_ok() {
            touch(&target);
            progress(size);
            return Ok(());
        }
        // Another file system, or a part of a blob is in the way.
        self.copy(blob, source, file, &target, progress)
    }

    fn copy(
        &self,
        blob: &Descriptor,
        source: &Path,
        mut file: File,
        target: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CacheError> {
        let wrong = CacheError::io("write", target);
        let temporary = match Temporary::make_in(&self.temporaries()) {
            Ok(temporary) => temporary,
            Err(error) => return Err(wrong(error)),
        };
        let (mut hasher, mut buffer) = (Hasher::default(), vec![0; CHUNK]);
        loop {
            self.cancel.check()?;
            let count = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(CacheError::io("read", source)(error)),
            };
            hasher.update(&buffer[..count]);
            if let Err(error) = temporary.file().write_all(&buffer[..count]) {
                return Err(wrong(error));
            }
            progress(count as u64);
        }
        let (found, found_size) = hasher.finish();
        if (found, found_size) != (blob.digest, blob.size) {
            let (expected, expected_size) = (blob.digest, blob.size);
            return Err(StoreError::Mismatch { expected, expected_size, found, found_size }.into());
        }
        temporary.rename(target).map_err(wrong)
    }

    /// A document that is there under its digest, checked; nothing where it is not.
    fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, CacheError> {
        let path = self.blob(digest);
        let bytes = match read_document(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(CacheError::io("read", &path))?,
        };
        match Digest::of(&bytes) {
            found if found == *digest => Ok(Some(bytes)),
            found => Err(self.not_a_cache(format!(
                "{} is damaged, its digest is {found}; remove that file",
                path.display()
            ))),
        }
    }

    fn not_a_cache(&self, reason: impl Into<String>) -> CacheError {
        CacheError::NotACache { place: self.name(), reason: reason.into() }
    }
}

impl Backend for Layout {
    fn name(&self) -> String {
        format!("oci:{}", self.dir.display())
    }

    /// Makes what is missing of the layout, and of [`OWN`]: by that who writes images knows that there is
    /// a lock.
    fn prepare(&self) -> Result<(), CacheError> {
        for dir in [self.blobs(), self.temporaries()] {
            fs::create_dir_all(&dir).map_err(CacheError::io("make the directory", &dir))?;
        }
        Ok(())
    }

    /// What `index.json` leads to and is not there is as good as never written; what was replaced in
    /// the meantime is looked for again.
    fn document(&self, name: &str) -> Result<Option<Document>, CacheError> {
        let mut before = None;
        for _ in 0..LOOKS {
            let index = self.index()?;
            let Some(entry) = index::find(&index, name) else { return Ok(None) };
            if let Some(bytes) = self.read(&entry.digest)? {
                return Ok(Some(Document { bytes, media_type: entry.media_type.clone() }));
            }
            if before.replace(entry.digest) == Some(entry.digest) {
                break;
            }
        }
        Ok(None)
    }

    fn document_by_digest(&self, digest: &Digest) -> Result<Option<Document>, CacheError> {
        let Some(bytes) = self.read(digest)? else { return Ok(None) };
        let media_type = serde_json::from_slice::<serde_json::Value>(&bytes)
            .ok()
            .and_then(|value| Some(value.get("mediaType")?.as_str()?.to_owned()));
        Ok(Some(Document { bytes, media_type: media_type.unwrap_or_default() }))
    }

    fn keep_document(&self, document: &Document) -> Result<(), CacheError> {
        let (digest, size) = (Digest::of(&document.bytes), document.bytes.len() as u64);
        let blob = Descriptor::new(document.media_type.clone(), digest, size);
        self.keep(&blob, Content::Bytes(&document.bytes), None, &|_| {})
    }

    fn update(&self, name: &str, change: &mut Change<'_>) -> Result<(), CacheError> {
        self.prepare()?;
        let _lock = self.lock()?;
        temporary::remove_leftovers(&self.temporaries());
        let old = self.document(name)?;
        let Some(new) = change(old.as_ref())? else { return Ok(()) };
        self.keep_document(&new)?;
        if let Some(old) = old {
            // Somebody may have read the index and be about to read this.
            touch(&self.blob(&Digest::of(&old.bytes)));
        }
        let size = new.bytes.len() as u64;
        let entry = Descriptor::new(new.media_type.clone(), Digest::of(&new.bytes), size);
        self.write_index(index::with(self.index()?, name, entry))
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, CacheError> {
        let path = self.blob(&blob.digest);
        let file = open_regular(&path).map_err(CacheError::io("read", &path))?;
        let size = file.metadata().map_err(CacheError::io("read", &path))?.len();
        if size != blob.size {
            let path = path.display();
            return Err(self.not_a_cache(format!("{path} has {size} bytes, not {}", blob.size)));
        }
        let hasher = Some(Hasher::default());
        Ok(Box::new(Checked { file, path, blob: blob.clone(), hasher }))
    }

    fn keep(
        &self,
        blob: &Descriptor,
        content: Content<'_>,
        _: Option<&Repository>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CacheError> {
        if self.has(blob) {
            return Ok(());
        }
        self.prepare()?;
        match content {
            Content::File(source) => self.keep_file(blob, source, progress),
            Content::Later(make) => {
                let source = make().map_err(CacheError::io("fetch", &self.blob(&blob.digest)))?;
                self.keep_file(blob, &source, progress)
            }
            Content::Bytes(bytes) | Content::Constant(bytes) => {
                self.write(&self.blob(&blob.digest), bytes)?;
                progress(bytes.len() as u64);
                Ok(())
            }
        }
    }

    fn layer(&self, layer: &Descriptor) -> Option<LayerPlace> {
        let open = || KeptFile::open(self.blob(&layer.digest), layer.size);
        self.has(layer).then(open).flatten().map(LayerPlace::File)
    }
}

/// Makes a file look used. Where that is not allowed nobody can remove it either.
fn touch(path: &Path) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    _ = utimensat(CWD, path, &times, AtFlags::empty());
}

/// Whether there was nothing to begin with.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

#[cfg(test)]
mod tests;
