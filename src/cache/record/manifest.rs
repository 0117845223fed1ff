//! Records as documents: an OCI manifest whose layers are those of the entries, so that a registry
//! keeps them and any tool can copy them. Many entries are several manifests and an index, because
//! registries limit how much one manifest names.
//!
//! What every build reads is in the manifests, one round trip away, or two; what only an explanation
//! needs is in their configs.
//!
//! All has the media types of an image, and only annotations say what it is: GitLab's registry refuses
//! types that are not on a list of its own (400 MANIFEST_INVALID, "unknown media type";
//! <https://github.com/fluxcd/flux2/issues/3724>).

use std::collections::BTreeMap;
use std::io::Read as _;
use std::thread;

use serde::Serialize;
use serde_json::{Map, Value};

use super::noted::Noted;
use super::{About, Entry, Record, inline};
use crate::cache::backend::{Backend, Content, Document};
use crate::cache::error::CacheError;
use crate::digest::Digest;
use crate::image::media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use crate::image::{Descriptor, Index, Manifest};

/// The annotation of a manifest or index by which it is a cache, and in which form.
pub const VERSION: &str = "dev.kiln.cache.version";
const THIS_VERSION: &str = "1";
/// The field of a config with a list of [`About`], in the order of the layers.
const ABOUT: &str = "dev.kiln.cache.about";
/// What stands for no layer: an empty archive.
const EMPTY: &[u8] = &[0; 1024];
/// The annotation of a layer that makes an entry of it.
const ENTRY: &str = "dev.kiln.cache.entry";
/// Entries of one manifest. gitlab.com refuses manifests that name more than 200 things.
const PART: usize = 150;
/// Entries of a record; those used longest ago go first.
const ENTRIES_MAX: usize = PARTS_MAX * PART;
/// Manifests of a record.
const PARTS_MAX: usize = 24;
/// Bytes of the largest config.
const CONFIG_MAX: u64 = 16 << 20;
/// Images of an index that are asked for keys.
const IMAGES_MAX: usize = 16;

/// Whether an explanation is wanted, which costs another round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What decides about hits.
    Entries,
    /// What people want to know, too, as far as it is there.
    About,
    /// All of it: it will be written again.
    Whole,
}

/// Reads what a place has under a name; empty where there is nothing.
///
/// # Errors
/// [`CacheError::NotACache`] for something else under that name, and what the place says.
pub fn read(backend: &dyn Backend, name: &str, detail: Detail) -> Result<Record, CacheError> {
    let top = match name.parse::<Digest>() {
        Ok(digest) => backend.document_by_digest(&digest)?,
        Err(_) => backend.document(name)?,
    };
    let Some(top) = top else { return Ok(Record::default()) };
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
        if !self.is_record(&index.annotations)? {
            return self.images(index);
        }
        let read = |part: &Descriptor| -> Result<Vec<Entry>, CacheError> {
            let document = self.backend.document_by_digest(&part.digest)?;
            document.map_or(Ok(Vec::new()), |document| self.part(&document.bytes))
        };
        let parts: Vec<Result<Vec<Entry>, CacheError>> = thread::scope(|scope| {
            let read = &read;
            let parts = index.manifests.iter().take(PARTS_MAX);
            let parts = parts.map(|part| scope.spawn(move || read(part)));
            let parts: Vec<_> = parts.collect();
            let join = |part: thread::ScopedJoinHandle<'_, _>| {
                part.join().unwrap_or_else(|_| Err(self.no_cache("a look-up ended abnormally")))
            };
            parts.into_iter().map(join).collect()
        });
        let parts: Vec<_> = parts.into_iter().collect::<Result<_, _>>()?;
        Ok(Record { entries: parts.into_iter().flatten().collect() })
    }

    /// Whether annotations say that this is a cache.
    fn is_record(&self, annotations: &BTreeMap<String, String>) -> Result<bool, CacheError> {
        match annotations.get(VERSION).map(String::as_str) {
            None => Ok(false),
            Some(THIS_VERSION) => Ok(true),
            Some(other) => {
                Err(self.no_cache(&format!("a kiln that writes version {other} made it")))
            }
        }
    }

    /// The images of several platforms, those of which carry keys that can.
    fn images(&self, index: &Index) -> Result<Record, CacheError> {
        let images = index.manifests.iter().take(IMAGES_MAX);
        let images = images.map(|image| match self.backend.document_by_digest(&image.digest)? {
            Some(document) => self.image(&self.parse(&document.bytes)?),
            None => Ok(Vec::new()),
        });
        let (found, failed): (Vec<_>, Vec<_>) = images.partition(Result::is_ok);
        match failed.into_iter().next() {
            Some(Err(error)) if found.is_empty() => Err(error),
            _ => Ok(Record { entries: found.into_iter().flatten().flatten().collect() }),
        }
    }

    /// An image that carries the keys of its own layers.
    fn image(&self, manifest: &Manifest) -> Result<Vec<Entry>, CacheError> {
        let config = self.config(&manifest.config)?;
        let entries = inline::entries(&config, &manifest.layers);
        let entries = entries.map_err(|error| self.no_cache(&error.to_string()))?;
        entries.ok_or_else(|| self.no_cache("it is an image that carries no keys"))
    }

    fn part(&self, bytes: &[u8]) -> Result<Vec<Entry>, CacheError> {
        let manifest: Manifest = self.parse(bytes)?;
        if !self.is_record(&manifest.annotations)? {
            return self.image(&manifest);
        }
        let about = match self.detail {
            Detail::Entries => Vec::new(),
            // Without it there is a worse explanation, and no worse build.
            Detail::About => self.about(&manifest.config).unwrap_or_default(),
            Detail::Whole => match self.about(&manifest.config) {
                Err(CacheError::NotACache { .. }) => Vec::new(),
                read => read?,
            },
        };
        let mut about = about.into_iter();
        let entries = manifest.layers.iter().filter_map(|layer| {
            let about = about.next().unwrap_or_default();
            entry(layer, about)
        });
        Ok(entries.collect())
    }

    fn about(&self, config: &Descriptor) -> Result<Vec<About>, CacheError> {
        let config = self.config(config)?;
        let about = config.get(ABOUT).cloned().unwrap_or_default();
        serde_json::from_value(about).map_err(|error| self.no_cache(&error.to_string()))
    }

    fn config(&self, config: &Descriptor) -> Result<Value, CacheError> {
        let mut bytes = Vec::new();
        let blob = self.backend.open(config)?;
        let read = blob.take(CONFIG_MAX).read_to_end(&mut bytes);
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

/// What a layer is the result of; nothing where that cannot be read.
fn entry(layer: &Descriptor, about: About) -> Option<Entry> {
    let noted: Noted = serde_json::from_str(layer.annotations.get(ENTRY)?).ok()?;
    noted.entry(Some(layer), about)
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
        let Some(record) = changed(backend, name, old, change)? else { return Ok(None) };
        store(backend, &record).map(Some)
    })
}

