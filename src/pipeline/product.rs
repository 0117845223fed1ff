//! The finished image: its documents, and the index that joins those of several platforms.

use std::sync::Arc;

use anyhow::Result;

use super::bases::Images;
use crate::cache::Entry;
use crate::cache::record::inline;
use crate::image::{Dress, FinishedImage, ImageFormat, Platform, Product, assemble, join};
use crate::plan::Plan;
use crate::request::{Annotated, CacheTarget, Request};
use crate::settings;
use crate::stage::{BaseImage, Finished};

/// What becomes the image of one platform.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Whom it is for.
    pub(super) platform: Platform,
    /// The image at its bottom; nothing if it is made from scratch.
    pub(super) base: Option<Arc<BaseImage>>,
    /// The target stage.
    pub(super) finished: Arc<Finished>,
}

/// Puts the targets together with whom they are for and what they stand on; all in the same order.
pub(super) fn parts(
    platforms: Vec<Platform>,
    plans: &[Plan],
    images: &Images,
    finished: Vec<Arc<Finished>>,
) -> Vec<Part> {
    let base = |plan: &Plan| images.get(plan.image_below(plan.target)?).cloned();
    let all = platforms.into_iter().zip(plans).zip(finished);
    all.map(|((platform, plan), finished)| Part { platform, base: base(plan), finished }).collect()
}

/// Writes the documents of all images. They are all of one family, so that an index can join them.
/// `keys` are the results that are in them, for images that carry them.
pub(super) fn product(request: &Request, parts: &[Part], keys: &[Entry]) -> Result<Product> {
    let format = format(request, parts);
    let images = parts.iter().map(|part| image(request, part, format, keys));
    let mut images = images.collect::<Result<Vec<_>>>()?;
    if images.len() == 1
        && let Some(image) = images.pop()
    {
        return Ok(Product::Image(image));
    }
    let on = |what| request.annotations.on(what, None);
    let index = join(images, format, on(Annotated::Index), on(Annotated::IndexDescriptor))?;
    Ok(Product::Index(index))
}

/// The family of media types.
pub(super) fn format(request: &Request, parts: &[Part]) -> ImageFormat {
    let base = parts.first().and_then(|part| part.base.as_deref());
    settings::image_format(request, base)
}

/// Writes the documents of one image.
pub(super) fn image(
    request: &Request,
    part: &Part,
    format: ImageFormat,
    keys: &[Entry],
) -> Result<FinishedImage> {
    let Finished { layers, history, config, created, .. } = &*part.finished;
    let mut config = config.clone();
    config.created = Some(created.clone());
    config.history.clone_from(history);
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    if request.cache.to.contains(&CacheTarget::Inline) {
        inline::write(&mut config, keys)?;
    }
    let layers: Vec<_> = layers.iter().map(|layer| layer.descriptor.clone()).collect();
    let on = |what| request.annotations.on(what, Some(&part.platform));
    let dress = Dress {
        format,
        platform: part.platform.clone(),
        manifest: on(Annotated::Manifest),
        descriptor: on(Annotated::ManifestDescriptor),
    };
    Ok(assemble(&config, &layers, dress)?)
}
