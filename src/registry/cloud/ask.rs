//! Questions to a cloud's servers: token endpoints, and services of the machine's surroundings.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::CloudAnswer;
use crate::registry::error::RegistryError;
use crate::registry::transport::{Exchange, Pool, clean, host_of, read_body};
use crate::registry::xml;

/// Largest answer; tokens have some thousand bytes.
const ANSWER_MAX: usize = 1 << 20;
/// How long one answer of a token endpoint may take. Longer than any needs, and shorter than a pull
/// that may need no login should wait.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to find out whether a server is there at all.
const PROBE: Duration = Duration::from_millis(500);
/// Before each further attempt. A metadata service may need some seconds after a pod's start
/// (cloud.google.com/kubernetes-engine/docs/concepts/workload-identity), and answers 429 and 5xx
/// under load, as token endpoints do.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(600), Duration::from_millis(1800)];

/// The form of a form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
/// Of a server that may not be there.
const NO_ANSWER: &str = "no answer came";

/// One question. Not `Debug`: its body may hold a secret.
pub(super) struct Question<'a> {
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, String)>,
    authorization: Option<HeaderValue>,
    body: Vec<u8>,
    /// What no error may show, should the server repeat it.
    secrets: Vec<&'a str>,
    /// Whose TLS settings count where the host has none of its own.
    registry: &'a str,
}

/// What came back.
pub(super) struct Reply {
    pub(super) host: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    body: Vec<u8>,
    secrets: Vec<String>,
}

impl<'a> Question<'a> {
    pub(super) fn get(url: Url) -> Self {
        Self::new(Method::GET, url, Vec::new())
    }

    /// A POST of a form.
    pub(super) fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let body = encoded(fields).into_bytes();
        Self::new(Method::POST, url, body).header(CONTENT_TYPE, FORM)
    }

    /// A POST of JSON.
    pub(super) fn json(url: Url, value: &Value) -> Self {
        Self::new(Method::POST, url, value.to_string().into_bytes())
            .header(CONTENT_TYPE, "application/json")
    }

    fn new(method: Method, url: Url, body: Vec<u8>) -> Self {
        Self::bare(method, url, body).header(ACCEPT, "application/json")
    }

    /// One that says nothing of the form of its body and of the answer.
    pub(super) fn bare(method: Method, url: Url, body: Vec<u8>) -> Self {
        let (headers, secrets) = (Vec::new(), Vec::new());
        Self { method, url, headers, authorization: None, body, secrets, registry: "" }
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn authorization(mut self, value: HeaderValue) -> Self {
        self.authorization = Some(value);
        self
    }

    /// Names what must not be seen in an error.
    pub(super) fn hiding(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        self.secrets.extend(secrets.into_iter().filter(|secret| !secret.is_empty()));
        self
    }

    /// Uses the TLS settings of a registry.
    pub(super) fn registry(mut self, registry: &'a str) -> Self {
        self.registry = registry;
        self
    }

    /// Asks a server on the network. Busy ones are asked again, and those that break a connection.
    pub(super) async fn send(&self, http: &Pool) -> CloudAnswer<Reply> {
        let mut pauses = PAUSES.iter();
        loop {
            let answer = async {
                let response = http.verified().exchange(self.exchange(), None).await?;
                self.read(response).await
            };
            let answer = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| {
                format!("`{}` did not answer within {} s", host_of(&self.url), PATIENCE.as_secs())
            })?;
            let again = match &answer {
                Ok(reply) => reply.is_busy(),
                Err(error) => matches!(error, RegistryError::Connection { .. }),
            };
            match pauses.next() {
                Some(pause) if again => tokio::time::sleep(*pause).await,
                _ => return answer.map_err(said),
            }
        }
    }

    /// Asks a server of the surroundings, which is there. One that starts just now gets time.
    pub(super) async fn send_nearby(&self, http: &Pool) -> CloudAnswer<Reply> {
        let mut pauses = PAUSES.iter();
        loop {
            let answer = self.once_nearby(http).await;
            let again = match &answer {
                Ok(reply) => reply.is_busy(),
                Err(error) => matches!(error, RegistryError::Refused { .. }),
            };
            match pauses.next() {
                Some(pause) if again => tokio::time::sleep(*pause).await,
                _ => return answer.map_err(unheard),
            }
        }
    }

    /// The same of a server that may not be there: it has so much time for the first answer.
    pub(super) async fn find_nearby(&self, http: &Pool, patience: Duration) -> CloudAnswer<Reply> {
        let first = tokio::time::timeout(patience, self.once_nearby(http)).await;
        let first = first.unwrap_or_else(|_| Err(no_answer(&self.url))).map_err(unheard)?;
        if first.is_busy() { self.send_nearby(http).await } else { Ok(first) }
    }

    async fn once_nearby(&self, http: &Pool) -> Result<Reply, RegistryError> {
        let response = http.verified().ask_nearby(self.exchange()).await?;
        self.read(response).await
    }

    /// Whether a server of the surroundings answers this, whatever it says. Quick where there is
    /// none.
    pub(super) async fn probe(&self, http: &Pool) -> CloudAnswer<()> {
        let asked = http.verified().ask_nearby(self.exchange());
        match tokio::time::timeout(PROBE, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unheard(error)),
            Err(_) => Err(format!("did not answer within {} ms", PROBE.as_millis())),
        }
    }

    fn exchange(&self) -> Exchange<'_> {
        Exchange {
            registry: self.registry,
            method: self.method.clone(),
            url: self.url.clone(),
            headers: &self.headers,
            authorization: self.authorization.as_ref(),
            body: self.body.clone(),
        }
    }

    async fn read(&self, response: Response) -> Result<Reply, RegistryError> {
        let (host, status) = (host_of(&self.url), response.status().as_u16());
        // A server may repeat the form as it came.
        let encode = |secret: &str| encoded(&[(secret, "")]);
        let spelled = self.secrets.iter().map(|secret| encode(secret).trim_end_matches('=').into());
        let secrets = self.secrets.iter().map(|secret| (*secret).to_owned()).chain(spelled);
        let headers = response.headers().clone();
        let body = read_body(response, &host, ANSWER_MAX, "read an answer").await?;
        Ok(Reply { host, status, headers, body, secrets: secrets.collect() })
    }
}

