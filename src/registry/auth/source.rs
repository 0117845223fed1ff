//! Where credentials may be, in the words of whoever knows the environment.

use std::fmt;
use std::path::PathBuf;

use reqwest::header::HeaderValue;

use crate::registry::cloud::Cloud;
use crate::registry::error::RegistryError;

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for whoever sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The value of an `Authorization` header; never shown.
    ///
    /// # Errors
    /// A character that no header may have.
    pub(in crate::registry) fn header(&self) -> Result<HeaderValue, RegistryError> {
        let mut value = HeaderValue::from_str(&self.0).map_err(|_| RegistryError::Option {
            what: "Authorization header",
            value: "…".into(),
            reason: "it has a character that no header may have, such as the end of a line".into(),
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secret(empty)" } else { "Secret(..)" })
    }
}

/// One place that may hold credentials. Their order in a list is the order in which they are asked;
/// one that has none for a registry leaves it to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// The text of a Docker config.json, in a variable.
    Text {
        /// The variable's name.
        variable: String,
        /// Its value.
        text: Secret,
    },
    /// A file in the form of Docker's config.json or of Podman's auth.json, which are one.
    File {
        /// Where it is; absolute.
        path: PathBuf,
        /// Whether somebody named it, so that a file that cannot be opened is a mistake; an
        /// ordinary place can belong to another user.
        named: bool,
    },
    /// Pairs of variables with a host in their names, `PREFIX_host_name_USER` and `…_PASSWORD`.
    Hosts(Vec<HostLogin>),
    /// A registry's user and password, each in a variable.
    Login(Login),
    /// What a cloud knows of this machine, for the cloud's own registries only.
    Cloud(Cloud),
    /// A variable that is not set; said where nothing else has credentials either.
    Unset {
        /// The variable's name.
        variable: String,
    },
}

/// One pair of variables with a host in their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLogin {
    /// What both names begin with, as they are spelled: `KANIKO_registry_example`.
    pub variables: String,
    /// The host in them, with `_` for `.`, `-` and `:`: `registry_example`.
    pub host: String,
    /// The user; empty if only the password is set.
    pub user: String,
    /// The password; empty if only the user is set.
    pub password: Secret,
}

/// User and password of one registry, and the variables that they are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// `host[:port]`.
    pub registry: String,
    /// Whether a port counts only if both sides have one.
    pub port_is_optional: bool,
    /// The user.
    pub user: String,
    /// The password; empty where its variable is not set.
    pub password: Secret,
    /// The variable that names the registry.
    pub registry_variable: String,
    /// The variable of the password.
    pub password_variable: String,
}
