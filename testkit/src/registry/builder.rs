//! A registry before it starts.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use super::Registry;
use super::api::Api;
use super::auth::{Auth, Credentials, TokenService};
use super::fault::{Fault, Script};
use super::limits::{Limits, Rate};
use super::quirk::Quirk;
use super::server::{Server, Shared};
use super::store::Store;

/// A registry before it starts.
#[derive(Debug, Default)]
pub struct Builder {
    dir: Option<PathBuf>,
    port: u16,
    auth: Auth,
    quirks: Vec<Quirk>,
    limits: Limits,
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

    /// With [`Builder::token_auth`]: a token is good for so many requests.
    #[must_use]
    pub fn token_uses(mut self, uses: u64) -> Self {
        if let Auth::Token(service) = &mut self.auth {
            service.uses = uses;
        }
        self
    }

    /// Bodies of more than so many bytes are answered with 413 and a page, as by a proxy.
    #[must_use]
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.limits.max_body = Some(bytes);
        self
    }

    /// Chunks of uploads must have so many bytes, but for the last. Clients are told so.
    #[must_use]
    pub fn min_chunk(mut self, bytes: u64) -> Self {
        self.limits.min_chunk = Some(bytes);
        self
    }

    /// After so many requests within the time, 429 with `Retry-After` until it has passed.
    #[must_use]
    pub fn rate_limit(mut self, requests: usize, time: Duration) -> Self {
        self.limits.rate = Some(Rate::new(requests, time));
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
        let elsewhere = [Quirk::RedirectBlobs, Quirk::UploadsElsewhere];
        let storage = match elsewhere.iter().any(|quirk| self.quirks.contains(quirk)) {
            true => Some(TcpListener::bind(("127.0.0.1", 0))?),
            false => None,
        };
        let storage_host = match &storage {
            Some(listener) => Some(listener.local_addr()?.to_string()),
            None => None,
        };
        let (auth, quirks, limits) = (self.auth, self.quirks, self.limits);
        let api = Api { store, auth, quirks, limits, storage: storage_host };
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
