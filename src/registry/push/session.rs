//! The requests of an upload that carry no bytes of the blob, one by one.
//!
//! Source: OCI distribution-spec, "Pushing blobs", "Mounting a blob" and "Pushing a blob in chunks".

use reqwest::header::{HeaderMap, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::super::error::RegistryError;
use super::super::transport::{Place, Request, Target, Transport, is_one_of};
use crate::digest::Digest;

/// Least length of a chunk but for the last one, which the answer to a POST may have.
const CHUNK_MIN_LENGTH: &str = "oci-chunk-min-length";

/// A registry's repository that is written to.
#[derive(Clone, Copy)]
pub(super) struct Session<'a> {
    pub(super) transport: &'a Transport,
    pub(super) place: &'a Place,
}

/// What a request for an upload led to.
#[derive(Debug)]
pub(super) enum Begun {
    /// The blob is there now.
    Mounted,
    /// Its bytes go here.
    Upload(Opened),
}

/// An upload that the registry has begun.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) url: Url,
    /// Chunks have at least so many bytes; `None` where the registry speaks of no chunks.
    pub(super) chunk_min: Option<u64>,
}

/// What a registry says of an upload.
#[derive(Debug)]
pub(super) struct Standing {
    /// Where it goes on.
    pub(super) url: Url,
    /// Bytes that the registry has.
    pub(super) offset: u64,
}

impl Session<'_> {
    /// HEAD of a blob.
    pub(super) async fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let target = Target::Path(format!("blobs/{digest}"));
        let action = format!("look for the blob {digest} in `{}`", self.place.name);
        let request = Request::new(Method::HEAD, self.place, target, action);
        let response = self.transport.send(&request, None).await?;
        match response.status() {
            // What knows no HEAD is not asked again: the upload says whether it works.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Ok(false),
            status if is_one_of(status, &[200, 204]) => Ok(true),
            _ => Err(self.transport.failure(&request, response).await),
        }
    }

    /// POST for a new upload.
    pub(super) async fn begin(&self) -> Result<Opened, RegistryError> {
        let request = self.post("blobs/uploads/".into());
        let response = self.transport.expect(&request, &[202]).await?;
        self.opened(&request, &response)
    }

    /// POST for a mount. A registry that cannot or does not want to answers with an upload; one that
    /// refuses (the source may be private, or the token server may not give both scopes) is asked
    /// for an upload: a mount is never worth a failure.
    pub(super) async fn mount(&self, digest: &Digest, from: &str) -> Result<Begun, RegistryError> {
        // Names are of the grammar, so they need no escapes in a query.
        let mut request = self.post(format!("blobs/uploads/?mount={digest}&from={from}"));
        request.also_pull = Some(from.to_owned());
        match self.transport.send(&request, None).await {
            Ok(response) if response.status() == StatusCode::CREATED => Ok(Begun::Mounted),
            Ok(response) if response.status() == StatusCode::ACCEPTED => {
                Ok(Begun::Upload(self.opened(&request, &response)?))
            }
            Err(error) if error.is_cancelled() => Err(error),
            _ => Ok(Begun::Upload(self.begin().await?)),
        }
    }

    /// GET of an upload: how far it is. `None` where the registry does not say.
    pub(super) async fn standing(&self, upload: &Url) -> Result<Option<Standing>, RegistryError> {
        let target = Target::Url(upload.clone());
        let action = format!("ask how far an upload to `{}` is", self.place.name);
        let request = Request::new(Method::GET, self.place, target, action)
            .what("the upload that the registry had begun");
        let response = self.transport.expect(&request, &[200, 202, 204]).await?;
        let Some(offset) = offset(response.headers()) else { return Ok(None) };
        let next = self.transport.next_location(&request, &response)?;
        Ok(Some(Standing { url: next.unwrap_or_else(|| upload.clone()), offset }))
    }

    /// DELETE of an upload.
    pub(super) async fn cancel(&self, upload: Url) -> Result<(), RegistryError> {
        let request =
            Request::new(Method::DELETE, self.place, Target::Url(upload), "cancel an upload");
        self.transport.send(&request, None).await.map(|_| ())
    }

    fn post(&self, path: String) -> Request {
        let action = format!("push to `{}`", self.place.name);
        Request::new(Method::POST, self.place, Target::Path(path), action)
            .what(repository_name(self.place))
    }

    fn opened(
        &self,
        request: &Request,
        response: &reqwest::Response,
    ) -> Result<Opened, RegistryError> {
        let text = response.headers().get(CHUNK_MIN_LENGTH).and_then(|text| text.to_str().ok());
        let chunk_min = text.and_then(|text| text.trim().parse().ok());
        Ok(Opened { url: self.transport.location(request, response)?, chunk_min })
    }
}

/// The number of bytes that a registry has by its `Range: 0-N`, which names the last one. `0-0` is
/// what distribution says of none as well as of one; Quay writes `bytes=` before it.
pub(super) fn offset(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RANGE)?.to_str().ok()?.trim();
    let last: u64 = text.strip_prefix("bytes=").unwrap_or(text).strip_prefix("0-")?.parse().ok()?;
    Some(if last == 0 { 0 } else { last.saturating_add(1) })
}

/// For a 404 of a push.
pub(super) fn repository_name(place: &Place) -> String {
    format!(
        "the repository `{}/{}` (some registries, such as Amazon ECR, want it to be made before the \
         first push)",
        place.registry, place.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn a_range_names_the_last_byte() {
        for (text, expected) in [
            ("0-0", Some(0)),
            ("0-1", Some(2)),
            ("bytes=0-99", Some(100)),
            (" 0-5 ", Some(6)),
            ("0--1", None),
            ("5-9", None),
            ("0-", None),
            ("", None),
            ("0-99999999999999999999", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_str(text).expect("a header"));
            assert_eq!(offset(&headers), expected, "{text}");
        }
        assert_eq!(offset(&HeaderMap::new()), None);
    }
}
