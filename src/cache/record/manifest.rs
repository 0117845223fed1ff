//! Records as documents: an OCI manifest whose layers are those of the entries, so that a registry
//! keeps them and any tool can copy them. Many entries are several manifests and an index, because
//! registries limit how much one manifest names.
//!
//! What every build reads is in the manifests, one round trip away, or two; what only an explanation
//! needs is in their configs.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::thread;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{About, Entry, KeptLayer, Record};
use crate::cache::backend::{Backend, Content, Document};
use crate::cache::error::CacheError;
use crate::cache::facts::Facts;
use crate::cache::key::Key;
use crate::cache::state::Token;
use crate::digest::Digest;
use crate::image::media_type::{OCI_INDEX, OCI_MANIFEST};
use crate::image::{Descriptor, Index, Manifest};

/// What `artifactType` says.
pub const KIND: &str = "application/vnd.kiln.cache.v1";
/// Media type of the config, a list of [`About`] in the order of the layers.
const ABOUT: &str = "application/vnd.kiln.cache.about.v1+json";
/// What stands for no layer (OCI image-spec manifest.md, "Guidance for an Empty Descriptor").
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const EMPTY_BYTES: &[u8] = b"{}";
/// The annotation of a layer that makes an entry of it.
const ENTRY: &str = "dev.kiln.cache.entry";
/// Entries of one manifest. gitlab.com refuses manifests that name more than 200 things.
const PART: usize = 150;
/// Entries of a record; those used longest ago go first.
const ENTRIES_MAX: usize = 24 * PART;
/// Bytes of the largest config.
const ABOUT_MAX: u64 = 16 << 20;

/// An entry as the annotation has it.
#[derive(Serialize, Deserialize)]
struct Noted {
    #[serde(rename = "k")]
    key: Key,
    #[serde(rename = "b")]
    below: Digest,
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    sources: Vec<Token>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    diff_id: Option<Digest>,
    #[serde(rename = "f", default, skip_serializing_if = "Facts::is_empty")]
    facts: Facts,
    #[serde(rename = "c")]
    created: String,
    #[serde(rename = "u")]
    used: u64,
}

/// Whether an explanation is wanted, which costs another round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What decides about hits.
    Entries,
    /// What people want to know, too.
    About,
}

/// Reads what a place has under a name; empty where there is nothing.
///
/// # Errors
/// [`CacheError::NotACache`] for something else under that name, and what the place says.
pub fn read(backend: &dyn Backend, name: &str, detail: Detail) -> Result<Record, CacheError> {
    let Some(top) = backend.document(name)? else { return Ok(Record::default()) };
    of_document(backend, name, &top, detail)
}

/// The record that a document is.
pub fn of_document(
    backend: &dyn Backend,
    name: &str,
    top: &Document,
    detail: Detail,
) -> Result<Record, CacheError> {
    let reader = Reader { backend, name, detail };
    match reader.parse::<Value>(&top.bytes)?.get("manifests") {
        None => Ok(Record { entries: reader.part(&top.bytes)? }),
        Some(_) => reader.parts(&reader.parse(&top.bytes)?),
    }
}

struct Reader<'a> {
    backend: &'a dyn Backend,
    name: &'a str,
    detail: Detail,
}

impl Reader<'_> {
    /// All parts at once. One that is gone has no entries: a place may have forgotten it.
    fn parts(&self, index: &Index) -> Result<Record, CacheError> {
        if index.other.get("artifactType").and_then(Value::as_str) != Some(KIND) {
            return Err(self.no_cache("it is an index of images"));
        }
        let read = |part: &Descriptor| -> Result<Vec<Entry>, CacheError> {
            let document = self.backend.document_by_digest(&part.digest)?;
            document.map_or(Ok(Vec::new()), |document| self.part(&document.bytes))
        };
        let parts: Vec<Result<Vec<Entry>, CacheError>> = thread::scope(|scope| {
            let read = &read;
            let parts = index.manifests.iter().map(|part| scope.spawn(move || read(part)));
            let parts: Vec<_> = parts.collect();
            let join = |part: thread::ScopedJoinHandle<'_, _>| {
                part.join().unwrap_or_else(|_| Err(self.no_cache("a look-up ended abnormally")))
            };
            parts.into_iter().map(join).collect()
        });
        let parts: Vec<_> = parts.into_iter().collect::<Result<_, _>>()?;
        Ok(Record { entries: parts.into_iter().flatten().collect() })
    }

    fn part(&self, bytes: &[u8]) -> Result<Vec<Entry>, CacheError> {
        let manifest: Manifest = self.parse(bytes)?;
        if manifest.other.get("artifactType").and_then(Value::as_str) != Some(KIND) {
            return Err(self.no_cache("it is an image that carries no keys"));
        }
        let about = match self.detail {
            Detail::Entries => Vec::new(),
            // Without it there is a worse explanation, and no worse build.
            Detail::About => self.about(&manifest.config).unwrap_or_default(),
        };
        let mut about = about.into_iter();
        let entries = manifest.layers.iter().map(|layer| {
            let about = about.next().unwrap_or_default();
            self.entry(layer, about)
        });
        entries.collect()
    }

    fn entry(&self, layer: &Descriptor, about: About) -> Result<Entry, CacheError> {
        let noted = layer.annotations.get(ENTRY);
        let noted = noted.ok_or_else(|| self.no_cache("a layer has no key"))?;
        let noted: Noted = self.parse(noted.as_bytes())?;
        let layer = noted.diff_id.map(|diff_id| {
            let mut descriptor = layer.clone();
            descriptor.annotations.clear();
            KeptLayer { descriptor, diff_id }
        });
        let Noted { key, below, sources, facts, created, used, .. } = noted;
        Ok(Entry { key, below, sources, layer, facts, created, used, about })
    }

    fn about(&self, config: &Descriptor) -> Result<Vec<About>, CacheError> {
        let mut bytes = Vec::new();
        let blob = self.backend.open(config)?;
        let read = blob.take(ABOUT_MAX).read_to_end(&mut bytes);
        read.map_err(|error| self.no_cache(&error.to_string()))?;
        self.parse(&bytes)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CacheError> {
        serde_json::from_slice(bytes).map_err(|error| self.no_cache(&error.to_string()))
    }

    fn no_cache(&self, reason: &str) -> CacheError {
        let place = format!("{}:{}", self.backend.name(), self.name);
        CacheError::NotACache { place, reason: reason.to_owned() }
    }
}

