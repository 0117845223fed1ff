//! A person's login, as `gcloud auth application-default login` leaves it (RFC 6749, 6).

use serde::Deserialize;

use super::credentials::token_endpoint;
use super::service_account::TOKEN_URI;
use crate::registry::cloud::CloudAnswer;
use crate::registry::cloud::ask::Question;
use crate::registry::cloud::token::{Granted, Token};
use crate::registry::transport::Pool;

/// The file's fields. Not `Debug`.
#[derive(Deserialize)]
pub(super) struct User {
    client_id: String,
    client_secret: String,
    refresh_token: String,
    token_uri: Option<String>,
}

impl User {
    pub(super) async fn token(&self, http: &Pool, place: &str) -> CloudAnswer<Token> {
        let url = token_endpoint("token_uri", self.token_uri.as_deref(), TOKEN_URI)?;
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", &self.client_secret),
            ("refresh_token", &self.refresh_token),
        ];
        let question = Question::form(url, &fields);
        let question = question.hiding([self.client_secret.as_str(), self.refresh_token.as_str()]);
        let granted: Granted = question.send(http).await?.read()?;
        granted.token(format!("the user's login of {place}"))
    }
}
