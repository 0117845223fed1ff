//! Which caches are looked after, and what may go.

use std::path::{Path, PathBuf};

use super::cache_flags::{CacheCommand, CacheFlags, PlaceFlags};
use super::env::{self, Environment};
use super::error::CliError;
use super::transfer_flags::TransferFlags;
use super::{Caretaking, gitlab, resolve, values};
use crate::base_cache::upkeep::is_base_cache;
use crate::cache::backend::Layout;
use crate::registry::{Reference, ReferenceError};
use crate::request::{CacheUpkeep, Prune, UpkeepPlace};
use crate::stage::run_caches::is_cache_directory;

/// What a directory in the form of an OCI layout is called.
const OCI: &str = "oci:";
/// Where the warmer's images are if nobody says otherwise.
const CACHE: &str = "/cache";

pub(super) fn cache(flags: CacheFlags, env: &Environment) -> Result<Caretaking, CliError> {
    let (prune, flags) = match flags.command {
        CacheCommand::Du(flags) => (None, *flags),
        CacheCommand::Prune(flags) => {
            let prune =
                Prune { older_than: flags.older_than, keep: flags.keep, dry_run: flags.dry_run };
            (Some(prune), flags.places)
        }
    };
    let PlaceFlags { places, json, reach, retry_budget, output } = flags;
    let output = resolve::output(&output, env, gitlab::is_job(env));
    let mut found = Vec::new();
    for text in &places {
        found.extend(place(text, env)?);
    }
    if places.is_empty() {
        found = of_environment(Path::new(CACHE), env)?;
    }
    let transfer = TransferFlags { retry_budget, ..Default::default() };
    let registry = resolve::registry_choice(reach.with_retries(0, transfer), env);
    let request = Box::new(CacheUpkeep { places: found, prune, registry });
    Ok(Caretaking { request, json, output })
}

/// `registry/name[:tag]`, `oci:DIR[:TAG]`, or a directory, which may be several things at once.
fn place(text: &str, env: &Environment) -> Result<Vec<UpkeepPlace>, CliError> {
    if let Some(rest) = text.strip_prefix(OCI) {
        return layout(text, rest, env).map(|place| vec![place]);
    }
    let path = env.absolute(text);
    // The empty name of a variable that is not set would be this directory.
    let is_path = text.starts_with(['/', '.']) || !text.is_empty() && path.is_dir();
    if !is_path {
        return registry(text).map(|place| vec![place]);
    }
    if !path.is_dir() {
        return Err(CliError::new(
            format!("there is no directory {}", path.display()),
            "name a directory, oci:DIR, or a repository: registry.example/app/cache",
        ));
    }
    let found = directory(&path);
    match found.is_empty() {
        false => Ok(found),
        true => Err(CliError::new(
            format!("{} has no cache of kiln's in it", path.display()),
            "name the directory of --cache-to, --cache-dir or --cache-mount-dir",
        )),
    }
}

fn layout(text: &str, rest: &str, env: &Environment) -> Result<UpkeepPlace, CliError> {
    let whole = env.absolute(rest);
    let (dir, tag) = match rest.rsplit_once(':') {
        Some((dir, tag)) if !tag.contains('/') && !whole.is_dir() => (dir, Some(tag)),
        _ => (rest, None),
    };
    let dir = env.absolute(dir);
    if rest.is_empty() || !Layout::is_at(&dir) {
        return Err(CliError::new(
            format!("`{text}` names no OCI layout: {} is none", dir.display()),
            "name the directory that --cache-to has: oci:DIR",
        ));
    }
    Ok(UpkeepPlace::Layout { dir, tag: tag.map(str::to_owned) })
}

fn registry(text: &str) -> Result<UpkeepPlace, CliError> {
    let wrong = |why: String| {
        CliError::new(
            format!("`{text}` is no cache: {why}"),
            "name a repository, such as registry.example/app/cache, or a directory that is there",
        )
    };
    values::image_name(text).map_err(&wrong)?;
    let reference: Reference =
        text.parse().map_err(|error: ReferenceError| wrong(error.to_string()))?;
    // Where there is no tag the reference has one all the same.
    let last = text.rsplit('/').next().unwrap_or_default();
    let tag = reference.tag.filter(|_| last.contains(':'));
    match reference.digest {
        None => Ok(UpkeepPlace::Registry { name: text.to_owned(), tag }),
        Some(_) => Err(wrong("a digest names one document, which never changes".into())),
    }
}

/// All that a directory is.
fn directory(path: &Path) -> Vec<UpkeepPlace> {
    let mut found = Vec::new();
    if Layout::is_at(path) {
        found.push(UpkeepPlace::Layout { dir: path.to_owned(), tag: None });
    }
    if is_base_cache(path) {
        found.push(UpkeepPlace::BaseImages(path.to_owned()));
    }
    if is_cache_directory(path) {
        found.push(UpkeepPlace::RunCaches(path.to_owned()));
    }
    found
}

