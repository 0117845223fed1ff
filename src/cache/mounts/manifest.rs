//! A snapshot as a document: an OCI manifest whose config is the tree and whose layers are the packs, so
//! that a registry keeps them and any tool can copy them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::MountError;
use super::key::MountKey;
use super::pack;
use crate::cache::backend::Document;
use crate::cache::error::CacheError;
use crate::digest::Digest;
use crate::image::media_type::OCI_MANIFEST;
use crate::image::{Descriptor, Manifest};

/// What `artifactType` says.
const KIND: &str = "application/vnd.kiln.cache-mount.v1";
/// Media type of the config.
pub(super) const TREE: &str = "application/vnd.kiln.cache-mount.tree.v1+zstd";
/// What stands for no pack (OCI image-spec manifest.md, "Guidance for an Empty Descriptor").
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
pub(super) const EMPTY_BYTES: &[u8] = b"{}";

const SAVED: &str = "dev.kiln.cache-mount.saved";
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
        if manifest.other.get("artifactType").and_then(Value::as_str) != Some(KIND) {
            return Err(no_cache("it is something else than a cache of RUN".into()));
        }
        let said = |name: &str| manifest.annotations.get(name);
        let missing = || MountError::damaged("its manifest does not say what it is");
        let packs: Vec<Descriptor> =
            manifest.layers.iter().filter(|it| it.media_type != EMPTY).cloned().collect();
        if packs.len() > PACKS_MAX || packs.iter().any(|it| it.media_type != pack::MEDIA_TYPE) {
            return Err(MountError::damaged("its manifest names what is no pack"));
        }
        Ok(Self {
            content: said(CONTENT).and_then(|it| it.parse().ok()).ok_or_else(missing)?,
            saved: said(SAVED).and_then(|it| it.parse().ok()).ok_or_else(missing)?,
            tree: manifest.config,
            packs,
        })
    }

    /// As a document.
    pub(super) fn document(&self, key: &MountKey) -> Result<Document, MountError> {
        let mut layers = self.packs.clone();
        if layers.is_empty() {
            layers.push(empty());
        }
        let annotations = [
            (SAVED, self.saved.to_string()),
            (CONTENT, self.content.to_string()),
            (ABOUT, key.about().to_owned()),
        ];
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(OCI_MANIFEST.to_owned()),
            config: self.tree.clone(),
            layers,
            annotations: BTreeMap::from(annotations.map(|(name, text)| (name.to_owned(), text))),
            other: Map::from_iter([("artifactType".to_owned(), Value::from(KIND))]),
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

/// Stands where a manifest needs a layer and there is none.
pub(super) fn empty() -> Descriptor {
    Descriptor::new(EMPTY, Digest::of(EMPTY_BYTES), EMPTY_BYTES.len() as u64)
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
            let packs = (0..count).map(|at| blob(pack::MEDIA_TYPE, &at.to_string())).collect();
            let (tree, content) = (blob(TREE, "tree"), Digest::of(b"content"));
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
        let bare = image.replace("\"schema", &format!("\"artifactType\":\"{KIND}\",\"schema"));
        let error = Snapshot::parse(&document(&bare), "here").unwrap_err().to_string();
        assert!(error.contains("does not say"), "{error}");
    }
}
