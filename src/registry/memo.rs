//! What registries said in this run: each manifest and config is asked for once, however many
//! stages, platforms and programs' parts want it.
//!
//! Documents are small (their limit is [`super::pull::MANIFEST_MAX`]) and few: those of the bases
//! that a Dockerfile names. A failure is not remembered: another try may fare better.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::RegistryError;
use super::reference::Repository;
use crate::digest::Digest;

/// A manifest or index, as a registry gave it.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) bytes: Arc<[u8]>,
    pub(super) content_type: Option<String>,
    pub(super) digest: Digest,
}

/// By repository and version: a tag or digest.
type Key = (Repository, String);
/// Locked while the registry is asked, so that many threads ask once.
type Slot<T> = Arc<tokio::sync::Mutex<Option<T>>>;

/// What was said so far.
#[derive(Default)]
pub(super) struct Memo {
    documents: Mutex<HashMap<Key, Slot<Fetched>>>,
    /// What tags name, where no more than that was asked.
    tags: Mutex<HashMap<Key, Slot<Digest>>>,
    configs: Mutex<HashMap<Key, Slot<Arc<[u8]>>>>,
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}

impl Memo {
    /// A document; `ask` gets it where nobody had asked before.
    pub(super) async fn document(
        &self,
        repository: &Repository,
        version: &str,
        ask: impl AsyncFnOnce() -> Result<Fetched, RegistryError>,
    ) -> Result<Fetched, RegistryError> {
        once(&self.documents, repository, version, ask).await
    }

    /// What a tag names.
    pub(super) async fn tag(
        &self,
        repository: &Repository,
        tag: &str,
        ask: impl AsyncFnOnce() -> Result<Digest, RegistryError>,
    ) -> Result<Digest, RegistryError> {
        if let Some(digest) = self.known(repository, tag).await {
            return Ok(digest);
        }
        once(&self.tags, repository, tag, ask).await
    }

    /// A config, by its digest.
    pub(super) async fn config(
        &self,
        repository: &Repository,
        digest: &str,
        ask: impl AsyncFnOnce() -> Result<Arc<[u8]>, RegistryError>,
    ) -> Result<Arc<[u8]>, RegistryError> {
        once(&self.configs, repository, digest, ask).await
    }

    /// The digest of a document that was asked for, or is being asked for now.
    pub(super) async fn known(&self, repository: &Repository, version: &str) -> Option<Digest> {
        let key = (repository.clone(), version.to_owned());
        let slot = lock(&self.documents).get(&key).cloned()?;
        let document = slot.lock().await;
        document.as_ref().map(|document| document.digest)
    }
}

async fn once<T: Clone>(
    all: &Mutex<HashMap<Key, Slot<T>>>,
    repository: &Repository,
    version: &str,
    ask: impl AsyncFnOnce() -> Result<T, RegistryError>,
) -> Result<T, RegistryError> {
    let key = (repository.clone(), version.to_owned());
    let slot = lock(all).entry(key).or_default().clone();
    let mut said = slot.lock().await;
    if let Some(said) = said.as_ref() {
        return Ok(said.clone());
    }
    Ok(said.insert(ask().await?).clone())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
