//! A snapshot as a document: an OCI manifest whose layers are the tree and the packs, so that a registry
//! keeps them and any tool can copy them.
//!
//! It has the media types of an image, and only its annotations say what it is. GitLab's registry refuses
//! every `artifactType` and every type of a config or a layer that is not on a list of its own
//! (400 MANIFEST_INVALID, "unknown media type"; <https://github.com/ocx-sh/ocx/issues/480>,
//! <https://github.com/fluxcd/flux2/issues/3724>).

use std::collections::BTreeMap;

use serde_json::Map;

use super::error::MountError;
use super::key::MountKey;
use crate::cache::backend::Document;
use crate::cache::error::CacheError;
use crate::digest::Digest;
use crate::image::media_type::OCI_MANIFEST;
use crate::image::{Descriptor, Manifest};

/// Media type of trees and packs. Nobody unpacks them, and nobody would know what gzip is for.
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A config of an image that has nothing.
pub(super) const CONFIG_BYTES: &[u8] =
    br#"{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;

/// Which form a snapshot has.
pub const VERSION: &str = "dev.kiln.cache-mount.version";
const THIS_VERSION: &str = "1";
/// When it was saved: seconds since 1970.
pub const SAVED: &str = "dev.kiln.cache-mount.saved";
const CONTENT: &str = "dev.kiln.cache-mount.content";
const ABOUT: &str = "dev.kiln.cache-mount.about";

/// Packs of one snapshot. gitlab.com refuses manifests that name more than 200 things.
pub(super) const PACKS_MAX: usize = 150;

/// A snapshot, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The tree.
    pub(super) tree: Descriptor,
    /// The packs, by their numbers in the tree.
    pub(super) packs: Vec<Descriptor>,
    /// What the files are, without when they were used: two with the same one need not both be kept.
    pub(super) content: Digest,
    /// When it was saved: seconds since 1970.
    pub(super) saved: u64,
}

impl Snapshot {
    /// What a document says. `place` is for the error: something else is there.
    pub(super) fn parse(document: &Document, place: &str) -> Result<Self, MountError> {
        let no_cache = |reason: String| {
            MountError::from(CacheError::NotACache { place: place.to_owned(), reason })
        };
        let manifest: Manifest = serde_json::from_slice(&document.bytes)
            .map_err(|error| no_cache(format!("it cannot be read: {error}")))?;
        let said = |name: &str| manifest.annotations.get(name);
        match said(VERSION).map(String::as_str) {
            None => return Err(no_cache("it is something else than a cache of RUN".into())),
            Some(THIS_VERSION) => {}
            Some(other) => {
                return Err(no_cache(format!("a kiln that writes version {other} wrote it")));
            }
        }
        let missing = || MountError::damaged("its manifest does not say what it is");
        let mut layers = manifest.layers.iter().cloned();
        let tree = layers.next().ok_or_else(missing)?;
        let packs: Vec<Descriptor> = layers.collect();
        if packs.len() > PACKS_MAX {
            return Err(MountError::damaged("its manifest names too many packs"));
        }
        let content = said(CONTENT).and_then(|it| it.parse().ok()).ok_or_else(missing)?;
        let saved = said(SAVED).and_then(|it| it.parse().ok()).ok_or_else(missing)?;
        Ok(Self { tree, packs, content, saved })
    }

    /// As a document.
    pub(super) fn document(&self, key: &MountKey) -> Result<Document, MountError> {
        let annotations = [
            (VERSION, THIS_VERSION.to_owned()),
            (SAVED, self.saved.to_string()),
            (CONTENT, self.content.to_string()),
            (ABOUT, key.about().to_owned()),
        ];
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(OCI_MANIFEST.to_owned()),
            config: config(),
            layers: [&self.tree].into_iter().chain(&self.packs).cloned().collect(),
            annotations: BTreeMap::from(annotations.map(|(name, text)| (name.to_owned(), text))),
            other: Map::new(),
        };
        let bytes = serde_json::to_vec(&manifest)
            .map_err(|error| MountError::damaged(error.to_string()))?;
        Ok(Document { bytes, media_type: OCI_MANIFEST.to_owned() })
    }

    /// Whether it has all of these packs.
    pub(super) fn has<'a>(&self, mut packs: impl Iterator<Item = &'a Descriptor>) -> bool {
        packs.all(|pack| self.packs.iter().any(|own| own.digest == pack.digest))
    }
}

/// The config, which is the same for all.
pub(super) fn config() -> Descriptor {
    Descriptor::new(CONFIG, Digest::of(CONFIG_BYTES), CONFIG_BYTES.len() as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::dockerfile::Sharing;
    use crate::plan::CacheMount;

    fn key() -> MountKey {
        let mount = CacheMount {
            target: "/c".into(),
            id: "/c".into(),
            sharing: Sharing::Shared,
            seed: None,
            source: "/".into(),
            read_only: false,
            mode: None,
            uid: None,
            gid: None,
        };
        MountKey::new(&mount, "id /c\n", "linux/amd64")
    }

    #[test]
    fn a_snapshot_comes_back() {
        let blob = |kind: &str, text: &str| {
            Descriptor::new(kind, Digest::of(text.as_bytes()), text.len() as u64)
        };
        for count in [0, 1, PACKS_MAX] {
            let packs = (0..count).map(|at| blob(LAYER, &at.to_string())).collect();
            let (tree, content) = (blob(LAYER, "tree"), Digest::of(b"content"));
            let snapshot = Snapshot { tree, packs, content, saved: 1_700_000_000 };
            let document = snapshot.document(&key()).unwrap();
            assert_eq!(Snapshot::parse(&document, "here").unwrap(), snapshot);
            // gitlab.com's limit for a manifest.
            assert!(document.bytes.len() < 256_000);
        }
    }

    #[test]
    fn something_else_is_told_apart() {
        let document = |text: &str| Document { bytes: text.into(), media_type: "x".into() };
        let digest = Digest::of(b"");
        let image = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"x","digest":"{digest}","size":2}}}}"#
        );
        for (text, why) in
            [("nonsense", "cannot be read"), (&*image, "something else"), ("{}", "cannot be read")]
        {
            let error = Snapshot::parse(&document(text), "here:tag").unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("here:tag"), "{error}");
        }
        let newer = image
            .replace(r#"{"schema"#, &format!(r#"{{"annotations":{{"{VERSION}":"2"}},"schema"#));
        let error = Snapshot::parse(&document(&newer), "here").unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
        let bare = newer.replace(r#""2"}"#, r#""1"}"#);
        let error = Snapshot::parse(&document(&bare), "here").unwrap_err().to_string();
        assert!(error.contains("does not say"), "{error}");
    }
}
