//! `--cache` and its relatives.

use super::super::cache_sum::Caching;
use super::super::caching_values::MountWish;
use super::super::env::{self, Environment};
use super::super::error::CliError;
use super::super::{Remark, cache_repo, caching, duration};
use super::values::Values;
use crate::request::{CachePlace, Request};

/// Flags that have a meaning with `--cache` only.
const WITH_CACHE: [&str; 6] = [
    "cache-dir",
    "cache-repo",
    "cache-ttl",
    "cache-copy-layers",
    "cache-run-layers",
    "no-push-cache",
];

/// What kaniko refuses: where nothing is pushed, it makes up no repository for the cache.
pub(super) fn check(values: &Values, no_push: bool, env: &Environment) -> Result<(), CliError> {
    let pushes_cache = values.switch("cache") && !values.switch("no-push-cache");
    let named = values.text("cache-repo").is_some() || env.get(env::KILN_CACHE_REPO).is_some();
    if pushes_cache && no_push && !named {
        return Err(CliError::new(
            "--cache with --no-push needs a --cache-repo",
            "name one, or use --no-push-cache",
        ));
    }
    Ok(())
}

/// Fills in the cache, and says what has no effect.
pub(super) fn fill(
    request: &mut Request,
    values: &Values,
    env: &Environment,
) -> Result<Vec<Remark>, CliError> {
    let mut caching = Caching::default();
    let is_on = values.switch("cache");
    if is_on {
        request.cache_dir = Some(env.absolute(values.text("cache-dir").unwrap_or("/cache")));
        if let Some(place) = repository(&mut caching, request, values, env)? {
            caching.use_repository(place, values.switch("no-push-cache"));
        }
    } else {
        for flag in WITH_CACHE.into_iter().filter(|flag| values.is_changed(flag)) {
            caching.remarks.push(Remark::Warning(format!("--{flag} is read only with --cache")));
        }
    }
    match caching::mounts_of(env)? {
        MountWish::Yes(limits) if caching.choice.is_used() => caching.choice.mounts = Some(limits),
        MountWish::Yes(_) => caching.remarks.push(Remark::Note(format!(
            "{} has no effect: the build has no cache",
            env::KILN_CACHE_MOUNTS
        ))),
        MountWish::No => {}
    }
    let ttl = values.text("cache-ttl").unwrap_or("336h");
    caching.choice.ttl = duration::parse(ttl).map_err(CliError::complete)?;
    caching.choice.runs = values.switch("cache-run-layers");
    caching.choice.copies = values.switch("cache-copy-layers");
    // As in kaniko, `--insecure` is about the cache, too.
    caching.reach(&mut request.registry);
    request.cache = caching.choice;
    Ok(caching.remarks)
}

fn repository(
    caching: &mut Caching,
    request: &Request,
    values: &Values,
    env: &Environment,
) -> Result<Option<CachePlace>, CliError> {
    let read_only = values.switch("no-push-cache");
    if let Some(typed) = values.text("cache-repo") {
        return caching::named("--cache-repo", typed, read_only, env).map(Some);
    }
    if let Some(typed) = env.text(env::KILN_CACHE_REPO)? {
        return caching::named(env::KILN_CACHE_REPO, &typed, read_only, env).map(Some);
    }
    match cache_repo::inferred(&request.destinations, true, env) {
        Ok(found) => {
            caching.remarks.extend(found.from_gitlab.then(|| cache_repo::note(&found.place)));
            Ok(Some(found.place))
        }
        // kaniko goes on without, too.
        Err(error) => {
            let why = error.message();
            let text = format!("no layer is kept or taken: {why}; name a --cache-repo");
            caching.remarks.push(Remark::Warning(text));
            Ok(None)
        }
    }
}
