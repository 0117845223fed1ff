//! Tokens of a service account that another identity may act as
//! (cloud.google.com/iam/docs/create-short-lived-credentials-direct).

use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::SCOPE;
use super::credentials::Base;
use crate::registry::cloud::ask::{Question, bearer};
use crate::registry::cloud::token::{Token, at};
use crate::registry::cloud::{CloudAnswer, endpoint};
use crate::registry::transport::Pool;

/// A file's fields. Not `Debug`.
#[derive(Deserialize)]
pub(super) struct Impersonated {
    service_account_impersonation_url: String,
    source_credentials: Value,
    #[serde(default)]
    delegates: Vec<String>,
}

/// Where to ask, and for how long.
pub(super) struct Impersonation<'a> {
    pub(super) url: &'a str,
    pub(super) delegates: &'a [String],
    /// Seconds.
    pub(super) life: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    access_token: String,
    expire_time: String,
}

impl Impersonated {
    pub(super) async fn token(&self, http: &Pool, place: &str) -> CloudAnswer<Token> {
        let base = Base::read(self.source_credentials.clone())
            .map_err(|why| format!("its `source_credentials`: it {why}"))?;
        let first = base.token(http, place).await?;
        let url = self.service_account_impersonation_url.as_str();
        Impersonation { url, delegates: &self.delegates, life: 3600 }.token(http, &first).await
    }
}

impl Impersonation<'_> {
    /// A token of the account, for one of the identity that may act as it.
    pub(super) async fn token(&self, http: &Pool, first: &Token) -> CloudAnswer<Token> {
        let url = endpoint::secret("its `service_account_impersonation_url`", self.url)?;
        let source = format!("the service account {}, as {}", account(&url), first.source);
        let mut wanted = json!({ "scope": [SCOPE], "lifetime": format!("{}s", self.life) });
        if !self.delegates.is_empty() {
            wanted["delegates"] = json!(self.delegates);
        }
        let secret = first.value.expose();
        let question = Question::json(url, &wanted).authorization(bearer(secret)?).hiding([secret]);
        let answer: Answer = question.send(http).await?.read()?;
        let until = answer.expire_time.parse::<jiff::Timestamp>();
        let until = until.map_err(|_| "the token's end (`expireTime`) is no time".to_owned())?;
        let until = at(u64::try_from(until.as_second()).unwrap_or_default());
        Ok(Token { value: answer.access_token.into(), until, source })
    }
}

/// The account in `…/serviceAccounts/ACCOUNT:generateAccessToken`.
fn account(url: &Url) -> String {
    let last = url.path().rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default().replace("%40", "@")
}
