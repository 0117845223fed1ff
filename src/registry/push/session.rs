//! The requests of an upload, one by one.
//!
//! Source: OCI distribution-spec, "Pushing blobs" and "Mounting a blob".

use reqwest::{Method, StatusCode, Url};

use super::super::error::RegistryError;
use super::super::transport::{Place, Request, Target, Transport, is_one_of};
use crate::digest::Digest;

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
    Upload(Url),
}

impl Session<'_> {
    /// HEAD of a blob.
    pub(super) async fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let target = Target::Path(format!("blobs/{digest}"));
        let action = format!("look for the blob {digest} in `{}`", self.place.name);
        let request = Request::new(Method::HEAD, self.place, target, action);
        let response = self.transport.send(&request, None).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if is_one_of(status, &[200, 204]) => Ok(true),
            _ => Err(self.transport.failure(&request, response).await),
        }
    }

    /// POST for a new upload.
    pub(super) async fn begin(&self) -> Result<Url, RegistryError> {
        let request = self.post("blobs/uploads/".into());
        let response = self.transport.expect(&request, &[202]).await?;
        self.transport.location(&request, &response)
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
                Ok(Begun::Upload(self.transport.location(&request, &response)?))
            }
            Err(error) if error.is_cancelled() => Err(error),
            _ => Ok(Begun::Upload(self.begin().await?)),
        }
    }

    /// The PUT that sends a blob to an upload in one piece, but for its body.
    pub(super) fn put(&self, mut upload: Url, digest: &Digest) -> Request {
        upload.query_pairs_mut().append_pair("digest", &digest.to_string());
        let action = format!("upload the blob {digest} to `{}`", self.place.name);
        Request::new(Method::PUT, self.place, Target::Url(upload), action)
            .header(reqwest::header::CONTENT_TYPE, "application/octet-stream")
            .what("the upload that the registry had begun")
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
}

/// For a 404 of a push.
pub(super) fn repository_name(place: &Place) -> String {
    format!(
        "the repository `{}/{}` (some registries, such as Amazon ECR, want it to be made before the \
         first push)",
        place.registry, place.name
    )
}
