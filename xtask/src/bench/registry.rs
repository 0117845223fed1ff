//! The registry of one run: Debian's docker-registry on the loopback, its storage on a disk of its
//! own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use testkit::client;
use testkit::image::Image;
use testkit::process::DockerRegistry;

use super::disk::Disk;
use crate::step::quiet;

/// The image that each peer pushes.
pub(crate) const IMAGE: &str = "group/app";
/// The base images, as Docker Hub names them.
pub(crate) const DEBIAN: &str = "library/debian:12-slim";
pub(crate) const PYTHON: &str = "library/python:3-slim";

/// A registry writes its line about a request when it has answered.
const QUIET: Duration = Duration::from_millis(200);
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.oci.image.index.v1+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json";

/// A registry whose storage is on a disk of its own.
#[derive(Debug)]
pub(crate) struct Registry {
    server: DockerRegistry,
    storage: PathBuf,
    // After the program that writes into it.
    _disk: Disk,
}

impl Registry {
    /// With the base images.
    ///
    /// # Errors
    /// If the disk refuses, or the registry does not start.
    pub(crate) fn with_bases(disk: Disk, bases: &Path) -> anyhow::Result<Self> {
        let storage = disk.place().join("storage");
        quiet(Command::new("cp").arg("-r").arg(bases).arg(storage))?;
        Self::start(disk)
    }

    /// With what is on the disk; with nothing on a new one.
    ///
    /// # Errors
    /// If the registry does not start.
    pub(crate) fn start(disk: Disk) -> anyhow::Result<Self> {
        let storage = disk.place().join("storage");
        let server = DockerRegistry::builder().storage(&storage).start()?;
        Ok(Self { server, storage, _disk: disk })
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> &str {
        self.server.host()
    }

    /// What it was asked and sent so far, when nothing more comes.
    pub(crate) fn traffic(&self) -> Traffic {
        traffic(&settled(&self.server))
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.traffic().requests
    }

    /// The manifest of an image that was pushed, such as `library/debian:12-slim`.
    fn manifest(&self, image: &str) -> anyhow::Result<(String, Value)> {
        let (repo, reference) = image.rsplit_once(':').context("an image without a tag")?;
        self.manifest_of(repo, reference)
    }

    fn manifest_of(&self, repo: &str, reference: &str) -> anyhow::Result<(String, Value)> {
        let url = format!("http://{}/v2/{repo}/manifests/{reference}", self.host());
        let answer = client::request("GET", &url, &[("Accept", ACCEPT)], b"")?;
        ensure!(answer.status == 200, "the registry has no {repo}:{reference}: {}", answer.status);
        let manifest = answer.json();
        let Some(children) = manifest["manifests"].as_array() else {
            return Ok((answer.header("docker-content-digest").to_owned(), manifest));
        };
        // BuildKit's attestations are for no platform.
        let real = children.iter().find(|child| child["platform"]["os"] != "unknown");
        let digest = real.and_then(|child| child["digest"].as_str());
        self.manifest_of(repo, digest.context("an index without an image")?)
    }

    /// Digests and compressed sizes of an image's layers, lowest first.
    ///
    /// # Errors
    /// If it is not there.
    pub(crate) fn layers(&self, image: &str) -> anyhow::Result<Vec<(String, u64)>> {
        let (_, manifest) = self.manifest(image)?;
        let layers = manifest["layers"].as_array().context("a manifest without layers")?;
        let layer = |layer: &Value| {
            let digest = layer["digest"].as_str().context("a layer without a digest")?;
            anyhow::Ok((digest.to_owned(), layer["size"].as_u64().unwrap_or(0)))
        };
        layers.iter().map(layer).collect()
    }

    /// The image that was pushed, to be read straight from the registry's storage: a blob of 2 GB
    /// has no place in memory. `dir` gets links to the storage.
    ///
    /// # Errors
    /// If it is not there or not complete.
    pub(crate) fn image(&self, name: &str, dir: &Path) -> anyhow::Result<Image> {
        let (digest, _) = self.manifest(name)?;
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let stored = self.storage.join("docker/registry/v2/blobs/sha256");
        for group in fs::read_dir(&stored)?.flatten() {
            for blob in fs::read_dir(group.path())?.flatten() {
                symlink(blob.path().join("data"), blobs.join(blob.file_name()))?;
            }
        }
        let index = json!({ "schemaVersion": 2, "manifests": [{ "digest": digest }] });
        fs::write(dir.join("index.json"), index.to_string())?;
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Image::from_layout(dir, None)
    }
}

/// The log, when nothing more comes.
fn settled(registry: &DockerRegistry) -> String {
    let mut log = registry.log();
    loop {
        thread::sleep(QUIET);
        let later = registry.log();
        if later.len() == log.len() {
            return log;
        }
        log = later;
    }
}

/// What a registry's log tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) requests: usize,
    /// Bytes of blobs that it sent.
    pub(crate) pulled: u64,
}

/// Adds up requests. Docker's registry writes a line for each in Apache's "combined" form.
fn traffic(log: &str) -> Traffic {
    let mut traffic = Traffic::default();
    for line in log.lines().filter(|line| line.starts_with("127.0.0.1 - - [")) {
        let mut quoted = line.split('"').skip(1);
        let (request, answer) =
            (quoted.next().unwrap_or_default(), quoted.next().unwrap_or_default());
        traffic.requests += 1;
        let mut numbers = answer.split_whitespace();
        let status = numbers.next();
        if request.starts_with("GET ") && request.contains("/blobs/") && status == Some("200") {
            traffic.pulled += numbers.next().and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    traffic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_blobs_are_counted() {
        let log = "127.0.0.1 - - [30/Nov/2025:14:12:29 +0000] \"GET /v2/ HTTP/1.1\" 200 2 \"\" \"k\"\n\
            time=\"x\" level=info msg=\"response completed\"\n\
            127.0.0.1 - - [30/Nov/2025:14:12:29 +0000] \"GET /v2/a/blobs/sha256:1 HTTP/1.1\" 200 617 \"\" \"k\"\n\
            127.0.0.1 - - [30/Nov/2025:14:12:29 +0000] \"HEAD /v2/a/blobs/sha256:1 HTTP/1.1\" 200 900 \"\" \"k\"\n";
        assert_eq!(traffic(log), Traffic { requests: 3, pulled: 617 });
    }
}
