//! Images read back: from a registry, an OCI layout or a docker archive, with an implementation of
//! their own of what layers mean.

mod diff;
mod merge;
mod object;
mod source;
mod unpack;

#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

pub use diff::{diff_json, diff_trees};
pub use object::{Kind, Object, Objects};

use crate::Registry;
use crate::digest::sha256;
use merge::Merger;
use source::Source;

/// Fields of an image's `config` that say how a container runs.
pub const CONFIG_FIELDS: &[&str] = &[
    "Env",
    "Cmd",
    "Entrypoint",
    "WorkingDir",
    "User",
    "ExposedPorts",
    "Volumes",
    "Labels",
    "Healthcheck",
    "Shell",
    "StopSignal",
    "OnBuild",
];

/// An image whose manifest and configuration have been read.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the manifest; empty for a docker archive, which has none.
    pub digest: String,
    /// The manifest. Of a docker archive: one that was made up of its member names.
    pub manifest: Value,
    /// The configuration.
    pub config: Value,
    /// Digests of the layer blobs, lowest first.
    pub layers: Vec<String>,
    source: Source,
}

impl Image {
    /// An image of a test registry, by tag or digest.
    ///
    /// # Errors
    /// If it is not there or not complete.
    pub fn from_registry(registry: &Registry, repo: &str, reference: &str) -> anyhow::Result<Self> {
        let digest = registry.digest(repo, reference);
        let digest = digest.with_context(|| format!("there is no {repo}:{reference}"))?;
        Self::read(Source::Dir(registry.content_dir()), &digest, None)
    }

    /// An image of any registry that speaks plain HTTP, with a login if it asks for one.
    ///
    /// # Errors
    /// If it cannot be had from there.
    pub fn pull(
        host: &str,
        repo: &str,
        reference: &str,
        login: Option<(&str, &str)>,
    ) -> anyhow::Result<Self> {
        Self::read(Source::http(host, repo, login), reference, None)
    }

    /// An image of an OCI layout: the only one, or the one of that name.
    ///
    /// # Errors
    /// If it is not there or not complete.
    pub fn from_layout(dir: &Path, name: Option<&str>) -> anyhow::Result<Self> {
        let digest = source::layout_manifest(dir, name)?;
        Self::read(Source::Dir(dir.join("blobs/sha256")), &digest, None)
    }

    /// The first image of a docker archive (`docker save`).
    ///
    /// # Errors
    /// If the file is no such archive.
    pub fn from_docker_archive(path: &Path) -> anyhow::Result<Self> {
        let manifest = source::archive_manifest(path)?;
        Self::complete(Source::Archive(path.to_owned()), String::new(), manifest)
    }

    /// The image of an index that is for that platform, such as `linux/arm64`.
    ///
    /// # Errors
    /// If the reference is no index or has none for that platform.
    pub fn for_platform(
        registry: &Registry,
        repo: &str,
        reference: &str,
        platform: &str,
    ) -> anyhow::Result<Self> {
        let digest = registry.digest(repo, reference);
        let digest = digest.with_context(|| format!("there is no {repo}:{reference}"))?;
        Self::read(Source::Dir(registry.content_dir()), &digest, Some(platform))
    }

    fn read(source: Source, reference: &str, platform: Option<&str>) -> anyhow::Result<Self> {
        let bytes = source.manifest(reference)?;
        let manifest: Value = serde_json::from_slice(&bytes)?;
        let Some(children) = manifest["manifests"].as_array() else {
            return Self::complete(source, sha256(&bytes), manifest);
        };
        let fits = |child: &&Value| {
            let of = |key: &str| child["platform"][key].as_str().unwrap_or_default().to_owned();
            let own = [of("os"), of("architecture"), of("variant")].join("/");
            // Attestations stand in the index as images of no platform.
            match platform {
                Some(platform) => own.trim_end_matches('/') == platform,
                None => of("architecture") != "unknown",
            }
        };
        let fitting: Vec<_> = children.iter().filter(fits).collect();
        let [child] = fitting.as_slice() else {
            bail!("{} images of {reference} are for {platform:?}", fitting.len());
        };
        Self::read(source, child["digest"].as_str().unwrap_or_default(), None)
    }

