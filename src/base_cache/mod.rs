//! Base images on this machine, in a directory that the warmer fills and builds read.
//!
//! The directory has one OCI image layout for each image, named by its manifest's digest
//! (`sha256:…`), as the fork of kaniko that is alive lays it out, so that both can share one. What
//! that fork does not have: an index of several platforms has a layout too, with the index alone in
//! it, so that a reference to it leads to the image without a question to the registry.
//!
//! Names are digests, so an entry can be damaged or missing but never out of date.

mod entry;
mod error;
mod layout;
pub mod upkeep;
mod write;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

pub use self::entry::{Found, read};
pub use self::error::CacheError;
pub use self::layout::{
    LAYOUT, LayoutError, LayoutImage, layout_dir, layout_entry, layout_index, read_layout,
};
pub use self::write::{Draft, Slot};
use crate::digest::Digest;
use crate::event::Reporter;
use crate::image::Platform;
use crate::registry::{Client, Reference, RegistryError, Resolved};

/// The base images that a build finds on this machine.
#[derive(Debug)]
pub struct BaseCache {
    /// Without one nothing is found.
    dir: Option<PathBuf>,
    reporter: Reporter,
    /// The layers of the images that were found, and where they are.
    blobs: Mutex<HashMap<Digest, PathBuf>>,
}

impl BaseCache {
    /// Looks into this directory, which need not exist; nowhere without one.
    pub fn new(dir: Option<PathBuf>, reporter: Reporter) -> Self {
        Self { dir, reporter, blobs: Mutex::default() }
    }

    /// Finds an image for a platform: here if it is here, else in its registry. The registry is
    /// asked for a tag's digest in any case, and for nothing where the reference has the digest.
    ///
    /// # Errors
    /// As [`Client::resolve`]; a damaged entry is a warning.
    pub fn resolve(
        &self,
        client: &Client,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Resolved, RegistryError> {
        match self.find(client, reference, platform) {
            Some(found) => Ok(found),
            None => client.resolve(reference, platform),
        }
    }

    fn find(
        &self,
        client: &Client,
        reference: &Reference,
        platform: &Platform,
    ) -> Option<Resolved> {
        let dir = self.dir.as_deref().filter(|dir| dir.is_dir())?;
        let (repository, digest) = client.peek(reference)?;
        let found = match read(dir, &digest, reference, &repository, platform) {
            Ok(found) => found?,
            Err(error) => {
                let name = reference.familiar();
                self.reporter.warning(&format!("{name} comes from its registry: {error}"));
                return None;
            }
        };
        upkeep::touch(&entry::entry_of(dir, &digest));
        upkeep::touch(&entry::entry_of(dir, &found.resolved.digest));
        let layers = found.resolved.manifest.layers.iter();
        let paths = layers.map(|layer| (layer.digest, found.blob(&layer.digest)));
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).extend(paths);
        Some(found.resolved)
    }

    /// The file of a layer of an image that was found. Its content is not checked yet.
    pub fn blob(&self, digest: &Digest) -> Option<PathBuf> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }
}
