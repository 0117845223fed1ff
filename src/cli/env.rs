//! The environment: read once, here; each variable is named once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fmt, io};

/// The host of GitLab's pull-through cache of Docker Hub, and who may use it
/// (docs.gitlab.com/ci/variables/predefined_variables).
pub(super) const CI_DEPENDENCY_PROXY_SERVER: &str = "CI_DEPENDENCY_PROXY_SERVER";
pub(super) const CI_DEPENDENCY_PROXY_USER: &str = "CI_DEPENDENCY_PROXY_USER";
pub(super) const CI_DEPENDENCY_PROXY_PASSWORD: &str = "CI_DEPENDENCY_PROXY_PASSWORD";
/// A GitLab job's own token.
pub(super) const CI_JOB_TOKEN: &str = "CI_JOB_TOKEN";
/// The host of GitLab's registry, and who may use it.
pub(super) const CI_REGISTRY: &str = "CI_REGISTRY";
pub(super) const CI_REGISTRY_USER: &str = "CI_REGISTRY_USER";
pub(super) const CI_REGISTRY_PASSWORD: &str = "CI_REGISTRY_PASSWORD";
/// The text of Docker's `config.json`, or its path.
pub(super) const DOCKER_AUTH_CONFIG: &str = "DOCKER_AUTH_CONFIG";
/// The directory that holds Docker's `config.json`; `~/.docker` if it is not set.
pub(super) const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// Whose `.docker` is meant.
pub(super) const HOME: &str = "HOME";
/// What the names of kaniko's own variables begin with; among them are users and passwords.
pub(super) const KANIKO: &str = "KANIKO_";
/// If set and not empty, no colours (no-color.org).
pub(super) const NO_COLOR: &str = "NO_COLOR";
/// Podman's file of credentials.
pub(super) const REGISTRY_AUTH_FILE: &str = "REGISTRY_AUTH_FILE";
/// Seconds since 1970 that no date in the image is later than (reproducible-builds.org).
pub(super) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// Directories of certificate authorities, separated by colons, as OpenSSL and Go read it.
pub(super) const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
/// A file of certificate authorities, as OpenSSL and Go read it.
pub(super) const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// The kind of terminal; `dumb` cannot move its cursor.
pub(super) const TERM: &str = "TERM";
/// The directory for temporary files.
pub(super) const TMPDIR: &str = "TMPDIR";
/// A user's directory that ends with the session.
pub(super) const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";

/// A copy of the environment and the current directory.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    directory: PathBuf,
}

/// Variables hold passwords, so none is shown.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Environment {
    /// The environment of this process. Fails if the current directory is gone.
    pub fn read() -> io::Result<Self> {
        Ok(Self::new(std::env::current_dir()?, std::env::vars_os()))
    }

    /// A made-up environment; `directory` stands for the current one and must be absolute.
    pub fn new(
        directory: PathBuf,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        Self { variables: variables.into_iter().collect(), directory }
    }

    /// A variable's value; an empty one counts as none, as most programs have it.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.get_even_empty(name).filter(|value| !value.is_empty())
    }

    /// A variable's value, which may be empty.
    pub(super) fn get_even_empty(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The variables whose names begin so, with the rest of their names; empty ones count as none.
    pub(super) fn beginning_with<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a OsStr)> {
        let set = self.variables.iter().filter(|(_, value)| !value.is_empty());
        set.filter_map(move |(name, value)| {
            Some((name.to_str()?.strip_prefix(prefix)?, value.as_os_str()))
        })
    }

    /// The path, seen from the current directory; `.` is dropped, `..` stays for the kernel, which
    /// alone knows the symbolic links.
    pub(super) fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.join(path).components().collect()
    }
}
