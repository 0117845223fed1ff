//! The client against scripted servers. One file for each theme.

mod files;
mod login;
mod memo;
mod pull;
mod push;
mod ranges;
mod scheme;
mod upkeep;
mod upload;
mod uploads;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::testserver::{Reply, Seen, Server};
use super::*;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::image::{Descriptor, Platform, media_type};

/// Options that do not wait, and see no file of this machine.
fn options() -> Options {
    Options { retry_delay: Duration::from_millis(1), ..Options::default() }
}

fn client(options: Options) -> Client {
    Client::new(options, Cancel::default()).expect("a client")
}

fn reference(server: &Server, rest: &str) -> Reference {
    format!("{}/{rest}", server.host()).parse().expect("a reference")
}

fn amd64() -> Platform {
    "linux/amd64".parse().expect("a platform")
}

/// A config.json in a directory of its own.
fn config_json(auths: &Value) -> (tempfile::TempDir, Options) {
    let dir = tempfile::tempdir().expect("temp");
    let path = dir.path().join("config.json");
    std::fs::write(&path, json!({ "auths": auths }).to_string()).expect("write");
    (dir, Options { credentials: vec![CredentialSource::File { path, named: true }], ..options() })
}

/// Counts calls: `0`, `1`, ….
#[derive(Default)]
struct Counter(AtomicUsize);

impl Counter {
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// An image with one layer, as a registry holds it.
struct Image {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
}

impl Image {
    fn new(layer: &[u8]) -> Self {
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(layer)]},
        })
        .to_string()
        .into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": descriptor(media_type::OCI_CONFIG, &config),
            "layers": [descriptor(media_type::OCI_LAYER, layer)],
        })
        .to_string()
        .into_bytes();
        Self { manifest, config, layer: layer.to_vec() }
    }

    /// Answers as the repository `name` does, under the tag `1`.
    fn serve(&self, name: &str, seen: &Seen) -> Reply {
        let blob = |bytes: &[u8]| format!("/v2/{name}/blobs/{}", Digest::of(bytes));
        let manifest = [
            format!("/v2/{name}/manifests/1"),
            format!("/v2/{name}/manifests/{}", Digest::of(&self.manifest)),
        ];
        match seen.path() {
            path if manifest.iter().any(|own| own == path) => {
                Reply::new(200, self.manifest.clone())
                    .header("Content-Type", media_type::OCI_MANIFEST)
                    .header("Docker-Content-Digest", Digest::of(&self.manifest).to_string())
            }
            path if path == blob(&self.config) => Reply::new(200, self.config.clone()),
            path if path == blob(&self.layer) => Reply::new(200, self.layer.clone()),
            _ => Reply::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"gone"}]}"#),
        }
    }

    fn layer(&self) -> Descriptor {
        Descriptor::new(media_type::OCI_LAYER, Digest::of(&self.layer), self.layer.len() as u64)
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

fn read_all(reader: BlobReader) -> Result<Vec<u8>, RegistryError> {
    let mut reader = reader;
    let mut bytes = Vec::new();
    match std::io::Read::read_to_end(&mut reader, &mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.downcast().expect("a registry error")),
    }
}
