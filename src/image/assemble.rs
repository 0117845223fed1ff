//! From layers and a config to the bytes of an image: config blob, manifest, digests.

use std::collections::BTreeMap;

use serde_json::Map;

use super::manifest::{Descriptor, Manifest};
use super::{ImageConfig, ImageFormat};
use crate::digest::Digest;

/// An image whose every byte is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedImage {
    /// The manifest document.
    pub manifest: Vec<u8>,
    /// Its media type.
    pub manifest_media_type: String,
    /// Its digest: the image's.
    pub manifest_digest: Digest,
    /// The config document.
    pub config: Vec<u8>,
    /// Points to the config.
    pub config_descriptor: Descriptor,
    /// Point to the layers, lowest first, with media types of the image's format.
    pub layers: Vec<Descriptor>,
    /// All tags, as people write them.
    pub names: Vec<String>,
}

impl FinishedImage {
    /// Compressed bytes of all layers and the config.
    pub fn size(&self) -> u64 {
        self.config_descriptor.size + self.layers.iter().map(|layer| layer.size).sum::<u64>()
    }
}

/// Writes the documents. `config` holds its history and diffIDs already.
pub fn assemble(
    config: &ImageConfig,
    layers: &[Descriptor],
    format: ImageFormat,
    annotations: &[(String, String)],
    names: Vec<String>,
) -> Result<FinishedImage, serde_json::Error> {
    let config_bytes = serde_json::to_vec(config)?;
    let config_descriptor =
        Descriptor::new(format.config(), Digest::of(&config_bytes), config_bytes.len() as u64);
    let layers: Vec<Descriptor> = layers
        .iter()
        .map(|layer| Descriptor { media_type: format.layer(&layer.media_type), ..layer.clone() })
        .collect();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(format.manifest().to_owned()),
        config: config_descriptor.clone(),
        layers: layers.clone(),
        annotations: annotations.iter().cloned().collect::<BTreeMap<_, _>>(),
        other: Map::new(),
    };
    let manifest = serde_json::to_vec(&manifest)?;
    Ok(FinishedImage {
        manifest_digest: Digest::of(&manifest),
        manifest,
        manifest_media_type: format.manifest().to_owned(),
        config: config_bytes,
        config_descriptor,
        layers,
        names,
    })
}
