//! The client: what the rest of kiln sees of registries. Every call blocks.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::blob::{self, Ahead, BlobReader};
use super::engine::Engine;
use super::error::RegistryError;
use super::memo::Memo;
use super::mirror::Mirrors;
use super::options::{Options, Patience};
use super::pull::{self, Resolved};
use super::push::Pusher;
use super::reference::{Reference, Repository, canonical_registry};
use super::retry::Policy;
use super::transport::Transport;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::image::{Descriptor, Platform};

/// Talks to registries. Clones share connections and tokens; calls block and may come from many
/// threads, but not from inside of an asynchronous runtime.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    engine: Engine,
    policy: Policy,
    cancel: Cancel,
    shared: Arc<Shared>,
}

/// What clients have in common that were made of one.
struct Shared {
    transport: Arc<Transport>,
    mirrors: Mirrors,
    memo: Memo,
    upload_chunk: Option<u64>,
    patience: Patience,
    ahead: Ahead,
    /// Mirrors that answered, and what stands behind them if a blob is not there.
    behind: Mutex<HashMap<Repository, Repository>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("mirrors", &self.0.shared.mirrors).finish_non_exhaustive()
    }
}

impl Client {
    /// Reads the credentials that the options name and the certificates that they name for hosts, and
    /// starts the client's threads. Connects to nothing.
    ///
    /// # Errors
    /// A file that exists and cannot be used, a certificate that was named for a host and does not
    /// exist, or a mirror that is none.
    pub fn new(options: Options, cancel: Cancel) -> Result<Self, RegistryError> {
        let mirrors = Mirrors::new(&options)?;
        let shared = Shared {
            transport: Arc::new(Transport::new(&options, mirrors.schemes(), &cancel)?),
            mirrors,
            memo: Memo::default(),
            upload_chunk: options.upload_chunk,
            patience: options.patience,
            ahead: Ahead::new(options.ranges),
            behind: Mutex::default(),
        };
        Ok(Self(Arc::new(Inner {
            engine: Engine::new(&cancel)?,
            policy: Policy::new(&options),
            cancel,
            shared: Arc::new(shared),
        })))
    }

    /// The same connections, logins and answers, for work that another cancellation stops.
    #[must_use]
    pub fn stopped_by(&self, cancel: Cancel) -> Self {
        let Inner { engine, policy, shared, .. } = &*self.0;
        let (engine, shared) = (engine.stopped_by(&cancel), shared.clone());
        Self(Arc::new(Inner { engine, policy: *policy, cancel, shared }))
    }

    /// The same, with pauses between attempts that come to no more than so much.
    #[must_use]
    pub fn within(&self, budget: Duration) -> Self {
        let Inner { engine, policy, cancel, shared } = &*self.0;
        let (engine, cancel) = (engine.stopped_by(cancel), cancel.clone());
        let (policy, shared) = (policy.within(budget), shared.clone());
        Self(Arc::new(Inner { engine, policy, cancel, shared }))
    }

    /// Waits for what leaves registries tidy and was not waited for so far.
    pub fn settle(&self) {
        self.0.engine.settle();
    }

    /// Reads the certificates that are trusted, for any host, if that was not necessary so far: where the
    /// machine's files are about to be replaced by an image's.
    pub fn read_certificates(&self) {
        self.transport().pool().read_certificates();
    }

