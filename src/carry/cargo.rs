//! A document and everything below it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::home::Home;
use crate::digest::Digest;
use crate::image::{Descriptor, Index, Manifest, media_type};
use crate::registry::Client;

/// A manifest or index, and where it is.
#[derive(Debug, Clone)]
pub struct Item {
    /// Leads to it.
    pub descriptor: Descriptor,
    /// Has it, and everything below it.
    pub home: Home,
}

/// What a tag shall lead to.
#[derive(Debug, Clone)]
pub struct Cargo {
    /// The document, byte for byte.
    pub bytes: Vec<u8>,
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Manifests and indexes that it names.
    pub items: Vec<Item>,
    /// Blobs that it names, and where they are.
    pub blobs: Vec<(Descriptor, Home)>,
}

/// A document, read. In contrast to [`crate::image::Document`], its layers may be of any kind:
/// attestations, charts, signatures.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and not for long")]
#[derive(Debug)]
pub enum Contents {
    /// It names other documents.
    Index(Index),
    /// It names blobs.
    Manifest(Manifest),
}

impl Contents {
    /// Reads a document; `what` names it in errors.
    pub fn parse(bytes: &[u8], what: &str) -> Result<Self> {
        let unusable = || format!("{what} is neither a manifest nor an index");
        let value: Value = serde_json::from_slice(bytes).with_context(unusable)?;
        if value.get("manifests").is_some() {
            Ok(Self::Index(serde_json::from_value(value).with_context(unusable)?))
        } else {
            Ok(Self::Manifest(serde_json::from_value(value).with_context(unusable)?))
        }
    }
}

/// What a document says of its own media type, else the one that leads to it, else OCI's.
pub(super) fn media_type_of(bytes: &[u8], led_by: &str) -> String {
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    let own = value.as_ref().and_then(|value| value.get("mediaType")).and_then(Value::as_str);
    let is_index = value.as_ref().is_some_and(|value| value.get("manifests").is_some());
    match (own, led_by) {
        (Some(own), _) => own.to_owned(),
        (None, led_by) if led_by.contains('/') => led_by.to_owned(),
        (None, _) if is_index => media_type::OCI_INDEX.to_owned(),
        (None, _) => media_type::OCI_MANIFEST.to_owned(),
    }
}

impl Cargo {
    /// Reads a document.
    pub fn of(item: &Item, client: &Client) -> Result<Self> {
        let Item { descriptor, home } = item;
        let bytes = home.document(client, descriptor)?;
        let contents = Contents::parse(&bytes, &format!("{} of {home}", descriptor.digest))?;
        let (mut items, mut blobs) = (Vec::new(), Vec::new());
        match contents {
            Contents::Index(index) => {
                let below = |descriptor| Item { descriptor, home: home.clone() };
                items.extend(index.manifests.into_iter().map(below));
            }
            Contents::Manifest(manifest) => {
                let all = std::iter::once(manifest.config).chain(manifest.layers);
                blobs.extend(all.map(|blob| (blob, home.clone())));
            }
        }
        Ok(Self {
            media_type: media_type_of(&bytes, &descriptor.media_type),
            digest: descriptor.digest,
            bytes,
            items,
            blobs,
        })
    }

    /// Reads a document that another one names.
    pub(super) fn named(item: &Item, client: &Client) -> Result<Self> {
        let Item { descriptor, home } = item;
        // Layouts may hold some images of an index only; registries take none without all.
        let missing = home.path(&descriptor.digest).is_some_and(|path| !path.exists());
        Self::of(item, client).with_context(|| match missing {
            true => {
                let platform = descriptor.platform.as_ref().map(|it| format!(" for {it}"));
                format!(
                    "the index names {}{}, which is not in {home}; --platform pushes an image that is",
                    descriptor.digest,
                    platform.unwrap_or_default()
                )
            }
            false => format!("the index names {}", descriptor.digest),
        })
    }

    /// Shows every document below, itself included, each once; those that are named before those that name
    /// them.
    ///
    /// # Errors
    /// Those of [`Course`], and what [`Self::of`] cannot read.
    pub fn visit(&self, client: &Client, see: &mut dyn FnMut(&Cargo) -> Result<()>) -> Result<()> {
        self.visit_below(client, 0, &mut Course::default(), see)
    }

    fn visit_below(
        &self,
        client: &Client,
        depth: usize,
        course: &mut Course,
        see: &mut dyn FnMut(&Cargo) -> Result<()>,
    ) -> Result<()> {
        for item in &self.items {
            if course.is_new(&item.descriptor, depth)? {
                Self::named(item, client)?.visit_below(client, depth + 1, course, see)?;
            }
        }
        see(self)
    }
}

