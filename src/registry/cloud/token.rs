//! Access tokens, and how long they are kept.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::Value;

use super::CloudAnswer;
use super::memory::{Ends, Memory};
use crate::registry::auth::Secret;

/// A token is renewed so long before its end; longer than what a login needs.
const MARGIN: Duration = Duration::from_secs(180);
/// The longest life that is believed, and the life of a token that says nothing.
const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);
const LIFE: Duration = Duration::from_secs(3600);

/// An access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) value: Secret,
    pub(super) until: SystemTime,
    /// Whose it is and where that was found; `kiln used …`.
    pub(super) source: String,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lack {
    /// There is no identity here; what was looked for.
    Nobody(String),
    /// There is one, and it does not work.
    Broken(String),
}

impl From<Lack> for String {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::Nobody(why) | Lack::Broken(why) => why,
        }
    }
}

/// What was found; a sentence's end if it is nothing.
pub(super) type Found = Result<Token, Lack>;

impl Ends for Token {
    fn end(&self) -> Option<SystemTime> {
        Some(self.until)
    }
}

impl Token {
    /// One whose end nobody knows.
    pub(super) fn endless(value: Secret, source: String) -> Self {
        Self { value, until: SystemTime::now() + LIFE, source }
    }
}

/// OAuth2's answer (RFC 6749, 5.1). Managed identities spell numbers as texts, and some of them
/// only know the end.
#[derive(Deserialize)]
pub(super) struct Granted {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    expires_on: Value,
}

impl Granted {
    /// The token, if there is one.
    pub(super) fn token(self, source: String) -> CloudAnswer<Token> {
        if self.access_token.is_empty() {
            return Err("the answer has no access token".into());
        }
        let life = number(&self.expires_in).map(Duration::from_secs);
        let end = number(&self.expires_on).map(at);
        let now = SystemTime::now();
        let until = life.map(|life| now + life.min(LIFE_MAX)).or(end).unwrap_or(now + LIFE);
        Ok(Token { value: self.access_token.into(), until: until.min(now + LIFE_MAX), source })
    }
}

/// Seconds since 1970 as a time; far ones become near, as some clocks end early.
pub(super) fn at(seconds: u64) -> SystemTime {
    let far = SystemTime::now() + LIFE_MAX;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).map_or(far, |end| end.min(far))
}

/// Seconds since 1970, for claims.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Tokens by what they are for. Locked while one is fetched, so that many threads fetch it once.
#[derive(Debug, Default)]
pub(super) struct Kept(tokio::sync::Mutex<HashMap<String, Memory<Token, Lack>>>);

impl Kept {
    /// The token for something, from memory while it can be used.
    pub(super) async fn get(&self, purpose: &str, fetch: impl Future<Output = Found>) -> Found {
        let mut kept = self.0.lock().await;
        let memory = kept.entry(purpose.to_owned()).or_default();
        match memory.recall(MARGIN) {
            Some(answer) => answer,
            None => memory.learn(fetch.await),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn life(answer: Value) -> u64 {
        let granted: Granted = serde_json::from_value(answer).expect("an answer");
        let until = granted.token("x".into()).expect("a token").until;
        until.duration_since(SystemTime::now()).map_or(0, |left| left.as_secs_f64().round() as u64)
    }

    #[test]
    fn lives_are_numbers_texts_and_ends() {
        let end = now() + 500;
        for (answer, expected) in [
            (json!({"access_token": "t", "expires_in": 300}), 300),
            (json!({"access_token": "t", "expires_in": "300"}), 300),
            (json!({"access_token": "t", "expires_in": 300, "expires_on": "7"}), 300),
            (json!({"access_token": "t", "expires_on": end.to_string()}), 500),
            (json!({"access_token": "t", "expires_on": end}), 500),
            (json!({"access_token": "t", "expires_on": "5/1/2026 1:00:00 PM"}), 3600),
            (json!({"access_token": "t"}), 3600),
            (json!({"access_token": "t", "expires_in": u64::MAX}), 86400),
            (json!({"access_token": "t", "expires_on": u64::MAX}), 86400),
            (json!({"access_token": "t", "expires_in": -5}), 3600),
            (json!({"access_token": "t", "expires_on": 5}), 0),
        ] {
            let found = life(answer.clone());
            assert!(found.abs_diff(expected) <= 2, "{answer}: {found}");
        }
        let none: Granted = serde_json::from_value(json!({"token": "geheim"})).expect("JSON");
        assert!(none.token("x".into()).is_err());
    }

    #[tokio::test]
    async fn tokens_are_kept_until_shortly_before_their_end() {
        let kept = Kept::default();
        let token = |value: &str, left: u64| {
            let until = SystemTime::now() + Duration::from_secs(left);
            let token = Token { value: value.into(), until, source: "s".into() };
            async move { Ok(token) }
        };
        let no = Lack::Nobody("no".to_owned());
        assert_eq!(kept.get("a", token("1", 100)).await.expect("1").value, "1".into());
        assert_eq!(kept.get("a", token("2", 1000)).await.expect("2").value, "2".into());
        assert_eq!(kept.get("a", token("3", 1000)).await.expect("2").value, "2".into());
        assert_eq!(kept.get("b", async { Err(no.clone()) }).await, Err(no.clone()));
        assert_eq!(kept.get("b", token("4", 1000)).await, Err(no));
        assert!(format!("{kept:?}").contains("value: Secret(..)"));
    }
}