/// Changes what a place has under a name. All layers are there already; `change` may be called again.
///
/// # Errors
/// What the place says. Something that is no record is not overwritten.
pub fn write(
    backend: &dyn Backend,
    name: &str,
    change: &mut (dyn FnMut(&mut Record) + Send),
) -> Result<(), CacheError> {
    backend.update(name, &mut |old| {
        let mut record = match old {
            Some(old) => of_document(backend, name, old, Detail::About)?,
            None => Record::default(),
        };
        let before = record.clone();
        change(&mut record);
        if record == before && old.is_some() {
            return Ok(None);
        }
        record.keep_newest(ENTRIES_MAX);
        store(backend, &record).map(Some)
    })
}

/// Keeps what a record consists of, but for its top.
fn store(backend: &dyn Backend, record: &Record) -> Result<Document, CacheError> {
    if record.entries.len() <= PART {
        return part(backend, &record.entries);
    }
    let parts = record.entries.chunks(PART).map(|entries| {
        let part = part(backend, entries)?;
        backend.keep_document(&part)?;
        let digest = Digest::of(&part.bytes);
        Ok(Descriptor::new(OCI_MANIFEST, digest, part.bytes.len() as u64))
    });
    let index = Index {
        schema_version: 2,
        media_type: Some(OCI_INDEX.to_owned()),
        manifests: parts.collect::<Result<_, CacheError>>()?,
        annotations: BTreeMap::new(),
        other: kind(),
    };
    document(&index, OCI_INDEX)
}

fn part(backend: &dyn Backend, entries: &[Entry]) -> Result<Document, CacheError> {
    let about: Vec<&About> = entries.iter().map(|entry| &entry.about).collect();
    let config = keep(backend, ABOUT, &json(&about)?)?;
    if entries.iter().any(|entry| entry.layer.is_none()) {
        keep(backend, EMPTY, EMPTY_BYTES)?;
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(OCI_MANIFEST.to_owned()),
        config,
        layers: entries.iter().map(layer).collect::<Result<_, _>>()?,
        annotations: BTreeMap::new(),
        other: kind(),
    };
    document(&manifest, OCI_MANIFEST)
}

fn layer(entry: &Entry) -> Result<Descriptor, CacheError> {
    let mut descriptor = match &entry.layer {
        Some(layer) => layer.descriptor.clone(),
        None => Descriptor::new(EMPTY, Digest::of(EMPTY_BYTES), EMPTY_BYTES.len() as u64),
    };
    let noted = Noted {
        key: entry.key,
        below: entry.below,
        sources: entry.sources.clone(),
        diff_id: entry.layer.as_ref().map(|layer| layer.diff_id),
        facts: entry.facts.clone(),
        created: entry.created.clone(),
        used: entry.used,
    };
    let noted = String::from_utf8_lossy(&json(&noted)?).into_owned();
    descriptor.annotations = BTreeMap::from([(ENTRY.to_owned(), noted)]);
    Ok(descriptor)
}

fn keep(backend: &dyn Backend, kind: &str, bytes: &[u8]) -> Result<Descriptor, CacheError> {
    let descriptor = Descriptor::new(kind, Digest::of(bytes), bytes.len() as u64);
    backend.keep(&descriptor, Content::Bytes(bytes), None, &|_| {})?;
    Ok(descriptor)
}

fn kind() -> Map<String, Value> {
    Map::from_iter([("artifactType".to_owned(), Value::from(KIND))])
}

fn document(value: &impl Serialize, media_type: &str) -> Result<Document, CacheError> {
    Ok(Document { bytes: json(value)?, media_type: media_type.to_owned() })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, CacheError> {
    serde_json::to_vec(value).map_err(|error| CacheError::NotACache {
        place: "what would be written".into(),
        reason: error.to_string(),
    })
}
