//! What a request says in the words of the modules that do it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cancel::Cancel;
use crate::event::Reporter;
use crate::image::ImageFormat;
use crate::layer::{Compression, DEFAULT_GZIP_LEVEL};
use crate::plan::NamedContext;
use crate::registry::{Client, Options};
use crate::remote::Fetcher;
use crate::request::{
    CompressionChoice, NamedSource, NetworkChoice, RegistryChoice, Request, RunChoice,
};
use crate::sandbox::{Network, Ulimit};
use crate::stage::{BaseImage, Commands};

/// zstd's own default.
const DEFAULT_ZSTD_LEVEL: i32 = 3;

/// How registries are reached.
pub(crate) fn registry_options(choice: &RegistryChoice) -> Options {
    let choice = choice.clone();
    let defaults = Options::default();
    Options {
        insecure: choice.insecure,
        insecure_pull: choice.insecure_pull,
        insecure_registries: choice.insecure_registries,
        skip_tls_verify: choice.skip_tls_verify,
        skip_tls_registries: choice.skip_tls_registries,
        ca_bundle: choice.ca_bundle,
        ca_dirs: choice.ca_dirs,
        more_ca: choice.more_ca,
        host_dirs: choice.host_dirs,
        proxies: choice.proxies,
        registry_ca: choice.registry_ca,
        client_certs: choice.client_certs,
        mirrors: choice.mirrors,
        registry_map: choice.registry_map,
        no_default_fallback: choice.no_default_fallback,
        credentials: choice.credentials,
        clouds: choice.clouds,
        // The client counts for both directions: more patience than asked for does no harm.
        retries: match choice.retry_budget {
            Some(_) => u32::MAX,
            None => defaults.retries + choice.push_retry.max(choice.pull_retry),
        },
        retry_budget: choice.retry_budget.unwrap_or(defaults.retry_budget),
        upload_chunk: choice.upload_chunk,
        patience: choice.patience,
        user_agent: match &choice.upstream_client {
            Some(client) => format!("{} ({client})", defaults.user_agent),
            None => defaults.user_agent,
        },
        ..defaults
    }
}

/// How new layers are compressed.
pub(crate) fn compression(request: &Request) -> Compression {
    compression_of(request.compression, request.compression_level)
}

/// The same, of a choice and its level.
pub(crate) fn compression_of(choice: CompressionChoice, level: Option<i32>) -> Compression {
    match choice {
        CompressionChoice::Gzip => {
            let level = level.and_then(|level| u8::try_from(level).ok());
            Compression::Gzip { level: level.unwrap_or(DEFAULT_GZIP_LEVEL) }
        }
        CompressionChoice::Zstd => Compression::Zstd { level: level.unwrap_or(DEFAULT_ZSTD_LEVEL) },
        CompressionChoice::Uncompressed => Compression::None,
    }
}

/// The family of media types: as asked for, or the base image's. Docker's has no word for zstd, and
/// none for annotations.
pub(crate) fn image_format(request: &Request, base: Option<&BaseImage>) -> ImageFormat {
    let needs_oci =
        request.compression == CompressionChoice::Zstd || !request.annotations.0.is_empty();
    match (request.format, base) {
        (Some(format), _) => format,
        (None, Some(base)) if !needs_oci => base.format,
        (None, _) => ImageFormat::Oci,
    }
}

/// What commands get.
pub(crate) fn commands(choice: &RunChoice) -> Commands {
    let choice = choice.clone();
    // Names were checked where they were typed.
    let ulimits = choice.ulimits.into_iter().filter_map(|limit| {
        let resource = limit.name.parse().ok()?;
        Some(Ulimit { resource, soft: limit.soft, hard: limit.hard })
    });
    Commands {
        secrets: choice.secrets,
        agents: choice.agents,
        ulimits: ulimits.collect(),
        network: match choice.network {
            NetworkChoice::Host => Network::Host,
            NetworkChoice::None => Network::None,
        },
        cache_dir: choice.cache_dir,
    }
}

/// Who named what is to be fetched, and so whose keys it may be fetched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The user, on the command line: the agent of the user's own session counts.
    User,
    /// A Dockerfile, which may be a stranger's: only an agent that `--ssh` gives to the build counts.
    Dockerfile,
}

/// What fetches files and repositories, with the connections of this client.
pub(crate) fn fetcher(
    request: &Request,
    client: &Client,
    named_by: NamedBy,
    reporter: &Reporter,
    cancel: &Cancel,
) -> Fetcher {
    let mut git = request.git.clone();
    if named_by == NamedBy::Dockerfile {
        git.ssh_auth_sock = request.run.agents.get("default").cloned();
    }
    let reporter = reporter.clone();
    let secrets = request.run.secrets.clone();
    let lookup = move |id: &str| {
        let read = secrets.get(id)?.read();
        let bytes = read
            .inspect_err(|error| reporter.warning(&format!("the secret {id} is not used: {error}")))
            .ok()?;
        String::from_utf8(bytes).ok().map(Into::into)
    };
    Fetcher::new(client.clone(), git, Arc::new(lookup), cancel.clone())
}

/// What the plan has to know of named contexts.
pub(crate) fn named_contexts(request: &Request) -> BTreeMap<String, NamedContext> {
    let kind = |source: &NamedSource| match source.image() {
        Some(name) => NamedContext::Image(name.to_owned()),
        None => NamedContext::Files,
    };
    let named = request.named_contexts.iter();
    named.map(|(name, source)| (name.clone(), kind(source))).collect()
}
