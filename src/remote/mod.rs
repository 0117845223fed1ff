//! What is fetched from elsewhere: files by http and https, objects of clouds' stores, git repositories.
//! It ends in a directory of this machine, or with whoever reads it while it arrives; what is done with
//! it there is not known here.
//!
//! Passwords are in no error, no progress and no argument of a command.

mod address;
mod error;
pub mod git;
mod http;
mod object;
mod source;
mod stream;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::address::{without_password, without_secrets};
pub use self::error::RemoteError;
pub use self::http::{file_name, is_http};
pub use self::source::{Fetched, Source};
pub use self::stream::{Incoming, RemoteFile};
use crate::cancel::Cancel;
use crate::registry::{Client, Secret};

/// Where a secret is looked up, by its id.
pub type Secrets = dyn Fn(&str) -> Option<Secret> + Send + Sync;

/// What git needs to know of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitSettings {
    /// Where programs are (`PATH`).
    pub search_path: Option<OsString>,
    /// The socket of the agent that holds keys (`SSH_AUTH_SOCK`).
    pub ssh_auth_sock: Option<PathBuf>,
    /// Files of hosts' keys. A host that is in none of them is believed, as with BuildKit; one with
    /// another key is not.
    pub known_hosts: Vec<PathBuf>,
    /// Variables that name proxies, and their values.
    pub proxies: Vec<(String, OsString)>,
}

/// Fetches files and repositories. Clones are cheap.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    git: Arc<GitSettings>,
    secrets: Arc<Secrets>,
    cancel: Cancel,
}

impl Fetcher {
    /// Fetches with the connections of a client for registries. Secrets are looked up by the ids
    /// that BuildKit uses: `HTTP_AUTH_HEADER_<host>`, `HTTP_AUTH_TOKEN_<host>`, and
    /// `GIT_AUTH_HEADER` and `GIT_AUTH_TOKEN`, also with `.<host>`.
    pub fn new(client: Client, git: GitSettings, secrets: Arc<Secrets>, cancel: Cancel) -> Self {
        Self { client, git: Arc::new(git), secrets, cancel }
    }

    fn secret(&self, id: &str) -> Option<Secret> {
        (self.secrets)(id).filter(|secret| !secret.is_empty())
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("client", &self.client).finish_non_exhaustive()
    }
}
