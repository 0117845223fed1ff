//! What `docker save` writes: a list of images in `manifest.json`, with configs and layers beside it.
//!
//! Source: Docker's image spec v1.2, "Combined Image JSON". The archive has no manifest: it is made here,
//! in Docker's media types, or in OCI's where a layer is compressed with zstd.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Map;

use super::archive::Unpacked;
use super::cargo::Item;
use super::home::Home;
use super::source::{Opened, Recompression, descriptor_of};
use crate::cancel::Cancel;
use crate::digest::{Digest, HashingReader};
use crate::image::{Descriptor, ImageConfig, ImageFormat, Manifest, media_type};
use crate::layer::{BlobStore, Compression, Compressor, Format, SNIFFED, decoder, sniff};
use crate::registry::Reference;

/// Layers that are read at the same time; compression has threads of its own.
const AT_ONCE: usize = 2;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// Makes an image of the one that is meant. Each layer is held against the config, which says what it
/// unpacks to.
pub(super) fn item(
    source: &str,
    rest: &str,
    unpacked: Unpacked,
    recompression: Recompression,
    cancel: &Cancel,
) -> Result<Opened> {
    let list: Vec<Listed> = serde_json::from_slice(&unpacked.read("manifest.json")?)
        .with_context(|| format!("the manifest.json of {source} is not docker's"))?;
    let listed = choose(source, rest, &list)?;
    let (config_digest, config_size) = unpacked.find(&listed.config)?;
    let config: ImageConfig = serde_json::from_slice(&unpacked.read(&listed.config)?)
        .with_context(|| format!("{} of {source} is no config of an image", listed.config))?;
    let names = listed.layers.as_deref().unwrap_or_default();
    let diff_ids = &config.rootfs.diff_ids;
    ensure!(
        names.len() == diff_ids.len(),
        "{source} has {} layers, but its config names {}",
        names.len(),
        diff_ids.len()
    );
    let jobs = names.iter().zip(diff_ids).map(|(name, diff_id)| {
        let (digest, size) = unpacked.find(name)?;
        Ok(Layer { name, digest, size, diff_id })
    });
    let jobs = jobs.collect::<Result<Vec<_>>>()?;
    let layers = blobs(&jobs, &unpacked.store, recompression, cancel)?;
    let plain_layers = layers.iter().filter(|layer| layer.was_plain).count();
    let layers: Vec<_> = layers.into_iter().map(|layer| layer.descriptor).collect();
    let zstd = layers.iter().any(|layer| layer.media_type == media_type::OCI_LAYER_ZSTD);
    let format = if zstd { ImageFormat::Oci } else { ImageFormat::Docker };
    let layers = layers
        .into_iter()
        .map(|layer| Descriptor { media_type: format.layer(&layer.media_type), ..layer });
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(format.manifest().to_owned()),
        config: Descriptor::new(format.config(), config_digest, config_size),
        layers: layers.collect(),
        annotations: Default::default(),
        other: Map::new(),
    };
    let bytes = serde_json::to_vec(&manifest)?;
    unpacked.store.put(&bytes)?;
    let item = Item { descriptor: descriptor_of(&bytes), home: Home::Store(unpacked.store) };
    Ok(Opened { item, plain_layers })
}

/// The only image, or the one of that name: as it is written there, in full, or by its tag alone.
fn choose<'a>(source: &str, rest: &str, list: &'a [Listed]) -> Result<&'a Listed> {
    let wanted = rest.trim_start_matches(':');
    let named = |listed: &&Listed| {
        let tags = listed.repo_tags.iter().flatten();
        tags.clone().any(|tag| same_image(tag, wanted))
            || tags.clone().any(|tag| tag.rsplit_once(':').is_some_and(|(_, tag)| tag == wanted))
    };
    ensure!(
        !rest.starts_with('@'),
        "an archive of docker's has no digests of manifests: name the image, or leave out `{rest}`"
    );
    let found: Vec<_> = match (wanted, list) {
        ("", list) => list.iter().collect(),
        (_, list) => list.iter().filter(named).collect(),
    };
    match found[..] {
        [one] => Ok(one),
        _ => {
            let names = list.iter().map(|listed| match listed.repo_tags.as_deref() {
                None | Some([]) => "one without a name".to_owned(),
                Some(tags) => tags.join(" or "),
            });
            let names = names.collect::<Vec<_>>().join(", ");
            let what = if found.is_empty() { "no image" } else { "more than one image" };
            bail!("{source} has {what} of that name; it has {names}: write ARCHIVE:NAME")
        }
    }
}

