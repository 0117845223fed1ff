//! Reads one image of the cache.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::CacheError;
use crate::digest::Digest;
use crate::image::{Descriptor, Document, Platform, read_document};
use crate::registry::{Reference, Repository, Resolved, choose};

/// An index may name another, but no image needs more.
const NESTED_MAX: usize = 4;

/// An image of the cache. Documents are checked; layers are there in full length.
#[derive(Debug)]
pub struct Found {
    /// As a registry would have answered.
    pub resolved: Resolved,
    entry: PathBuf,
}

impl Found {
    /// The file of one of its blobs.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        blob_of(&self.entry, digest)
    }
}

/// The entry of an image or index.
pub(super) fn entry_of(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join(digest.to_string())
}

/// Where an entry has a blob.
pub(super) fn blob_of(entry: &Path, digest: &Digest) -> PathBuf {
    entry.join("blobs/sha256").join(digest.hex())
}

/// Reads the image that a digest leads to, which can be an index's. `repository` is where the image
/// is when it is not in the cache.
///
/// # Errors
/// An entry that is there and cannot be used; none is no error.
pub fn read(
    dir: &Path,
    digest: &Digest,
    reference: &Reference,
    repository: &Repository,
    platform: &Platform,
) -> Result<Option<Found>, CacheError> {
    let (mut documents, mut wanted) = (Vec::new(), *digest);
    for _ in 0..NESTED_MAX {
        let entry = entry_of(dir, &wanted);
        if !entry.is_dir() {
            return Ok(None);
        }
        let path = blob_of(&entry, &wanted);
        let bytes = checked(&path, &wanted)?;
        let document = Document::parse(&bytes, None)
            .map_err(|source| CacheError::Manifest { path: path.clone(), source })?;
        documents.push(bytes);
        match document {
            Document::Index(index) => wanted = choose(&index, reference, platform)?.digest,
            Document::Manifest(manifest) => {
                let config =
                    checked(&blob_of(&entry, &manifest.config.digest), &manifest.config.digest)?;
                manifest.layers.iter().try_for_each(|layer| is_whole(&entry, layer))?;
                let resolved = Resolved::new(reference, repository, documents, manifest, config)?;
                return Ok(Some(Found { resolved, entry }));
            }
        }
    }
    Err(CacheError::Incomplete(entry_of(dir, digest)))
}

fn checked(path: &Path, digest: &Digest) -> Result<Vec<u8>, CacheError> {
    let bytes = read_document(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => CacheError::Incomplete(path.to_owned()),
        _ => CacheError::io("read", path)(error),
    })?;
    if Digest::of(&bytes) == *digest {
        Ok(bytes)
    } else {
        Err(CacheError::Damaged(path.to_owned()))
    }
}

/// The whole content is checked by whoever reads it.
fn is_whole(entry: &Path, layer: &Descriptor) -> Result<(), CacheError> {
    let path = blob_of(entry, &layer.digest);
    match fs::metadata(&path) {
        Ok(meta) if meta.is_file() && meta.len() == layer.size => Ok(()),
        Ok(_) => Err(CacheError::Damaged(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(CacheError::Incomplete(path)),
        Err(error) => Err(CacheError::io("read", &path)(error)),
    }
}
