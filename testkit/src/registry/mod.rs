//! An OCI registry on loopback, as honest as the specification asks it to be, that can be told to
//! misbehave.
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
mod fault;
mod http;
mod log;
mod manifests;
mod seed;
mod server;
mod store;
mod uploads;

#[cfg(test)]
mod tests;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

pub use fault::{Action, Fault};
pub use log::Request;
pub use seed::Layer;

use api::Api;
use auth::{Auth, Credentials, TokenService};
use fault::Script;
use server::{Server, Shared};
use store::{Store, lock};

/// A way to behave that the specification allows, or that well-known registries have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quirk {
    /// Mounts are never done; the answer begins an upload instead.
    NoMount,
    /// A mount without `from` looks into all repositories.
    AnonymousMount,
    /// POST with a digest begins an upload instead of completing it.
    NoMonolithicPost,
    /// `Range` is ignored when a blob is read.
    NoRange,
    /// `Location` has no host in it.
    RelativeLocation,
    /// A tag cannot be moved.
    ImmutableTags,
    /// There is no referrers endpoint, and `subject` means nothing.
    NoReferrers,
    /// A blob's content is redirected to another host, which refuses any `Authorization`.
    RedirectBlobs,
}

/// A registry before it starts.
#[derive(Debug, Default)]
pub struct Builder {
    dir: Option<PathBuf>,
    port: u16,
    auth: Auth,
    quirks: Vec<Quirk>,
    script: Script,
}

impl Builder {
    /// Keeps everything in that directory, and begins with what is there. Without it a temporary
    /// directory is used.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Listens on that port. Without it, or with 0, the kernel chooses one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Asks for HTTP basic authentication.
    #[must_use]
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        self.auth = Auth::Basic(credentials(user, password));
        self
    }

    /// Asks for bearer tokens, which this server itself hands out at `/token` and which live so
    /// long. As an identity token (OAuth2's `refresh_token`) the password is taken.
    #[must_use]
    pub fn token_auth(mut self, user: &str, password: &str, lifetime: Duration) -> Self {
        self.auth = Auth::Token(TokenService::new(credentials(user, password), lifetime));
        self
    }

    /// With [`Builder::token_auth`]: whoever shows no credentials gets tokens to pull.
    #[must_use]
    pub fn anonymous_pull(mut self) -> Self {
        if let Auth::Token(service) = &mut self.auth {
            service.anonymous_pull = true;
        }
        self
    }

    /// Behaves so.
    #[must_use]
    pub fn quirk(mut self, quirk: Quirk) -> Self {
        self.quirks.push(quirk);
        self
    }

    /// Begins with these faults. More can be added at any time: [`Registry::fault`].
    #[must_use]
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        faults.into_iter().for_each(|fault| self.script.add(fault));
        self
    }

    /// Starts the registry.
    ///
    /// # Panics
    /// If that fails; [`Builder::try_start`] returns the error.
    pub fn start(self) -> Registry {
        self.try_start().unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Starts the registry.
    ///
    /// # Errors
    /// If the directory cannot be used or the port is taken.
    pub fn try_start(self) -> anyhow::Result<Registry> {
        let temporary = match self.dir {
            Some(_) => None,
            None => Some(TempDir::with_prefix("testkit-registry-")?),
        };
        let dir = match (&self.dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => unreachable!("one of the two is there"),
        };
        let store =
            Store::open(&dir).with_context(|| format!("no registry in {}", dir.display()))?;
        let listener = TcpListener::bind(("127.0.0.1", self.port))
            .with_context(|| format!("cannot listen on 127.0.0.1:{}", self.port))?;
        let host = listener.local_addr()?.to_string();
        let storage = match self.quirks.contains(&Quirk::RedirectBlobs) {
            true => Some(TcpListener::bind(("127.0.0.1", 0))?),
            false => None,
        };
        let storage_host = match &storage {
            Some(listener) => Some(listener.local_addr()?.to_string()),
            None => None,
        };
        let (auth, quirks) = (self.auth, self.quirks);
        let api = Api { store, auth, quirks, storage: storage_host };
        let shared = Arc::new(Shared::new(api, self.script));
        let servers = [Some(listener), storage].into_iter().flatten();
        let servers = servers.map(|listener| Server::start(listener, Arc::clone(&shared)));
        let servers = servers.collect::<Result<_, _>>()?;
        Ok(Registry { host, shared, servers, _temporary: temporary })
    }
}

fn credentials(user: &str, password: &str) -> Credentials {
    Credentials { user: user.to_owned(), password: password.to_owned() }
}

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
