//! What docker buildx writes for later steps: the image's id, and a description of the image.

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::digest_files::write;
use crate::image::{Platform, Product};

/// Writes the digest of the config, or of the index where several platforms were built. No line end
/// follows, as with Docker.
pub fn write_iid_file(path: &Path, product: &Product) -> Result<()> {
    let id = match product {
        Product::Image(image) => image.config_digest,
        Product::Index(index) => index.digest,
    };
    write(path, &id.to_string())
}

/// Writes the keys that BuildKit's image exporter answers with. `names` are whole: `host/name:tag`.
pub fn write_metadata_file(path: &Path, product: &Product, names: &[String]) -> Result<()> {
    let mut descriptor = product.descriptor();
    if let Product::Image(image) = product {
        descriptor.platform = Some(image.platform.clone());
    }
    let mut all = Map::new();
    if let Product::Image(image) = product {
        all.insert("containerimage.config.digest".into(), json!(image.config_digest.to_string()));
    }
    all.insert("containerimage.descriptor".into(), serde_json::to_value(&descriptor)?);
    all.insert("containerimage.digest".into(), json!(descriptor.digest.to_string()));
    if !names.is_empty() {
        all.insert("image.name".into(), json!(names.join(",")));
    }
    write(path, &serde_json::to_string_pretty(&Value::Object(all))?)
}

/// The directory that holds one platform's files among those of several: `linux_arm64`.
pub fn platform_dir(platform: &Platform) -> String {
    platform.to_string().replace('/', "_")
}
