//! Reads sources of credentials.

use std::io::ErrorKind;
use std::path::Path;

use super::super::error::RegistryError;
use super::config::Config;
use super::source::{CredentialSource, HostLogin, Login};
use crate::registry::cloud::Cloud;

/// A source that was read.
#[derive(Debug)]
pub(super) struct Loaded {
    /// A path, or the names of variables.
    pub(super) name: String,
    pub(super) content: Content,
}

/// What a source holds.
#[derive(Debug)]
pub(super) enum Content {
    Config(Config),
    Hosts(Vec<HostLogin>),
    Login(Login),
    Cloud(Cloud),
    NoFile,
    NoVariable,
    Broken {
        /// Ends a sentence.
        reason: String,
        /// Whether whoever named the source would want to know at once.
        is_error: bool,
    },
}

impl Loaded {
    /// Reads a source.
    pub(super) fn read(source: &CredentialSource) -> Self {
        match source {
            CredentialSource::Text { variable, text } => {
                Self { name: variable.clone(), content: parse_text(text.expose()) }
            }
            CredentialSource::File { path, named } => {
                Self { name: path.display().to_string(), content: read(path, *named) }
            }
            CredentialSource::Hosts(logins) => {
                let names = logins.iter().map(|login| format!("{}_…", login.variables));
                let name = names.collect::<Vec<_>>().join(", ");
                Self { name, content: Content::Hosts(logins.clone()) }
            }
            CredentialSource::Login(login) => Self {
                name: format!("{}, {}", login.registry_variable, login.password_variable),
                content: Content::Login(login.clone()),
            },
            CredentialSource::Cloud(cloud) => {
                Self { name: cloud.to_string(), content: Content::Cloud(*cloud) }
            }
            CredentialSource::Unset { variable } => {
                Self { name: variable.clone(), content: Content::NoVariable }
            }
        }
    }

    /// What stops a build.
    pub(super) fn error(&self) -> Option<RegistryError> {
        let Content::Broken { reason, is_error: true } = &self.content else { return None };
        Some(RegistryError::Credentials { place: self.name.clone(), reason: reason.clone() })
    }
}

fn read(path: &Path, named: bool) -> Content {
    match std::fs::read(path) {
        Ok(bytes) => parse(&bytes),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Content::NoFile
        }
        Err(error) => Content::Broken { reason: error.to_string(), is_error: named },
    }
}

/// A variable can have been meant for a path.
fn parse_text(text: &str) -> Content {
    let is_text = text.trim_start().starts_with('{');
    match parse(text.as_bytes()) {
        Content::Broken { .. } if !is_text => Content::Broken {
            reason: "it is neither the text of a config.json, which begins with `{`, nor the path \
                     of a file that is here"
                .into(),
            is_error: true,
        },
        content => content,
    }
}

fn parse(bytes: &[u8]) -> Content {
    match Config::parse(bytes) {
        Ok(config) => Content::Config(config),
        Err(reason) => Content::Broken { reason, is_error: true },
    }
}
