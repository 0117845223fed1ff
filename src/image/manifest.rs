//! Manifests and indexes. Read leniently, written canonically, unknown fields kept.
//!
//! Source: OCI image-spec manifest.md and image-index.md; Docker schema 2.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::media_type;
use super::platform::Platform;
use crate::digest::Digest;

/// Points to a blob or manifest: what it is, which bytes, how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the bytes.
    pub media_type: String,
    /// Their digest.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// Where foreign layers live; empty for all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// In an index: whom the manifest is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Fields that kiln does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Descriptor {
    /// A descriptor of these bytes with nothing optional.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            other: Map::new(),
        }
    }
}

/// A single-platform image: its config and layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Absent in some OCI manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The config blob.
    pub config: Descriptor,
    /// The layer blobs, lowest first.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    /// Free text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields that kiln does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A list of manifests, one per platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Absent in some OCI indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// Free text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields that kiln does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A manifest document that is no image kiln can use.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the shape.
    #[error("the manifest is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// Docker's schema 1, obsolete since 2019.
    #[error("the image has a manifest of Docker's old schema 1; push it again with a current tool")]
    Schema1,
    /// A layer that is no tar, or not only that.
    #[error(
        "the layer {digest} is of type `{kind}`, which kiln cannot unpack; it can be a tar, plain \
         or compressed with gzip or zstd{}", if kind.contains("encrypted") { ", and not encrypted" } else { "" }
    )]
    ForeignLayer {
        /// The layer's blob.
        digest: Digest,
        /// Its media type.
        kind: String,
    },
    /// Some other document.
    #[error("the registry answered with a document of type `{0}`, which is no image")]
    NotAnImage(String),
}

/// What a manifest URL can answer with.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and not for long")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One platform.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

impl Document {
    /// Reads a document. `content_type` is the response header; the document's own `mediaType` and
    /// shape decide where that says nothing, as some registries answer `application/json`.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, ManifestError> {
        let value: Value = serde_json::from_slice(bytes)?;
        if value.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
            return Err(ManifestError::Schema1);
        }
        let own = value.get("mediaType").and_then(Value::as_str);
        let header = content_type.map(|text| text.split(';').next().unwrap_or(text).trim());
        let known = |text: &&str| text.contains("vnd.oci.image") || text.contains("vnd.docker");
        let declared = own.or(header.filter(known)).unwrap_or_default();
        if media_type::is_index(declared) || value.get("manifests").is_some() {
            Ok(Self::Index(serde_json::from_value(value)?))
        } else if value.get("config").is_some() {
            let manifest: Manifest = serde_json::from_value(value)?;
            match manifest.layers.iter().find(|layer| !media_type::is_layer(&layer.media_type)) {
                Some(layer) => Err(ManifestError::ForeignLayer {
                    digest: layer.digest,
                    kind: layer.media_type.clone(),
                }),
                None => Ok(Self::Manifest(manifest)),
            }
        } else {
            Err(ManifestError::NotAnImage(declared.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive() {
        let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"data":""},"layers":[],"subject":{"x":1}}"#;
        let Document::Manifest(manifest) = Document::parse(text.as_bytes(), None).expect("parses")
        else {
            panic!("a manifest")
        };
        assert_eq!(serde_json::to_string(&manifest).expect("json"), text);
    }

    #[test]
    fn shape_decides_when_the_type_is_silent() {
        let index = br#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(Document::parse(index, Some("application/json")), Ok(Document::Index(_))));
        let old = br#"{"schemaVersion":1}"#;
        assert!(matches!(Document::parse(old, None), Err(ManifestError::Schema1)));
        let other = br#"{"schemaVersion":2,"mediaType":"text/plain"}"#;
        assert!(matches!(Document::parse(other, None), Err(ManifestError::NotAnImage(_))));
    }
}
