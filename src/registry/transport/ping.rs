//! The first question to a registry that may speak plain HTTP: what it answers tells which scheme it
//! speaks.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, Url};

use super::scheme::{self, Scheme, Verdict};
use super::{Place, Request, Target, Transport, read_body};
use crate::registry::error::RegistryError;

/// As much of the first answer as is looked at.
const PROBE_MAX: usize = 64 << 10;

impl Transport {
    /// `scheme://host/` of a registry. Where nobody knows the scheme yet, the request itself finds it
    /// out, and here is its answer: a question just for that would be one more to wait for. It shows no
    /// credentials, and is one that may be sent again.
    pub(super) async fn opening(
        &self,
        request: &Request,
        streaming: bool,
    ) -> Result<(Url, Option<Response>), RegistryError> {
        let place = &request.place;
        if let Some(scheme) = self.schemes.known(place) {
            return Ok((base_url(place, scheme)?, None));
        }
        let begins = [Method::GET, Method::HEAD, Method::POST].contains(&request.method);
        if streaming || !begins || matches!(request.target, Target::Url(_)) {
            return Ok((self.base(place).await?, None));
        }
        let is_head = request.method == Method::HEAD;
        let mut errors = Vec::new();
        for scheme in scheme::order(&place.registry) {
            let base = base_url(place, scheme)?;
            let url = self.url(&base, request)?;
            match self.once(request, &url, None, None).await {
                // The sentence would be in the body, which is left out.
                Ok(response)
                    if is_head && scheme::may_complain(scheme, response.status().as_u16()) =>
                {
                    return Ok((self.base(place).await?, None));
                }
                Ok(response) if may_complain(scheme, &response) => {
                    if self.verdict(place, scheme, response).await == Verdict::Speaks {
                        self.schemes.remember(place, scheme);
                        // The answer was read, and is asked for again.
                        return Ok((base, None));
                    }
                }
                Ok(response) => {
                    self.schemes.remember(place, scheme);
                    return Ok((base, Some(response)));
                }
                Err(error) if scheme::judge_error(scheme, &error) == Verdict::Failed => {
                    return Err(error);
                }
                Err(error) => errors.push(error),
            }
        }
        Err(unspeakable(place, errors))
    }

    /// What an answer says of the scheme by which it was asked for.
    async fn verdict(&self, place: &Place, scheme: Scheme, response: Response) -> Verdict {
        let status = response.status().as_u16();
        let body = read_body(response, place.host(), PROBE_MAX, "connect").await;
        scheme::judge_response(scheme, status, &body.unwrap_or_default())
    }

    /// `scheme://host/` of a registry.
    pub(super) async fn base(&self, place: &Place) -> Result<Url, RegistryError> {
        if let Some(scheme) = self.schemes.known(place) {
            return base_url(place, scheme);
        }
        let asking = self.schemes.asking(place);
        let _whoever_holds_it_asks = asking.lock().await;
        let scheme = match self.schemes.known(place) {
            Some(scheme) => scheme,
            None => self.probe(place).await?,
        };
        base_url(place, scheme)
    }

    /// Asks a registry that may speak plain HTTP which scheme it speaks, and remembers the answer.
    async fn probe(&self, place: &Place) -> Result<Scheme, RegistryError> {
        let mut errors = Vec::new();
        for scheme in scheme::order(&place.registry) {
            let url = base_url(place, scheme)?;
            let request = Request::new(Method::GET, place, Target::Url(url.clone()), "connect");
            let (verdict, error) = match self.once(&request, &probe_url(&url), None, None).await {
                Ok(response) => (self.verdict(place, scheme, response).await, None),
                Err(error) => (scheme::judge_error(scheme, &error), Some(error)),
            };
            match (verdict, error) {
                (Verdict::Speaks, _) => {
                    self.schemes.remember(place, scheme);
                    return Ok(scheme);
                }
                (Verdict::Failed, Some(error)) => return Err(error),
                (_, error) => errors.extend(error),
            }
        }
        Err(unspeakable(place, errors))
    }
}

/// Whether an answer may be a TLS server's complaint, so that its body has to be looked at: those are
/// sentences, in plain text or HTML.
fn may_complain(scheme: Scheme, response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let is_empty = response.content_length() == Some(0);
    scheme::may_complain(scheme, response.status().as_u16()) && !is_json && !is_empty
}

fn unspeakable(place: &Place, errors: Vec<RegistryError>) -> RegistryError {
    scheme::telling(errors).unwrap_or_else(|| RegistryError::Protocol {
        host: place.host().to_owned(),
        action: "connect".into(),
        reason: "it speaks neither HTTP nor TLS".into(),
    })
}

fn probe_url(base: &Url) -> Url {
    base.join("/v2/").unwrap_or_else(|_| base.clone())
}

fn base_url(place: &Place, scheme: Scheme) -> Result<Url, RegistryError> {
    let text = format!("{}://{}/", scheme.as_str(), place.host());
    Url::parse(&text).map_err(|error| RegistryError::Option {
        what: "registry host",
        value: place.registry.clone(),
        reason: error.to_string(),
    })
}
