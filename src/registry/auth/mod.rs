//! Credentials: the places that may have them, asked in order.

mod broken;
mod clouds;
mod config;
mod file;
mod helped;
mod helper;
mod instead;
mod load;
mod login;
mod report;
mod source;
mod store;
mod store_helper;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use self::clouds::Sky;
use self::file::File;
use self::helped::Helped;
use self::load::{Content, Loaded};
use super::error::RegistryError;
use crate::cancel::Cancel;

pub(super) use self::clouds::CloudAccess;
pub use self::report::{SourceReport, SourceState, credential_report};
pub use self::source::{CredentialSource, HostLogin, Login, Secret};
pub use self::store::{KeptBy, Server, StoreError, drop_all_logins, drop_login, keep_login};

/// How long a helper's answer is used. The shortest-lived ones (Google's) end after an hour and are
/// renewed by the helper some minutes before that.
const FRESH: Duration = Duration::from_secs(120);

/// Ends a sentence about a variable.
const NOT_SET_HERE: &str = "is empty or not set in this job (a protected variable is set on \
                            protected branches and tags only)";

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
type HelperAnswer = Result<Option<Credentials>, HelperFailure>;

/// Why a helper said nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum HelperFailure {
    /// There is no such program.
    Missing,
    /// Ends a sentence.
    Failed(String),
}

impl fmt::Display for HelperFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it is not installed",
            Self::Failed(reason) => reason,
        })
    }
}

/// One source's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Found {
        credentials: Credentials,
        /// What they are kept under there.
        key: String,
        /// `kiln used …`.
        source: String,
    },
    /// What would be asked, where nothing may be sent; follows the source's name.
    Planned(String),
    /// Why there are none; a sentence.
    None(String),
    /// It is never asked for this registry.
    NotConcerned,
    /// There is no such file.
    NoFile,
    /// There is no such variable.
    NoVariable,
    /// The source cannot be used.
    Broken {
        /// Why; ends a sentence.
        reason: String,
        /// Whether that stops a build.
        is_error: bool,
    },
}

/// All sources of credentials, read.
#[derive(Debug)]
pub(super) struct Keychain {
    sources: Vec<Loaded>,
    helped: Helped,
    clouds: Sky,
    /// What people should know, and nobody has told them yet.
    warnings: Mutex<Warnings>,
}

/// Sentences, each once.
#[derive(Debug, Default)]
struct Warnings {
    all: Vec<String>,
    /// How many were told.
    told: usize,
}

impl Keychain {
    /// Reads the sources. A broken one is remembered as such.
    fn read(sources: &[CredentialSource]) -> Self {
        let sources = sources.iter().map(Loaded::read).collect();
        Self {
            sources,
            helped: Helped::default(),
            clouds: Sky::Unknown,
            warnings: Mutex::default(),
        }
    }

    /// Reads the sources. One that does not exist has no credentials; a broken one is an error,
    /// because its author believes that it works.
    pub(super) fn load(sources: &[CredentialSource]) -> Result<Self, RegistryError> {
        let keychain = Self::read(sources);
        match keychain.sources.iter().find_map(Loaded::error) {
            Some(error) => Err(error),
            None => Ok(keychain),
        }
    }

    /// The same, with clouds that may be asked.
    pub(super) fn with_clouds(self, clouds: CloudAccess) -> Self {
        Self { clouds: Sky::Ask(clouds), ..self }
    }

    /// What people should know that was not told before.
    pub(super) fn take_warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let news = warnings.all[warnings.told..].to_vec();
        warnings.told = warnings.all.len();
        news
    }

    fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.all.contains(&text) {
            warnings.all.push(text);
        }
    }

    /// The credentials for a repository: those of the first source that has some. May run a
    /// program.
    pub(super) fn find(&self, registry: &str, repository: &str, cancel: &Cancel) -> Found {
        let mut answers = Vec::new();
        for loaded in &self.sources {
            match self.answer(loaded, registry, repository, cancel) {
                Answer::Found { credentials, source, .. } => {
                    return Found { credentials: Some(credentials), source };
                }
                answer => answers.push((loaded.name.as_str(), answer)),
            }
        }
        Found { credentials: None, source: why_none(&answers) }
    }

    fn answer(&self, loaded: &Loaded, registry: &str, repository: &str, cancel: &Cancel) -> Answer {
        match &loaded.content {
            Content::Config(config) => {
                let file = File { keychain: self, name: &loaded.name, config, cancel };
                file.answer(registry, repository)
            }
            Content::Hosts(logins) => login::answer(logins, registry),
            Content::Login(login) => login.answer(registry),
            Content::Cloud(cloud) => self.answer_of_cloud(*cloud, registry),
            Content::NoFile => Answer::NoFile,
            Content::NoVariable => Answer::NoVariable,
            Content::Broken { reason, is_error } => {
                Answer::Broken { reason: reason.clone(), is_error: *is_error }
            }
        }
    }
}

/// All places that were looked at, and what is there instead.
fn why_none(answers: &[(&str, Answer)]) -> String {
    let mut notes = Vec::new();
    let (mut files, mut variables) = (Vec::new(), Vec::new());
    for (name, answer) in answers {
        match answer {
            Answer::NoFile => files.push(*name),
            Answer::NoVariable => variables.push(*name),
            Answer::None(why) => notes.push(why.clone()),
            Answer::Broken { reason, .. } => {
                notes.push(format!("{name} cannot be used: {reason}"));
            }
            Answer::Found { .. } | Answer::Planned(_) | Answer::NotConcerned => {}
        }
    }
    let all = |names: &[&str], one: &str, many: &str| match names {
        [] => None,
        [name] => Some(format!("{name} {one}")),
        names => Some(format!("{many}: {}", names.join(", "))),
    };
    notes.extend(all(&files, "does not exist", "none of these files exists"));
    notes.extend(all(&variables, "is not set", "none of these variables is set"));
    if notes.is_empty() { "no place to look for them was named".into() } else { notes.join("; ") }
}

#[cfg(test)]
mod tests;
