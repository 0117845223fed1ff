//! Fills a directory with base images before builds need them. [`crate::base_cache`] says how the
//! directory looks.

mod download;
mod images;

use anyhow::{Context as _, Result, anyhow, bail};

use self::download::download;
use self::images::{Wanted, wanted};
use crate::base_cache::{Slot, read};
use crate::cancel::{Cancel, Cancelled};
use crate::event::Reporter;
use crate::image::{Document, media_type};
use crate::registry::{Client, Reference, Resolved};
use crate::request::WarmRequest;
use crate::settings;

/// What became of each image; the names as they were given.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Warmed {
    /// Images that were downloaded.
    pub stored: Vec<String>,
    /// Images that were in the cache already.
    pub present: Vec<String>,
    /// Images that could not be had; a warning has said why.
    pub failed: Vec<String>,
}

/// Brings images into a cache directory. An image that cannot be had is a warning.
///
/// # Errors
/// If no image could be had, the Dockerfile cannot be used, or the cache cannot be written at all.
pub fn warm(request: &WarmRequest, reporter: &Reporter, cancel: &Cancel) -> Result<Warmed> {
    let client = Client::new(settings::registry_options(&request.registry), cancel.clone())?;
    let dir = &request.cache_dir;
    let all = wanted(request)?;
    if all.is_empty() {
        bail!("there is no image to put into {}; name one, or a Dockerfile", dir.display());
    }
    std::fs::create_dir_all(dir)
        .with_context(|| format!("cannot make the cache directory {}", dir.display()))?;
    let warmer = Warmer { request, client, reporter, cancel };
    let mut warmed = Warmed::default();
    let mut first_failure = None;
    for image in all {
        match warmer.warm(&image) {
            Ok(true) => warmed.stored.push(image.name),
            Ok(false) => warmed.present.push(image.name),
            Err(error) if Cancelled::caused(error.as_ref()) => return Err(error),
            Err(error) => {
                reporter.warning(&format!("{} is not in the cache: {error:#}", image.name));
                first_failure.get_or_insert(error);
                warmed.failed.push(image.name);
            }
        }
    }
    match first_failure {
        Some(error) if warmed.stored.is_empty() && warmed.present.is_empty() => {
            Err(error.context(format!("no image could be brought into {}", dir.display())))
        }
        _ => Ok(warmed),
    }
}

/// What all images share.
struct Warmer<'a> {
    request: &'a WarmRequest,
    client: Client,
    reporter: &'a Reporter,
    cancel: &'a Cancel,
}

impl Warmer<'_> {
    /// Whether the image had to be downloaded.
    fn warm(&self, image: &Wanted) -> Result<bool> {
        self.cancel.check()?;
        let reference: Reference = image.name.parse()?;
        let task = self.reporter.start(&format!("warm {}", reference.familiar()));
        if self.is_known(&reference, image)? {
            task.skipped("already there");
            return Ok(false);
        }
        let resolved = self.client.resolve(&reference, &image.platform)?;
        let stored = self.store(&resolved, image)?;
        match stored {
            true => task.done_with(resolved.digest.to_string()),
            false => task.skipped("already there"),
        }
        Ok(stored)
    }

    /// Whether the registry's digest is that of an image of the cache: one small request.
    fn is_known(&self, reference: &Reference, image: &Wanted) -> Result<bool> {
        if self.request.force {
            return Ok(false);
        }
        let Some((repository, digest)) = self.client.peek(reference) else { return Ok(false) };
        let dir = &self.request.cache_dir;
        match read(dir, &digest, reference, &repository, &image.platform) {
            Ok(Some(found)) => {
                let slot = Slot::hold(dir, found.resolved.digest, self.cancel)?;
                Ok(slot.is_younger_than(self.request.ttl))
            }
            // What is damaged is replaced.
            Ok(None) | Err(_) => Ok(false),
        }
    }

    fn store(&self, resolved: &Resolved, image: &Wanted) -> Result<bool> {
        let dir = &self.request.cache_dir;
        let slot = Slot::hold(dir, resolved.digest, self.cancel)?;
        // Another warmer may have been here while this one waited.
        let Resolved { reference, repository, digest, .. } = resolved;
        let whole =
            || matches!(read(dir, digest, reference, repository, &image.platform), Ok(Some(_)));
        let stored = self.request.force || !slot.is_younger_than(self.request.ttl) || !whole();
        if stored {
            let draft = slot.begin()?;
            download(&self.client, resolved, &draft, self.reporter, self.cancel)?;
            let document = resolved.documents.last().ok_or_else(|| anyhow!("no manifest"))?;
            let own = resolved.manifest.media_type.as_deref();
            draft.finish(document, own.unwrap_or(media_type::OCI_MANIFEST))?;
        }
        self.store_indexes(resolved)?;
        Ok(stored)
    }

    /// The indexes on the way to the image, so that their digests lead to it.
    fn store_indexes(&self, resolved: &Resolved) -> Result<()> {
        let Some((_, indexes)) = resolved.documents.split_last() else { return Ok(()) };
        for document in indexes {
            let digest = crate::digest::Digest::of(document);
            let slot = Slot::hold(&self.request.cache_dir, digest, self.cancel)?;
            let kind = match Document::parse(document, None)? {
                Document::Index(index) => index.media_type,
                Document::Manifest(manifest) => manifest.media_type,
            };
            slot.begin()?.finish(document, kind.as_deref().unwrap_or(media_type::OCI_INDEX))?;
        }
        Ok(())
    }
}
