//! Which credentials apply to which registry. Holds no secret.

use serde::Serialize;

use crate::cancel::Cancel;
use crate::registry::{SourceState, credential_report};
use crate::request::DoctorRequest;

/// What all sources have for one registry or repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryLogin {
    /// `host[:port]`, with the repository if one was named.
    pub name: String,
    /// All sources, in the order in which they are asked.
    pub sources: Vec<SourceLine>,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceLine {
    /// A path, or the names of variables.
    pub name: String,
    /// What is there.
    #[serde(flatten)]
    pub standing: SourceStanding,
}

/// What a source has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SourceStanding {
    /// Its credentials are used.
    Used {
        /// Whose; none for a token.
        user: Option<String>,
        /// What they are kept under there.
        key: String,
    },
    /// It has some too, but an earlier source comes first.
    Later {
        /// Whose; none for a token.
        user: Option<String>,
        /// What they are kept under there.
        key: String,
    },
    /// It would be asked during a build; that sends something.
    Asked {
        /// Who would be asked, and for what; follows the name.
        how: String,
    },
    /// It has none for this registry.
    NoEntry {
        /// A sentence.
        why: String,
    },
    /// It is not there.
    Missing,
    /// It cannot be used.
    Broken {
        /// Ends a sentence.
        why: String,
        /// Whether a build that asks a registry ends with it.
        stops_builds: bool,
    },
}

impl RegistryLogin {
    /// Who would be asked where nothing else has credentials: the source, and how.
    pub fn asked(&self) -> Option<(&str, &str)> {
        self.sources.iter().find_map(|line| match &line.standing {
            SourceStanding::Asked { how } => Some((line.name.as_str(), how.as_str())),
            _ => None,
        })
    }

    /// Whose credentials are used, and from which source.
    pub fn used(&self) -> Option<&SourceLine> {
        self.sources.iter().find(|line| matches!(line.standing, SourceStanding::Used { .. }))
    }
}

/// Asks all sources for each registry.
pub(super) fn look_up(request: &DoctorRequest, cancel: &Cancel) -> Vec<RegistryLogin> {
    let look_up = |repository| {
        let reports = credential_report(&request.credentials, &request.clouds, repository, cancel);
        let mut used = false;
        let lines = reports.into_iter().map(|report| SourceLine {
            name: report.name,
            standing: SourceStanding::of(report.state, &mut used),
        });
        let name = [repository.registry.as_str(), repository.name.as_str()];
        let name: Vec<&str> = name.into_iter().filter(|part| !part.is_empty()).collect();
        RegistryLogin { name: name.join("/"), sources: lines.collect() }
    };
    request.repositories.iter().map(look_up).collect()
}

impl SourceStanding {
    /// `used` says whether an earlier source's credentials are used.
    fn of(state: SourceState, used: &mut bool) -> Self {
        match state {
            SourceState::Credentials { user, key } if *used => Self::Later { user, key },
            SourceState::Credentials { user, key } => {
                *used = true;
                Self::Used { user, key }
            }
            SourceState::Planned(how) => Self::Asked { how },
            SourceState::NoEntry(why) => Self::NoEntry { why },
            SourceState::Missing => Self::Missing,
            SourceState::Broken { why, stops_builds } => Self::Broken { why, stops_builds },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{CredentialSource, Repository};

    #[test]
    fn the_first_source_is_used_and_no_secret_is_told() {
        let text = |variable: &str, user: &str| CredentialSource::Text {
            variable: variable.to_owned(),
            text: format!(
                r#"{{"auths":{{"r.example":{{"username":"{user}","password":"secret"}}}}}}"#
            )
            .into(),
        };
        let request = DoctorRequest {
            work_dir: None,
            temp_dir: "/tmp".into(),
            context: "/".into(),
            repositories: vec![Repository { registry: "r.example".into(), name: "a/b".into() }],
            clouds: crate::registry::CloudSettings::default(),
            credentials: vec![
                CredentialSource::Unset { variable: "NONE".into() },
                text("ONE", "me"),
                text("TWO", "you"),
            ],
        };
        let found = look_up(&request, &Cancel::default());
        let json = serde_json::to_string(&found).expect("JSON");
        assert!(!json.contains("secret"), "{json}");
        assert_eq!(found[0].name, "r.example/a/b");
        let used = found[0].used().expect("credentials");
        let user = Some("me".to_owned());
        assert_eq!(used.name, "ONE");
        assert_eq!(used.standing, SourceStanding::Used { user, key: "r.example".into() });
        assert_eq!(found[0].sources[0].standing, SourceStanding::Missing);
        assert!(matches!(found[0].sources[2].standing, SourceStanding::Later { .. }));
    }
}
