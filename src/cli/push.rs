//! Which image is pushed, and where it goes.

use std::path::Path;

use super::env::Environment;
use super::error::CliError;
use super::flags::ResultFlags;
use super::push_flags::{PushFlags, ToFlags};
use super::{Pushing, gitlab, resolve};
use crate::carry::Source;
use crate::request::{Destinations, PushRequest};

pub(super) fn push(flags: PushFlags, env: &Environment) -> Result<Pushing, CliError> {
    let output = resolve::output(&flags.output, env, gitlab::is_job(env));
    let Some(source) = flags.source.filter(|source| !source.is_empty()) else {
        return Err(CliError::new(
            "there is no image to push",
            "name an OCI layout or an archive: kiln push image.tar registry.example/app:1",
        ));
    };
    let source = Source::parse(&source, |path: &Path| env.absolute(path)).map_err(|why| {
        CliError::new(why, "name an OCI layout, an OCI archive, or what `docker save` wrote")
    })?;
    let platform = match resolve::platforms(&flags.platform.into_iter().collect::<Vec<_>>())? {
        platforms if platforms.len() > 1 => {
            return Err(CliError::new(
                "--platform picks one image of an index",
                "leave it out to push the whole index",
            ));
        }
        platforms => platforms.into_iter().next(),
    };
    let choice = flags.compression.unwrap_or_default();
    let typed = ResultFlags { compression_level: flags.compression_level, ..Default::default() };
    let request = PushRequest {
        source: source.path,
        image: source.rest,
        platform,
        compression: flags.compression,
        compression_level: resolve::compression_level(&typed, choice, false)?,
        jobs: flags.jobs.unwrap_or_else(resolve::processors),
        work_dir: resolve::given(flags.work_dir).map(|dir| env.absolute(dir)),
        temp_dir: resolve::temp_dir(env),
        to: destinations(flags.names, flags.to, env)?,
    };
    Ok(Pushing { request: Box::new(request), output })
}

/// Where it goes; `names` stand beside those of the flag.
pub(super) fn destinations(
    names: Vec<String>,
    flags: ToFlags,
    env: &Environment,
) -> Result<Destinations, CliError> {
    let names: Vec<String> = names.into_iter().chain(flags.tag).collect();
    if names.is_empty() {
        return Err(CliError::new(
            "there is no name to push to",
            "add -t registry.example/name:tag",
        ));
    }
    if let Some(name) = names.iter().find(|name| name.contains("@sha256:")) {
        return Err(CliError::new(
            format!("cannot push to `{name}`: the digest is that of what is pushed"),
            "name a tag: registry.example/name:tag",
        ));
    }
    resolve::names(&names)?;
    let path = |path| resolve::given(path).map(|path| env.absolute(path));
    Ok(Destinations {
        names,
        digest_file: path(flags.digest_file),
        image_name_with_digest_file: path(flags.image_name_with_digest_file),
        image_name_tag_with_digest_file: path(flags.image_name_tag_with_digest_file),
        skip_push_check: flags.skip_push_permission_check,
        registry: resolve::registry_choice(
            flags.reach.with_retries(flags.push_retry, flags.transfer),
            env,
        ),
    })
}
