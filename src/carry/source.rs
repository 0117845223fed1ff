//! `SOURCE` of `kiln push`: which file or directory, and which image in it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::archive::{self, Unpacked};
use super::cargo::{Contents, Item, media_type_of};
use super::docker;
use super::home::Home;
use crate::base_cache::{LayoutError, layout_entry, layout_index};
use crate::cancel::Cancel;
use crate::image::{Descriptor, Manifest, Platform, media_type};
use crate::layer::Compression;
use crate::registry::{Client, choose_from};

/// The whole name of an image in a layout.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// A path, and what follows it: `:tag`, `@digest`, or the name of an image in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Absolute; none for standard input.
    pub path: Option<PathBuf>,
    /// With its `:` or `@`; may be empty.
    pub rest: String,
}

/// How layers that are not compressed become so.
#[derive(Debug, Clone, Copy)]
pub struct Recompression {
    /// With what.
    pub compression: Compression,
    /// Threads.
    pub threads: usize,
}

/// An image that was found.
#[derive(Debug)]
pub struct Opened {
    /// The document that tags shall lead to.
    pub item: Item,
    /// Layers that were not compressed in an archive of docker's, so that [`Recompression`] said how
    /// they are sent.
    pub plain_layers: usize,
}

impl Source {
    /// Takes a text apart at the first `:` or `@` that stands behind something which exists: file names
    /// may have both. `-` is standard input.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str, absolute: impl Fn(&Path) -> PathBuf) -> Result<Self, String> {
        if text == "-" || text.starts_with("-:") || text.starts_with("-@") {
            return Ok(Self { path: None, rest: text[1..].to_owned() });
        }
        let ends = text.char_indices().filter(|(_, c)| ":@".contains(*c)).map(|(at, _)| at);
        for end in std::iter::once(text.len()).chain(ends) {
            let path = absolute(Path::new(&text[..end]));
            if end > 0 && path.exists() {
                return Ok(Self { path: Some(path), rest: text[end..].to_owned() });
            }
        }
        Err(format!("there is no file or directory `{text}`"))
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}{}", path.display(), self.rest),
            None => write!(f, "standard input{}", self.rest),
        }
    }
}

/// Finds the image. An archive is unpacked below `work_dir`, which must outlive the result. Of an index,
/// `platform` picks one image.
pub fn open(
    source: &Source,
    work_dir: &Path,
    platform: Option<&Platform>,
    recompression: Recompression,
    client: &Client,
    cancel: &Cancel,
) -> Result<Opened> {
    let opened = match &source.path {
        Some(dir) if dir.is_dir() => {
            let descriptor = entry(dir, &source.rest, &source.to_string())?;
            Opened { item: Item { descriptor, home: Home::Layout(dir.clone()) }, plain_layers: 0 }
        }
        path => {
            let unpacked = archive::unpack(path.as_deref(), work_dir, cancel)
                .with_context(|| format!("cannot read {source}"))?;
            of_archive(source, unpacked, recompression, cancel)?
        }
    };
    match platform {
        Some(platform) => {
            Ok(Opened { item: pick(opened.item, platform, client, source)?, ..opened })
        }
        None => Ok(opened),
    }
}

/// containerd, nerdctl and BuildKit write both forms, and so does `docker save` since 25.0. The OCI one has
/// the manifest, which keeps its digest. Docker's is taken where the layers are not compressed, as
/// docker's own are: nobody has that manifest in a registry, and nobody wants to send such layers.
fn of_archive(
    source: &Source,
    unpacked: Unpacked,
    recompression: Recompression,
    cancel: &Cancel,
) -> Result<Opened> {
    let name = source.to_string();
    let is_layout = unpacked.has("index.json");
    let is_docker = unpacked.has("manifest.json");
    ensure!(
        is_layout || is_docker,
        "{source} is no image: an archive of one has index.json (OCI) or manifest.json (docker save)"
    );
    unpacked.check_blobs()?;
    if is_docker && !is_layout {
        return docker::item(&name, &source.rest, unpacked, recompression, cancel);
    }
    let found = entry(&unpacked.dir, &source.rest, &name);
    if is_docker && !source.rest.contains('@') {
        let docker_knows_as_much = match &found {
            Ok(descriptor) => has_plain_layers(&unpacked, descriptor),
            // Its names are in full there, and some writers leave them out of the index.
            Err(_) => !has_index(&unpacked),
        };
        if docker_knows_as_much {
            return docker::item(&name, &source.rest, unpacked, recompression, cancel);
        }
    }
    let item = Item { descriptor: found?, home: Home::Store(unpacked.store) };
    Ok(Opened { item, plain_layers: 0 })
}

