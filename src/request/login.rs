//! Logins that are kept, or taken back.

use std::path::PathBuf;

use super::RegistryChoice;
use crate::registry::{CredentialSource, Server};

/// Where a login is for, and where it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRequest {
    /// The registry, or a part of one.
    pub server: Server,
    /// Docker's config.json, or Podman's auth.json; absolute.
    pub file: PathBuf,
    /// How the registry is reached. Its sources of credentials are those of builds.
    pub registry: RegistryChoice,
}

/// Which logins are taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutRequest {
    /// That of a registry, or of a part of one; all if none.
    pub server: Option<Server>,
    /// As in [`LoginRequest`].
    pub file: PathBuf,
    /// Where builds look for credentials, in order.
    pub credentials: Vec<CredentialSource>,
}
