//! Content that is there before a client comes.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::Registry;
use super::store::lock;
use crate::digest::sha256;
use crate::tar::TarBytes;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A layer as it lies in a registry.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Media type of the blob.
    pub media_type: String,
    /// The blob's digest, which its repository has.
    pub digest: String,
    /// The blob's size in bytes.
    pub size: u64,
    /// Digest of the tar archive in the blob.
    pub diff_id: String,
}

impl Registry {
    /// Puts an image with these layers, gzipped, into the repository, and its manifest under the
    /// tag. What an image's configuration must have (platform, diff ids) is added to this one, so
    /// `json!({})` will do. Returns the manifest's digest.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn add_image(
        &self,
        repo: &str,
        tag: &str,
        layers: Vec<TarBytes>,
        config: impl Into<Value>,
    ) -> String {
        let layers = layers.iter().map(|layer| self.put_layer(repo, layer)).collect();
        self.add_layers(repo, tag, layers, config)
    }

    /// The same for layers that are there already, in any compression.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn add_layers(
        &self,
        repo: &str,
        tag: &str,
        layers: Vec<Layer>,
        config: impl Into<Value>,
    ) -> String {
        let mut config = config.into();
        let mut default = |key: &str, value: Value| {
            if config[key].is_null() {
                config[key] = value;
            }
        };
        default("architecture", machine().into());
        default("os", "linux".into());
        default("config", json!({}));
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
        default("rootfs", json!({ "type": "layers", "diff_ids": diff_ids }));
        let config = config.to_string();
        let descriptor = |kind: &str, digest: &str, size: u64| json!({ "mediaType": kind, "digest": digest, "size": size });
        let layers = layers.iter().map(|l| descriptor(&l.media_type, &l.digest, l.size));
        let layers: Vec<_> = layers.collect();
        let digest = self.put_blob(repo, config.as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(OCI_CONFIG, &digest, config.len() as u64),
            "layers": layers,
        });
        self.put_manifest(repo, tag, OCI_MANIFEST, manifest.to_string().as_bytes())
    }

    /// Puts an index of images of this repository under the tag: platforms such as `linux/amd64`
    /// or `linux/arm/v7`, and the digest of each one's manifest. Returns the index's digest.
    ///
    /// # Panics
    /// If there is no such manifest, or the disk refuses.
    pub fn add_index(&self, repo: &str, tag: &str, images: &[(&str, &str)]) -> String {
        let manifests = images.iter().map(|(platform, digest)| {
            let stored = self.store().manifest(repo, digest);
            let stored = stored.unwrap_or_else(|| panic!("{repo} has no manifest {digest}"));
            let mut parts = platform.split('/');
            let mut part = || parts.next().unwrap_or_default();
            let mut platform = json!({ "os": part(), "architecture": part() });
            if let Some(variant) = Some(part()).filter(|variant| !variant.is_empty()) {
                platform["variant"] = variant.into();
            }
            let size = stored.bytes.len();
            let kind = stored.media_type;
            json!({ "mediaType": kind, "digest": digest, "size": size, "platform": platform })
        });
        let manifests: Vec<_> = manifests.collect();
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
        self.put_manifest(repo, tag, OCI_INDEX, index.to_string().as_bytes())
    }

    /// Puts a gzipped layer into the repository.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn put_layer(&self, repo: &str, layer: &TarBytes) -> Layer {
        let tar = layer.finish();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let gzip = gzip.write_all(&tar).and_then(|()| gzip.finish());
        let gzip = gzip.unwrap_or_else(|error| panic!("cannot compress a layer: {error}"));
        Layer {
            media_type: OCI_LAYER_GZIP.to_owned(),
            digest: self.put_blob(repo, &gzip),
            size: gzip.len() as u64,
            diff_id: sha256(&tar),
        }
    }

    /// Puts a blob into the repository. Returns its digest.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn put_blob(&self, repo: &str, bytes: &[u8]) -> String {
        let put = self.try_put_blob(repo, bytes);
        put.unwrap_or_else(|error| panic!("cannot store a blob of {repo}: {error}"))
    }

    /// Puts a file's content as a blob into the repository. Returns its digest.
    ///
    /// # Errors
    /// If the file cannot be read or the disk refuses.
    pub fn put_blob_file(&self, repo: &str, path: &Path) -> io::Result<String> {
        self.try_put_blob(repo, File::open(path)?)
    }

    fn try_put_blob(&self, repo: &str, content: impl Read) -> io::Result<String> {
        let store = self.store();
        let id = store.begin(repo)?;
        let Some(upload) = store.upload(&id) else { return Err(io::ErrorKind::NotFound.into()) };
        let mut upload = lock(&upload);
        upload.append(content)?;
        store.commit(&id, &upload)?;
        Ok(upload.digest())
    }

    /// Puts a manifest into the repository under a tag or its digest, unchecked. Returns its
    /// digest.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn put_manifest(
        &self,
        repo: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> String {
        let tag = (!reference.contains(':')).then_some(reference);
        let put = self.store().put_manifest(repo, tag, media_type, bytes);
        put.unwrap_or_else(|error| panic!("cannot store {repo}:{reference}: {error}"))
    }
}

/// This machine's architecture in Go's spelling, which images use.
fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
