//! The requests for a blob, or for a part of it.

use std::ops::Range;
use std::sync::Arc;

use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, Url};

use super::super::error::RegistryError;
use super::super::retry::Policy;
use super::super::transport::{Place, Request, Target, Transport, host_of};
use crate::digest::Digest;

/// Where a blob comes from.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) transport: Arc<Transport>,
    pub(super) place: Place,
    /// Of a foreign layer, once the registry did not have it.
    pub(super) url: Option<Url>,
    pub(super) what: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

impl Source {
    /// The first response; the registry's own, else that of one of a foreign layer's URLs.
    pub(super) async fn open(
        &mut self,
        policy: Policy,
        urls: &[String],
        offset: u64,
    ) -> Result<Response, RegistryError> {
        let missing = match policy.run(async || self.ask(offset..self.size).await).await {
            Err(error) if error.is_not_found() && !urls.is_empty() => error,
            outcome => return outcome,
        };
        for url in urls.iter().filter_map(|url| Url::parse(url).ok()) {
            self.url = Some(url);
            if let Ok(response) = policy.run(async || self.ask(offset..self.size).await).await {
                return Ok(response);
            }
        }
        Err(missing)
    }

    /// The first part of a big blob; `None` where the registry does not give parts. It may as well
    /// answer with the whole blob.
    pub(super) async fn open_part(
        &self,
        policy: Policy,
        part: Range<u64>,
    ) -> Result<Option<Response>, RegistryError> {
        match policy.run(async || self.ask(part.clone()).await).await {
            Ok(response) => Ok(Some(response)),
            Err(RegistryError::Status { status: 400 | 416 | 501, .. }) => Ok(None),
            Err(RegistryError::NotFound { .. } | RegistryError::Protocol { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for some bytes. A server that knows no ranges answers with all of them.
    pub(super) async fn ask(&self, part: Range<u64>) -> Result<Response, RegistryError> {
        let Range { start: offset, end } = part;
        let target = Target::Path(format!("blobs/{}", self.digest));
        let action = format!("read {}", self.what);
        let mut request =
            Request::new(Method::GET, &self.place, target, action).what(self.what.clone());
        let to_the_end = end >= self.size;
        if !to_the_end {
            request = request.header(RANGE, format!("bytes={offset}-{}", end.saturating_sub(1)));
        } else if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let response = match &self.url {
            Some(url) => self.transport.send_bare(&request, url.clone()).await?,
            None => self.transport.send(&request, None).await?,
        };
        match response.status().as_u16() {
            200 => self.check_length(response.content_length(), response),
            206 if (offset > 0 || !to_the_end) && starts_at(&response, offset) => {
                self.check_length(total(&response), response)
            }
            206 => Err(RegistryError::Protocol {
                host: host_of(response.url()),
                action: request.action,
                reason: "it sent another part of the blob than the one that was asked for".into(),
            }),
            _ => Err(self.transport.failure(&request, response).await),
        }
    }

    /// Holds the length of the whole blob, where the answer names it, against what was announced.
    fn check_length(
        &self,
        whole: Option<u64>,
        response: Response,
    ) -> Result<Response, RegistryError> {
        match whole {
            Some(found) if found != self.size => Err(RegistryError::Size {
                what: self.what.clone(),
                host: host_of(response.url()),
                expected: self.size,
                found,
            }),
            _ => Ok(response),
        }
    }
}

/// The length of the whole blob in an answer with a part of it; `*` is no length.
fn total(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit_once('/')?.1.trim().parse().ok()
}

fn starts_at(response: &Response, offset: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}
