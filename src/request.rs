//! What to build and where it goes: one plain value that everything below takes. It is ready to
//! use: paths are absolute, the environment is already asked, defaults are filled in.

mod annotation;
mod cache;
mod contexts;
mod export;
mod freshness;
mod login;
mod push;
mod run;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use self::annotation::{Annotated, Annotation, Annotations};
pub use self::cache::{
    CacheChoice, CachePlace, CacheReach, CacheTarget, CacheUpkeep, MountLimits, Prune, UpkeepPlace,
};
pub use self::export::{Export, Exports, Sink};
pub use self::freshness::Freshness;
pub use self::login::{LoginRequest, LogoutRequest};
pub use self::push::{Destinations, IndexRequest, IndexSource, PushRequest};
use crate::image::{ImageFormat, Platform};
use crate::registry::{CloudSettings, CredentialSource, Patience, ProxySettings, Repository};
use crate::remote::GitSettings;

pub use self::contexts::{CONTEXT_FILE, Elsewhere, NamedSource, dockerfile_at};
pub use self::run::{NetworkChoice, RunChoice, Secret, SecretValue, UlimitChoice};

/// One build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The directory that COPY and ADD read; absolute, but for one that is elsewhere, where it is
    /// seen from the top there (empty for the top itself).
    pub context: PathBuf,
    /// Where the context is, if it is no directory of this machine.
    pub elsewhere: Option<Elsewhere>,
    /// `--build-context`, by name.
    pub named_contexts: BTreeMap<String, NamedSource>,
    /// How repositories are fetched.
    pub git: GitSettings,
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileSource,
    /// Image names as typed; empty when nothing is pushed and no file needs a name.
    pub destinations: Vec<String>,
    /// Whether the image goes to the registries of `destinations`.
    pub push: bool,
    /// Values for ARG.
    pub build_args: BTreeMap<String, String>,
    /// The stage to stop at; the last one if none.
    pub target: Option<String>,
    /// Labels of the image's config, in the order given; a later one of the same name wins.
    pub labels: Vec<(String, String)>,
    /// Annotations of the image's documents.
    pub annotations: Annotations,
    /// Whom the image is for; the host if none. Of several, each gets an image, and an index joins
    /// them. No platform comes twice.
    pub platforms: Vec<Platform>,
    /// Gets `sha256:…`.
    pub digest_file: Option<PathBuf>,
    /// An `https://` address that gets `sha256:…` by PUT. Signed addresses are passwords: never shown.
    pub digest_url: Option<String>,
    /// Gets a line `repository@sha256:…` for each destination.
    pub image_name_with_digest_file: Option<PathBuf>,
    /// Gets a line `repository:tag@sha256:…` for each destination.
    pub image_name_tag_with_digest_file: Option<PathBuf>,
    /// A directory whose file `images` gets a line of JSON for each destination: `name`, `digest`.
    pub builder_output: Option<PathBuf>,
    /// What is written to this machine.
    pub exports: Exports,
    /// The family of media types; the base image's if none.
    pub format: Option<ImageFormat>,
    /// How new layers are compressed.
    pub compression: CompressionChoice,
    /// The level of that compression, within its range; its default if none.
    pub compression_level: Option<i32>,
    /// Seconds since 1970: no file and no date in the image is later than this.
    pub source_date_epoch: Option<i64>,
    /// Where stages are unpacked and layers are stored; a new directory in `temp_dir` if none.
    pub work_dir: Option<PathBuf>,
    /// The directory for temporary files.
    pub temp_dir: PathBuf,
    /// Where local copies of base images are, if they are to be used.
    pub cache_dir: Option<PathBuf>,
    /// Absolute paths in the image: what a RUN changes at or below them is not in its layer.
    pub ignore_paths: Vec<PathBuf>,
    /// How a RUN is isolated.
    pub isolation: IsolationChoice,
    /// Compression threads, at least 1.
    pub jobs: usize,
    /// Lines of a RUN's `/etc/hosts`: name and address.
    pub add_hosts: Vec<(String, String)>,
    /// Size of a RUN's `/dev/shm` in bytes.
    pub shm_size: u64,
    /// What commands get beside the Dockerfile's word.
    pub run: RunChoice,
    /// Whether the build starts without asking the registry if it may push.
    pub skip_push_check: bool,
    /// Whether a tag that exists and may not be changed is as good as one that was set.
    pub ignore_immutable_tags: bool,
    /// Whether a Dockerfile can make an error of what is doubtful in it (`# check=error=true`). kaniko
    /// builds such a Dockerfile.
    pub checks_may_fail: bool,
    /// What may be taken from earlier builds.
    pub freshness: Freshness,
    /// Where that is, and where the results of this one go.
    pub cache: CacheChoice,
    /// How registries are reached.
    pub registry: RegistryChoice,
}