/// More manifests than an image has.
pub(super) const DOCUMENTS_MAX: usize = 10_000;

/// A way through the documents below another, which may be a stranger's: each once, and not without an end.
#[derive(Debug, Default)]
pub(super) struct Course {
    known: BTreeSet<Digest>,
    /// Bytes of all of them.
    size: u64,
}

impl Course {
    /// Whether a document has not been met before, `depth` indexes below the first.
    ///
    /// # Errors
    /// Deeper, more or larger than any image.
    pub(super) fn is_new(&mut self, descriptor: &Descriptor, depth: usize) -> Result<bool> {
        const NESTED_MAX: usize = 4;
        const SIZE_MAX: u64 = 256 << 20;
        ensure!(depth < NESTED_MAX, "indexes lead to indexes without an end");
        if !self.known.insert(descriptor.digest) {
            return Ok(false);
        }
        self.size = self.size.saturating_add(descriptor.size);
        ensure!(
            self.known.len() <= DOCUMENTS_MAX && self.size <= SIZE_MAX,
            "it has more manifests than an image can have: over {DOCUMENTS_MAX}, or over {} MiB of them",
            SIZE_MAX >> 20
        );
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::cancel::Cancel;
    use crate::registry::Options;

    const INDEX: &str = media_type::OCI_INDEX;

    /// Puts a document into a layout.
    fn put(dir: &Path, document: &Value) -> Descriptor {
        let bytes = document.to_string().into_bytes();
        let descriptor = Descriptor::new(INDEX, Digest::of(&bytes), bytes.len() as u64);
        std::fs::create_dir_all(dir.join("blobs/sha256")).expect("a directory");
        std::fs::write(Home::Layout(dir.into()).path(&descriptor.digest).expect("a path"), bytes)
            .expect("a blob");
        descriptor
    }

    fn index(entries: &[Descriptor]) -> Value {
        json!({ "schemaVersion": 2, "manifests": entries })
    }

    /// Sizes of the documents in the order of the visit.
    fn visited(dir: &Path, top: Descriptor) -> Result<Vec<usize>> {
        let client = Client::new(Options::default(), Cancel::default()).expect("a client");
        let item = Item { descriptor: top, home: Home::Layout(dir.into()) };
        let mut sizes = Vec::new();
        Cargo::of(&item, &client)?.visit(&client, &mut |document| {
            sizes.push(document.bytes.len());
            Ok(())
        })?;
        Ok(sizes)
    }

    #[test]
    fn a_document_that_is_named_often_is_visited_once() {
        let dir = tempfile::tempdir().expect("temp");
        let below = put(dir.path(), &index(&[]));
        let middle = put(dir.path(), &index(&vec![below.clone(); 3]));
        let top = put(dir.path(), &index(&vec![middle.clone(); 20_000]));
        let expected = [below.size, middle.size, top.size].map(|size| size as usize);
        assert_eq!(visited(dir.path(), top).expect("read"), expected);
    }

    #[test]
    fn a_way_without_an_end_is_refused() {
        let dir = tempfile::tempdir().expect("temp");
        let mut top = put(dir.path(), &index(&[]));
        for _ in 0..4 {
            top = put(dir.path(), &index(&[top]));
        }
        assert_eq!(visited(dir.path(), top.clone()).expect("read").len(), 5);
        let top = put(dir.path(), &index(&[top]));
        let why = visited(dir.path(), top).expect_err("too deep").to_string();
        assert!(why.contains("without an end"), "{why}");

        let numbered = |number: usize, size: u64| {
            Descriptor::new(INDEX, Digest::of(&number.to_le_bytes()), size)
        };
        let met = |count: usize, size: u64| {
            let mut course = Course::default();
            (0..count).find(|number| course.is_new(&numbered(*number, size), 0).is_err())
        };
        assert_eq!(met(DOCUMENTS_MAX + 1, 1), Some(DOCUMENTS_MAX));
        assert_eq!(met(DOCUMENTS_MAX, 1), None);
        assert_eq!(met(64, 8 << 20), Some(32), "256 MiB are enough");
    }

    #[test]
    fn what_leads_to_a_document_says_its_size() {
        let dir = tempfile::tempdir().expect("temp");
        let mut top = put(dir.path(), &index(&[]));
        top.size += 1;
        let why = visited(dir.path(), top).expect_err("another size").to_string();
        assert!(why.contains("but what leads to it says"), "{why}");
    }
}
