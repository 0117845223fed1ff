//! Which credentials apply, and why the others do not, for people who ask.

use std::sync::Arc;

use super::super::reference::Repository;
use super::clouds::Sky;
use super::source::CredentialSource;
use super::{Answer, Credentials, Keychain};
use crate::cancel::Cancel;
use crate::registry::cloud::{CloudSettings, Clouds};

/// What one source has for a repository. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// A path, or the names of variables.
    pub name: String,
    /// What is there.
    pub state: SourceState,
}

/// What a source has for a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    /// Credentials. Those of the first source in this state are used.
    Credentials {
        /// Whose; none for a token.
        user: Option<String>,
        /// The entry of a file, the helper program or the registry that they are kept under.
        key: String,
    },
    /// What would be asked for some, which sends something; follows the source's name.
    Planned(String),
    /// None for this repository; the sentence says what there is instead.
    NoEntry(String),
    /// There is no such file, or the variable is not set.
    Missing,
    /// It cannot be used.
    Broken {
        /// Ends a sentence; with line and column of a file where known.
        why: String,
        /// Whether a build that asks a registry ends with it: so does all but an ordinary place that
        /// this user may not read.
        stops_builds: bool,
    },
}

/// Asks all sources for a repository's credentials, in order. Reads files and may run the helper
/// programs that these name, but sends nothing to a registry or a cloud.
pub fn credential_report(
    sources: &[CredentialSource],
    clouds: &CloudSettings,
    repository: &Repository,
    cancel: &Cancel,
) -> Vec<SourceReport> {
    let clouds = Sky::Plan(Arc::new(Clouds::new(clouds)));
    let keychain = Keychain { clouds, ..Keychain::read(sources) };
    let report = |loaded: &super::Loaded| {
        let answer = keychain.answer(loaded, &repository.registry, &repository.name, cancel);
        Some(SourceReport { name: loaded.name.clone(), state: SourceState::of(answer)? })
    };
    keychain.sources.iter().filter_map(report).collect()
}

impl SourceState {
    /// None for a source that is never asked for such a registry.
    fn of(answer: Answer) -> Option<Self> {
        Some(match answer {
            Answer::NotConcerned => return None,
            Answer::Found { credentials: Credentials::Basic { user, .. }, key, .. } => {
                Self::Credentials { user: Some(user), key }
            }
            Answer::Found { key, .. } => Self::Credentials { user: None, key },
            Answer::Planned(how) => Self::Planned(how),
            Answer::None(why) => Self::NoEntry(why),
            Answer::NoFile | Answer::NoVariable => Self::Missing,
            Answer::Broken { reason, is_error } => {
                Self::Broken { why: reason, stops_builds: is_error }
            }
        })
    }
}
