//! The finished image: its documents, the files that it is written to.

use anyhow::Result;

use super::prepare::names;
use crate::image::{FinishedImage, ImageFormat, archive, assemble, layout};
use crate::publish::Uploads;
use crate::registry::Reference;
use crate::request::Request;
use crate::stage::{Finished, Workshop};

/// Assembles the image and brings it everywhere: into files, then under its tags.
pub(super) fn finish(
    request: &Request,
    shop: &Workshop,
    finished: &Finished,
    format: ImageFormat,
    uploads: &Uploads,
) -> Result<FinishedImage> {
    let image = assemble_image(request, shop, finished, format)?;
    write_files(request, shop, finished, &image)?;
    uploads.finish(&image)?;
    Ok(image)
}

fn assemble_image(
    request: &Request,
    shop: &Workshop,
    finished: &Finished,
    format: ImageFormat,
) -> Result<FinishedImage> {
    let mut config = finished.config.clone();
    config.created = Some(shop.created.clone());
    config.history.clone_from(&finished.history);
    config.rootfs.diff_ids = finished.layers.iter().map(|layer| layer.diff_id).collect();
    let layers: Vec<_> = finished.layers.iter().map(|layer| layer.descriptor.clone()).collect();
    let names = names(request)?.iter().map(Reference::familiar).collect();
    Ok(assemble(&config, &layers, format, &request.annotations, names)?)
}

fn write_files(
    request: &Request,
    shop: &Workshop,
    finished: &Finished,
    image: &FinishedImage,
) -> Result<()> {
    if request.oci_layout_path.is_none() && request.tar_path.is_none() {
        return Ok(());
    }
    for layer in &finished.layers {
        shop.fetch(layer)?;
    }
    if let Some(path) = &request.oci_layout_path {
        let task = shop.reporter.start(&format!("write OCI layout {}", path.display()));
        layout::write_layout(path, &shop.blobs, image)?;
        task.done();
    }
    if let Some(path) = &request.tar_path {
        let task = shop.reporter.start(&format!("write docker archive {}", path.display()));
        archive::write_docker_archive(path, &shop.blobs, image)?;
        task.done();
    }
    Ok(())
}
