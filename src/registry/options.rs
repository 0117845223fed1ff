//! How to reach registries.

use std::path::PathBuf;
use std::time::Duration;

use super::auth::CredentialSource;
use super::cloud::CloudSettings;
use super::proxy::ProxySettings;

/// How to reach registries. Hosts are `host[:port]` as in references; for Docker Hub each of its
/// names will do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Plain HTTP may be used for pushes, to any registry.
    pub insecure: bool,
    /// Plain HTTP may be used for pulls, from any registry.
    pub insecure_pull: bool,
    /// Registries that may be reached with plain HTTP.
    pub insecure_registries: Vec<String>,
    /// Certificates are not verified, for any registry.
    pub skip_tls_verify: bool,
    /// Registries whose certificates are not verified.
    pub skip_tls_registries: Vec<String>,
    /// PEM file with the roots to trust instead of the system's (SSL_CERT_FILE). One that does not
    /// exist is mentioned in TLS errors and otherwise ignored, as by most tools.
    pub ca_bundle: Option<PathBuf>,
    /// Directories with PEM files of further roots (SSL_CERT_DIR).
    pub ca_dirs: Vec<PathBuf>,
    /// Files and directories with further roots; one that is not there has none.
    pub more_ca: Vec<PathBuf>,
    /// Directories in which hosts have directories of their own, as Docker's `/etc/docker/certs.d`:
    /// `HOST[:PORT]/*.crt` are roots, `*.cert` and `*.key` what is shown.
    pub host_dirs: Vec<PathBuf>,
    /// Who is reached through a proxy.
    pub proxies: ProxySettings,
    /// Host and PEM file with further roots for it.
    pub registry_ca: Vec<(String, PathBuf)>,
    /// Host, PEM certificate chain and PEM key to show it.
    pub client_certs: Vec<(String, PathBuf, PathBuf)>,
    /// Mirrors of Docker Hub, in order: `[http[s]://]host[:port][/prefix]`.
    pub mirrors: Vec<String>,
    /// Registry, and what to ask before it, in the form of `mirrors`.
    pub registry_map: Vec<(String, Vec<String>)>,
    /// A registry that has mirrors is not asked itself.
    pub no_default_fallback: bool,
    /// Where credentials are looked for, in order.
    pub credentials: Vec<CredentialSource>,
    /// Who this machine is to a cloud, for sources that are one and for objects.
    pub clouds: CloudSettings,
    /// How often an operation that failed for a passing reason is tried again.
    pub retries: u32,
    /// First pause before a retry; it doubles each time.
    pub retry_delay: Duration,
    /// How long one operation may pause in all.
    pub retry_budget: Duration,
    /// Blobs are sent in chunks of so many bytes; without, in one piece where that works.
    pub upload_chunk: Option<u64>,
    /// How long a registry may keep an upload waiting.
    pub patience: Patience,
    /// How big blobs are read.
    pub ranges: Ranges,
    /// What kiln calls itself.
    pub user_agent: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            insecure: false,
            insecure_pull: false,
            insecure_registries: Vec::new(),
            skip_tls_verify: false,
            skip_tls_registries: Vec::new(),
            ca_bundle: None,
            ca_dirs: Vec::new(),
            more_ca: Vec::new(),
            host_dirs: Vec::new(),
            proxies: ProxySettings::default(),
            registry_ca: Vec::new(),
            client_certs: Vec::new(),
            mirrors: Vec::new(),
            registry_map: Vec::new(),
            no_default_fallback: false,
            credentials: Vec::new(),
            clouds: CloudSettings::default(),
            retries: 5,
            retry_delay: Duration::from_millis(500),
            retry_budget: Duration::from_secs(180),
            upload_chunk: None,
            patience: Patience::default(),
            ranges: Ranges::default(),
            user_agent: concat!("kiln/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// How long a registry may keep an upload waiting, before it is taken for one that broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until it takes the next bytes.
    pub bytes: Duration,
    /// Until it answers a request of which it has all bytes. It gets a second more for each MiB.
    pub answer: Duration,
    /// What it gets at most, however many bytes these are.
    pub answer_max: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [bytes, answer, answer_max] = [300, 60, 900].map(Duration::from_secs);
        Self { bytes, answer, answer_max }
    }
}

/// How blobs are read in several parts at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranges {
    /// Blobs with more bytes are.
    pub over: u64,
    /// Bytes of a part.
    pub window: u64,
    /// Parts of one blob on their way; 1 is a single request.
    pub at_once: usize,
    /// Parts that may wait in memory until those before them were read, of all blobs together.
    pub ahead: usize,
}

impl Default for Ranges {
    fn default() -> Self {
        Self { over: 64 << 20, window: 8 << 20, at_once: 4, ahead: 6 }
    }
}
