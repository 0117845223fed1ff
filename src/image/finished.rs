//! An image that is ready to go out: its documents as bytes, its layers in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::manifest::Descriptor;
use super::platform::Platform;
use crate::cancel::Cancelled;
use crate::digest::Digest;
use crate::layer::{StoreError, TarError};

/// A single-platform image, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedImage {
    /// The manifest, byte for byte.
    pub manifest: Vec<u8>,
    /// Its media type.
    pub manifest_media_type: String,
    /// Its digest.
    pub manifest_digest: Digest,
    /// The config, byte for byte.
    pub config: Vec<u8>,
    /// Its digest.
    pub config_digest: Digest,
    /// The layers, lowest first. Their blobs are in the store.
    pub layers: Vec<Descriptor>,
    /// Whom it is for.
    pub platform: Platform,
    /// Annotations of what leads to the manifest.
    pub annotations: BTreeMap<String, String>,
}

impl FinishedImage {
    /// Leads to the manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor { annotations: self.annotations.clone(), ..self.document().descriptor() }
    }

    /// The manifest.
    pub fn document(&self) -> DocumentBytes<'_> {
        DocumentBytes {
            bytes: &self.manifest,
            media_type: &self.manifest_media_type,
            digest: self.manifest_digest,
        }
    }
}

/// Images of several platforms, and the index that joins them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedIndex {
    /// The index, byte for byte.
    pub bytes: Vec<u8>,
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// The images, in its order.
    pub images: Vec<FinishedImage>,
    /// Annotations of what leads to the index.
    pub annotations: BTreeMap<String, String>,
}

/// A manifest or index as a registry takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentBytes<'a> {
    /// Byte for byte.
    pub bytes: &'a [u8],
    /// Its media type.
    pub media_type: &'a str,
    /// Its digest.
    pub digest: Digest,
}

impl DocumentBytes<'_> {
    /// Leads to it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type, self.digest, self.bytes.len() as u64)
    }
}

/// What a build makes.
#[expect(clippy::large_enum_variant, reason = "there is one for each build")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Product {
    /// An image for one platform.
    Image(FinishedImage),
    /// Images for several.
    Index(FinishedIndex),
}

impl Product {
    /// The images, in the order in which the platforms were asked for.
    pub fn images(&self) -> &[FinishedImage] {
        match self {
            Self::Image(image) => std::slice::from_ref(image),
            Self::Index(index) => &index.images,
        }
    }

    /// What a tag leads to.
    pub fn document(&self) -> DocumentBytes<'_> {
        match self {
            Self::Image(image) => image.document(),
            Self::Index(index) => DocumentBytes {
                bytes: &index.bytes,
                media_type: &index.media_type,
                digest: index.digest,
            },
        }
    }

    /// Leads to that, from outside.
    pub fn descriptor(&self) -> Descriptor {
        match self {
            Self::Image(image) => image.descriptor(),
            Self::Index(index) => {
                let annotations = index.annotations.clone();
                Descriptor { annotations, ..self.document().descriptor() }
            }
        }
    }

    /// The manifests below the document that a tag leads to.
    pub fn manifests_below(&self) -> &[FinishedImage] {
        match self {
            Self::Image(_) => &[],
            Self::Index(index) => &index.images,
        }
    }

    /// The blobs of all layers, each once.
    pub fn layers(&self) -> Vec<&Descriptor> {
        let mut seen = BTreeSet::new();
        let all = self.images().iter().flat_map(|image| &image.layers);
        all.filter(|layer| seen.insert(layer.digest)).collect()
    }

    /// Compressed bytes of all layers, and the configs.
    pub fn size(&self) -> u64 {
        let configs = self.images().iter().map(|image| image.config.len() as u64);
        configs.chain(self.layers().iter().map(|layer| layer.size)).fold(0, u64::saturating_add)
    }
}

/// An image that cannot be written to a file or directory.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file system said no.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A layer's blob is not where it should be.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in the directory is no OCI layout.
    #[error(
        "{path} exists but is no index of an OCI layout ({reason}); remove it, or write the image \
         to another directory", path = .path.display()
    )]
    NotALayout {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The build was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The archive.
    #[error("cannot write the image to {path}: {source}", path = .path.display())]
    Archive {
        /// The archive's path.
        path: PathBuf,
        /// Why.
        source: TarError,
    },
}

impl ExportError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// A name's repository and tag: `registry:5000/app:1` is (`registry:5000/app`, `1`). Without a tag
/// it is `latest`, as Docker reads it; a digest is no part of either.
pub(super) fn split_name(name: &str) -> (&str, &str) {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        // A colon before the last slash belongs to a port.
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    }
}

/// An image of one small layer, and the store that has it.
#[cfg(test)]
pub(super) fn sample() -> (tempfile::TempDir, crate::layer::BlobStore, FinishedImage) {
    use crate::layer::{BlobStore, LayerOptions, LayerWriter};

    let dir = tempfile::tempdir().expect("a directory");
    let store = BlobStore::create(&dir.path().join("store")).expect("a store");
    let layer = LayerWriter::create(&store, &LayerOptions::default()).and_then(LayerWriter::finish);
    let layer = layer.expect("an empty layer");
    let descriptor = Descriptor::new(super::media_type::OCI_LAYER_GZIP, layer.digest, layer.size);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        layer.diff_id
    )
    .into_bytes();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": super::media_type::OCI_MANIFEST,
        "config": Descriptor::new(
            super::media_type::OCI_CONFIG, Digest::of(&config), config.len() as u64
        ),
        "layers": [&descriptor],
    });
    let manifest = manifest.to_string().into_bytes();
    let image = FinishedImage {
        manifest_digest: Digest::of(&manifest),
        manifest,
        manifest_media_type: super::media_type::OCI_MANIFEST.to_owned(),
        config_digest: Digest::of(&config),
        config,
        layers: vec![descriptor],
        platform: Platform::host(),
        annotations: BTreeMap::new(),
    };
    (dir, store, image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_repository_and_a_tag() {
        for (name, expected) in [
            ("app", ("app", "latest")),
            ("app:1", ("app", "1")),
            ("host:5000/a/app", ("host:5000/a/app", "latest")),
            ("host:5000/a/app:v1", ("host:5000/a/app", "v1")),
            ("app:1@sha256:00", ("app", "1")),
            ("app@sha256:00", ("app", "latest")),
        ] {
            assert_eq!(split_name(name), expected, "{name}");
        }
    }
}