/// Does what [`write`] will do before the place has all layers, but for what leads to them: if nobody
/// else writes meanwhile, little is left to do later. `change` may be called again.
///
/// # Errors
/// As [`write`]; it will fail, too, or do what was not done here.
pub fn rehearse(
    backend: &dyn Backend,
    name: &str,
    change: &mut dyn FnMut(&mut Record),
) -> Result<(), CacheError> {
    let Some(old) = backend.remembered(name) else { return Ok(()) };
    match changed(backend, name, old.as_ref(), change)? {
        // A larger one has parts that name layers.
        Some(record) if record.entries.len() <= PART => part(backend, &record.entries).map(drop),
        _ => Ok(()),
    }
}

/// The record that is to take the place of another; nothing if it stays as it is.
fn changed(
    backend: &dyn Backend,
    name: &str,
    old: Option<&Document>,
    change: &mut dyn FnMut(&mut Record),
) -> Result<Option<Record>, CacheError> {
    let mut record = match old {
        Some(old) => own(backend, name, old)?,
        None => Record::default(),
    };
    let before = record.clone();
    change(&mut record);
    if record == before && old.is_some() {
        return Ok(None);
    }
    record.keep_newest(ENTRIES_MAX);
    Ok(Some(record))
}

/// A record that is to be written again. An image that carries keys is none.
fn own(backend: &dyn Backend, name: &str, top: &Document) -> Result<Record, CacheError> {
    let reader = Reader { backend, name, detail: Detail::Whole };
    let value: Value = reader.parse(&top.bytes)?;
    let says = value.get("annotations").and_then(|all| all.get(VERSION));
    if says.is_none() {
        return Err(reader.no_cache("something else has this name"));
    }
    of_document(backend, name, top, Detail::Whole)
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
        annotations: version(),
        other: Map::new(),
    };
    document(&index, OCI_INDEX)
}

fn part(backend: &dyn Backend, entries: &[Entry]) -> Result<Document, CacheError> {
    let about: Vec<&About> = entries.iter().map(|entry| &entry.about).collect();
    let diff_ids = entries.iter().map(|entry| match &entry.layer {
        Some(layer) => layer.diff_id,
        None => Digest::of(EMPTY),
    });
    let config = serde_json::json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids.collect::<Vec<_>>() },
        ABOUT: about,
    });
    let config = json(&config)?;
    let size = config.len() as u64;
    let descriptor = Descriptor::new(OCI_CONFIG, Digest::of(&config), size);
    backend.keep(&descriptor, Content::Bytes(&config), None, &|_| {})?;
    if entries.iter().any(|entry| entry.layer.is_none()) {
        let empty = Descriptor::new(OCI_LAYER, Digest::of(EMPTY), EMPTY.len() as u64);
        backend.keep(&empty, Content::Constant(EMPTY), None, &|_| {})?;
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(OCI_MANIFEST.to_owned()),
        config: descriptor,
        layers: entries.iter().map(layer).collect::<Result<_, _>>()?,
        annotations: version(),
        other: Map::new(),
    };
    document(&manifest, OCI_MANIFEST)
}

fn layer(entry: &Entry) -> Result<Descriptor, CacheError> {
    let mut descriptor = match &entry.layer {
        Some(layer) => layer.descriptor.clone(),
        None => Descriptor::new(OCI_LAYER, Digest::of(EMPTY), EMPTY.len() as u64),
    };
    let noted = Noted::of(entry);
    let noted = String::from_utf8_lossy(&json(&noted)?).into_owned();
    descriptor.annotations = BTreeMap::from([(ENTRY.to_owned(), noted)]);
    Ok(descriptor)
}

fn version() -> BTreeMap<String, String> {
    BTreeMap::from([(VERSION.to_owned(), THIS_VERSION.to_owned())])
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
