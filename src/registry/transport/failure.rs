//! From a status to an error that says what to do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};

use super::answer::{clean, retry_after, words};
use super::hints;
use crate::registry::auth::{Credentials, Found};
use crate::registry::error::{RegistryError, Unauthorized};
use crate::registry::proxy::or_page;
use crate::registry::reference::{HUB, api_host};

/// A shorter password is in every sentence by chance.
const SECRET_MIN: usize = 4;

/// What was asked, for the sentence.
#[derive(Debug)]
pub(in crate::registry) struct Asked<'a> {
    pub(in crate::registry) host: &'a str,
    pub(in crate::registry) action: &'a str,
    pub(in crate::registry) what: &'a str,
    /// What a token must allow.
    pub(in crate::registry) scope: &'a str,
    pub(in crate::registry) found: &'a Found,
}

/// The error that a response with an unexpected status stands for.
pub(in crate::registry) async fn failure(asked: &Asked<'_>, response: Response) -> RegistryError {
    let status = response.status();
    let headers = response.headers().clone();
    let said = clean(&without_secrets(words(response).await, asked.found));
    let said = or_page(said, status, &headers);
    sort(asked, status, &headers, said)
}

fn sort(asked: &Asked<'_>, status: StatusCode, headers: &HeaderMap, said: String) -> RegistryError {
    let host = asked.host.to_owned();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            RegistryError::Unauthorized(Box::new(Unauthorized {
                host,
                status: status.as_u16(),
                action: asked.action.to_owned(),
                credentials: asked.found.source.clone(),
                anonymous: asked.found.credentials.is_none(),
                scope: asked.scope.to_owned(),
                hint: hints::refusal(asked),
                said,
            }))
        }
        StatusCode::NOT_FOUND => RegistryError::NotFound {
            what: asked.what.to_owned(),
            hint: not_found_hint(asked.found),
            said,
        },
        StatusCode::TOO_MANY_REQUESTS => RegistryError::TooManyRequests {
            hint: if host == api_host(HUB) {
                ". Docker Hub counts pulls by account or, without one, by address: use credentials \
                 or a mirror"
            } else {
                ""
            },
            host,
            retry_after: retry_after(headers),
            limit: hints::limit(headers),
            said,
        },
        StatusCode::PAYLOAD_TOO_LARGE if said.is_empty() => RegistryError::Status {
            host,
            action: asked.action.to_owned(),
            status: status.as_u16(),
            retry_after: None,
            // nginx's client_max_body_size is what people meet; its page has no usable words.
            said: "nothing; a proxy before the registry limits the size of uploads (nginx: client_max_body_size); smaller pieces: --upload-chunk-size".into(),
        },
        _ => RegistryError::Status {
            host,
            action: asked.action.to_owned(),
            status: status.as_u16(),
            retry_after: retry_after(headers),
            said,
        },
    }
}

/// A server that quotes what it was shown would put it into a log.
fn without_secrets(said: String, found: &Found) -> String {
    let secrets = match &found.credentials {
        Some(Credentials::Basic { user, password }) => {
            // As the header has it.
            let pair = STANDARD.encode(format!("{user}:{password}"));
            vec![password.clone(), pair.trim_end_matches('=').to_owned()]
        }
        Some(Credentials::Identity(token) | Credentials::Registry(token)) => vec![token.clone()],
        None => return said,
    };
    if secrets.iter().any(|secret| secret.len() >= SECRET_MIN && said.contains(secret)) {
        return "something that quotes the password".into();
    }
    said
}

/// Private repositories look like missing ones to those who may not read them.
fn not_found_hint(found: &Found) -> String {
    match found.credentials {
        None => format!(
            ", or needs credentials and kiln has none: {}. Check the name, or log in",
            found.source
        ),
        Some(_) => {
            format!(", or is not for these credentials: kiln used {}. Check the name", found.source)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_shown_is_not_quoted() {
        let basic = Credentials::Basic { user: "robot".into(), password: "hunter22-long".into() };
        let token = Credentials::Identity("refresh-token".into());
        let far = format!("{}hunter22-long", "x".repeat(395));
        let pair = STANDARD.encode("robot:hunter22-long");
        for (credentials, said, quotes) in [
            (&basic, "bad password hunter22-long", true),
            (&basic, &far, true),
            (&basic, &format!("bad header Basic {pair}"), true),
            (&basic, &format!("bad header {}", pair.trim_end_matches('=')), true),
            (&basic, "bad user robot", false),
            (&token, "bad refresh-token", true),
            (&token, "no", false),
        ] {
            let found = Found { credentials: Some(credentials.clone()), source: "x".into() };
            let shown = clean(&without_secrets(said.to_owned(), &found));
            assert_eq!(shown.starts_with("something"), quotes, "{said}: {shown}");
        }
    }
}
