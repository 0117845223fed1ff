//! Which base images shall have local copies: `kiln warm`, and what kaniko's `warmer` shares with it.

use std::ffi::OsString;
use std::time::Duration;

use super::env::{self, Environment};
use super::error::CliError;
use super::flags::RegistryFlags;
use super::transfer_flags::TransferFlags;
use super::warm_flags::WarmFlags;
use super::{Warming, gitlab, resolve};
use crate::remote::is_http;
use crate::request::{CacheChoice, RegistryChoice, WarmRequest};

/// What is wanted, in either spelling.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) images: Vec<String>,
    /// As typed.
    pub(super) dockerfile: Option<OsString>,
    pub(super) build_args: Vec<(String, Option<String>)>,
    pub(super) cache_dir: OsString,
    pub(super) force: bool,
    pub(super) ttl: Duration,
    pub(super) platform: Option<String>,
    pub(super) registry: RegistryChoice,
}

/// How the flags are called that a mistake is mended with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spelling {
    /// How images are named.
    pub(super) images: &'static str,
    /// The flag of the Dockerfile.
    pub(super) file: &'static str,
}

const OWN: Spelling = Spelling { images: "kiln warm --cache-dir DIR debian:12", file: "-f" };

impl Wanted {
    /// Makes the request.
    pub(super) fn request(
        self,
        spelling: Spelling,
        env: &Environment,
    ) -> Result<WarmRequest, CliError> {
        let file = spelling.file;
        let is_address = |path: &OsString| path.to_str().is_some_and(is_http);
        if self.dockerfile.as_ref().is_some_and(is_address) {
            return Err(CliError::new(
                "base images are not fetched for a Dockerfile at an address",
                "download it first and name the file",
            ));
        }
        let dockerfile = self.dockerfile.map(|path| env.absolute(path));
        if self.images.is_empty() && dockerfile.is_none() {
            return Err(CliError::new(
                "there is nothing to fetch",
                format!("name images with {}, or a Dockerfile with {file}", spelling.images),
            ));
        }
        if let Some(path) = dockerfile.as_ref().filter(|path| !path.is_file()) {
            return Err(CliError::new(
                format!("there is no Dockerfile {}", path.display()),
                format!("a path after {file} is looked for here"),
            ));
        }
        Ok(WarmRequest {
            images: self.images,
            dockerfile,
            build_args: resolve::given_args(&self.build_args, env)?,
            cache_dir: env.absolute(self.cache_dir),
            force: self.force,
            ttl: self.ttl,
            platform: resolve::platform(self.platform)?,
            registry: self.registry,
        })
    }
}

/// `kiln warm`.
pub(super) fn warm(flags: WarmFlags, env: &Environment) -> Result<Warming, CliError> {
    let in_gitlab = gitlab::is_job(env);
    let output = resolve::output(&flags.output, env, in_gitlab);
    let Some(cache_dir) = resolve::given(flags.cache_dir.clone()) else {
        return Err(CliError::new(
            "there is no directory that images could be put into",
            "name it: --cache-dir DIR, as `kiln build` has it then",
        ));
    };
    if flags.platform.as_ref().is_some_and(|platform| platform.contains(',')) {
        return Err(CliError::new(
            "`kiln warm` fetches images of one platform",
            "call it once for each; they go into the same directory",
        ));
    }
    let dockerfile = resolve::given(flags.file.clone());
    if dockerfile.as_ref().is_some_and(|file| file == "-") {
        return Err(CliError::new(
            "`kiln warm` does not read a Dockerfile from standard input",
            "write it to a file and name that",
        ));
    }
    let nothing_named = flags.images.is_empty() && dockerfile.is_none();
    let wanted = Wanted {
        dockerfile: dockerfile.or_else(|| project_s(env).filter(|_| nothing_named)),
        build_args: flags.build_arg.clone(),
        cache_dir,
        force: flags.force,
        ttl: flags.cache_ttl.unwrap_or(CacheChoice::TTL),
        platform: flags.platform.clone(),
        images: flags.images.clone(),
        registry: registry(flags, env),
    };
    let request = Box::new(wanted.request(OWN, env)?);
    Ok(Warming { request, output, remarks: Vec::new() })
}

/// The Dockerfile that is here, or that of a job of GitLab's.
fn project_s(env: &Environment) -> Option<OsString> {
    let project = env.get(env::CI_PROJECT_DIR).filter(|_| gitlab::is_job(env));
    let project = env.absolute(project.unwrap_or_default());
    let named = env.get(env::DOCKERFILE_PATH).filter(|_| gitlab::is_job(env));
    let file = project.join(named.unwrap_or("Dockerfile".as_ref()));
    (named.is_some() || file.is_file()).then(|| file.into())
}

/// As other commands reach them; here everything is read.
fn registry(flags: WarmFlags, env: &Environment) -> RegistryChoice {
    let transfer = TransferFlags { retry_budget: flags.retry_budget, ..TransferFlags::default() };
    let flags = RegistryFlags {
        registry_mirror: flags.registry_mirror,
        registry_map: flags.registry_map,
        skip_default_registry_fallback: flags.skip_default_registry_fallback,
        ..flags.reach.with_retries(0, transfer)
    };
    resolve::registry_choice(flags, env)
}
