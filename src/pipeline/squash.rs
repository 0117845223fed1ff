//! `--squash`: the layers that a build adds become one; those of the base stay what they are.

use std::sync::Arc;

use anyhow::Result;

use super::product::{Part, format, image};
use crate::image::History;
use crate::request::Request;
use crate::stage::{Finished, Source, Workshop};

/// Squashes what was built for each platform.
pub(super) fn squash_all(
    request: &Request,
    shop: &Workshop,
    parts: Vec<Part>,
) -> Result<Vec<Part>> {
    let format = format(request, &parts);
    let squashed = |part: Part| {
        // Docker names the image that it would have been.
        let whole = image(request, &part, format, &[])?.config_digest;
        let parent = part.base.as_ref().map(|base| base.config_digest);
        let comment = match parent {
            Some(parent) => format!("merge {whole} to {parent}"),
            None => format!("create new from {whole}"),
        };
        squash(shop, part, comment)
    };
    parts.into_iter().map(squashed).collect()
}

/// The history stays as it is, but that its own entries have no layers any more; one that has follows
/// (moby's daemon/images/image_squash.go).
fn squash(shop: &Workshop, part: Part, comment: String) -> Result<Part> {
    let base = part.base.as_ref();
    let (below, told) = base.map_or((0, 0), |it| (it.layers.len(), it.config.history.len()));
    let Some((base_layers, own)) = part.finished.layers.split_at_checked(below) else {
        return Ok(part);
    };
    let layer = match own {
        [] => return Ok(part),
        [only] => only.clone(),
        several => {
            let task = shop.reporter.start(&format!("squash {} layers", several.len()));
            let layer = shop.squash(several)?;
            task.done();
            layer
        }
    };
    let mut history = part.finished.history.clone();
    history.iter_mut().skip(told).for_each(|entry| entry.empty_layer = true);
    let created = Some(shop.created.clone());
    history.push(History { created, comment, ..History::default() });
    let finished = Finished {
        layers: base_layers.iter().cloned().chain([layer]).collect(),
        history,
        config: part.finished.config.clone(),
        source: Source::Blobs,
        created: part.finished.created.clone(),
        trail: part.finished.trail.clone(),
    };
    Ok(Part { finished: Arc::new(finished), ..part })
}
