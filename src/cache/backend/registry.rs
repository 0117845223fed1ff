//! A repository of a registry: documents are manifests, names are tags.

use std::fmt;
use std::io::Read;

use super::{Backend, Change, Content, Document, LayerPlace};
use crate::cache::error::CacheError;
use crate::digest::Digest;
use crate::image::Descriptor;
use crate::registry::{Body, Client, Reference, RegistryError, Repository};

/// One repository.
#[derive(Clone)]
pub struct Registry {
    client: Client,
    repository: Repository,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.repository).finish()
    }
}

impl Registry {
    /// A repository, which nobody asks anything yet.
    pub fn new(client: Client, repository: Repository) -> Self {
        Self { client, repository }
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
        self.read(&self.reference(Some(name), None))
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
        let old = self.read(&reference)?;
        let Some(new) = change(old.as_ref())? else { return Ok(()) };
        let pusher = self.client.pusher(&reference);
        pusher.put_manifest(Some(name), &new.bytes, &new.media_type)?;
        Ok(())
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, CacheError> {
        Ok(Box::new(self.client.open_blob(&self.repository, blob)?))
    }

    fn keep(
        &self,
        blob: &Descriptor,
        content: Content<'_>,
        mount_from: Option<&Repository>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CacheError> {
        let body = match content {
            Content::File(path) => Body::File(path),
            Content::Later(make) => Body::Later(make),
            Content::Bytes(bytes) => Body::Bytes(bytes),
        };
        let pusher = self.client.pusher(&self.reference(None, None));
        pusher.push_blob(blob, body, mount_from, progress)?;
        Ok(())
    }

    fn layer(&self, _: &Descriptor) -> Option<LayerPlace> {
        Some(LayerPlace::Repository(self.repository.clone()))
    }
}
