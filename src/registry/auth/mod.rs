//! Credentials: Docker's config.json, and the helper programs that it names.

mod config;
mod helper;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::config::{Config, Entry};
use super::error::RegistryError;
use super::reference::HUB;
use crate::cancel::Cancel;

/// The key of Docker Hub in config.json and for helpers, since the days of its version 1.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// How long a helper's answer is used. The shortest-lived ones (Google's) end after an hour and are
/// renewed by the helper some minutes before that.
const FRESH: Duration = Duration::from_secs(120);

/// What a registry or its token server is shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// User and password.
    Basic {
        /// User.
        user: String,
        /// Password or personal token.
        password: String,
    },
    /// An OAuth2 refresh token, for the token server.
    Identity(String),
    /// A bearer token, for the registry itself.
    Registry(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic(..)",
            Self::Identity(_) => "Identity(..)",
            Self::Registry(_) => "Registry(..)",
        })
    }
}

/// The answer to "with what?": credentials, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) credentials: Option<Credentials>,
    /// Where they come from, or why there are none; ends a sentence.
    pub(super) source: String,
}

/// Credentials, none, or why the program failed.
type HelperAnswer = Result<Option<Credentials>, String>;

/// All credentials of one config.json.
#[derive(Debug)]
pub(super) struct Keychain {
    path: Option<PathBuf>,
    config: Option<Config>,
    /// Answers of helpers by program and server, and when they came. Locked during a call: one can
    /// take seconds, and all threads want the same.
    helped: Mutex<HashMap<(String, String), (Instant, HelperAnswer)>>,
}

impl Keychain {
    /// Reads config.json. No path and no file mean no credentials; a broken file is an error.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, RegistryError> {
        let config = path.map(Config::load).transpose()?.flatten();
        Ok(Self { path: path.map(Path::to_owned), config, helped: Mutex::default() })
    }

    /// The credentials for a repository, in Docker's order: the registry's own helper, the file's
    /// entries (the longest matching path wins), the helper for all registries. May run a program.
    pub(super) fn find(&self, registry: &str, repository: &str, cancel: &Cancel) -> Found {
        let (Some(path), Some(config)) = (&self.path, &self.config) else {
            return Found { credentials: None, source: self.why_empty() };
        };
        let file = path.display();
        let mut notes = Vec::new();
        if let Some(program) = config.helper(registry) {
            match self.ask(program, registry, cancel) {
                Ok(found) => return found,
                Err(note) => notes.push(note),
            }
        }
        if let Some(entry) = config.entry(registry, repository) {
            match &entry.credentials {
                Some(credentials) => return Self::from_entry(path, entry, credentials),
                None => notes.push(format!(
                    "the entry `{}` of {file} has neither user nor password (are the variables \
                     that it is made from set in this job?)",
                    entry.key
                )),
            }
        }
        if let Some(program) = &config.store {
            match self.ask(program, registry, cancel) {
                Ok(found) => return found,
                Err(note) => notes.push(note),
            }
        }
        if notes.is_empty() {
            notes.push(config.why_no_entry(&file.to_string(), registry));
        }
        Found { credentials: None, source: notes.join("; ") }
    }

    fn from_entry(path: &Path, entry: &Entry, credentials: &Credentials) -> Found {
        let source = format!("the entry `{}` of {}", entry.key, path.display());
        Found { credentials: Some(credentials.clone()), source }
    }

    fn ask(&self, program: &str, registry: &str, cancel: &Cancel) -> Result<Found, String> {
        let server = if registry == HUB { HUB_KEY } else { registry };
        let key = (program.to_owned(), server.to_owned());
        let mut helped = self.helped.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match helped.get(&key) {
            Some((when, answer)) if when.elapsed() < FRESH => answer.clone(),
            _ => {
                let answer = helper::get(program, server, cancel);
                helped.insert(key, (Instant::now(), answer.clone()));
                answer
            }
        };
        drop(helped);
        let name = format!("docker-credential-{program}");
        let file = self.path.as_deref().unwrap_or(Path::new("config.json")).display();
        match answer {
            Ok(Some(credentials)) => Ok(Found {
                credentials: Some(credentials),
                source: format!("the answer of {name}, which {file} names"),
            }),
            Ok(None) => Err(format!("{name}, which {file} names, has none for `{server}`")),
            Err(reason) => Err(format!("{name}, which {file} names, failed: {reason}")),
        }
    }

    fn why_empty(&self) -> String {
        match &self.path {
            Some(path) => format!("{} does not exist", path.display()),
            None => "no config.json was given".into(),
        }
    }
}

#[cfg(test)]
mod tests;