/// Whether two names mean one image.
pub(super) fn same_image(one: &str, other: &str) -> bool {
    let full = |name: &str| name.parse::<Reference>().ok();
    one == other || full(one).is_some_and(|one| full(other) == Some(one))
}

/// A layer's file.
struct Layer<'a> {
    name: &'a str,
    digest: Digest,
    size: u64,
    diff_id: &'a Digest,
}

/// A layer as it is sent.
struct Blob {
    descriptor: Descriptor,
    /// The archive's was not compressed.
    was_plain: bool,
}

/// The layers as they are sent, in order.
fn blobs(
    layers: &[Layer<'_>],
    store: &BlobStore,
    recompression: Recompression,
    cancel: &Cancel,
) -> Result<Vec<Blob>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<Blob>)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(layers.len()) {
            scope.spawn(|| {
                while let Some((at, layer)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    layers.get(at).map(|layer| (at, layer))
                } {
                    let result = cancel
                        .check()
                        .map_err(Into::into)
                        .and_then(|()| layer.blob(store, recompression));
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

impl Layer<'_> {
    fn blob(&self, store: &BlobStore, recompression: Recompression) -> Result<Blob> {
        let mut start = Vec::new();
        store.open(&self.digest)?.take(SNIFFED as u64).read_to_end(&mut start)?;
        let media_type = match sniff(&start) {
            Format::Gzip => media_type::OCI_LAYER_GZIP,
            Format::Zstd => media_type::OCI_LAYER_ZSTD,
            Format::Plain => {
                let descriptor = self.compressed(store, recompression)?;
                return Ok(Blob { descriptor, was_plain: true });
            }
            other => {
                bail!("the layer {} is compressed with {other:?}, which no image has", self.name)
            }
        };
        let mut plain = HashingReader::new(decoder(store.open(&self.digest)?)?);
        io::copy(&mut plain, &mut io::sink())
            .with_context(|| format!("the layer {} is damaged", self.name))?;
        self.check(plain)?;
        let descriptor = Descriptor::new(media_type, self.digest, self.size);
        Ok(Blob { descriptor, was_plain: false })
    }

    fn compressed(&self, store: &BlobStore, how: Recompression) -> Result<Descriptor> {
        let mut plain: HashingReader<File> = HashingReader::new(store.open(&self.digest)?);
        if how.compression == Compression::None {
            io::copy(&mut plain, &mut io::sink())?;
            self.check(plain)?;
            return Ok(Descriptor::new(media_type::OCI_LAYER, self.digest, self.size));
        }
        let mut out = Compressor::new(store.writer()?, how.compression, how.threads);
        io::copy(&mut plain, &mut out)
            .with_context(|| format!("cannot compress the layer {}", self.name))?;
        self.check(plain)?;
        let (digest, size) = out.finish()?.commit()?;
        Ok(Descriptor::new(media_type::of_layer(how.compression), digest, size))
    }

    /// What came out is what the config says.
    fn check<R: io::Read>(&self, plain: HashingReader<R>) -> Result<()> {
        let (_, found, _) = plain.finish();
        ensure!(
            found == *self.diff_id,
            "the layer {} is damaged: the config says that it unpacks to {}, but that is {found}",
            self.name,
            self.diff_id
        );
        Ok(())
    }
}
