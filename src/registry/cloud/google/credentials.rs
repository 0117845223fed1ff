//! Files of credentials: the JSON that Google's console, gcloud and its libraries write.

use std::path::Path;

use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::external::{ExternalAccount, ExternalUser};
use super::impersonation::Impersonated;
use super::service_account::ServiceAccount;
use super::user::User;
use crate::registry::cloud::token::Token;
use crate::registry::cloud::{CloudAnswer, endpoint, small_file};
use crate::registry::transport::Pool;

/// A kind of credentials that others can be based on.
pub(super) enum Base {
    ServiceAccount(ServiceAccount),
    User(User),
    ExternalUser(ExternalUser),
    External(Box<ExternalAccount>),
}

impl Base {
    /// Reads the JSON by its `type`.
    pub(super) fn read(value: Value) -> CloudAnswer<Self> {
        match kind(&value) {
            "service_account" => Ok(Self::ServiceAccount(fields(value)?)),
            "authorized_user" => Ok(Self::User(fields(value)?)),
            "external_account_authorized_user" => Ok(Self::ExternalUser(fields(value)?)),
            "external_account" => Ok(Self::External(Box::new(fields(value)?))),
            "" => Err("has no `type`, so it is no file of Google credentials".into()),
            other => Err(format!("is of the type `{}`, which kiln does not know", short(other))),
        }
    }

    pub(super) async fn token(&self, http: &Pool, place: &str) -> CloudAnswer<Token> {
        match self {
            Self::ServiceAccount(account) => account.token(http, place).await,
            Self::User(user) => user.token(http, place).await,
            Self::ExternalUser(user) => user.token(http, place).await,
            Self::External(account) => account.token(http, place).await,
        }
    }
}

/// A token for the account of a file. The error names the file.
pub(super) async fn token(http: &Pool, path: &Path) -> CloudAnswer<Token> {
    let bytes = small_file(path)?;
    let place = path.display().to_string();
    let answer = async {
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
            format!("is not JSON (line {}, column {})", error.line(), error.column())
        })?;
        match kind(&value) {
            "impersonated_service_account" => {
                fields::<Impersonated>(value)?.token(http, &place).await
            }
            _ => Base::read(value)?.token(http, &place).await,
        }
    };
    answer.await.map_err(|why| format!("{place}: {why}"))
}

/// A field that is the address of a token endpoint, or Google's own.
pub(super) fn token_endpoint(what: &str, given: Option<&str>, googles: &str) -> CloudAnswer<Url> {
    endpoint::secret(&format!("its `{what}`"), given.unwrap_or(googles))
}

fn kind(value: &Value) -> &str {
    value.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Takes the fields apart. serde quotes what it does not like, which may be a key, unless something
/// is missing.
fn fields<T: DeserializeOwned>(value: Value) -> CloudAnswer<T> {
    serde_json::from_value(value).map_err(|error| {
        let text = error.to_string();
        match text.strip_prefix("missing field ") {
            Some(name) => format!("has no {name}"),
            None => "has a field of an unknown form".into(),
        }
    })
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// `{"type": "text"}` or `{"type": "json", "subject_token_field_name": …}`.
#[derive(Deserialize, Default)]
pub(super) struct Format {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    subject_token_field_name: String,
}

impl Format {
    /// Finds the token in what a file or server gave.
    pub(super) fn find(&self, bytes: &[u8]) -> CloudAnswer<String> {
        let token = match self.kind.as_str() {
            "" | "text" => String::from_utf8_lossy(bytes).trim().to_owned(),
            "json" => {
                let value: Value = serde_json::from_slice(bytes)
                    .map_err(|_| "the subject token is not in JSON there".to_owned())?;
                let name = &self.subject_token_field_name;
                let found = value.get(name).and_then(Value::as_str);
                found.ok_or_else(|| format!("there is no `{}` there", short(name)))?.to_owned()
            }
            other => return Err(format!("its format `{}` is unknown", short(other))),
        };
        if token.is_empty() { Err("the subject token there is empty".into()) } else { Ok(token) }
    }
}
