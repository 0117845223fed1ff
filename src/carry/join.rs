//! Images of several platforms become one index.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

use super::cargo::{Cargo, Contents, DOCUMENTS_MAX, Item, media_type_of};
use super::home::Home;
use crate::digest::Digest;
use crate::image::assemble::index_of;
use crate::image::{Descriptor, ImageConfig, ImageFormat, Platform};
use crate::registry::{Client, Reference};

/// One entry of the index to be.
#[derive(Debug, Clone)]
pub struct Part {
    /// The source that it is of, as typed.
    pub source: String,
    /// The manifest, and where it is. The descriptor says the platform, but for attestations.
    pub item: Item,
}

/// An index, and whom it is for.
#[derive(Debug)]
pub struct Joined {
    /// The index and what it names.
    pub cargo: Cargo,
    /// Platforms of its images, in its order.
    pub platforms: Vec<Platform>,
}

/// The images of a source in a registry. `platform` is what the source says of itself.
pub fn parts_of_registry(
    client: &Client,
    source: &str,
    reference: &Reference,
    platform: Option<&Platform>,
) -> Result<Vec<Part>> {
    let document = client.document(reference)?;
    let media_type = media_type_of(&document.bytes, &document.media_type);
    let descriptor = Descriptor::new(media_type, document.digest, document.bytes.len() as u64);
    let item = Item { descriptor, home: Home::Registry(document.repository) };
    parts(client, source, item, &document.bytes, platform)
}

/// The same of a document that was found in a layout.
pub fn parts_of_layout(
    client: &Client,
    source: &str,
    mut item: Item,
    platform: Option<&Platform>,
) -> Result<Vec<Part>> {
    let bytes = item.home.document(client, &item.descriptor)?;
    // Nothing vouches for what the layout's index says of it.
    item.descriptor.media_type = media_type_of(&bytes, &item.descriptor.media_type);
    parts(client, source, item, &bytes, platform)
}

fn parts(
    client: &Client,
    source: &str,
    item: Item,
    bytes: &[u8],
    platform: Option<&Platform>,
) -> Result<Vec<Part>> {
    let part = |descriptor: Descriptor| Part {
        source: source.to_owned(),
        item: Item { descriptor, home: item.home.clone() },
    };
    match Contents::parse(bytes, source)? {
        Contents::Index(index) => {
            ensure!(
                platform.is_none(),
                "{source} is an index, whose images say their platforms: leave the platform out"
            );
            let count = index.manifests.len();
            ensure!(
                count <= DOCUMENTS_MAX,
                "{source} names {count} manifests, which no image needs"
            );
            let mut all = Vec::new();
            for mut descriptor in index.manifests {
                if descriptor.platform.is_none() && !is_attestation(&descriptor) {
                    descriptor.platform = Some(read_platform(&item.home, &descriptor, client)?);
                }
                all.push(part(descriptor));
            }
            ensure!(!all.is_empty(), "{source} is an index without images");
            Ok(all)
        }
        Contents::Manifest(manifest) => {
            let mut descriptor = item.descriptor.clone();
            descriptor.platform = Some(match platform {
                Some(platform) => platform.clone(),
                None => platform_of(&item.home, &manifest.config, client).map_err(|error| {
                    error.context(format!(
                        "{source} does not say its platform; write {source}=OS/ARCH"
                    ))
                })?,
            });
            Ok(vec![part(descriptor)])
        }
    }
}

fn read_platform(home: &Home, descriptor: &Descriptor, client: &Client) -> Result<Platform> {
    let bytes = home.document(client, descriptor)?;
    match Contents::parse(&bytes, &descriptor.digest.to_string())? {
        Contents::Manifest(manifest) => platform_of(home, &manifest.config, client),
        Contents::Index(_) => bail!("{} is an index in an index", descriptor.digest),
    }
}

/// What a config says of whom the image is for.
pub(super) fn platform_of(home: &Home, config: &Descriptor, client: &Client) -> Result<Platform> {
    let bytes = home.read(client, config)?;
    let config: ImageConfig = serde_json::from_slice(&bytes)?;
    ensure!(
        !config.os.is_empty() && !config.architecture.is_empty(),
        "the config names no operating system and processor"
    );
    let os_version = config.other.get("os.version").and_then(|it| it.as_str()).map(str::to_owned);
    let features = config.other.get_key_value("os.features").filter(|(_, value)| value.is_array());
    let other = features.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let variant = config.variant.filter(|variant| !variant.is_empty());
    Ok(Platform { os: config.os, architecture: config.architecture, os_version, variant, other })
}

/// BuildKit's attestations are manifests for no platform, and stay beside what they are about.
fn is_attestation(descriptor: &Descriptor) -> bool {
    let unknown = |p: &Platform| p.os == "unknown" && p.architecture == "unknown";
    descriptor.platform.as_ref().is_some_and(unknown)
        || descriptor.annotations.contains_key("vnd.docker.reference.type")
}

