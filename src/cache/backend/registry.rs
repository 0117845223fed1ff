//! A repository of a registry: documents are manifests, names are tags.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Backend, Change, Content, Document, LayerPlace};
use crate::cache::error::CacheError;
use crate::digest::Digest;
use crate::image::{Descriptor, media_type};
use crate::registry::{BlobReader, Body, Chance, Client, Reference, RegistryError, Repository};

/// Configs of so many bytes are remembered.
const REMEMBERED_MAX: u64 = 1 << 20;

/// One repository.
#[derive(Clone)]
pub struct Registry {
    client: Client,
    repository: Repository,
    memory: Arc<Memory>,
}

/// What was said and sent so far: none of it is asked or sent again. Documents under names may be
/// others' by now.
#[derive(Default)]
struct Memory {
    documents: Mutex<HashMap<String, Option<Document>>>,
    configs: Mutex<HashMap<Digest, Arc<[u8]>>>,
    kept: Mutex<HashSet<Digest>>,
}

impl Memory {
    fn remember(&self, name: &str, document: Option<Document>) {
        lock(&self.documents).insert(name.to_owned(), document);
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.repository).finish()
    }
}

impl Registry {
    /// A repository, which nobody asks anything yet.
    pub fn new(client: Client, repository: Repository) -> Self {
        Self { client, repository, memory: Arc::default() }
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tags of the repository.
    ///
    /// # Errors
    /// What the registry says.
    pub fn names(&self) -> Result<Vec<String>, CacheError> {
        Ok(self.client.tags(&self.repository)?)
    }

    /// Takes a tag away.
    ///
    /// # Errors
    /// What the registry says: many do not allow it.
    pub fn delete(&self, tag: &str) -> Result<(), CacheError> {
        Ok(self.client.delete_tag(&self.reference(Some(tag), None))?)
    }

    fn reference(&self, tag: Option<&str>, digest: Option<Digest>) -> Reference {
        let Repository { registry, name: repository } = self.repository.clone();
        Reference { registry, repository, tag: tag.map(str::to_owned), digest }
    }

    fn read(&self, reference: &Reference) -> Result<Option<Document>, CacheError> {
        match self.client.document(reference) {
            Ok(found) => Ok(Some(Document { bytes: found.bytes, media_type: found.media_type })),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is under a name now: where it is what it was, in an answer without a body.
    fn now(&self, name: &str, reference: &Reference) -> Result<Option<Document>, CacheError> {
        if let Some(known @ Some(_)) = self.remembered(name) {
            let digest = known.as_ref().map(|known| Digest::of(&known.bytes));
            match self.client.pusher(reference).head_manifest() {
                Ok(found) if found == digest => return Ok(known),
                // Another build's; or who knows no such question. Some answer it by 404, so that what
                // was there is gone only when it cannot be read either.
                _ => {}
            }
        }
        self.read(reference)
    }
}

/// Remembers a blob when all of it was read, and with that found to be the right one.
struct Remembering {
    reader: BlobReader,
    read: Vec<u8>,
    digest: Digest,
    memory: Arc<Memory>,
}

impl Read for Remembering {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.read.extend_from_slice(&buffer[..count]);
        if count == 0 && !buffer.is_empty() {
            lock(&self.memory.configs).insert(self.digest, std::mem::take(&mut self.read).into());
        }
        Ok(count)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A repository that does not exist yet is an empty cache.
fn is_missing(error: &RegistryError) -> bool {
    error.is_not_found()
}

impl Backend for Registry {
    fn name(&self) -> String {
        self.repository.familiar()
    }

    fn registry(&self) -> Option<&str> {
        Some(&self.repository.registry)
    }

    fn document(&self, name: &str) -> Result<Option<Document>, CacheError> {
        let found = self.read(&self.reference(Some(name), None))?;
        self.memory.remember(name, found.clone());
        Ok(found)
    }

    fn remembered(&self, name: &str) -> Option<Option<Document>> {
        lock(&self.memory.documents).get(name).cloned()
    }

    fn document_by_digest(&self, digest: &Digest) -> Result<Option<Document>, CacheError> {
        self.read(&self.reference(None, Some(*digest)))
    }

    fn keep_document(&self, document: &Document) -> Result<(), CacheError> {
        let pusher = self.client.pusher(&self.reference(None, None));
        let digest = Digest::of(&document.bytes).to_string();
        pusher.put_manifest(Some(&digest), &document.bytes, &document.media_type)?;
        Ok(())
    }

    fn update(&self, name: &str, change: &mut Change<'_>) -> Result<(), CacheError> {
        let reference = self.reference(Some(name), None);
        let old = self.now(name, &reference)?;
        let Some(new) = change(old.as_ref())? else { return Ok(()) };
        let pusher = self.client.pusher(&reference);
        pusher.put_manifest(Some(name), &new.bytes, &new.media_type)?;
        self.memory.remember(name, Some(new));
        Ok(())
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, CacheError> {
        if let Some(known) = lock(&self.memory.configs).get(&blob.digest) {
            return Ok(Box::new(io::Cursor::new(known.clone())));
        }
        let reader = self.client.open_blob(&self.repository, blob)?;
        if blob.media_type != media_type::OCI_CONFIG || blob.size > REMEMBERED_MAX {
            return Ok(Box::new(reader));
        }
        let (digest, memory) = (blob.digest, self.memory.clone());
        Ok(Box::new(Remembering { reader, read: Vec::new(), digest, memory }))
    }

    fn keep(
        &self,
        blob: &Descriptor,
        content: Content<'_>,
        mount_from: Option<&Repository>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CacheError> {
        if lock(&self.memory.kept).contains(&blob.digest) {
            return Ok(());
        }
        let (body, chance) = match content {
            Content::File(path) => (Body::File(path), Chance::Little),
            Content::Later(make) => (Body::Later(make), Chance::Some),
            Content::Bytes(bytes) => (Body::Bytes(bytes), Chance::Little),
            Content::Constant(bytes) => (Body::Bytes(bytes), Chance::Some),
        };
        let pusher = self.client.pusher(&self.reference(None, None));
        pusher.push_blob(blob, body, mount_from, chance, progress)?;
        lock(&self.memory.kept).insert(blob.digest);
        Ok(())
    }

    fn layer(&self, _: &Descriptor) -> Option<LayerPlace> {
        Some(LayerPlace::Repository(self.repository.clone()))
    }
}

#[cfg(test)]
mod tests {
    use testkit::{Action, Fault};

    use super::*;
    use crate::cancel::Cancel;
    use crate::registry::Options;

    fn index(note: &str) -> Document {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[],"annotations":{{"a":"{note}"}}}}"#,
            media_type::OCI_INDEX
        );
        Document { bytes: text.into_bytes(), media_type: media_type::OCI_INDEX.into() }
    }

    #[test]
    fn a_known_document_is_gone_only_when_it_cannot_be_read() {
        let registry = testkit::Registry::start();
        let client = Client::new(Options::default(), Cancel::default()).expect("a client");
        let repository = Repository { registry: registry.host().into(), name: "app/cache".into() };
        let cache = Registry::new(client, repository);
        cache.update("record", &mut |_| Ok(Some(index("old")))).expect("written");
        registry.fault(Fault::on("HEAD", "/manifests/record", Action::status(404)).always());
        let mut found = None;
        let change = &mut |old: Option<&Document>| {
            found = old.map(|old| old.bytes.clone());
            Ok(None)
        };
        cache.update("record", change).expect("read");
        assert_eq!(found, Some(index("old").bytes));
        registry.fault(Fault::on("GET", "/manifests/record", Action::status(404)).always());
        let change = &mut |old: Option<&Document>| {
            assert!(old.is_none(), "it is gone");
            Ok(None)
        };
        cache.update("record", change).expect("nothing to read");
    }
}
