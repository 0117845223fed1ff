//! Logins for container registries: an access token is exchanged for a refresh token of the
//! registry's (azure.github.io/acr/AAD-OAuth.html).

use std::time::{Duration, SystemTime};

use reqwest::Url;
use serde::Deserialize;

use super::AzureCloud;
use crate::registry::auth::Credentials;
use crate::registry::cloud::ask::Question;
use crate::registry::cloud::jwt;
use crate::registry::cloud::token::{Token, at};
use crate::registry::cloud::{CloudAnswer, CloudLogin};
use crate::registry::transport::Pool;

/// What a refresh token lives if it does not say so; three hours is usual.
const LIFE: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    refresh_token: String,
}

/// Whom an access token may be for, in order. One for registries alone is worth least to whoever
/// gets hold of it; tenants that do not know that service yet, and old registries, have the other.
pub(super) fn resources(cloud: AzureCloud) -> [&'static str; 2] {
    ["https://containerregistry.azure.net/", cloud.management()]
}

/// A refresh token for an access token.
pub(super) async fn exchange(
    http: &Pool,
    registry: &str,
    tenant: Option<&str>,
    token: &Token,
) -> CloudAnswer<CloudLogin> {
    let url = Url::parse(&format!("https://{registry}/oauth2/exchange"))
        .map_err(|_| format!("`{registry}` is no host"))?;
    let secret = token.value.expose();
    let service = registry.split(':').next().unwrap_or_default();
    let mut fields =
        vec![("grant_type", "access_token"), ("service", service), ("access_token", secret)];
    if let Some(tenant) = tenant {
        fields.push(("tenant", tenant));
    }
    let question = Question::form(url, &fields).registry(registry).hiding([secret]);
    let answer: Answer = question.send(http).await?.read()?;
    if answer.refresh_token.is_empty() {
        return Err(format!("`{registry}` gave no refresh token"));
    }
    let until = jwt::end_of(&answer.refresh_token).map_or(SystemTime::now() + LIFE, at);
    Ok(CloudLogin {
        credentials: Credentials::Identity(answer.refresh_token),
        source: token.source.clone(),
        until,
    })
}
