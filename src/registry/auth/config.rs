//! Docker's config.json: `auths`, `credHelpers`, `credsStore`.
//!
//! Source: docker/cli cli/config/configfile. Keys with a path (`host/group/project`) are Podman's
//! and GitLab Runner's extension (containers-auth.json(5)).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;

use super::super::reference::canonical_registry;
use super::{Credentials, NOT_SET_HERE, broken};

/// How many entries a "no entry for" message names.
const NAMED_ENTRIES: usize = 5;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    auths: Option<BTreeMap<String, Option<Auth>>>,
    creds_store: Option<String>,
    cred_helpers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase", default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// A config.json, ready for questions.
#[derive(Debug, Default)]
pub(super) struct Config {
    entries: Vec<Entry>,
    helpers: BTreeMap<String, String>,
    /// The helper for all registries.
    pub(super) store: Option<String>,
}

/// One key of `auths`.
#[derive(Debug)]
pub(super) struct Entry {
    /// As the file spells it, but for a password in it.
    pub(super) key: String,
    registry: String,
    /// Empty for a whole registry.
    path: String,
    pub(super) credentials: Result<Credentials, Gap>,
}

/// What an entry lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    All,
    Password,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "has neither user nor password",
            Self::Password => "has a user but no password",
        })
    }
}

impl Config {
    /// Reads the bytes of a file. The reason of an error holds no value of the file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default()); // as docker/cli does
        }
        let file: File = serde_json::from_slice(bytes).map_err(|error| broken::describe(&error))?;
        let mut entries = Vec::new();
        for (key, auth) in file.auths.unwrap_or_default() {
            let (registry, path) = split_key(&key);
            let key = without_password(&key);
            let credentials = credentials(auth.unwrap_or_default())
                .map_err(|reason| format!("the entry `{key}` {reason}"))?;
            entries.push(Entry { key, registry, path, credentials });
        }
        let helpers = file.cred_helpers.unwrap_or_default().into_iter();
        Ok(Self {
            entries,
            helpers: helpers.map(|(key, program)| (split_key(&key).0, program)).collect(),
            store: file.creds_store.filter(|program| !program.is_empty()),
        })
    }

    /// The registry's own helper.
    pub(super) fn helper(&self, registry: &str) -> Option<&String> {
        self.helpers.get(registry).filter(|program| !program.is_empty())
    }

    /// The entry with the longest path that the repository is in or below; one that is filled in
    /// before one that is not.
    pub(super) fn entry(&self, registry: &str, repository: &str) -> Option<&Entry> {
        let is_in = |path: &str| {
            let rest = repository.strip_prefix(path);
            path.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let matching = self.entries.iter().filter(|e| e.registry == registry && is_in(&e.path));
        matching.max_by_key(|entry| (entry.credentials.is_ok(), entry.path.len()))
    }

    /// Says what the file has instead.
    pub(super) fn why_no_entry(&self, file: &str, registry: &str) -> String {
        if let Some(mistake) = self.entries.iter().find_map(|entry| misspelt(entry, file)) {
            return format!("{file} has no entry for `{registry}`, but {mistake}");
        }
        let mut keys: Vec<_> =
            self.entries.iter().map(|entry| format!("`{}`", entry.key)).collect();
        if keys.is_empty() {
            return format!("{file} has no entry for `{registry}`, or any other registry");
        }
        if keys.len() > NAMED_ENTRIES {
            keys.truncate(NAMED_ENTRIES);
            keys.push("others".into());
        }
        format!("{file} has no entry for `{registry}`, only for {}", keys.join(", "))
    }
}

/// A key that no registry can have shows what went wrong when the file was written.
fn misspelt(entry: &Entry, file: &str) -> Option<String> {
    if entry.registry.is_empty() {
        return Some(format!(
            "one with an empty name: the variable that {file} was to get the name from \
             {NOT_SET_HERE}"
        ));
    }
    entry.registry.contains('$').then(|| {
        format!(
            "one for `{}`: the shell that wrote {file} did not replace the variable, as it does \
             not within single quotes",
            entry.key
        )
    })
}

/// The error is a file that nobody can use; an entry that nobody has filled in is in use.
fn credentials(auth: Auth) -> Result<Result<Credentials, Gap>, String> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    if let Some(token) = filled(auth.registrytoken) {
        return Ok(Ok(Credentials::Registry(token)));
    }
    if let Some(token) = filled(auth.identitytoken) {
        return Ok(Ok(Credentials::Identity(token)));
    }
    let (user, password) = match filled(auth.auth) {
        Some(text) => {
            decode(&text).ok_or("has an `auth` that is not the base64 of user:password")?
        }
        None => (auth.username.unwrap_or_default(), auth.password.unwrap_or_default()),
    };
    Ok(match (user.is_empty(), password.is_empty()) {
        (true, true) => Err(Gap::All),
        (false, true) => Err(Gap::Password),
        (_, false) => Ok(Credentials::Basic { user, password }),
    })
}

/// `echo` without `-n` leaves a newline in hand-made files, `base64` one every 76 characters.
fn decode(text: &str) -> Option<(String, String)> {
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let engine = if compact.ends_with('=') { STANDARD } else { STANDARD_NO_PAD };
    let text = String::from_utf8(engine.decode(compact).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.trim_end_matches(['\n', '\r', '\0']).to_owned()))
}

/// The key without user and password before its host.
fn without_password(key: &str) -> String {
    match (key.split_once("://"), key.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        (None, Some((_, rest))) => format!("…@{rest}"),
        (_, None) => key.to_owned(),
    }
}

/// Registry and path of a key: scheme, version and default port say nothing.
pub(super) fn split_key(key: &str) -> (String, String) {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_matches('/');
    let path = if matches!(path, "v1" | "v2") { "" } else { path };
    (canonical_registry(host), path.to_owned())
}
