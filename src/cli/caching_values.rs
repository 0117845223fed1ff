//! The values of the cache's flags: places, ages, limits.

use std::time::Duration;

use super::env::Environment;
use super::{duration, fields, values};
use crate::dockerfile::closest;
use crate::registry::Reference;
use crate::request::{CachePlace, MountLimits};

/// What a layout's directory is followed by where nothing is said.
pub(super) const LAYOUT_TAG: &str = "kiln";

/// A day, in seconds.
const DAY: u64 = 24 * 3600;

/// Whether the caches of RUN travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MountWish {
    No,
    Yes(MountLimits),
}

impl MountWish {
    /// What is kept where nothing is said: what package managers of one project need, and no longer than
    /// a project may rest between two releases.
    const DEFAULT: MountLimits = MountLimits { size: 2 << 30, age: Duration::from_secs(30 * DAY) };
}

/// `true`, `false`, or limits: `size=2GB,age=30d`.
pub(super) fn mounts(text: &str) -> Result<MountWish, String> {
    if let Ok(on) = values::switch(text) {
        return Ok(if on { MountWish::Yes(MountWish::DEFAULT) } else { MountWish::No });
    }
    let mut limits = MountWish::DEFAULT;
    for field in fields::fields(text)? {
        match field.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some(("size", value)) => {
                limits.size = values::bytes(value).map_err(|why| format!("size: {why}"))?;
            }
            Some(("age", value)) => {
                limits.age = age(value).map_err(|why| format!("age: {why}"))?;
                if limits.age.is_zero() {
                    return Err("nothing is younger than that; write --cache-mounts=false".into());
                }
            }
            Some((name, _)) => {
                let meant = closest(name, ["size", "age"]);
                let meant = meant.map(|name| format!("; did you mean `{name}`?"));
                return Err(format!("there is no limit `{name}`{}", meant.unwrap_or_default()));
            }
            None => return Err("expected true, false, or limits such as size=2GB,age=30d".into()),
        }
    }
    Ok(MountWish::Yes(limits))
}

/// A duration as Go writes it, or a number of days: `336h`, `30d`.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    let days = days.and_then(|days| days.checked_mul(DAY)).map(Duration::from_secs);
    let wrong = |_| "expected a duration such as 336h or 14d".to_owned();
    days.map_or_else(|| duration::parse(text).map_err(wrong), Ok)
}

/// A place by its short name: an image's name, `oci:DIR[:TAG]`, or a directory, which begins with
/// `/` or `.`.
pub(super) fn place(text: &str, env: &Environment) -> Result<CachePlace, String> {
    if let Some(dir) = text.strip_prefix("oci:") {
        return layout(
            dir.strip_prefix("//").filter(|dir| dir.starts_with('/')).unwrap_or(dir),
            env,
        );
    }
    if text.starts_with(['/', '.']) {
        return layout(text, env);
    }
    registry(text)
}

/// A name of a registry, as it was typed.
pub(super) fn registry(text: &str) -> Result<CachePlace, String> {
    let parsed: Result<Reference, _> = text.parse();
    parsed.map(|_| CachePlace::Registry(text.to_owned())).map_err(|error| error.to_string())
}

/// `DIR` or `DIR:TAG`.
fn layout(text: &str, env: &Environment) -> Result<CachePlace, String> {
    let (dir, tag) = match text.rsplit_once(':') {
        Some((dir, tag)) if !tag.contains('/') => (dir, tag),
        _ => (text, LAYOUT_TAG),
    };
    layout_at(dir, tag, env)
}

/// A directory and a tag, checked.
pub(super) fn layout_at(dir: &str, tag: &str, env: &Environment) -> Result<CachePlace, String> {
    if dir.is_empty() {
        return Err("it names no directory".into());
    }
    // By the grammar of image names.
    let known: Result<Reference, _> = format!("layout:{tag}").parse();
    if tag.is_empty() || known.is_err() {
        return Err(format!("`{tag}` is no tag: letters, digits, . _ and -"));
    }
    let dir = env.absolute(dir);
    if dir.exists() && !dir.is_dir() {
        return Err(format!("{} is not a directory", dir.display()));
    }
    Ok(CachePlace::Layout { dir, tag: tag.to_owned() })
}

/// Whether a name, which is valid, ends with a tag or a digest.
pub(super) fn is_tagged(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']))
}

/// Whether a name is that of one content, which nothing can be written to.
pub(super) fn is_fixed(place: &CachePlace) -> bool {
    matches!(place, CachePlace::Registry(name) if name.contains('@'))
}
