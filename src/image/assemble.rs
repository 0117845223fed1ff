//! From layers and a config to the bytes of an image: config document, manifest, digests.

use std::collections::BTreeMap;

use serde_json::Map;

use super::manifest::{Descriptor, Manifest};
use super::{FinishedImage, ImageConfig, ImageFormat};
use crate::digest::Digest;

/// Writes the documents. `config` holds its history and diffIDs already.
pub fn assemble(
    config: &ImageConfig,
    layers: &[Descriptor],
    format: ImageFormat,
    annotations: &[(String, String)],
    names: Vec<String>,
) -> Result<FinishedImage, serde_json::Error> {
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
        annotations: annotations.iter().cloned().collect::<BTreeMap<_, _>>(),
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
        names,
    })
}
