//! The environment: read once, here; each variable is named once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use super::error::CliError;

/// Amazon's own variables; their tools' guide says what they mean
/// (docs.aws.amazon.com/sdkref/latest/guide/environment-variables).
pub(super) const AWS_ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
pub(super) const AWS_CONFIG_FILE: &str = "AWS_CONFIG_FILE";
pub(super) const AWS_CONTAINER_AUTHORIZATION_TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
pub(super) const AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: &str =
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
pub(super) const AWS_CONTAINER_CREDENTIALS_FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
pub(super) const AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: &str =
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
pub(super) const AWS_DEFAULT_PROFILE: &str = "AWS_DEFAULT_PROFILE";
pub(super) const AWS_DEFAULT_REGION: &str = "AWS_DEFAULT_REGION";
pub(super) const AWS_EC2_METADATA_DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
pub(super) const AWS_EC2_METADATA_SERVICE_ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
pub(super) const AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: &str =
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
/// Followed by `_` and the name of a service, or by nothing.
pub(super) const AWS_ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";
pub(super) const AWS_PROFILE: &str = "AWS_PROFILE";
pub(super) const AWS_REGION: &str = "AWS_REGION";
pub(super) const AWS_ROLE_ARN: &str = "AWS_ROLE_ARN";
pub(super) const AWS_ROLE_SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
pub(super) const AWS_SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
pub(super) const AWS_SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
pub(super) const AWS_SHARED_CREDENTIALS_FILE: &str = "AWS_SHARED_CREDENTIALS_FILE";
pub(super) const AWS_STS_REGIONAL_ENDPOINTS: &str = "AWS_STS_REGIONAL_ENDPOINTS";
pub(super) const AWS_USE_FIPS_ENDPOINT: &str = "AWS_USE_FIPS_ENDPOINT";
pub(super) const AWS_WEB_IDENTITY_TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
/// kaniko's: another server with S3's protocol, and whether buckets are in its paths.
pub(super) const S3_ENDPOINT: &str = "S3_ENDPOINT";
pub(super) const S3_FORCE_PATH_STYLE: &str = "S3_FORCE_PATH_STYLE";
/// kaniko's: a directory whose file `images` names what was pushed, for Cloud Build.
pub(super) const BUILDER_OUTPUT: &str = "BUILDER_OUTPUT";
/// GitLab's: the tag that a pipeline is for, on tag pipelines only.
pub(super) const CI_COMMIT_TAG: &str = "CI_COMMIT_TAG";
/// GitLab's: branch or tag, in lower case and without special characters.
pub(super) const CI_COMMIT_REF_SLUG: &str = "CI_COMMIT_REF_SLUG";
/// GitLab's: where the job's files are.
pub(super) const CI_PROJECT_DIR: &str = "CI_PROJECT_DIR";
/// GitLab's: the project's repository in its registry, where that is switched on.
pub(super) const CI_REGISTRY_IMAGE: &str = "CI_REGISTRY_IMAGE";
/// The Dockerfile in GitLab's own job templates.
pub(super) const DOCKERFILE_PATH: &str = "DOCKERFILE_PATH";
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
/// The host of the GitLab server, and its port.
pub(super) const CI_SERVER_HOST: &str = "CI_SERVER_HOST";
pub(super) const CI_SERVER_PORT: &str = "CI_SERVER_PORT";
/// Files that GitLab Runner makes of its own `tls-ca-file`, `tls-cert-file` and `tls-key-file`: who
/// signed the GitLab server's certificate, and what is shown to that server.
pub(super) const CI_SERVER_TLS_CA_FILE: &str = "CI_SERVER_TLS_CA_FILE";
pub(super) const CI_SERVER_TLS_CERT_FILE: &str = "CI_SERVER_TLS_CERT_FILE";
pub(super) const CI_SERVER_TLS_KEY_FILE: &str = "CI_SERVER_TLS_KEY_FILE";
/// The text of Docker's `config.json`, or its path.
pub(super) const DOCKER_AUTH_CONFIG: &str = "DOCKER_AUTH_CONFIG";
/// The directory that holds Docker's `config.json`; `~/.docker` if it is not set.
pub(super) const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// `true` in a job of GitLab's.
pub(super) const GITLAB_CI: &str = "GITLAB_CI";
/// Whose `.docker` is meant.
pub(super) const HOME: &str = "HOME";
/// What the names of kaniko's own variables begin with; among them are users and passwords.
pub(super) const KANIKO: &str = "KANIKO_";
/// kaniko's: the directory for the build's files.
pub(super) const KANIKO_DIR: &str = "KANIKO_DIR";
/// kaniko's: as `--no-push`.
pub(super) const KANIKO_NO_PUSH: &str = "KANIKO_NO_PUSH";
/// kaniko's: one more `--registry-map`.
pub(super) const KANIKO_REGISTRY_MAP: &str = "KANIKO_REGISTRY_MAP";
/// kaniko's: one more `--registry-mirror`.
pub(super) const KANIKO_REGISTRY_MIRROR: &str = "KANIKO_REGISTRY_MIRROR";
/// As `--cache`.
pub(super) const KILN_CACHE: &str = "KILN_CACHE";
/// As `--cache-mounts`.
pub(super) const KILN_CACHE_MOUNTS: &str = "KILN_CACHE_MOUNTS";
/// As `--cache-repo`.
pub(super) const KILN_CACHE_REPO: &str = "KILN_CACHE_REPO";
/// As `--cache-mount-dir`.
pub(super) const KILN_CACHE_MOUNT_DIR: &str = "KILN_CACHE_MOUNT_DIR";
/// As `--isolation`.
pub(super) const KILN_ISOLATION: &str = "KILN_ISOLATION";
/// kaniko's: who may read a context in git.
pub(super) const GIT_TOKEN: &str = "GIT_TOKEN";
pub(super) const GIT_USERNAME: &str = "GIT_USERNAME";
pub(super) const GIT_PASSWORD: &str = "GIT_PASSWORD";
/// kaniko's: `http` for a context in git without TLS.
pub(super) const GIT_PULL_METHOD: &str = "GIT_PULL_METHOD";
/// If set and not empty, no colours (no-color.org).
pub(super) const NO_COLOR: &str = "NO_COLOR";
/// Where programs are.
pub(super) const PATH: &str = "PATH";
/// What names proxies, as curl reads it.
pub(super) const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];
/// Podman's file of credentials.
pub(super) const REGISTRY_AUTH_FILE: &str = "REGISTRY_AUTH_FILE";
/// Seconds since 1970 that no date in the image is later than (reproducible-builds.org).
pub(super) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// The socket of the user's SSH agent.
pub(super) const SSH_AUTH_SOCK: &str = "SSH_AUTH_SOCK";
/// Directories of certificate authorities, separated by colons, as OpenSSL and Go read it.
pub(super) const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
/// A file of certificate authorities, as OpenSSL and Go read it.
pub(super) const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// The kind of terminal; `dumb` cannot move its cursor.
pub(super) const TERM: &str = "TERM";
/// The directory for temporary files.
pub(super) const TMPDIR: &str = "TMPDIR";
/// A user's directory of settings; `~/.config` if it is not set.
pub(super) const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// A user's directory that ends with the session.
pub(super) const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
/// kaniko's: who started it (`skaffold`), for the User-Agent header.
pub(super) const UPSTREAM_CLIENT_TYPE: &str = "UPSTREAM_CLIENT_TYPE";

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

    /// The same as [`Self::get`], as text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, CliError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.to_str().map(|text| Some(text.to_owned())).ok_or_else(|| {
            CliError::complete(format!(
                "the value of the environment variable `{name}` is not UTF-8"
            ))
        })
    }

    /// The names of all variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().filter_map(|name| name.to_str())
    }

    /// The path, seen from the current directory; `.` is dropped, `..` stays for the kernel, which
    /// alone knows the symbolic links.
    pub(super) fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.join(path).components().collect()
    }
}