impl Request {
    /// Docker's default for a container's /dev/shm, in bytes.
    pub const SHM_SIZE: u64 = 64 << 20;
}

/// One call of the warmer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmRequest {
    /// Image names as typed.
    pub images: Vec<String>,
    /// A Dockerfile whose images are wanted too; absolute.
    pub dockerfile: Option<PathBuf>,
    /// Values for its ARGs.
    pub build_args: BTreeMap<String, String>,
    /// Where images are kept; absolute.
    pub cache_dir: PathBuf,
    /// Download what is there already.
    pub force: bool,
    /// The age from which on an image that is there is downloaded again.
    pub ttl: Duration,
    /// `os/architecture[/variant]`; the host's if none. Parses as [`crate::image::Platform`].
    pub platform: Option<String>,
    /// How registries are reached.
    pub registry: RegistryChoice,
}

/// One call of the doctor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorRequest {
    /// The work directory of the build that is meant, if it names one; absolute.
    pub work_dir: Option<PathBuf>,
    /// The directory for temporary files.
    pub temp_dir: PathBuf,
    /// The context of that build; absolute.
    pub context: PathBuf,
    /// Whose credentials are asked about; without a name, a whole registry.
    pub repositories: Vec<Repository>,
    /// Where credentials are looked for, in order. Shows no secret.
    pub credentials: Vec<CredentialSource>,
    /// Who this machine is to a cloud. Shows no secret.
    pub clouds: CloudSettings,
}

/// Where the Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// This file; absolute, but for one that is looked for in a context from elsewhere.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// At an `http://` or `https://` address.
    Address(String),
    /// `Dockerfile` in the context, else `dockerfile` there.
    Default,
}

impl DockerfileSource {
    /// The file, if one was named.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Stdin | Self::Address(_) | Self::Default => None,
        }
    }
}

/// How new layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CompressionChoice {
    /// Every tool can read it.
    #[default]
    Gzip,
    /// Smaller and faster to unpack; OCI images only.
    Zstd,
    /// Not at all.
    Uncompressed,
}

/// How a RUN is isolated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IsolationChoice {
    /// The strongest that this machine allows.
    #[default]
    Auto,
    /// Linux namespaces, or an error.
    Namespaces,
    /// A chroot with a broker for /proc, /sys and /dev, or an error.
    Chroot,
    /// `/` itself, or an error.
    Inplace,
    /// No command is run: a RUN is an error.
    None,
}

/// How registries are reached. Hosts are as typed: `host` or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistryChoice {
    /// Push over plain HTTP.
    pub insecure: bool,
    /// Pull over plain HTTP.
    pub insecure_pull: bool,
    /// Hosts that are reached over plain HTTP.
    pub insecure_registries: Vec<String>,
    /// Check no server's certificate.
    pub skip_tls_verify: bool,
    /// Hosts whose certificates are not checked.
    pub skip_tls_registries: Vec<String>,
    /// For a host, a PEM file of certificate authorities in addition to the usual ones.
    pub registry_ca: Vec<(String, PathBuf)>,
    /// For a host, the PEM files of the client's certificate and key.
    pub client_certs: Vec<(String, PathBuf, PathBuf)>,
    /// A PEM file of certificate authorities for all hosts (`SSL_CERT_FILE`).
    pub ca_bundle: Option<PathBuf>,
    /// Directories of such files (`SSL_CERT_DIR`).
    pub ca_dirs: Vec<PathBuf>,
    /// Files and directories with further ones; what is not there has none.
    pub more_ca: Vec<PathBuf>,
    /// Directories with one for each host, as `/etc/docker/certs.d`.
    pub host_dirs: Vec<PathBuf>,
    /// Who is reached through a proxy. Shows no password.
    pub proxies: ProxySettings,
    /// Mirrors of Docker Hub, tried in this order: `host[:port][/prefix]`.
    pub mirrors: Vec<String>,
    /// For a host, what stands in for it when pulling, tried in this order.
    pub registry_map: Vec<(String, Vec<String>)>,
    /// Fail when no mirror has an image, rather than ask the original registry.
    pub no_default_fallback: bool,
    /// Where credentials are looked for, in order. Shows no secret.
    pub credentials: Vec<CredentialSource>,
    /// Who this machine is to a cloud. Shows no secret.
    pub clouds: CloudSettings,
    /// How often a failed push is tried again, beyond what single requests already are.
    pub push_retry: u32,
    /// The same for pulls.
    pub pull_retry: u32,
    /// How long what failed is tried again, however often that is.
    pub retry_budget: Option<Duration>,
    /// Send layers in chunks of so many bytes.
    pub upload_chunk: Option<u64>,
    /// How long a registry may keep an upload waiting. No flag changes it.
    pub patience: Patience,
    /// Who started kiln, to stand behind its own name in requests (`skaffold`).
    pub upstream_client: Option<String>,
}
