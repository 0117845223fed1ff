//! What the registry keeps, as files: content by digest, and per repository which of it belongs
//! there. Nothing the size of a blob is held in memory.
//!
//! ```text
//! blobs/sha256/HEX                          content, whoever owns it
//! repositories/NAME/_blobs/HEX              empty: this repository has that blob
//! repositories/NAME/_manifests/HEX          media type of that manifest
//! repositories/NAME/_tags/TAG               digest that the tag points to
//! uploads/ID                                a blob on its way in
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::digest::{self, spell};

/// A blob that is being uploaded, with the hash of what has come so far.
#[derive(Debug)]
pub(crate) struct Upload {
    pub repo: String,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    /// Bytes received so far.
    pub size: u64,
    /// Length of the last chunk, if the last request was one.
    pub last_chunk: Option<u64>,
}

impl Upload {
    /// Where it stands now.
    pub fn mark(&self) -> Mark {
        Mark { size: self.size, hasher: self.hasher.clone() }
    }

    /// Goes back to where it stood.
    pub fn rewind(&mut self, mark: Mark) -> io::Result<()> {
        self.file.set_len(mark.size)?;
        self.file.seek(SeekFrom::Start(mark.size))?;
        (self.size, self.hasher) = (mark.size, mark.hasher);
        Ok(())
    }

    /// Appends what the reader yields. After an error, what came before it is kept. Zeroes become
    /// holes of the file: what is large in a test costs no disk if it is nothing but zeroes.
    pub fn append(&mut self, mut body: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let count = body.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            if buffer[..count].iter().all(|byte| *byte == 0) {
                self.file.seek(SeekFrom::Current(i64::try_from(count).unwrap_or(i64::MAX)))?;
                self.file.set_len(self.size + count as u64)?;
            } else {
                self.file.write_all(&buffer[..count])?;
            }
            self.hasher.update(&buffer[..count]);
            self.size += count as u64;
        }
    }

    /// The digest of what has come so far.
    pub fn digest(&self) -> String {
        spell(self.hasher.clone())
    }
}

/// Where an upload stood.
#[derive(Debug)]
pub(crate) struct Mark {
    pub size: u64,
    hasher: Sha256,
}

/// A manifest as stored.
#[derive(Debug)]
pub(crate) struct StoredManifest {
    pub bytes: Vec<u8>,
    pub media_type: String,
    pub digest: String,
}

/// The registry's files.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    uploads: Mutex<HashMap<String, Arc<Mutex<Upload>>>>,
    next: AtomicU64,
}

impl Store {
    /// Opens the store, with whatever an earlier one left in this directory.
    pub fn open(dir: &Path) -> io::Result<Self> {
        for part in ["blobs/sha256", "repositories"] {
            fs::create_dir_all(dir.join(part))?;
        }
        match fs::remove_dir_all(dir.join("uploads")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(dir.join("uploads"))?,
        }
        let uploads = Mutex::default();
        Ok(Self { dir: dir.to_owned(), uploads, next: AtomicU64::new(1) })
    }

    /// The directory with all content.
    pub fn content_dir(&self) -> PathBuf {
        self.dir.join("blobs/sha256")
    }

    /// Where the content of that digest lies or would lie.
    pub fn content(&self, digest: &str) -> PathBuf {
        self.content_dir().join(hex(digest))
    }

    fn in_repo(&self, repo: &str, kind: &str) -> PathBuf {
        self.dir.join("repositories").join(repo).join(kind)
    }

    /// Whether the repository exists, which it does from its first blob on.
    pub fn has_repo(&self, repo: &str) -> bool {
        ["_blobs", "_manifests"].iter().any(|kind| self.in_repo(repo, kind).is_dir())
    }

    /// Whether the repository has that blob.
    pub fn has_blob(&self, repo: &str, digest: &str) -> bool {
        self.in_repo(repo, "_blobs").join(hex(digest)).exists()
    }

    /// Whether any repository has that content.
    pub fn has_content(&self, digest: &str) -> bool {
        self.content(digest).exists()
    }