/// Writes the index. `of_image` are the annotations of what leads to an image; with any annotation, the
/// index is OCI's unless `format` says otherwise.
///
/// # Errors
/// Two sources for one platform.
pub fn join(
    parts: Vec<Part>,
    format: Option<ImageFormat>,
    annotations: BTreeMap<String, String>,
    of_image: &dyn Fn(&Platform) -> BTreeMap<String, String>,
) -> Result<Joined> {
    let mut kept: Vec<Part> = Vec::new();
    let mut platforms = Vec::new();
    let mut annotated = !annotations.is_empty();
    for mut part in parts {
        let again = |other: &&mut Part| is_same(&other.item.descriptor, &part.item.descriptor);
        if let Some(other) = kept.iter_mut().find(again) {
            add(&mut other.item.descriptor, part.item.descriptor);
            continue;
        }
        let attestation = is_attestation(&part.item.descriptor);
        if let Some(platform) = part.item.descriptor.platform.clone().filter(|_| !attestation) {
            one_for_each(&kept, &part, &platform)?;
            let more = of_image(&platform);
            annotated |= !more.is_empty();
            part.item.descriptor.annotations.extend(more);
            platforms.push(platform);
        }
        kept.push(part);
    }
    let docker = kept.iter().all(|part| part.item.descriptor.media_type.contains("vnd.docker."));
    let natural = if docker && !annotated { ImageFormat::Docker } else { ImageFormat::Oci };
    let format = format.unwrap_or(natural);
    let entries = kept.iter().map(|part| part.item.descriptor.clone()).collect();
    let bytes = index_of(entries, format, annotations)?;
    let items = kept.into_iter().map(|part| part.item).collect();
    let cargo = Cargo {
        digest: Digest::of(&bytes),
        bytes,
        media_type: format.index().to_owned(),
        items,
        blobs: Vec::new(),
    };
    Ok(Joined { cargo, platforms })
}

/// Whether two entries are one image by two names. An image may be for several platforms, and then it has
/// an entry for each.
fn is_same(one: &Descriptor, other: &Descriptor) -> bool {
    let platform = |it: &Descriptor| it.platform.clone().filter(|_| !is_attestation(it));
    one.digest == other.digest
        && match (platform(one), platform(other)) {
            (Some(one), Some(other)) => one.satisfies(&other) && one.os_version == other.os_version,
            (None, None) => true,
            _ => false,
        }
}

/// What a second name says beyond the first.
fn add(to: &mut Descriptor, from: Descriptor) {
    for (name, value) in from.annotations {
        to.annotations.entry(name).or_insert(value);
    }
    if let (Some(to), Some(from)) = (&mut to.platform, from.platform) {
        for (name, value) in from.other {
            to.other.entry(name).or_insert(value);
        }
    }
}

fn one_for_each(kept: &[Part], part: &Part, platform: &Platform) -> Result<()> {
    let same = |other: &&Part| {
        let own = other.item.descriptor.platform.as_ref();
        !is_attestation(&other.item.descriptor)
            && own.is_some_and(|it| {
                it.satisfies(platform)
                    && it.os_version == platform.os_version
                    && it.other == platform.other
            })
    };
    match kept.iter().find(same) {
        Some(other) if other.source == part.source => {
            bail!("{} has two images for {platform}", part.source)
        }
        Some(other) => bail!(
            "{} and {} are both for {platform}: an index has one image for each platform",
            other.source,
            part.source
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry with this content, platform, and an annotation of its source's name.
    fn part(source: &str, content: &str, platform: Option<&str>) -> Part {
        let mut descriptor =
            Descriptor::new("application/x", Digest::of(content.as_bytes()), content.len() as u64);
        descriptor.platform = platform.map(|it| it.parse().expect(it));
        descriptor.annotations.insert(source.into(), content.into());
        descriptor.annotations.insert("both".into(), source.into());
        if platform.is_none() {
            descriptor.annotations.insert("vnd.docker.reference.type".into(), "x".into());
        }
        Part { source: source.into(), item: Item { descriptor, home: Home::Layout("/".into()) } }
    }

    fn joined(parts: Vec<Part>) -> Result<Vec<Descriptor>> {
        let joined = join(parts, None, BTreeMap::new(), &|_| BTreeMap::new())?;
        Ok(joined.cargo.items.into_iter().map(|item| item.descriptor).collect())
    }

    #[test]
    fn an_entry_is_an_image_for_a_platform() {
        let (amd64, arm64) = (Some("linux/amd64"), Some("linux/arm64/v8"));
        for (parts, expected) in [
            (vec![part("a", "x", amd64), part("b", "x", arm64)], 2),
            (vec![part("a", "x", amd64), part("b", "x", amd64)], 1),
            (vec![part("a", "x", amd64), part("a", "x", arm64), part("b", "x", arm64)], 2),
            (vec![part("a", "x", amd64), part("a", "s", None), part("b", "s", None)], 2),
        ] {
            let what = format!("{parts:?}");
            assert_eq!(joined(parts).expect("joined").len(), expected, "{what}");
        }
        let error = joined(vec![part("a", "x", amd64), part("b", "y", amd64)]).expect_err("two");
        assert!(error.to_string().contains("a and b are both for linux/amd64"), "{error}");
    }

    #[test]
    fn one_image_by_two_names_has_the_annotations_of_both() {
        let mut second = part("b", "x", Some("linux/amd64"));
        let platform = second.item.descriptor.platform.as_mut().expect("one");
        platform.other.insert("os.features".into(), serde_json::json!(["f"]));
        let entries = joined(vec![part("a", "x", Some("linux/amd64")), second]).expect("joined");
        let [entry] = &entries[..] else { panic!("one entry") };
        let found: Vec<_> = entry.annotations.iter().map(|(k, v)| (&k[..], &v[..])).collect();
        assert_eq!(found, [("a", "x"), ("b", "x"), ("both", "a")]);
        let platform = entry.platform.as_ref().expect("one");
        assert_eq!(platform.other["os.features"], serde_json::json!(["f"]));
    }
}
