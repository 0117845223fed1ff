//! Credentials: the places that may have them, asked in order.

mod broken;
mod config;
mod helper;
mod load;
mod login;
mod report;
mod source;
mod store;
mod store_helper;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;

use self::config::Config;
use self::load::{Content, Loaded};
use super::cloud::{Cloud, CloudLogin, Clouds};
use super::error::RegistryError;
use super::reference::HUB;
use super::transport::Pool;
use crate::cancel::Cancel;

pub use self::report::{SourceReport, SourceState, credential_report};
pub use self::source::{CredentialSource, HostLogin, Login, Secret};
pub use self::store::{KeptBy, Server, StoreError, drop_all_logins, drop_login, keep_login};

/// The key of Docker Hub in config.json and for helpers, since the days of its version 1.
const HUB_KEY: &str = "https://index.docker.io/v1/";

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
type HelperAnswer = Result<Option<Credentials>, String>;

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
    /// Answers of helpers by program and server, and when they came. Locked during a call: one can
    /// take seconds, and all threads want the same.
    helped: Mutex<HashMap<(String, String), (Instant, HelperAnswer)>>,
    /// None where nothing may be sent.
    clouds: Option<CloudAccess>,
}

/// How clouds are asked.
#[derive(Debug)]
pub(super) struct CloudAccess {
    pub(super) clouds: Arc<Clouds>,
    pub(super) pool: Arc<Pool>,
    /// By registry. Locked during a call, as `helped` is.
    logins: Mutex<HashMap<String, Result<CloudLogin, String>>>,
}

impl CloudAccess {
    pub(super) fn new(clouds: Arc<Clouds>, pool: Arc<Pool>) -> Self {
        Self { clouds, pool, logins: Mutex::default() }
    }

    /// A login for a registry, from memory while it can be used; a failure is not asked for again.
    /// Blocks; for threads of a runtime that may.
    fn ask(&self, cloud: Cloud, registry: &str) -> Result<CloudLogin, String> {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        match logins.get(registry) {
            Some(Ok(login)) if login.until > SystemTime::now() + FRESH => Ok(login.clone()),
            Some(Err(reason)) => Err(reason.clone()),
            _ => {
                let answer =
                    Handle::current().block_on(self.clouds.login(&self.pool, cloud, registry));
                logins.insert(registry.to_owned(), answer.clone());
                answer
            }
        }
    }
}

impl Keychain {
    /// Reads the sources. A broken one is remembered as such.
    fn read(sources: &[CredentialSource]) -> Self {
        let sources = sources.iter().map(Loaded::read).collect();
        Self { sources, helped: Mutex::default(), clouds: None }
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
        Self { clouds: Some(clouds), ..self }
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

    fn answer_of_cloud(&self, cloud: Cloud, registry: &str) -> Answer {
        if Cloud::of(registry) != Some(cloud) {
            return Answer::NotConcerned;
        }
        let Some(access) = &self.clouds else {
            return Answer::None(format!("{cloud} is asked during a build only"));
        };
        match access.ask(cloud, registry) {
            Ok(CloudLogin { credentials, source, .. }) => {
                Answer::Found { credentials, key: cloud.to_string(), source }
            }
            Err(reason) => Answer::None(reason),
        }
    }

    /// A helper's answer, from memory if it is fresh.
    fn ask(&self, program: &str, server: &str, cancel: &Cancel) -> HelperAnswer {
        let key = (program.to_owned(), server.to_owned());
        let mut helped = self.helped.lock().unwrap_or_else(PoisonError::into_inner);
        match helped.get(&key) {
            Some((when, answer)) if when.elapsed() < FRESH => answer.clone(),
            _ => {
                let answer = helper::get(program, server, cancel);
                helped.insert(key, (Instant::now(), answer.clone()));
                answer
            }
        }
    }
}

/// A question to one config.json.
struct File<'a> {
    keychain: &'a Keychain,
    name: &'a str,
    config: &'a Config,
    cancel: &'a Cancel,
}

impl File<'_> {
    /// Docker's order: the registry's own helper, the file's entries (the longest matching path
    /// wins), the helper for all registries.
    fn answer(&self, registry: &str, repository: &str) -> Answer {
        let Self { name, config, .. } = self;
        let mut notes = Vec::new();
        if let Some(program) = config.helper(registry) {
            match self.ask(program, registry) {
                Ok(found) => return found,
                Err(note) => notes.push(note),
            }
        }
        if let Some(entry) = config.entry(registry, repository) {
            let named = format!("the entry `{}` of {name}", entry.key);
            match &entry.credentials {
                Ok(credentials) => {
                    let (credentials, key) = (credentials.clone(), entry.key.clone());
                    return Answer::Found { credentials, key, source: named };
                }
                Err(gap) => notes.push(format!(
                    "{named} {gap}: the variable that it was made from {NOT_SET_HERE}"
                )),
            }
        }
        if let Some(program) = &config.store {
            match self.ask(program, registry) {
                Ok(found) => return found,
                Err(note) => notes.push(note),
            }
        }
        if notes.is_empty() {
            notes.push(config.why_no_entry(name, registry));
        }
        Answer::None(notes.join("; "))
    }

    fn ask(&self, program: &str, registry: &str) -> Result<Answer, String> {
        let server = if registry == HUB { HUB_KEY } else { registry };
        let helper = format!("docker-credential-{program}");
        let named = format!("{helper}, which {} names,", self.name);
        match self.keychain.ask(program, server, self.cancel) {
            Ok(Some(credentials)) => Ok(Answer::Found {
                credentials,
                key: helper,
                source: format!("the answer of {}", named.trim_end_matches(',')),
            }),
            Ok(None) => Err(format!("{named} has none for `{server}`")),
            Err(reason) => Err(format!("{named} failed: {reason}")),
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
            Answer::Found { .. } | Answer::NotConcerned => {}
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
