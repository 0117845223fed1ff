//! Questions to services of Amazon's: in its spelling, and signed.

use std::time::SystemTime;

use reqwest::header::{AUTHORIZATION, HeaderName};
use reqwest::{Method, Url};

use super::Keys;
use super::sigv4::{self, Scope, Signed};
use crate::registry::auth::Secret;
use crate::registry::cloud::CloudAnswer;
use crate::registry::cloud::ask::Question;

/// Who signs, and for which service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) keys: &'a Keys,
    pub(super) region: &'a str,
    /// As the service calls itself.
    pub(super) service: &'a str,
}

/// Reads an address.
pub(super) fn url(address: &str) -> CloudAnswer<Url> {
    Url::parse(address).map_err(|error| format!("`{address}` is no address: {error}"))
}

/// A POST to the root of a service. A signature is good for some minutes, so that all tries have the
/// same.
pub(super) fn post<'a>(
    endpoint: &str,
    headers: Vec<(HeaderName, String)>,
    body: String,
    signer: Option<Signer<'a>>,
) -> CloudAnswer<Question<'a>> {
    let (url, method) = (url(&format!("{endpoint}/"))?, Method::POST);
    let signed = signer.map(|Signer { keys, region, service }| {
        let time = sigv4::time(SystemTime::now());
        let request =
            Signed { method: &method, url: &url, headers: &headers, body: body.as_bytes() };
        sigv4::sign(&request, keys, Scope { region, service, time: &time })
    });
    // STS would answer in JSON where that is accepted, so nothing is said about it.
    let mut question = Question::bare(method, url, body.into_bytes());
    for (name, value) in headers {
        question = question.header(name, value);
    }
    for (name, value) in signed.into_iter().flatten() {
        question = match value.to_str() {
            _ if name == AUTHORIZATION => question.authorization(value),
            Ok(text) => {
                let text = text.to_owned();
                question.header(name, text)
            }
            Err(_) => question,
        };
    }
    Ok(question.hiding(signer.into_iter().flat_map(|signer| secrets(signer.keys))))
}

/// What no error may show.
fn secrets(keys: &Keys) -> impl Iterator<Item = &str> {
    [Some(&keys.secret), keys.token.as_ref()].into_iter().flatten().map(Secret::expose)
}
