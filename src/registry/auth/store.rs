//! Writes logins into Docker's config.json, or Podman's auth.json, and takes them out.
//!
//! The form is docker/cli's (cli/config/configfile): `auth` is the base64 of user and password, tabs
//! indent, the file is replaced as a whole and is for its owner only. All that kiln does not know
//! stays as and where it is. Where the file names a helper program, that keeps the login, and the file
//! has an empty entry.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize as _;
use serde_json::{Map, Value, json};

use super::broken;
use super::config::split_key;
use super::file::HUB_KEY;
use super::helper;
use super::source::Secret;
use super::store_helper::Keeper;
use crate::cancel::Cancel;
use crate::registry::reference::HUB;

/// As many links in a row as Linux follows (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// A registry, or a part of one, that somebody logs into: `host[:port][/path]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `host[:port]`; `docker.io` for each of Docker Hub's names.
    pub registry: String,
    /// The first components of repositories' names; empty for all.
    pub path: String,
}

impl Server {
    /// Reads what people write: a host, or the address of one.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (registry, path) = split_key(text.trim());
        let host = registry.split(':').next().unwrap_or_default();
        if host.is_empty() || registry.contains(|c: char| c.is_whitespace() || "@=$\"'".contains(c))
        {
            return Err(format!("`{text}` is no registry: write registry.example[:port][/path]"));
        }
        Ok(Self { registry, path })
    }

    /// Its key in a config.json.
    fn key(&self) -> String {
        match (self.registry.as_str(), self.path.as_str()) {
            (HUB, "") => HUB_KEY.to_owned(),
            (registry, "") => registry.to_owned(),
            (registry, path) => format!("{registry}/{path}"),
        }
    }

    fn is_named_by(&self, key: &str) -> bool {
        split_key(key) == (self.registry.clone(), self.path.clone())
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.registry)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

/// Why a login cannot be kept, or not be taken out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file that is no config.json.
    #[error("{} was left as it is: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where known.
        reason: String,
    },
    /// The file system said no.
    #[error("{} cannot be written: {source}. DOCKER_CONFIG may name another directory", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A helper said no.
    #[error("{program}, which keeps the logins, failed: {reason}")]
    Helper {
        /// The program's whole name.
        program: String,
        /// Its words, or what happened.
        reason: String,
    },
}

/// Who keeps a login now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptBy {
    /// The file, readable for whoever may read it.
    File,
    /// The program of this name.
    Helper(String),
}

/// Keeps a login in this file, or with the helper that the file names. A login that is there already
/// is not written again.
///
/// # Errors
/// A file that is no config.json, which stays as it is; one that cannot be written; a helper's no.
pub fn keep_login(
    path: &Path,
    server: &Server,
    user: &str,
    password: &Secret,
    cancel: &Cancel,
) -> Result<KeptBy, StoreError> {
    let mut file = ConfigFile::read(path)?;
    let (kept_by, entry) = match file.helper_of(&server.registry) {
        Some(program) => {
            let keeper = Keeper { program: &program, cancel };
            if !server.path.is_empty() {
                return Err(keeper.failed(format!(
                    "it keeps one login for each registry, and none for `{server}`"
                )));
            }
            keeper.store(&server.key(), user, password)?;
            (KeptBy::Helper(helper::name(&program)), json!({}))
        }
        None => {
            let auth = STANDARD.encode(format!("{user}:{}", password.expose()));
            (KeptBy::File, json!({ "auth": auth }))
        }
    };
    if file.set(server, entry)? {
        file.write()?;
    }
    Ok(kept_by)
}

/// Takes a login out of this file, and out of the helper that the file names. Says whether there was
/// one.
///
/// # Errors
/// As [`keep_login`].
pub fn drop_login(path: &Path, server: &Server, cancel: &Cancel) -> Result<bool, StoreError> {
    let mut file = ConfigFile::read(path)?;
    let mut was_there = file.remove(|key| server.is_named_by(key))?;
    if server.path.is_empty()
        && let Some(program) = file.helper_of(&server.registry)
    {
        let keeper = Keeper { program: &program, cancel };
        was_there |= keeper.erase(&server.key())?;
    }
    if was_there {
        file.write_if_changed()?;
    }
    Ok(was_there)
}

