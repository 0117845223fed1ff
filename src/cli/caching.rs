//! Where the cache is, of what the flags, the environment and the job say: kaniko's `--cache` and
//! `--cache-repo`, docker buildx' `--cache-from` and `--cache-to`, all at once if wanted.

use super::cache_entry::{Entry, Side, entries};
use super::cache_repo::{self, Inferred};
use super::cache_sum::Caching;
use super::caching_flags::CachingFlags;
use super::caching_values::{self, MountWish, is_fixed, place};
use super::env::{self, Environment};
use super::error::CliError;
use super::resolve::given;
use super::values;
use crate::request::{CacheChoice, CachePlace, CacheTarget};

/// What is known of the build.
#[derive(Debug)]
pub(super) struct Goal<'a> {
    /// The image's names.
    pub(super) names: &'a [String],
    /// Whether it is pushed to them.
    pub(super) push: bool,
    /// Whether somebody wrote that it is not.
    pub(super) no_push: bool,
    /// Whether the cache is all that is wanted.
    pub(super) cache_only: bool,
    /// Whether the image is to be a cache, too: `BUILDKIT_INLINE_CACHE`.
    pub(super) inline: bool,
    /// How new layers are compressed.
    pub(super) compression: &'static str,
    /// The level of that, if one was said.
    pub(super) level: Option<i32>,
}

/// Puts it together.
pub(super) fn caching(
    flags: &CachingFlags,
    goal: &Goal<'_>,
    env: &Environment,
) -> Result<Caching, CliError> {
    let mut caching = Caching::default();
    if flags.cache == Some(false) {
        contradictions(flags)?;
        if goal.inline {
            caching.note("BUILDKIT_INLINE_CACHE has no effect: the cache is switched off".into());
        }
    } else {
        places(&mut caching, flags, goal, env)?;
    }
    if goal.cache_only && !caching.is_written() {
        return Err(CliError::new(
            "-o type=cacheonly fills a cache, and there is none that is written",
            "name one: --cache-repo registry.example/app/cache, or --cache-to",
        ));
    }
    mounts(&mut caching, flags, env)?;
    let choice = &mut caching.choice;
    choice.ttl = flags.cache_ttl.unwrap_or(CacheChoice::TTL);
    choice.runs = flags.cache_run_layers.unwrap_or(true);
    choice.copies = flags.cache_copy_layers.unwrap_or(true);
    say_unused(&mut caching, flags);
    caching.choice.explain = flags.explain;
    if goal.cache_only && !goal.push {
        // Nothing else comes of it.
        for target in &mut caching.choice.to {
            if let CacheTarget::Place { must_succeed, .. } = target {
                *must_succeed = true;
            }
        }
    }
    Ok(caching)
}

fn contradictions(flags: &CachingFlags) -> Result<(), CliError> {
    let others = [
        ("--cache-repo", given(flags.cache_repo.clone()).is_some()),
        ("--cache-from", flags.cache_from.iter().any(|text| !text.is_empty())),
        ("--cache-to", flags.cache_to.iter().any(|text| !text.is_empty())),
        ("--cache-mounts", matches!(flags.cache_mounts, Some(MountWish::Yes(_)))),
    ];
    match others.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((other, _)) => Err(CliError::new(
            format!("--cache=false and {other} contradict each other"),
            "leave one out; --no-cache builds all anew, and keeps what comes of it",
        )),
    }
}