/// What builds of this machine would use; `usual` is looked at if it is there.
fn of_environment(usual: &Path, env: &Environment) -> Result<Vec<UpkeepPlace>, CliError> {
    let mut found = directory(usual);
    let mounts: Option<PathBuf> = env.get(env::KILN_CACHE_MOUNT_DIR).map(|dir| env.absolute(dir));
    found.extend(mounts.map(UpkeepPlace::RunCaches).filter(|place| !found.contains(place)));
    if gitlab::is_job(env)
        && let Some(image) = env.text(env::CI_REGISTRY_IMAGE)?
    {
        found.push(registry(&format!("{image}/cache"))?);
    }
    match found.is_empty() {
        false => Ok(found),
        true => Err(CliError::new(
            "there is no cache to look at",
            "name one: a repository (registry.example/app/cache), oci:DIR, or the directory of \
             --cache-dir or --cache-mount-dir",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// A directory of each kind.
    fn machine() -> (tempfile::TempDir, Environment) {
        let dir = tempfile::tempdir().expect("temp");
        let make = |path: &str| fs::create_dir_all(dir.path().join(path)).expect("made");
        let write = |path: &str| fs::write(dir.path().join(path), "").expect("written");
        make("layout");
        write("layout/index.json");
        make(&format!("bases/sha256:{HEX}"));
        make(&format!("mounts/{}", &HEX[..32]));
        write(&format!("mounts/{}/about", &HEX[..32]));
        make("both/.kiln-locks");
        make(&format!("both/{}", &HEX[..32]));
        write(&format!("both/{}/about", &HEX[..32]));
        make("empty");
        let env = Environment::new(dir.path().to_owned(), []);
        (dir, env)
    }

    fn repository(name: &str, tag: Option<&str>) -> UpkeepPlace {
        UpkeepPlace::Registry { name: name.to_owned(), tag: tag.map(str::to_owned) }
    }

    #[test]
    fn a_directory_is_what_is_in_it() {
        let (dir, env) = machine();
        let path = |name: &str| dir.path().join(name);
        let layout = |tag: Option<&str>| UpkeepPlace::Layout {
            dir: path("layout"),
            tag: tag.map(str::to_owned),
        };
        for (text, expected) in [
            ("layout", vec![layout(None)]),
            ("./layout", vec![layout(None)]),
            ("oci:layout", vec![layout(None)]),
            ("oci:layout:main", vec![layout(Some("main"))]),
            ("bases", vec![UpkeepPlace::BaseImages(path("bases"))]),
            ("mounts", vec![UpkeepPlace::RunCaches(path("mounts"))]),
            (
                "both",
                vec![UpkeepPlace::BaseImages(path("both")), UpkeepPlace::RunCaches(path("both"))],
            ),
            ("r.io:5000/app/cache", vec![repository("r.io:5000/app/cache", None)]),
            ("r.io:5000/app:1", vec![repository("r.io:5000/app:1", Some("1"))]),
        ] {
            assert_eq!(place(text, &env), Ok(expected), "{text}");
        }
        for (text, why) in [
            ("empty", "has no cache of kiln's in it"),
            ("/nowhere/at/all", "there is no directory /nowhere/at/all"),
            ("./none", "there is no directory"),
            ("oci:empty", "names no OCI layout"),
            ("oci:", "names no OCI layout"),
            ("r.io/App", "is no cache"),
            ("", "is no cache"),
            (&format!("r.io/app@sha256:{HEX}"), "never changes"),
        ] {
            let error = place(text, &env).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn without_a_name_it_is_what_builds_here_use() {
        let (dir, _) = machine();
        let path = |name: &str| dir.path().join(name);
        let find = |usual: &str, variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
            of_environment(&path(usual), &Environment::new(dir.path().to_owned(), variables))
        };
        let error = find("none", &[]).expect_err("nothing");
        assert!(error.to_string().contains("no cache to look at"), "{error}");
        assert!(find("empty", &[]).is_err());
        let bases = UpkeepPlace::BaseImages(path("bases"));
        assert_eq!(find("bases", &[]), Ok(vec![bases]));
        let mounts = UpkeepPlace::RunCaches(path("mounts"));
        let variable = ("KILN_CACHE_MOUNT_DIR", "mounts");
        assert_eq!(find("none", &[variable]), Ok(vec![mounts.clone()]));
        assert_eq!(find("mounts", &[variable]), Ok(vec![mounts]));
        let job = [("CI_PROJECT_DIR", "/builds/app"), ("CI_REGISTRY_IMAGE", "r.io/group/app")];
        let cache = repository("r.io/group/app/cache", None);
        assert_eq!(find("none", &job), Ok(vec![cache]));
        assert!(find("none", &job[1..]).is_err(), "only in a job");
    }
}
