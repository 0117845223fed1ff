//! Asks registries for the images that a build starts or copies from: manifests and configs only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use anyhow::{Result, anyhow};

use crate::base_cache::{BaseCache, LAYOUT, read_layout};
use crate::event::Reporter;
use crate::image::Platform;
use crate::plan::{Bases, Graph, ImageKey, NeededImage};
use crate::registry::{Client, Reference};
use crate::stage::{BaseImage, Place, SharedLayers};

/// The images of a build, by what the Dockerfile calls them.
pub(super) type Images = BTreeMap<ImageKey, Arc<BaseImage>>;

/// An image to ask a registry for, and the place that names it.
pub(super) struct Question<'a> {
    key: &'a ImageKey,
    image: &'a NeededImage,
    place: ImagePlace,
    platform: Platform,
}

/// Where an image is.
enum ImagePlace {
    Registry(Reference),
    /// In an OCI layout of this machine.
    Layout,
}

/// The images to ask for that are not known yet, each once, before anybody is asked: a name that is none
/// costs no request.
pub(super) fn questions<'a>(
    graphs: &'a [Graph],
    known: &Images,
    place: &Place,
) -> Result<Vec<Question<'a>>> {
    let question = |(key, image): (&'a ImageKey, &'a NeededImage)| {
        let platform = key.platform.parse()?;
        if key.name.starts_with(LAYOUT) {
            return Ok(Question { key, image, place: ImagePlace::Layout, platform });
        }
        let reference = key.name.parse().map_err(anyhow::Error::new);
        let reference = reference.map_err(|error| place.locate(error, &image.span))?;
        Ok(Question { key, image, place: ImagePlace::Registry(reference), platform })
    };
    let images: BTreeMap<_, _> = graphs.iter().flat_map(|graph| &graph.images).collect();
    images.into_iter().filter(|(key, _)| !known.contains_key(*key)).map(question).collect()
}

/// What the images say of themselves.
pub(super) fn configs(images: &Images) -> Bases {
    images.iter().map(|(key, image)| (key.clone(), image.config.clone())).collect()
}

/// Asks registries for all bases at once: manifests and configs, no layers.
pub(super) fn resolve_all(
    client: &Client,
    bases: &BaseCache,
    questions: &[Question<'_>],
    place: &Place,
    reporter: &Reporter,
) -> Result<Images> {
    let shared = SharedLayers::default();
    let resolve = |question: &Question<'_>| -> Result<Arc<BaseImage>> {
        let Question { key, image, place: at, platform } = question;
        let task = reporter.start(&format!("resolve {}", key.name));
        let ImagePlace::Registry(reference) = at else {
            let found = read_layout(&key.name, platform)
                .map_err(|error| place.locate(error.into(), &image.span))?;
            task.done_with(found.digest.to_string());
            return Ok(Arc::new(BaseImage::of_layout(key.name.clone(), &found)));
        };
        let resolved = bases.resolve(client, reference, platform).map_err(|error| {
            let help = image.meant_stage.as_ref().map(|stage| {
                format!(
                    "did you mean the stage `{stage}`? No stage is called `{}`, so an image of that \
                     name is asked for",
                    key.name
                )
            });
            place.locate_with(error.into(), &image.span, help)
        })?;
        task.done_with(resolved.digest.to_string());
        let image = BaseImage::new(key.name.clone(), resolved, &shared);
        // What is on this machine already is not fetched past it.
        let here = image.layers.iter().filter(|l| bases.blob(&l.descriptor.digest).is_some());
        here.for_each(|layer| layer.need_here());
        Ok(Arc::new(image))
    };
    thread::scope(|scope| {
        let resolve = &resolve;
        let threads: Vec<_> = questions
            .iter()
            .map(|question| (question.key, scope.spawn(move || resolve(question))))
            .collect();
        threads
            .into_iter()
            .map(|(key, thread)| {
                let image = thread.join().map_err(|_| anyhow!("a look-up ended abnormally"))??;
                Ok((key.clone(), image))
            })
            .collect()
    })
}
