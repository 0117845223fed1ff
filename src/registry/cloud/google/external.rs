//! Workload identity federation: a token of someone else, such as a CI system's job token, is
//! exchanged for Google's (RFC 8693; google.aip.dev/auth/4117).

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::SCOPE;
use super::credentials::{Format, token_endpoint};
use super::impersonation::Impersonation;
use crate::registry::cloud::ask::Question;
use crate::registry::cloud::token::{Granted, Token};
use crate::registry::cloud::{CloudAnswer, endpoint, small_file};
use crate::registry::transport::Pool;

/// Google's security token service.
const TOKEN_URL: &str = "https://sts.googleapis.com/v1/token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// `external_account`. Not `Debug`.
#[derive(Deserialize)]
pub(super) struct ExternalAccount {
    audience: String,
    subject_token_type: String,
    token_url: Option<String>,
    service_account_impersonation_url: Option<String>,
    #[serde(default)]
    service_account_impersonation: Life,
    credential_source: Source,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
    workforce_pool_user_project: Option<String>,
}

#[derive(Deserialize, Default)]
struct Life {
    token_lifetime_seconds: Option<u64>,
}

/// Where the subject token is.
#[derive(Deserialize)]
struct Source {
    file: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    format: Format,
    environment_id: Option<String>,
    executable: Option<Value>,
    certificate: Option<Value>,
}

impl ExternalAccount {
    pub(super) async fn token(&self, http: &Pool, place: &str) -> CloudAnswer<Token> {
        let url = token_endpoint("token_url", self.token_url.as_deref(), TOKEN_URL)?;
        let subject = self.credential_source.subject(http).await?;
        let options = self.workforce_pool_user_project.as_ref().filter(|_| !self.has_client());
        let options = options.map(|project| json!({ "userProject": project }).to_string());
        let mut fields = vec![
            ("grant_type", GRANT),
            ("audience", &self.audience),
            ("scope", SCOPE),
            ("requested_token_type", ACCESS_TOKEN),
            ("subject_token", &subject),
            ("subject_token_type", &self.subject_token_type),
        ];
        if let Some(options) = &options {
            fields.push(("options", options));
        }
        let mut question = Question::form(url, &fields);
        if self.has_client() {
            question = question.authorization(basic(&self.client_id, &self.client_secret)?);
        }
        let question = question.hiding([subject.as_str(), self.client_secret.as_str()]);
        let granted: Granted = question.send(http).await?.read()?;
        let token = granted.token(format!("the federated identity of {place}"))?;
        let Some(url) = &self.service_account_impersonation_url else { return Ok(token) };
        let life = self.service_account_impersonation.token_lifetime_seconds.unwrap_or(3600);
        Impersonation { url, delegates: &[], life }.token(http, &token).await
    }

    fn has_client(&self) -> bool {
        !self.client_id.is_empty()
    }
}

impl Source {
    async fn subject(&self, http: &Pool) -> CloudAnswer<String> {
        let Self { file, url, environment_id, executable, certificate, .. } = self;
        if environment_id.is_some() {
            return Err("its identity of Amazon's (`environment_id`) is not supported; a file or \
                        URL with a token is"
                .into());
        }
        if let Some(path) = file {
            return self.format.find(&small_file(path)?).map_err(|why| {
                format!("{}, the file of its `credential_source`: {why}", path.display())
            });
        }
        if let Some(url) = url {
            return self.subject_at(http, url).await;
        }
        Err(match (executable, certificate) {
            (Some(_), _) => "its token comes from a program (`executable`), and kiln runs none",
            (_, Some(_)) => "its identity is a certificate, which kiln does not support",
            _ => "its `credential_source` has neither `file` nor `url`",
        }
        .into())
    }

    /// Asks for the subject token. The file's headers may hold a secret (a GitHub job's do).
    async fn subject_at(&self, http: &Pool, url: &str) -> CloudAnswer<String> {
        let url = endpoint::nearby("the `url` of its `credential_source`", url)?;
        let near = endpoint::is_nearby(&url);
        let mut question = Question::get(url).hiding(self.headers.values().map(String::as_str));
        for (name, value) in &self.headers {
            let unusable = || "a header of its `credential_source` cannot be sent".to_owned();
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
            HeaderValue::from_str(value).map_err(|_| unusable())?;
            question = question.header(name, value.clone());
        }
        let reply = if near {
            question
                .send_nearby(http)
                .await
                .map_err(|why| format!("the server of its `credential_source` {why}"))?
        } else {
            question.send(http).await?
        };
        self.format.find(reply.text()?.as_bytes())
    }
}

/// `external_account_authorized_user`: a person's login through a workforce pool. Not `Debug`.
#[derive(Deserialize)]
pub(super) struct ExternalUser {
    token_url: Option<String>,
    refresh_token: String,
    client_id: String,
    client_secret: String,
}

impl ExternalUser {
    pub(super) async fn token(&self, http: &Pool, place: &str) -> CloudAnswer<Token> {
        let googles = "https://sts.googleapis.com/v1/oauthtoken";
        let url = token_endpoint("token_url", self.token_url.as_deref(), googles)?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &self.refresh_token)];
        let question = Question::form(url, &fields)
            .authorization(basic(&self.client_id, &self.client_secret)?)
            .hiding([self.refresh_token.as_str(), self.client_secret.as_str()]);
        let granted: Granted = question.send(http).await?.read()?;
        granted.token(format!("the user's login of {place}"))
    }
}

fn basic(user: &str, password: &str) -> CloudAnswer<HeaderValue> {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| "its client cannot be sent".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