impl Reply {
    fn is_busy(&self) -> bool {
        matches!(self.status, 429 | 500 | 502 | 503 | 504)
    }

    /// The JSON of a 200. serde's own words would quote a token, so they are left out.
    pub(super) fn read<T: DeserializeOwned>(&self) -> CloudAnswer<T> {
        serde_json::from_slice(self.body()?)
            .map_err(|_| format!("`{}` answered 200 without the JSON of a token", self.host))
    }

    /// The text of a 200.
    pub(super) fn text(&self) -> CloudAnswer<&str> {
        std::str::from_utf8(self.body()?)
            .map_err(|_| format!("`{}` answered 200 without a text", self.host))
    }

    /// The body of a 200.
    pub(super) fn body(&self) -> CloudAnswer<&[u8]> {
        if self.status == 200 { Ok(&self.body) } else { Err(self.refusal()) }
    }

    /// Status and words of an answer that is an error.
    pub(super) fn refusal(&self) -> String {
        let mut words = words(&self.body);
        for secret in &self.secrets {
            words = words.replace(secret, "…");
        }
        let colon = if words.is_empty() { "" } else { ": " };
        format!("`{}` answered {}{colon}{}", self.host, self.status, clean(&words))
    }
}

/// A form's text.
pub(super) fn encoded(fields: &[(&str, &str)]) -> String {
    // The one encoder of forms that is here belongs to URLs.
    let url = Url::parse_with_params("form:", fields);
    url.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default()
}

/// Finds the words in an error: OAuth2's `error_description` and `error`, the `error.message` of
/// Google's services, `message`, distribution's `errors`, Amazon's code and message. Anything else may
/// be a page.
fn words(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body);
        return joined([xml::element(&text, "Code"), xml::element(&text, "Message")]);
    };
    let word = |names: &[&str]| names.iter().find_map(|name| value.get(name)?.as_str());
    if let Some(code) = word(&["__type", "code", "Code"]) {
        // `com.amazonaws.ecr#NameOfTheError`.
        let code = code.rsplit('#').next().unwrap_or_default();
        return joined(
            [Some(code), word(&["message", "Message"])].map(|word| word.map(str::to_owned)),
        );
    }
    let error = value.get("error").unwrap_or(&Value::Null);
    let first = value.get("errors").and_then(|errors| errors.get(0)).unwrap_or(&Value::Null);
    let places = [
        (&value, "error_description"),
        (error, "message"),
        (first, "message"),
        (&value, "message"),
        (&value, "error"),
    ];
    let text = places.into_iter().find_map(|(place, name)| place.get(name)?.as_str());
    text.unwrap_or_default().to_owned()
}

fn joined(words: [Option<String>; 2]) -> String {
    words.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// The end of a sentence about a server that could not be asked.
fn said(error: RegistryError) -> String {
    match error {
        RegistryError::Dns { host, cause, .. } => format!("`{host}` cannot be found: {cause}"),
        RegistryError::Connection { host, cause, .. } => {
            format!("the connection to `{host}` failed: {cause}")
        }
        RegistryError::Refused { host, .. } => format!("`{host}` refuses connections"),
        RegistryError::Tls { host, cause, .. } => {
            format!("no secure connection to `{host}`: {cause}")
        }
        RegistryError::Protocol { host, reason, .. } => format!("`{host}`: {reason}"),
        other => other.to_string(),
    }
}

/// What a server of the surroundings did instead of answering.
fn unheard(error: RegistryError) -> String {
    match error {
        RegistryError::Dns { .. } => "cannot be found".into(),
        RegistryError::Refused { .. } => "refuses connections".into(),
        RegistryError::Connection { cause, .. }
            if cause.contains("could not be made within")
                || cause.contains("no answer came within")
                || cause == NO_ANSWER =>
        {
            "did not answer in time".into()
        }
        RegistryError::Connection { cause, .. } => format!("broke the connection: {cause}"),
        other => other.to_string(),
    }
}

fn no_answer(url: &Url) -> RegistryError {
    RegistryError::Connection { host: host_of(url), cause: NO_ANSWER.into(), hint: "" }
}

/// `Authorization: Bearer …`, hidden from logs.
pub(super) fn bearer(token: &str) -> CloudAnswer<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| "the token has characters that no header may have".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The same as the header of a signed request.
pub(super) fn bearer_header(token: &str) -> CloudAnswer<(HeaderName, HeaderValue)> {
    Ok((AUTHORIZATION, bearer(token)?))
}

/// Whether a file of the machine begins so; those below /sys/class/dmi say who made it.
pub(super) fn machine_says(path: &str, begins: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.trim().starts_with(begins))
}

#[cfg(test)]
mod tests;
