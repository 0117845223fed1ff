//! One `--cache-from` or `--cache-to`, in docker buildx' words.
//!
//! Source: docs.docker.com/build/cache/backends, and BuildKit's client/solve.go and
//! cache/remotecache for what stands in no table. Values may be passwords (of stores that kiln does not
//! have), so no message repeats one.

use super::caching_values::{is_fixed, is_tagged, layout_at, place, registry};
use super::env::Environment;
use super::error::CliError;
use super::{fields, values};
use crate::dockerfile::closest;
use crate::request::{CachePlace, CacheReach};

/// Which flag an entry stands behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    From,
    To,
}

/// An entry, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Nothing for the image itself.
    pub(super) place: Option<CachePlace>,
    pub(super) reach: CacheReach,
    /// Whether the build fails where this cannot be written.
    pub(super) must_succeed: bool,
    /// Whether plain HTTP is spoken with its registry.
    pub(super) insecure: bool,
    /// What the layers shall be like.
    pub(super) compression: Option<String>,
    pub(super) compression_level: Option<String>,
    /// Attributes that change nothing, and why.
    pub(super) idle: Vec<(String, &'static str)>,
}

const FORMAT: &str = "the cache has the form that all registries take";
const SAME_LAYERS: &str = "the cache has the layers of the image, as they are";
/// What BuildKit knows of entries, of any type and side. Stores that kiln has not are refused before.
const ATTRIBUTES: [&str; 15] = [
    "type",
    "ref",
    "src",
    "dest",
    "tag",
    "digest",
    "mode",
    "ignore-error",
    "compression",
    "compression-level",
    "force-compression",
    "oci-mediatypes",
    "image-manifest",
    "reset",
    "registry.insecure",
];

impl Side {
    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::From => "--cache-from",
            Self::To => "--cache-to",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::From => {
                "write --cache-from type=registry,ref=NAME, --cache-from type=local,src=DIR, or a name"
            }
            Self::To => {
                "write --cache-to type=registry,ref=NAME,mode=max, --cache-to \
                 type=local,dest=DIR,mode=max, --cache-to type=inline, or a name"
            }
        }
    }

    fn wrong(self, why: impl std::fmt::Display) -> CliError {
        CliError::new(format!("{}: {why}", self.flag()), self.example())
    }
}

/// Reads what stands behind one flag. An empty text is nothing, names alone may be several.
pub(super) fn entries(side: Side, text: &str, env: &Environment) -> Result<Vec<Entry>, CliError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let parts = fields::fields(text).map_err(|why| side.wrong(why))?;
    if parts.iter().any(|part| part.contains('=')) {
        return Ok(vec![attributes(side, &parts, env)?]);
    }
    let short = |part: &String| {
        let place = place(part, env).map_err(|why| side.wrong(why))?;
        // As with buildx: the name alone is the newest there.
        Entry::new(Some(latest(place))).checked(side)
    };
    parts.iter().map(short).collect()
}

fn latest(place: CachePlace) -> CachePlace {
    match place {
        CachePlace::Registry(name) if !is_tagged(&name) => {
            CachePlace::Registry(format!("{name}:latest"))
        }
        place => place,
    }
}

/// The attributes of an entry by name; a later one counts.
struct Attributes<'a> {
    side: Side,
    all: Vec<(String, &'a str)>,
}

impl<'a> Attributes<'a> {
    fn read(side: Side, parts: &'a [String]) -> Result<Self, CliError> {
        let mut all: Vec<(String, &str)> = Vec::new();
        for part in parts {
            // What has no `=` may be a password.
            let (name, value) =
                part.split_once('=').ok_or_else(|| side.wrong("a field of it has no `=`"))?;
            let name = name.trim().to_lowercase();
            all.retain(|(known, _)| *known != name);
            all.push((name, value));
        }
        Ok(Self { side, all })
    }

    /// The value, which no longer is among the others then; an empty one is none.
    fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.all.iter().position(|(known, _)| known == name)?;
        Some(self.all.remove(at).1).filter(|value| !value.is_empty())
    }

    fn switch(&mut self, name: &str) -> Result<Option<bool>, CliError> {
        let value = self.take(name).map(values::switch).transpose();
        value.map_err(|why| self.side.wrong(format!("{name}: {why}")))
    }

    fn needed(&mut self, kind: &str, name: &str) -> Result<&'a str, CliError> {
        let side = self.side;
        self.take(name).ok_or_else(|| side.wrong(format!("type={kind} needs {name}=")))
    }
}

fn attributes(side: Side, parts: &[String], env: &Environment) -> Result<Entry, CliError> {
    let mut all = Attributes::read(side, parts)?;
    let kind =
        all.take("type").ok_or_else(|| side.wrong("it has no type=, such as type=registry"))?;
    let is_from = side == Side::From;
    let place = match kind {
        "registry" => {
            let name = all.needed(kind, "ref")?;
            Some(latest(registry(name).map_err(|why| side.wrong(why))?))
        }
        "local" => {
            let dir = all.needed(kind, if is_from { "src" } else { "dest" })?;
            let tag = all.take("tag").unwrap_or("latest");
            Some(layout_at(dir, tag, env).map_err(|why| side.wrong(why))?)
        }
        "inline" if !is_from => None,
        "inline" => {
            return Err(CliError::new(
                "--cache-from: what is inline is read from the image that has it",
                "name that image: --cache-from type=registry,ref=registry.example/app:latest",
            ));
        }
        other => return Err(unknown_kind(side, other)),
    };
    let mut entry = Entry::new(place);
    entry.take_all(kind, &mut all)?;
    entry.checked(side)
}