    /// Makes content that the store already has part of the repository.
    pub fn link_blob(&self, repo: &str, digest: &str) -> io::Result<()> {
        let dir = self.in_repo(repo, "_blobs");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(hex(digest)), "")
    }

    /// Takes the blob out of the repository. The content stays for others. False if it was not
    /// there.
    pub fn unlink_blob(&self, repo: &str, digest: &str) -> io::Result<bool> {
        gone(fs::remove_file(self.in_repo(repo, "_blobs").join(hex(digest))))
    }

    /// Begins an upload and returns its identifier.
    pub fn begin(&self, repo: &str) -> io::Result<String> {
        let id = format!("upload-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.dir.join("uploads").join(&id);
        let file = File::create(&path)?;
        let repo = repo.to_owned();
        let upload = Upload { repo, path, file, hasher: Sha256::new(), size: 0, last_chunk: None };
        lock(&self.uploads).insert(id.clone(), Arc::new(Mutex::new(upload)));
        Ok(id)
    }

    /// The upload of that identifier.
    pub fn upload(&self, id: &str) -> Option<Arc<Mutex<Upload>>> {
        lock(&self.uploads).get(id).cloned()
    }

    /// Makes the upload's content part of its repository and forgets the upload.
    pub fn commit(&self, id: &str, upload: &Upload) -> io::Result<()> {
        let digest = upload.digest();
        fs::rename(&upload.path, self.content(&digest))?;
        lock(&self.uploads).remove(id);
        self.link_blob(&upload.repo, &digest)
    }

    /// Forgets the upload and its content.
    pub fn cancel(&self, id: &str, upload: &Upload) -> io::Result<()> {
        lock(&self.uploads).remove(id);
        gone(fs::remove_file(&upload.path)).map(|_| ())
    }

    /// Forgets all uploads.
    pub fn forget_uploads(&self) -> io::Result<()> {
        let uploads: Vec<_> = lock(&self.uploads).drain().collect();
        uploads
            .iter()
            .try_for_each(|(_, upload)| gone(fs::remove_file(&lock(upload).path)).map(drop))
    }

    /// Uploads that have begun and are neither committed nor cancelled.
    pub fn open_uploads(&self) -> usize {
        lock(&self.uploads).len()
    }

    /// Stores a manifest, and the tag if the reference is one. Returns its digest.
    pub fn put_manifest(
        &self,
        repo: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: &[u8],
    ) -> io::Result<String> {
        let digest = digest::sha256(bytes);
        self.write(&self.content(&digest), bytes)?;
        let manifests = self.in_repo(repo, "_manifests");
        fs::create_dir_all(&manifests)?;
        self.write(&manifests.join(hex(&digest)), media_type.as_bytes())?;
        if let Some(tag) = tag {
            let tags = self.in_repo(repo, "_tags");
            fs::create_dir_all(&tags)?;
            self.write(&tags.join(tag), digest.as_bytes())?;
        }
        Ok(digest)
    }

    /// Writes a file so that readers see the old or the new content and nothing between.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let unique = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = self.dir.join("uploads").join(format!("write-{unique}"));
        fs::write(&temporary, bytes)?;
        fs::rename(temporary, path)
    }

    /// The digest that a tag or a digest of this repository stands for.
    pub fn resolve(&self, repo: &str, reference: &str) -> Option<String> {
        let digest = match reference.contains(':') {
            true => reference.to_owned(),
            false => fs::read_to_string(self.in_repo(repo, "_tags").join(reference)).ok()?,
        };
        self.in_repo(repo, "_manifests").join(hex(&digest)).exists().then_some(digest)
    }

    /// The manifest that a tag or a digest of this repository stands for.
    pub fn manifest(&self, repo: &str, reference: &str) -> Option<StoredManifest> {
        let digest = self.resolve(repo, reference)?;
        let media_type = self.in_repo(repo, "_manifests").join(hex(&digest));
        let media_type = fs::read_to_string(media_type).ok()?;
        let bytes = fs::read(self.content(&digest)).ok()?;
        Some(StoredManifest { bytes, media_type, digest })
    }

    /// Digests of all manifests of the repository, sorted.
    pub fn manifests(&self, repo: &str) -> Vec<String> {
        let names = names(&self.in_repo(repo, "_manifests"));
        names.into_iter().map(|hex| format!("sha256:{hex}")).collect()
    }

    /// Tags of the repository, sorted.
    pub fn tags(&self, repo: &str) -> Vec<String> {
        names(&self.in_repo(repo, "_tags"))
    }

    /// Removes a tag, or a manifest with all tags that point to it. False if there was none.
    pub fn delete_manifest(&self, repo: &str, reference: &str) -> io::Result<bool> {
        let tags = self.in_repo(repo, "_tags");
        if !reference.contains(':') {
            return gone(fs::remove_file(tags.join(reference)));
        }
        for tag in self.tags(repo) {
            if self.resolve(repo, &tag).as_deref() == Some(reference) {
                gone(fs::remove_file(tags.join(tag)))?;
            }
        }
        gone(fs::remove_file(self.in_repo(repo, "_manifests").join(hex(reference))))
    }

    /// Names of all repositories, sorted.
    pub fn repositories(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut pending = vec![String::new()];
        while let Some(prefix) = pending.pop() {
            for name in names(&self.dir.join("repositories").join(&prefix)) {
                if name.starts_with('_') {
                    found.push(prefix.clone());
                } else {
                    let slash = if prefix.is_empty() { "" } else { "/" };
                    pending.push(format!("{prefix}{slash}{name}"));
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// Locks even if a thread panicked while it held the lock: the others go on serving.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hex(digest: &str) -> &str {
    digest.split_once(':').map_or(digest, |(_, hex)| hex)
}

/// Whether a removal removed something.
fn gone(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other.map(|()| true),
    }
}

/// Names of a directory's entries, sorted; none if there is no such directory.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}
