//! A service account's key: a signed claim is exchanged for a token (RFC 7523;
//! developers.google.com/identity/protocols/oauth2/service-account).

use serde::Deserialize;
use serde_json::json;

use super::SCOPE;
use super::credentials::token_endpoint;
use crate::registry::cloud::CloudAnswer;
use crate::registry::cloud::ask::Question;
use crate::registry::cloud::jwt::{Algorithm, Key};
use crate::registry::cloud::token::{Granted, Token, now};
use crate::registry::transport::Pool;

/// Google's token endpoint.
pub(super) const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest that Google allows, in seconds.
const LIFE: u64 = 3600;

/// The file's fields. Not `Debug`.
#[derive(Deserialize)]
pub(super) struct ServiceAccount {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    token_uri: Option<String>,
}

impl ServiceAccount {
    pub(super) async fn token(&self, http: &Pool, place: &str) -> CloudAnswer<Token> {
        let url = token_endpoint("token_uri", self.token_uri.as_deref(), TOKEN_URI)?;
        let key = Key::read(self.private_key.as_bytes())
            .map_err(|why| format!("its `private_key` {why}"))?;
        let issued = now();
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.token_uri.as_deref().unwrap_or(TOKEN_URI),
            "iat": issued,
            "exp": issued + LIFE,
        });
        let header = match self.private_key_id.as_str() {
            "" => json!({}),
            id => json!({ "kid": id }),
        };
        let assertion = key.sign(Algorithm::Rs256, header, &claims)?;
        let fields = [("grant_type", GRANT), ("assertion", assertion.as_str())];
        let reply = Question::form(url, &fields).hiding([assertion.as_str()]).send(http).await?;
        let source = format!("the service account {} of {place}", self.client_email);
        reply.read::<Granted>()?.token(source)
    }
}