    fn complete(source: Source, digest: String, manifest: Value) -> anyhow::Result<Self> {
        let text = |value: &Value| value["digest"].as_str().unwrap_or_default().to_owned();
        let config = source.blob(&text(&manifest["config"]))?;
        let config = serde_json::from_slice(&config)?;
        let layers = manifest["layers"].as_array().into_iter().flatten().map(text).collect();
        Ok(Self { digest, manifest, config, layers, source })
    }

    /// The tree that the layers make together. The root itself is there only if a layer says what
    /// it is like, under an empty path.
    ///
    /// # Errors
    /// If a layer cannot be read or makes no sense.
    pub fn tree(&self) -> anyhow::Result<Objects> {
        let mut merger = Merger::default();
        for digest in &self.layers {
            let layer = self.source.layer(digest)?;
            merger.apply(layer).with_context(|| format!("layer {digest}"))?;
        }
        Ok(merger.finish())
    }

    /// The entries of one layer in their order, with its whiteouts under their own names.
    ///
    /// # Errors
    /// If the layer cannot be read.
    pub fn entries(&self, layer: usize) -> anyhow::Result<Vec<(String, Object)>> {
        let digest = self.layers.get(layer).context("the image has fewer layers")?;
        merge::entries(self.source.layer(digest)?).with_context(|| format!("layer {digest}"))
    }

    /// One layer's tar archive.
    ///
    /// # Errors
    /// If the image has no such layer.
    pub fn layer(&self, layer: usize) -> anyhow::Result<Box<dyn std::io::Read>> {
        let digest = self.layers.get(layer).context("the image has fewer layers")?;
        self.source.layer(digest)
    }

    /// Paths of one layer's entries in their order.
    ///
    /// # Errors
    /// If the layer cannot be read.
    pub fn paths(&self, layer: usize) -> anyhow::Result<Vec<String>> {
        Ok(self.entries(layer)?.into_iter().map(|(path, _)| path).collect())
    }

    /// Content of a regular file in the merged tree.
    ///
    /// # Errors
    /// If the image has no such file.
    pub fn file(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let tree = self.tree()?;
        let object = tree.get(path).filter(|object| object.kind == Kind::File);
        let object = object.with_context(|| format!("the image has no file {path}"))?;
        for digest in self.layers.iter().rev() {
            let found = unpack::find(self.source.layer(digest)?, &object.sha256)?;
            if let Some(content) = found {
                return Ok(content);
            }
        }
        bail!("no layer has the content of {path}")
    }

    /// The same as text.
    ///
    /// # Errors
    /// If the image has no such file.
    pub fn text(&self, path: &str) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&self.file(path)?).into_owned())
    }

    /// Whether each layer's content has the digest that the configuration gives for it, and each
    /// blob the size that the manifest gives.
    ///
    /// # Errors
    /// If not; says which.
    pub fn verify(&self) -> anyhow::Result<()> {
        let diff_ids = self.config["rootfs"]["diff_ids"].as_array().cloned().unwrap_or_default();
        ensure!(
            diff_ids.len() == self.layers.len(),
            "{} diff ids for {} layers",
            diff_ids.len(),
            self.layers.len()
        );
        for (index, digest) in self.layers.iter().enumerate() {
            let blob = self.source.blob(digest)?;
            let size = &self.manifest["layers"][index]["size"];
            ensure!(
                size.is_null() || *size == blob.len(),
                "{digest} has {} bytes, not {size}",
                blob.len()
            );
            let (found, _) = crate::digest::sha256_of(self.source.layer(digest)?)?;
            ensure!(
                diff_ids[index] == found.as_str(),
                "the content of {digest} has digest {found}, not {}",
                diff_ids[index]
            );
        }
        Ok(())
    }

    /// Unpacks the image into a directory that exists and is empty. Of a trusted image only: the
    /// paths in it are followed. Owners and devices are set for root only.
    ///
    /// # Errors
    /// If a layer cannot be read or the disk refuses.
    pub fn unpack(&self, dir: &Path) -> anyhow::Result<()> {
        for digest in &self.layers {
            unpack::apply(self.source.layer(digest)?, dir)
                .with_context(|| format!("layer {digest}"))?;
        }
        Ok(())
    }
}

/// Fails with all differences if two trees are not the same.
///
/// # Panics
/// If they differ.
#[track_caller]
pub fn assert_same_tree(left: &Objects, right: &Objects) {
    let lines = diff_trees(left, right);
    assert!(lines.is_empty(), "{} differences:\n{}", lines.len(), lines.join("\n"));
}
