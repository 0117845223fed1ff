//! An OCI registry on loopback, as honest as the specification asks it to be, that can be told to
//! misbehave.
//!
//! What it claims to do of the distribution specification 1.1 (the behaviours of its conformance
//! suite), and where that is tested:
//!
//! | claim | section | tests |
//! |---|---|---|
//! | manifests by tag and digest, GET and HEAD; 404 and 400 with codes | Pulling manifests | `tests/pull.rs` |
//! | blobs, GET and HEAD; `Range` with 206 and 416 | Pulling blobs | `tests/pull.rs` |
//! | POST then PUT; POST with a digest | Pushing a blob monolithically | `tests/push.rs` |
//! | PATCH in order, 416 out of order; GET of the status with `Range`; `OCI-Chunk-Min-Length` | Pushing a blob in chunks | `tests/push.rs` |
//! | DELETE of an upload | Cancel a blob upload | `tests/push.rs` |
//! | mounts: 201, 202 and an upload, without `from` | Mounting a blob from another repository | `tests/push.rs` |
//! | manifests by tag and digest, refused without their blobs or with other sizes | Pushing Manifests | `tests/push.rs` |
//! | a subject that is missing, `OCI-Subject` | Pushing Manifests with Subject | `tests/push.rs` |
//! | tags with `n`, `last` and `Link` | Listing Tags | `tests/discovery.rs` |
//! | referrers, `OCI-Filters-Applied` | Listing Referrers | `tests/discovery.rs` |
//! | tags, manifests and blobs are deleted | Content Management | `tests/management.rs` |
//!
//! Digests are sha256 only. Beside that there is what a client meets in the world: credentials and
//! tokens ([`Builder`]), ways that registries differ in ([`Quirk`]), and faults at any request
//! ([`Action`]): statuses, cuts, pauses, wrong bytes, headers and addresses.
//!
//! ```
//! use testkit::{Action, Fault, Registry};
//!
//! let registry = Registry::builder().start();
//! registry.fault(Fault::on("GET", "/blobs/", Action::CutAfter(1000)).nth(2));
//! // ... push to and pull from registry.host() ...
//! assert!(registry.requests().is_empty());
//! ```

mod api;
mod auth;
mod blobs;
mod builder;
mod deliver;
mod fault;
mod http;
mod limits;
mod log;
mod manifests;
mod quirk;
mod seed;
mod server;
mod store;
mod strike;
mod uploads;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

pub use builder::Builder;
pub use fault::{Action, Fault};
pub use log::Request;
pub use quirk::Quirk;
pub use seed::Layer;

pub(crate) use http::form;

use server::{Server, Shared};
use store::{Store, lock};

/// A running registry. Dropped, it stops, and its threads have ended.
#[derive(Debug)]
pub struct Registry {
    host: String,
    shared: Arc<Shared>,
    // Before the directory, which they use: fields are dropped in this order.
    servers: Vec<Server>,
    _temporary: Option<TempDir>,
}

impl Registry {
    /// A registry to be set up.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A registry without authentication in a temporary directory.
    ///
    /// # Panics
    /// If it cannot start.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `127.0.0.1:PORT` of the storage that blobs or uploads are elsewhere in.
    pub fn storage_host(&self) -> Option<&str> {
        self.shared.api.storage.as_deref()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// All requests since the start or since they were last cleared, in the order in which they
    /// began.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.log.requests()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }

    /// Adds a fault behind those that are there.
    pub fn fault(&self, fault: Fault) {
        lock(&self.shared.script).add(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        lock(&self.shared.script).clear();
    }

    /// Ends all tokens that were handed out.
    pub fn expire_tokens(&self) {
        self.shared.api.auth.expire();
    }

    /// Bytes and media type of the manifest that a tag or digest stands for.
    pub fn manifest(&self, repo: &str, reference: &str) -> Option<(Vec<u8>, String)> {
        let stored = self.store().manifest(repo, reference)?;
        Some((stored.bytes, stored.media_type))
    }

    /// The digest that a tag points to.
    pub fn digest(&self, repo: &str, tag: &str) -> Option<String> {
        self.store().resolve(repo, tag)
    }

    /// Content of that digest, in whatever repository it is.
    pub fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        std::fs::read(self.blob_path(digest)?).ok()
    }

    /// The file with the content of that digest, for content that is too large for memory.
    pub fn blob_path(&self, digest: &str) -> Option<PathBuf> {
        self.store().has_content(digest).then(|| self.store().content(digest))
    }

    /// Whether the repository has that blob.
    pub fn has_blob(&self, repo: &str, digest: &str) -> bool {
        self.store().has_blob(repo, digest)
    }

    /// Tags of the repository, sorted.
    pub fn tags(&self, repo: &str) -> Vec<String> {
        self.store().tags(repo)
    }

    /// Names of all repositories, sorted.
    pub fn repositories(&self) -> Vec<String> {
        self.store().repositories()
    }

    /// Blob uploads that were begun and neither completed nor cancelled.
    pub fn open_uploads(&self) -> usize {
        self.store().open_uploads()
    }

    /// Stops the registry before it is dropped: from now on connections are refused.
    pub fn stop(&mut self) {
        self.servers.clear();
    }

    /// The directory with all content, in files named after its hexadecimal digest.
    pub(crate) fn content_dir(&self) -> PathBuf {
        self.store().content_dir()
    }

    fn store(&self) -> &Store {
        &self.shared.api.store
    }
}
