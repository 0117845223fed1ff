//! An image of an OCI layout: `--build-context name=oci-layout://DIR[:tag][@digest]`.
//!
//! Source: OCI image-spec image-layout.md; which image is meant is buildx's rule.

use std::fs;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::image::{Descriptor, Document, ImageConfig, Index, Manifest, Platform, read_document};
use crate::registry::choose_from;

/// What an address of a layout begins with.
pub const LAYOUT: &str = "oci-layout://";
/// An index may name another, but no image needs more.
const NESTED_MAX: usize = 4;
/// The annotation by which an image of a layout is chosen.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An image of a layout. Manifest and config are checked; layers are by whoever reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutImage {
    /// The layout's directory.
    pub dir: PathBuf,
    /// The platform's manifest.
    pub manifest: Manifest,
    /// Its digest.
    pub digest: Digest,
    /// Its config.
    pub config: ImageConfig,
}

/// A layout, or an image of one, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Not a layout, or a file of it that is damaged or missing.
    #[error("cannot use {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No image of that tag or digest, or several where none was named.
    #[error("the OCI layout {} has no image `{wanted}`; it has {there}", dir.display())]
    NoImage {
        /// The layout.
        dir: PathBuf,
        /// What was asked for.
        wanted: String,
        /// Tags and digests; ends the sentence.
        there: String,
    },
    /// An index without the platform.
    #[error("the image in {} is not for {wanted}; there is {there}", dir.display())]
    Platform {
        /// The layout.
        dir: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is; ends the sentence.
        there: String,
    },
}

/// A layout's directory, and which of its images is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address<'a> {
    dir: &'a Path,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Address<'a> {
    fn parse(text: &'a str) -> Self {
        let (text, digest) = match text.rsplit_once('@') {
            Some((text, digest)) if digest.contains(':') => (text, Some(digest)),
            _ => (text, None),
        };
        match text.rsplit_once(':') {
            Some((dir, tag)) if !tag.contains('/') => {
                Self { dir: Path::new(dir), tag: Some(tag), digest }
            }
            _ => Self { dir: Path::new(text), tag: None, digest },
        }
    }
}

/// The directory that an address names. It begins with [`LAYOUT`] or is what follows that.
pub fn layout_dir(address: &str) -> &Path {
    Address::parse(address.strip_prefix(LAYOUT).unwrap_or(address)).dir
}

/// Finds what an address of a layout names, whatever it is.
///
/// # Errors
/// [`LayoutError`].
pub fn layout_entry(address: &str) -> Result<Descriptor, LayoutError> {
    let address = Address::parse(address.strip_prefix(LAYOUT).unwrap_or(address));
    Layout(address.dir).named(&address)
}

/// What the `index.json` of a layout's directory says.
///
/// # Errors
/// [`LayoutError::File`].
pub fn layout_index(dir: &Path) -> Result<Index, LayoutError> {
    Layout(dir).index()
}

/// Finds the image that an address of a layout names, for a platform.
///
/// # Errors
/// [`LayoutError`].
pub fn read_layout(address: &str, platform: &Platform) -> Result<LayoutImage, LayoutError> {
    let address = Address::parse(address.strip_prefix(LAYOUT).unwrap_or(address));
    let layout = Layout(address.dir);
    let mut wanted = layout.named(&address)?;
    for _ in 0..NESTED_MAX {
        let bytes = layout.blob(&wanted)?;
        let path = layout.path(&wanted.digest);
        let parsed = Document::parse(&bytes, Some(&wanted.media_type));
        match parsed.map_err(|error| bad(&path, error.to_string()))? {
            Document::Index(index) => wanted = layout.choose(&index, platform)?,
            Document::Manifest(manifest) => return layout.image(manifest, wanted.digest),
        }
    }
    Err(bad(&layout.path(&wanted.digest), "indexes lead to indexes without an end"))
}

fn bad(path: &Path, reason: impl Into<String>) -> LayoutError {
    LayoutError::File { path: path.to_owned(), reason: reason.into() }
}

struct Layout<'a>(&'a Path);

