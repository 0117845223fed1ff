//! From layers and a config to the bytes of an image: config document, manifest, digests; and from
//! images to the index that joins them.

use std::collections::BTreeMap;

use serde_json::Map;

use super::manifest::{Descriptor, Index, Manifest};
use super::{FinishedImage, FinishedIndex, ImageConfig, ImageFormat, Platform};
use crate::digest::Digest;

/// What stands in the documents of an image beside its config and layers.
#[derive(Debug, Clone)]
pub struct Dress {
    /// The family of media types.
    pub format: ImageFormat,
    /// Whom the image is for.
    pub platform: Platform,
    /// Annotations of the manifest.
    pub manifest: BTreeMap<String, String>,
    /// Annotations of what leads to the manifest.
    pub descriptor: BTreeMap<String, String>,
}

/// Writes the documents. `config` holds its history and diffIDs already.
pub fn assemble(
    config: &ImageConfig,
    layers: &[Descriptor],
    dress: Dress,
) -> Result<FinishedImage, serde_json::Error> {
    let format = dress.format;
    let config_bytes = serde_json::to_vec(config)?;
    let config_digest = Digest::of(&config_bytes);
    let config_descriptor =
        Descriptor::new(format.config(), config_digest, config_bytes.len() as u64);
    let layers: Vec<Descriptor> = layers
        .iter()
        .map(|layer| Descriptor { media_type: format.layer(&layer.media_type), ..layer.clone() })
        .collect();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(format.manifest().to_owned()),
        config: config_descriptor,
        layers: layers.clone(),
        annotations: dress.manifest,
        other: Map::new(),
    };
    let manifest = serde_json::to_vec(&manifest)?;
    Ok(FinishedImage {
        manifest_digest: Digest::of(&manifest),
        manifest,
        manifest_media_type: format.manifest().to_owned(),
        config: config_bytes,
        config_digest,
        layers,
        platform: dress.platform,
        annotations: dress.descriptor,
    })
}

/// Writes an index of manifests.
pub fn index_of(
    manifests: Vec<Descriptor>,
    format: ImageFormat,
    annotations: BTreeMap<String, String>,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Index {
        schema_version: 2,
        media_type: Some(format.index().to_owned()),
        manifests,
        annotations,
        other: Map::new(),
    })
}

/// Joins images of several platforms. `annotations` are those of the index, `of_descriptor` those of
/// what leads to it.
pub fn join(
    images: Vec<FinishedImage>,
    format: ImageFormat,
    annotations: BTreeMap<String, String>,
    of_descriptor: BTreeMap<String, String>,
) -> Result<FinishedIndex, serde_json::Error> {
    let entry = |image: &FinishedImage| Descriptor {
        platform: Some(image.platform.clone()),
        ..image.descriptor()
    };
    let bytes = index_of(images.iter().map(entry).collect(), format, annotations)?;
    Ok(FinishedIndex {
        digest: Digest::of(&bytes),
        bytes,
        media_type: format.index().to_owned(),
        images,
        annotations: of_descriptor,
    })
}