fn places(
    caching: &mut Caching,
    flags: &CachingFlags,
    goal: &Goal<'_>,
    env: &Environment,
) -> Result<(), CliError> {
    let read = |side: Side, texts: &[String]| -> Result<Vec<Entry>, CliError> {
        let all = texts.iter().map(|text| entries(side, text, env));
        Ok(all.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    };
    let from = read(Side::From, &flags.cache_from)?;
    let to = read(Side::To, &flags.cache_to)?;
    let says_nothing = from.is_empty() && to.is_empty() && !goal.inline;
    if let Some(place) = repository(caching, flags, goal, (to.is_empty(), says_nothing), env)? {
        caching.use_repository(place, flags.no_push_cache);
    }
    for (side, all) in [(Side::From, from), (Side::To, to)] {
        for entry in all {
            for (name, why) in entry.idle(goal.compression, goal.level) {
                caching.warn(format!("{}: `{name}` has no effect: {why}", side.flag()));
            }
            match side {
                Side::From => caching.read(entry),
                Side::To => caching.write(entry),
            }
        }
    }
    if goal.inline {
        caching.write_inline();
    }
    Ok(())
}

/// `--cache-repo`, or what stands in for it.
fn repository(
    caching: &mut Caching,
    flags: &CachingFlags,
    goal: &Goal<'_>,
    (writes_nothing, says_nothing): (bool, bool),
    env: &Environment,
) -> Result<Option<CachePlace>, CliError> {
    if let Some(typed) = given(flags.cache_repo.clone()) {
        return named("--cache-repo", &text("--cache-repo", typed)?, flags.no_push_cache, env)
            .map(Some);
    }
    let asked = match (flags.cache, env.text(env::KILN_CACHE)?) {
        (Some(on), _) => Some(on),
        (None, Some(word)) => Some(values::switch(&word).map_err(|why| {
            CliError::complete(format!("{} is `{word}`: {why}", env::KILN_CACHE))
        })?),
        (None, None) => None,
    };
    if asked == Some(false) {
        return Ok(None);
    }
    if let Some(typed) = env.text(env::KILN_CACHE_REPO)? {
        return named(env::KILN_CACHE_REPO, &typed, flags.no_push_cache, env).map(Some);
    }
    if asked == Some(true) && writes_nothing {
        let pushes = !goal.no_push || goal.cache_only || flags.no_push_cache;
        return match cache_repo::inferred(goal.names, pushes, env) {
            Ok(Inferred { place, from_gitlab }) => {
                if from_gitlab {
                    caching.remarks.push(cache_repo::note(&place));
                }
                Ok(Some(place))
            }
            // Which a whole group of projects may have.
            Err(error) if flags.cache.is_none() => {
                caching.note(format!("{} has no effect: {}", env::KILN_CACHE, error.message()));
                Ok(None)
            }
            Err(error) => Err(error),
        };
    }
    let by_itself = says_nothing && (goal.push || goal.cache_only);
    let found = cache_repo::of_gitlab(goal.names, env).filter(|_| by_itself);
    caching.remarks.extend(found.as_ref().map(cache_repo::note));
    Ok(found)
}

/// A place that was named, by a flag or a variable.
pub(super) fn named(
    by: &str,
    typed: &str,
    read_only: bool,
    env: &Environment,
) -> Result<CachePlace, CliError> {
    let help = "name a repository, registry.example/app/cache, or a directory, oci:DIR";
    let place = place(typed, env).map_err(|why| CliError::new(format!("{by}: {why}"), help))?;
    if is_fixed(&place) && !read_only {
        return Err(CliError::new(
            format!("{by}: `{typed}` has a digest, and what it names cannot be written"),
            help,
        ));
    }
    Ok(place)
}

fn text(flag: &str, typed: std::ffi::OsString) -> Result<String, CliError> {
    typed.into_string().map_err(|typed| {
        CliError::complete(format!("{flag}: `{}` is not UTF-8", typed.to_string_lossy()))
    })
}

/// Lets the caches of RUN travel, if there is where to.
fn mounts(caching: &mut Caching, flags: &CachingFlags, env: &Environment) -> Result<(), CliError> {
    let by_flag = flags.cache_mounts.is_some();
    let wish = match flags.cache_mounts {
        Some(wish) => wish,
        None => mounts_of(env)?,
    };
    match wish {
        MountWish::No => {}
        MountWish::Yes(limits) if caching.has_place() => caching.choice.mounts = Some(limits),
        MountWish::Yes(_) if by_flag => {
            return Err(CliError::new(
                "--cache-mounts has no place to keep anything in",
                "add --cache, which means the repository of the image, or --cache-repo; a directory \
                 of this machine alone is --cache-mount-dir",
            ));
        }
        MountWish::Yes(_) => caching
            .note(format!("{} has no effect: the build has no cache", env::KILN_CACHE_MOUNTS)),
    }
    Ok(())
}

/// What the variable says.
pub(super) fn mounts_of(env: &Environment) -> Result<MountWish, CliError> {
    let Some(text) = env.text(env::KILN_CACHE_MOUNTS)? else { return Ok(MountWish::No) };
    caching_values::mounts(&text)
        .map_err(|why| CliError::complete(format!("{} is `{text}`: {why}", env::KILN_CACHE_MOUNTS)))
}

/// Flags that only have a meaning with a cache, where there is none.
fn say_unused(caching: &mut Caching, flags: &CachingFlags) {
    if caching.choice.is_used() {
        return;
    }
    let idle = [
        ("--no-push-cache", flags.no_push_cache),
        ("--cache-ttl", caching.choice.ttl != CacheChoice::TTL),
        ("--cache-run-layers", !caching.choice.runs),
        ("--cache-copy-layers", !caching.choice.copies),
    ];
    for (flag, _) in idle.iter().filter(|(_, given)| *given && flags.cache != Some(false)) {
        caching.warn(format!("{flag} has no effect: there is no cache; add --cache"));
    }
}