impl Layout<'_> {
    fn path(&self, digest: &Digest) -> PathBuf {
        self.0.join("blobs/sha256").join(digest.hex())
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, LayoutError> {
        read_document(path).map_err(|error| bad(path, error.to_string()))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, LayoutError> {
        let path = self.path(&descriptor.digest);
        let bytes = self.read(&path)?;
        match Digest::of(&bytes) {
            digest if digest == descriptor.digest => Ok(bytes),
            other => Err(bad(&path, format!("it is damaged: its digest is {other}"))),
        }
    }

    fn index(&self) -> Result<Index, LayoutError> {
        let path = self.0.join("index.json");
        serde_json::from_slice(&self.read(&path)?)
            .map_err(|error| bad(&path, format!("it is no index of an OCI layout: {error}")))
    }

    /// The entry of the layout's index that an address names. Without a tag it is `latest`, or the
    /// only one; by several names it is still one.
    fn named(&self, address: &Address<'_>) -> Result<Descriptor, LayoutError> {
        let index = self.index()?;
        let tag_of = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
        let entries = &index.manifests;
        let tagged = |tag: &str| entries.iter().find(|e| tag_of(e).as_deref() == Some(tag));
        let found = match (address.digest, address.tag) {
            (Some(digest), _) => return self.by_digest(entries, digest),
            (None, Some(tag)) => tagged(tag),
            (None, None) => match &entries[..] {
                [first, rest @ ..] if rest.iter().all(|e| e.digest == first.digest) => Some(first),
                _ => tagged("latest"),
            },
        };
        found.cloned().ok_or_else(|| {
            let names = entries.iter().map(|e| tag_of(e).unwrap_or_else(|| e.digest.to_string()));
            let names: Vec<String> = names.collect();
            LayoutError::NoImage {
                dir: self.0.to_owned(),
                wanted: address.tag.unwrap_or("latest").to_owned(),
                there: if names.is_empty() { "none at all".into() } else { names.join(", ") },
            }
        })
    }

    /// A digest may be that of an image which the layout's index does not name itself.
    fn by_digest(&self, entries: &[Descriptor], text: &str) -> Result<Descriptor, LayoutError> {
        let digest: Digest = text
            .parse()
            .map_err(|error| bad(self.0, format!("`{text}` is no digest of an image: {error}")))?;
        if let Some(entry) = entries.iter().find(|entry| entry.digest == digest) {
            return Ok(entry.clone());
        }
        let bytes = self.read(&self.path(&digest))?;
        let media_type = serde_json::from_slice::<serde_json::Value>(&bytes)
            .ok()
            .and_then(|value| Some(value.get("mediaType")?.as_str()?.to_owned()));
        Ok(Descriptor::new(media_type.unwrap_or_default(), digest, bytes.len() as u64))
    }

    fn choose(&self, index: &Index, platform: &Platform) -> Result<Descriptor, LayoutError> {
        choose_from(index, platform).cloned().map_err(|there| LayoutError::Platform {
            dir: self.0.to_owned(),
            wanted: platform.to_string(),
            there,
        })
    }

    fn image(&self, manifest: Manifest, digest: Digest) -> Result<LayoutImage, LayoutError> {
        let path = self.path(&manifest.config.digest);
        let config: ImageConfig = serde_json::from_slice(&self.blob(&manifest.config)?)
            .map_err(|error| bad(&path, format!("it is no config of an image: {error}")))?;
        let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            let reason = format!("it names {diff_ids} layers and the manifest {layers}");
            return Err(bad(&path, reason));
        }
        for layer in &manifest.layers {
            let path = self.path(&layer.digest);
            let there = fs::metadata(&path).map_err(|error| bad(&path, error.to_string()))?;
            if there.len() != layer.size {
                return Err(bad(
                    &path,
                    format!("it has {} bytes, not {}", there.len(), layer.size),
                ));
            }
        }
        Ok(LayoutImage { dir: self.0.to_owned(), manifest, digest, config })
    }
}

impl LayoutImage {
    /// The file of one of its blobs.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        Layout(&self.dir).path(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_layouts() {
        for (text, dir, tag, digest) in [
            ("/a/b", "/a/b", None, None),
            ("/a/b:v1", "/a/b", Some("v1"), None),
            ("/a:x/b", "/a:x/b", None, None),
            ("/a@sha256:12", "/a", None, Some("sha256:12")),
            ("/a:v1@sha256:12", "/a", Some("v1"), Some("sha256:12")),
            ("/a@b/c", "/a@b/c", None, None),
        ] {
            let expected = Address { dir: Path::new(dir), tag, digest };
            assert_eq!(Address::parse(text), expected, "{text}");
        }
    }
}