/// Whether it leads to a manifest whose layers are tars, and has some.
fn has_plain_layers(unpacked: &Unpacked, descriptor: &Descriptor) -> bool {
    const PLAIN: [&str; 2] = [media_type::OCI_LAYER, media_type::DOCKER_LAYER];
    let bytes = unpacked.read(&format!("blobs/sha256/{}", descriptor.digest.hex()));
    let manifest = bytes.ok().and_then(|it| serde_json::from_slice::<Manifest>(&it).ok());
    manifest.is_some_and(|Manifest { layers, .. }| {
        !layers.is_empty() && layers.iter().all(|layer| PLAIN.contains(&layer.media_type.as_str()))
    })
}

fn has_index(unpacked: &Unpacked) -> bool {
    let text = unpacked.read("index.json").unwrap_or_default();
    match Contents::parse(&text, "index.json") {
        Ok(Contents::Index(index)) => {
            index.manifests.iter().any(|entry| media_type::is_index(&entry.media_type))
        }
        _ => false,
    }
}

/// The entry of a layout that is meant; `name` is what errors call the layout.
fn entry(dir: &Path, rest: &str, name: &str) -> Result<Descriptor> {
    ensure!(dir.join("index.json").is_file(), "{name} is no OCI layout: it has no index.json");
    let as_typed =
        |error: LayoutError| anyhow!(error.to_string().replace(&dir.display().to_string(), name));
    // A digest says all; what stands before it is for people.
    let rest = rest.find('@').map_or(rest, |at| &rest[at..]);
    if let Some(wanted) = rest.strip_prefix(':').filter(|it| it.contains(['/', ':'])) {
        return called(dir, wanted, name, as_typed);
    }
    let mut descriptor = layout_entry(&format!("{}{rest}", dir.display())).map_err(as_typed)?;
    strip(&mut descriptor);
    Ok(descriptor)
}

/// They name it in the layout, and mean nothing elsewhere.
fn strip(descriptor: &mut Descriptor) {
    descriptor.annotations.remove("org.opencontainers.image.ref.name");
    descriptor.annotations.remove(IMAGE_NAME);
}

/// The entry of a layout's index with that whole name: docker and containerd write them.
fn called(
    dir: &Path,
    wanted: &str,
    name: &str,
    as_typed: impl Fn(LayoutError) -> anyhow::Error,
) -> Result<Descriptor> {
    let index = layout_index(dir).map_err(as_typed)?;
    let whole = |entry: &Descriptor| entry.annotations.get(IMAGE_NAME).cloned();
    let is_wanted =
        |entry: &&Descriptor| whole(entry).is_some_and(|it| docker::same_image(&it, wanted));
    let Some(found) = index.manifests.iter().find(is_wanted) else {
        let names: Vec<String> = index.manifests.iter().filter_map(whole).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        bail!("{name} has no image of that name; the names in it: {there}")
    };
    let mut found = found.clone();
    strip(&mut found);
    Ok(found)
}

/// The image of an index that is for a platform.
fn pick(item: Item, platform: &Platform, client: &Client, source: &Source) -> Result<Item> {
    let bytes = item.home.document(client, &item.descriptor)?;
    match Contents::parse(&bytes, &source.to_string())? {
        Contents::Index(index) => match choose_from(&index, platform) {
            Ok(found) => Ok(Item { descriptor: found.clone(), home: item.home }),
            Err(there) => bail!("{source} has no image for {platform}; it has {there}"),
        },
        Contents::Manifest(manifest) => {
            let own = super::join::platform_of(&item.home, &manifest.config, client)?;
            ensure!(
                own.satisfies(platform),
                "{source} is one image, for {own}, and none for {platform}"
            );
            Ok(item)
        }
    }
}

/// The descriptor of a document that was just written.
pub(super) fn descriptor_of(bytes: &[u8]) -> Descriptor {
    let digest = crate::digest::Digest::of(bytes);
    Descriptor::new(media_type_of(bytes, ""), digest, bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_an_existing_path_is_a_name() {
        let dir = tempfile::tempdir().expect("temp");
        for name in ["a.tar", "with:colon.tar", "at@sign"] {
            std::fs::write(dir.path().join(name), "").expect("write");
        }
        let parse = |text: &str| Source::parse(text, |path| dir.path().join(path));
        for (text, name, rest) in [
            ("a.tar", "a.tar", ""),
            ("a.tar:host:5000/app:1", "a.tar", ":host:5000/app:1"),
            ("a.tar@sha256:00", "a.tar", "@sha256:00"),
            ("with:colon.tar", "with:colon.tar", ""),
            ("with:colon.tar:1", "with:colon.tar", ":1"),
            ("at@sign:1@sha256:00", "at@sign", ":1@sha256:00"),
        ] {
            let expected = Source { path: Some(dir.path().join(name)), rest: rest.into() };
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        assert_eq!(parse("-"), Ok(Source { path: None, rest: String::new() }));
        assert_eq!(parse("-:app:1"), Ok(Source { path: None, rest: ":app:1".into() }));
        assert!(parse("b.tar:1").is_err_and(|why| why.contains("`b.tar:1`")));
        assert!(parse(":1").is_err() && parse("").is_err());
    }
}