fn unknown_kind(side: Side, kind: &str) -> CliError {
    let (flag, dir) = match side {
        Side::From => (side.flag(), "src"),
        Side::To => (side.flag(), "dest"),
    };
    match kind {
        "gha" => CliError::new(
            format!("{flag}: kiln does not keep a cache in GitHub's store for caches (type=gha)"),
            format!(
                "use the registry, {flag} type=registry,ref=ghcr.io/OWNER/REPOSITORY/cache, or \
                 {flag} type=local,{dir}=DIR with a directory that actions/cache keeps"
            ),
        ),
        "s3" | "azblob" | "gcs" => CliError::new(
            format!("{flag}: kiln does not keep a cache in buckets (type={kind})"),
            format!(
                "use the registry, {flag} type=registry,ref=NAME, or {flag} type=local,{dir}=DIR \
                 with a directory that the job copies to and from the bucket"
            ),
        ),
        other => {
            let meant = closest(other, ["registry", "local", "inline"]);
            let help = meant.map(|kind| format!("did you mean `type={kind}`?"));
            CliError::new(
                format!("{flag}: there is no cache of the type `{other}`"),
                help.unwrap_or_else(|| side.example().to_owned()),
            )
        }
    }
}

impl Entry {
    fn new(place: Option<CachePlace>) -> Self {
        Self {
            place,
            reach: CacheReach::Image,
            must_succeed: false,
            insecure: false,
            compression: None,
            compression_level: None,
            idle: Vec::new(),
        }
    }

    /// Whether its place is one that its flag can mean.
    fn checked(self, side: Side) -> Result<Self, CliError> {
        if side == Side::To && self.place.as_ref().is_some_and(is_fixed) {
            return Err(CliError::new(
                "--cache-to: a name with a digest is that of one content, which cannot be written",
                "name a tag: type=registry,ref=registry.example/app/cache:latest",
            ));
        }
        Ok(self)
    }

    /// The other attributes.
    fn take_all(&mut self, kind: &str, all: &mut Attributes<'_>) -> Result<(), CliError> {
        let side = all.side;
        if kind == "registry" {
            self.insecure = all.switch("registry.insecure")?.unwrap_or(false);
        }
        if side == Side::To {
            self.take_what_is_written(kind, all)?;
        } else if kind == "local" && all.take("digest").is_some() {
            self.rest("digest", "what is found is chosen by its content, whatever is newest there");
        }
        for (name, _) in std::mem::take(&mut all.all) {
            if ATTRIBUTES.contains(&name.as_str()) {
                self.rest(&name, "it says nothing about such an entry");
                continue;
            }
            let meant = closest(&name, ATTRIBUTES);
            let help = meant.map(|name| format!("did you mean `{name}`?"));
            return Err(CliError::new(
                format!("{}: a cache of the type {kind} has no attribute `{name}`", side.flag()),
                help.unwrap_or_else(|| side.example().to_owned()),
            ));
        }
        Ok(())
    }

    fn take_what_is_written(
        &mut self,
        kind: &str,
        all: &mut Attributes<'_>,
    ) -> Result<(), CliError> {
        self.reach = match all.take("mode") {
            None | Some("min") => CacheReach::Image,
            Some("max") if kind == "inline" => {
                self.rest("mode=max", "inline, there is no more than what is in the image");
                CacheReach::Image
            }
            Some("max") => CacheReach::All,
            Some(_) => return Err(all.side.wrong("mode: expected min or max")),
        };
        self.must_succeed = all.switch("ignore-error")? == Some(false);
        self.compression = all.take("compression").map(str::to_owned);
        self.compression_level = all.take("compression-level").map(str::to_owned);
        if all.switch("force-compression")? == Some(true) {
            self.rest("force-compression", SAME_LAYERS);
        }
        if all.switch("oci-mediatypes")? == Some(false) {
            self.rest("oci-mediatypes", FORMAT);
        }
        if all.switch("image-manifest")? == Some(false) {
            self.rest("image-manifest", FORMAT);
        }
        if kind == "local" && all.switch("reset")? == Some(true) {
            self.rest("reset", "`kiln cache prune` takes away what is no longer wanted");
        }
        Ok(())
    }

    fn rest(&mut self, name: &str, why: &'static str) {
        self.idle.push((name.to_owned(), why));
    }

    /// What changes nothing of the entry, and why, in a build whose layers are like this.
    pub(super) fn idle(
        &self,
        compression: &str,
        level: Option<i32>,
    ) -> Vec<(String, &'static str)> {
        let mut idle = self.idle.clone();
        let same_level = |typed: &str| level.is_some_and(|level| typed == level.to_string());
        if self.compression.as_ref().is_some_and(|typed| typed != compression) {
            idle.push(("compression".into(), SAME_LAYERS));
        }
        if self.compression_level.as_ref().is_some_and(|typed| !same_level(typed)) {
            idle.push(("compression-level".into(), SAME_LAYERS));
        }
        idle
    }
}