    /// Finds an image for a platform: its manifest and config, checked. Mirrors are asked first, and
    /// nobody twice for the same document, so that a tag names one image as long as the client lives.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`], [`RegistryError::Unauthorized`], [`RegistryError::Platform`],
    /// and all that connections and documents can be.
    pub fn resolve(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Resolved, RegistryError> {
        let places = self.0.shared.mirrors.places(reference);
        let question = pull::Question { reference, platform };
        let work = question.ask(self.way(), &places);
        let resolved = self.0.engine.block_on(work)?;
        self.remember_origin(&places, &resolved.repository);
        Ok(resolved)
    }

    /// Where an image is, and the digest of what the reference names, which may be an index. No
    /// request where the reference has the digest, and otherwise one that transfers nothing; none
    /// is no news, and [`Client::resolve`] says why.
    pub fn peek(&self, reference: &Reference) -> Option<(Repository, Digest)> {
        let places = self.0.shared.mirrors.places(reference);
        let found = match reference.digest {
            Some(digest) => Some((places.first()?.clone(), digest)),
            None => {
                let work = async { Ok(pull::peek(self.way(), &places, reference).await) };
                self.0.engine.block_on(work).ok()?
            }
        };
        let (repository, _) = found.as_ref()?;
        self.remember_origin(&places, repository);
        found
    }

    fn way(&self) -> pull::Way<'_> {
        let Shared { transport, memo, .. } = &*self.0.shared;
        pull::Way { transport, memo, policy: self.0.policy }
    }

    fn remember_origin(&self, places: &[Repository], found: &Repository) {
        if let Some(origin) = places.last().filter(|last| *last != found) {
            let mut behind = self.0.shared.behind.lock().unwrap_or_else(PoisonError::into_inner);
            behind.insert(found.clone(), origin.clone());
        }
    }

    /// Starts to read a blob. Where a mirror that [`Client::resolve`] found does not have it, the
    /// registry behind is asked; where neither has a foreign layer, its `urls`.
    ///
    /// # Errors
    /// What goes wrong until the first byte; later errors come from the reader.
    pub fn open_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobReader, RegistryError> {
        self.open_blob_from(repository, descriptor, 0)
    }

    /// The same, without the first `offset` bytes. The digest of the others cannot be checked.
    pub(super) fn open_blob_from(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<BlobReader, RegistryError> {
        let opened = blob::open(self, repository, descriptor, offset);
        let behind = self.0.shared.behind.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = behind.get(repository).cloned();
        drop(behind);
        match (opened, origin) {
            (Err(error), Some(origin)) if !error.is_cancelled() => {
                blob::open(self, &origin, descriptor, offset).map_err(|source| {
                    RegistryError::Mirrors { mirrors: error.to_string(), source: Box::new(source) }
                })
            }
            (opened, _) => opened,
        }
    }

    /// What people should know of the places of credentials that were asked so far, and was not told
    /// before; sentences.
    pub fn take_warnings(&self) -> Vec<String> {
        self.0.shared.transport.take_warnings()
    }

    /// Pushes to a reference's repository.
    pub fn pusher(&self, reference: &Reference) -> Pusher {
        Pusher::new(self.clone(), reference.clone())
    }

    /// All certificates that are trusted for a host, in PEM; none where they are Mozilla's.
    ///
    /// # Errors
    /// [`RegistryError::Certificate`] where a file is there and cannot be used.
    pub fn trusted_certificates(&self, host: &str) -> Result<Option<String>, RegistryError> {
        self.0.shared.transport.pool().tls().trusted_pem(&canonical_registry(host))
    }

    /// Whether the certificate of a host is checked.
    pub fn verifies(&self, host: &str) -> bool {
        self.0.shared.transport.pool().tls().verifies(&canonical_registry(host))
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(super) fn transport(&self) -> &Arc<Transport> {
        &self.0.shared.transport
    }

    pub(super) fn policy(&self) -> Policy {
        self.0.policy
    }

    pub(super) fn ahead(&self) -> Ahead {
        self.0.shared.ahead.clone()
    }

    pub(super) fn upload_chunk(&self) -> Option<u64> {
        self.0.shared.upload_chunk
    }

    /// How long a registry may keep an upload waiting.
    pub(super) fn patience(&self) -> Patience {
        self.0.shared.patience
    }

    /// What stops it.
    pub fn cancel(&self) -> &Cancel {
        &self.0.cancel
    }
}
