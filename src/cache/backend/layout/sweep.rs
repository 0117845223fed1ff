//! Blobs that nothing leads to any more, and their removal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Layout, index, is_gone, temporary};
use crate::cache::backend::Backend as _;
use crate::cache::error::CacheError;
use crate::digest::Digest;
use crate::image::layout::LOCK;
use crate::image::{Index, media_type};

/// What an interrupted writer of images leaves begins with this, and is not locked by anybody.
const UNFINISHED: &str = ".kiln-";
/// Nobody writes to one file for so long.
pub(super) const UNFINISHED_FOR: Duration = Duration::from_secs(24 * 3600);

/// How many blobs, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Their number.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Swept {
    fn add(&mut self, bytes: u64) {
        self.blobs += 1;
        self.bytes += bytes;
    }
}

/// A blob of the directory.
struct Blob {
    digest: Digest,
    size: u64,
    used: SystemTime,
}

impl Layout {
    /// Whether a directory has the form of a layout.
    pub fn is_at(dir: &Path) -> bool {
        index::is_layout(dir)
    }

    /// Whether kiln has ever written there. The blobs of a layout of somebody else's are not its to
    /// remove, whatever leads to them.
    pub fn was_written(&self) -> bool {
        self.dir.join(LOCK).exists()
    }

    /// Takes a name away, if it still leads to this. The document stays until it is swept.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget(&self, name: &str, digest: &Digest) -> Result<(), CacheError> {
        self.prepare()?;
        let _lock = self.lock()?;
        let index = self.index()?;
        match index::find(&index, name) {
            Some(entry) if entry.digest == *digest => self.write_index(index::without(index, name)),
            _ => Ok(()),
        }
    }

    /// All blobs, and those of them that nothing in `index.json` leads to.
    ///
    /// # Errors
    /// What the file system says, and a document that cannot be read: what it leads to is not known.
    pub fn blobs_and_loose(&self) -> Result<(Swept, Swept), CacheError> {
        let live = self.live(&self.index()?)?;
        let (mut all, mut loose) = (Swept::default(), Swept::default());
        for blob in self.all()? {
            all.add(blob.size);
            if !live.contains(&blob.digest) {
                loose.add(blob.size);
            }
        }
        Ok((all, loose))
    }

    /// Removes what nothing in `index.json` leads to, and nobody has used for so long: a build writes
    /// its layers before the record that leads to them. Gives what was removed.
    ///
    /// # Errors
    /// As [`Self::blobs_and_loose`].
    pub fn sweep(&self, unused_for: Duration) -> Result<Swept, CacheError> {
        self.prepare()?;
        let _lock = self.lock()?;
        temporary::remove_leftovers(&self.temporaries());
        self.remove_unfinished();
        let live = self.live(&self.index()?)?;
        let mut removed = Swept::default();
        for blob in self.all()? {
            self.cancel.check()?;
            if live.contains(&blob.digest) || !is_older(blob.used, unused_for) {
                continue;
            }
            if self.remove(&blob, unused_for)? {
                removed.add(blob.size);
            }
        }
        Ok(removed)
    }

    /// Takes a blob away, and puts it back if somebody has used it in this very moment.
    fn remove(&self, blob: &Blob, unused_for: Duration) -> Result<bool, CacheError> {
        let path = self.blob(&blob.digest);
        let aside = self.temporaries().join(blob.digest.hex());
        match fs::rename(&path, &aside) {
            Err(error) if is_gone(&error) => return Ok(false),
            moved => moved.map_err(CacheError::io("remove", &path))?,
        }
        let used = fs::metadata(&aside).and_then(|meta| meta.modified());
        if used.is_ok_and(|used| is_older(used, unused_for)) {
            fs::remove_file(&aside).map_err(CacheError::io("remove", &path))?;
            return Ok(true);
        }
        fs::rename(&aside, &path).map_err(CacheError::io("put back", &path))?;
        Ok(false)
    }

    fn all(&self) -> Result<Vec<Blob>, CacheError> {
        let dir = self.blobs();
        let entries = match fs::read_dir(&dir) {
            Err(error) if is_gone(&error) => return Ok(Vec::new()),
            entries => entries.map_err(CacheError::io("read", &dir))?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry.map_err(CacheError::io("read", &dir))?;
            let name = format!("sha256:{}", entry.file_name().to_string_lossy());
            // What has another name is not ours.
            let Ok(digest) = name.parse::<Digest>() else { continue };
            match entry.metadata() {
                Ok(meta) if meta.is_file() => {
                    all.push(Blob { digest, size: meta.len(), used: used(&meta) });
                }
                _ => {}
            }
        }
        Ok(all)
    }

    /// Everything that the index leads to, whatever it is: images have documents of many kinds.
    fn live(&self, index: &Index) -> Result<BTreeSet<Digest>, CacheError> {
        let mut live = BTreeSet::new();
        let top = index.manifests.iter().map(|entry| (entry.digest, entry.media_type.clone()));
        let mut waiting: BTreeMap<Digest, String> = top.collect();
        while let Some((digest, media_type)) = waiting.pop_first() {
            if !live.insert(digest) || !leads_on(&media_type) {
                continue;
            }
            let path = self.blob(&digest);
            let bytes = match crate::image::read_document(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                read => read.map_err(CacheError::io("read", &path))?,
            };
            let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
                let path = path.display();
                self.not_a_cache(format!("{path} is damaged ({error}); remove that file"))
            })?;
            descriptors(&value, &mut waiting);
            waiting.retain(|digest, _| !live.contains(digest));
        }
        Ok(live)
    }

    fn remove_unfinished(&self) {
        for dir in [self.dir.clone(), self.blobs()] {
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            for entry in entries.flatten() {
                let ours = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
                if ours && is_unfinished(&entry.path()) {
                    _ = fs::remove_file(entry.path());
                }
            }
        }
    }
}

fn is_unfinished(path: &Path) -> bool {
    let meta = fs::symlink_metadata(path);
    meta.is_ok_and(|meta| meta.is_file() && is_older(used(&meta), UNFINISHED_FOR))
}

fn used(meta: &Metadata) -> SystemTime {
    meta.modified().unwrap_or_else(|_| SystemTime::now())
}

/// A time in the future is a clock that was set back: it is now.
fn is_older(used: SystemTime, age: Duration) -> bool {
    used.elapsed().is_ok_and(|since| since >= age)
}

fn leads_on(kind: &str) -> bool {
    media_type::is_index(kind) || kind.contains("manifest") || kind.is_empty()
}

/// All that a document names by its digest.
fn descriptors(value: &Value, into: &mut BTreeMap<Digest, String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| descriptors(item, into)),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            if let Ok(digest) = text("digest").parse::<Digest>() {
                into.insert(digest, text("mediaType").to_owned());
            }
            fields.values().for_each(|field| descriptors(field, into));
        }
        _ => {}
    }
}
