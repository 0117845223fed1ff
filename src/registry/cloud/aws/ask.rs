//! One question to a service of Amazon's, or to what is near this machine.

use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::Keys;
use super::sigv4::{self, Scope, Signed};
use crate::registry::cloud::CloudAnswer;
use crate::registry::error::RegistryError;
use crate::registry::transport::{Exchange, Pool, clean, host_of, read_body};
use crate::registry::xml;

/// Longer answers are none.
const BODY_MAX: usize = 256 << 10;
/// How long a service may take in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tries, and the pause before the second.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);

/// A question.
#[derive(Debug, Clone)]
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) address: String,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: String,
    /// Whose signature it has.
    pub(super) signer: Option<Signer<'a>>,
}

/// Who signs, and for which service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) keys: &'a Keys,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) host: String,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Asks a service. What fails in passing is tried again.
pub(super) async fn service(http: &Pool, question: &Question<'_>) -> CloudAnswer<Reply> {
    let url = Url::parse(&question.address);
    let url = url.map_err(|error| format!("`{}` is no address: {error}", question.address))?;
    let host = host_of(&url);
    let tries = async {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match once(http, question, &url).await {
                Ok(reply) if !matches!(reply.status, 429 | 500 | 502..=504) => return Ok(reply),
                Err(error) if !matches!(error, RegistryError::Connection { .. }) => {
                    return Err(plain(error));
                }
                _ => tokio::time::sleep(pause).await,
            }
            pause *= 3;
        }
        once(http, question, &url).await.map_err(plain)
    };
    let patient = tokio::time::timeout(PATIENCE, tries).await;
    patient.unwrap_or_else(|_| Err(format!("`{host}` gave no answer for {} s", PATIENCE.as_secs())))
}

async fn once(http: &Pool, question: &Question<'_>, url: &Url) -> Result<Reply, RegistryError> {
    let Question { method, headers, body, signer, .. } = question;
    let mut headers = headers.clone();
    let mut authorization: Option<HeaderValue> = None;
    if let Some(Signer { keys, region, service }) = *signer {
        let time = sigv4::time(SystemTime::now());
        let signed = Signed { method, url, headers: &headers, body: body.as_bytes() };
        for (name, value) in sigv4::sign(&signed, keys, Scope { region, service, time: &time }) {
            if name == AUTHORIZATION {
                authorization = Some(value);
            } else if let Ok(value) = value.to_str() {
                headers.push((name, value.to_owned()));
            }
        }
    }
    let host = host_of(url);
    let exchange = Exchange {
        registry: &host,
        method: method.clone(),
        url: url.clone(),
        headers: &headers,
        authorization: authorization.as_ref(),
        body: body.clone().into_bytes(),
    };
    let response = http.exchange(exchange, None).await?;
    let status = response.status().as_u16();
    let body = read_body(response, &host, BODY_MAX, "read an answer").await?;
    Ok(Reply { host, status, body })
}

/// Asks what is near this machine: no proxy, no second try, and little time.
pub(super) async fn nearby(
    http: &Pool,
    question: &Question<'_>,
    authorization: Option<&HeaderValue>,
    patience: Duration,
) -> CloudAnswer<Reply> {
    let url = Url::parse(&question.address);
    let url = url.map_err(|error| format!("`{}` is no address: {error}", question.address))?;
    let host = host_of(&url);
    let exchange = Exchange {
        registry: &host,
        method: question.method.clone(),
        url,
        headers: &question.headers,
        authorization,
        body: Vec::new(),
    };
    let asked = async {
        let response = http.ask_nearby(exchange).await?;
        let status = response.status().as_u16();
        let body = read_body(response, &host, BODY_MAX, "read an answer").await?;
        Ok((status, body))
    };
    match tokio::time::timeout(patience, asked).await {
        Ok(Ok((status, body))) => Ok(Reply { host, status, body }),
        Ok(Err(error)) => Err(plain(error)),
        Err(_) => Err(format!("`{host}` gave no answer")),
    }
}

/// Words that fit any server, since the client's are about registries.
fn plain(error: RegistryError) -> String {
    match error {
        RegistryError::Dns { host, cause, .. } => format!("`{host}` cannot be found: {cause}"),
        RegistryError::Connection { host, cause, .. } => {
            format!("the connection to `{host}` failed: {cause}")
        }
        RegistryError::Refused { host, cause } => format!("`{host}` refuses connections ({cause})"),
        RegistryError::Tls { host, cause, .. } => {
            format!("no secure connection to `{host}`: {cause}")
        }
        RegistryError::Protocol { host, reason, .. } => {
            format!("`{host}` cannot be used: {reason}")
        }
        other => other.to_string(),
    }
}

impl Reply {
    /// What a refusal says: Amazon's XML or JSON, without whatever else it quotes.
    pub(super) fn refusal(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let words = match serde_json::from_slice::<serde_json::Value>(&self.body) {
            Ok(value) => {
                let word = |names: &[&str]| {
                    let found = names.iter().find_map(|name| value.get(name)?.as_str());
                    found.map(|word| word.rsplit('#').next().unwrap_or_default().to_owned())
                };
                [word(&["__type", "code", "Code"]), word(&["message", "Message"])]
            }
            Err(_) => [xml::element(&text, "Code"), xml::element(&text, "Message")],
        };
        let words: Vec<String> = words.into_iter().flatten().collect();
        let said = if words.is_empty() {
            String::new()
        } else {
            format!(" ({})", clean(&words.join(": ")))
        };
        format!("`{}` answered {}{said}", self.host, self.status)
    }
}