/// Takes out all logins; returns for what.
///
/// # Errors
/// As [`keep_login`].
pub fn drop_all_logins(path: &Path, cancel: &Cancel) -> Result<Vec<String>, StoreError> {
    let mut file = ConfigFile::read(path)?;
    let mut dropped = file.keys();
    for (registry, program) in file.helpers() {
        let keeper = Keeper { program: &program, cancel };
        for key in keys_of(&registry) {
            if keeper.erase(&key)? {
                dropped.push(key);
            }
        }
    }
    if let Some(program) = file.store() {
        let keeper = Keeper { program: &program, cancel };
        for server in keeper.list()? {
            if keeper.erase(&server)? {
                dropped.push(server);
            }
        }
    }
    if file.remove(|_| true)? {
        file.write_if_changed()?;
    }
    let mut names = Vec::new();
    for key in dropped {
        let name = Server::parse(&key).map_or(key, |it| it.to_string());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// What a login may be kept under with the helper that `credHelpers` names for a registry: the key that
/// [`keep_login`] gives it, and the file's own spelling, as other tools may have it.
fn keys_of(registry: &str) -> Vec<String> {
    let kept = Server::parse(registry).map(|server| Server { path: String::new(), ..server }.key());
    let mut keys = vec![registry.to_owned()];
    keys.extend(kept.ok().filter(|key| key != registry));
    keys
}

/// A config.json in memory.
struct ConfigFile {
    path: PathBuf,
    content: Map<String, Value>,
    changed: bool,
}

impl ConfigFile {
    fn read(path: &Path) -> Result<Self, StoreError> {
        let unusable = |reason: String| StoreError::Unusable { path: path.to_owned(), reason };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unusable(error.to_string())),
        };
        let content = match bytes.trim_ascii() {
            [] => Map::new(), // as docker/cli does
            text => {
                serde_json::from_slice(text).map_err(|error| unusable(broken::describe(&error)))?
            }
        };
        // Whatever a build could not read is not written over.
        super::config::Config::parse(&bytes).map_err(unusable)?;
        Ok(Self { path: path.to_owned(), content, changed: false })
    }

    fn keys(&self) -> Vec<String> {
        let auths = self.content.get("auths").and_then(Value::as_object);
        auths.map(|auths| auths.keys().cloned().collect()).unwrap_or_default()
    }

    fn auths(&mut self) -> Result<&mut Map<String, Value>, StoreError> {
        let auths = self.content.entry("auths").or_insert(Value::Null);
        if auths.is_null() {
            *auths = Value::Object(Map::new());
        }
        auths.as_object_mut().ok_or_else(|| StoreError::Unusable {
            path: self.path.clone(),
            reason: "its `auths` is no object".into(),
        })
    }

    /// Sets an entry, in place of whatever is there for the server under any spelling. Says whether
    /// that changes anything.
    fn set(&mut self, server: &Server, entry: Value) -> Result<bool, StoreError> {
        let key = server.key();
        let auths = self.auths()?;
        let same: Vec<String> =
            auths.keys().filter(|key| server.is_named_by(key)).cloned().collect();
        if same == [key.clone()] && auths[&key] == entry {
            return Ok(false);
        }
        for other in same.iter().filter(|other| **other != key) {
            auths.shift_remove(other);
        }
        auths.insert(key, entry);
        self.changed = true;
        Ok(true)
    }

    fn remove(&mut self, which: impl Fn(&str) -> bool) -> Result<bool, StoreError> {
        if !self.content.contains_key("auths") {
            return Ok(false);
        }
        let auths = self.auths()?;
        let before = auths.len();
        auths.retain(|key, _| !which(key));
        let removed = auths.len() < before;
        self.changed |= removed;
        Ok(removed)
    }

    fn helpers(&self) -> Vec<(String, String)> {
        let helpers = self.content.get("credHelpers").and_then(Value::as_object);
        let pair = |(key, program): (&String, &Value)| {
            let program = program.as_str().filter(|program| !program.is_empty())?;
            Some((key.clone(), program.to_owned()))
        };
        helpers.into_iter().flatten().filter_map(pair).collect()
    }

    fn store(&self) -> Option<String> {
        let store = self.content.get("credsStore").and_then(Value::as_str);
        store.filter(|program| !program.is_empty()).map(str::to_owned)
    }

    /// Docker's order: the registry's own helper, else that for all.
    fn helper_of(&self, registry: &str) -> Option<String> {
        let own = self.helpers().into_iter().find(|(key, _)| split_key(key).0 == registry);
        own.map(|(_, program)| program).or_else(|| self.store())
    }

    fn write_if_changed(&self) -> Result<(), StoreError> {
        if self.changed { self.write() } else { Ok(()) }
    }

    /// Replaces the file; what a link leads to, not the link.
    fn write(&self) -> Result<(), StoreError> {
        let path = behind_links(&self.path);
        self.replace(&path).map_err(|source| StoreError::Write { path, source })
    }

    fn replace(&self, path: &Path) -> std::io::Result<()> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !dir.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut writer = serde_json::Serializer::with_formatter(&mut text, formatter);
        self.content.serialize(&mut writer)?;
        let mut file = tempfile::Builder::new()
            .prefix(".kiln-")
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(dir)?;
        file.write_all(&text)?;
        keep_owner(path, file.as_file());
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Where a path leads to, be it there or not.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        if let Ok(found) = fs::canonicalize(&path) {
            return found;
        }
        let Ok(next) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    path
}

/// root, who writes another user's file, leaves it that user's (as docker/cli does).
fn keep_owner(old: &Path, new: &File) {
    let (Ok(old), Ok(own)) = (fs::metadata(old), new.metadata()) else { return };
    if (old.uid(), old.gid()) != (own.uid(), own.gid()) {
        // Without the right to, it becomes one's own.
        _ = std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid()));
    }
}

#[cfg(test)]
mod tests;
