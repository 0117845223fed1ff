//! Blobs on their way in: in one request, in two, in chunks, or mounted from elsewhere.
//!
//! Source: OCI distribution-spec 1.1, "Pushing Blobs".

use std::io::{self, Read};

use super::Quirk;
use super::api::{Api, DIGEST, error};
use super::auth::Access;
use super::http::{BodyReader, Head, Response};
use super::store::{Upload, lock};
use crate::digest::is_sha256;

/// Answers POST: begins an upload, or completes one at once.
pub(crate) fn begin(
    api: &Api,
    head: &Head,
    body: &mut BodyReader<'_>,
    repo: &str,
) -> io::Result<Response> {
    if let Some(digest) = head.query("mount").filter(|_| !api.has(Quirk::NoMount)) {
        if !is_sha256(&digest) {
            return Ok(error(400, DIGEST, &format!("{digest} is no sha256 digest")));
        }
        if may_mount(api, head, &digest) {
            api.store.link_blob(repo, &digest)?;
            return Ok(created(api, head, repo, &digest));
        }
    }
    let id = api.store.begin(repo)?;
    let Some(upload) = api.store.upload(&id) else {
        return Ok(unknown(&id));
    };
    let mut upload = lock(&upload);
    match head.query("digest").filter(|_| !api.has(Quirk::NoMonolithicPost)) {
        Some(digest) => {
            if let Err(refusal) = take(api, head, body, &mut upload)? {
                return Ok(refusal);
            }
            commit(api, head, &id, &upload, &digest)
        }
        None => Ok(accepted(api, head, &id, &upload)),
    }
}

/// Whether the content may be had without its bytes: the client must be allowed to read it where
/// it says that it is, or the registry looks everywhere.
fn may_mount(api: &Api, head: &Head, digest: &str) -> bool {
    match head.query("from") {
        Some(from) => api.store.has_blob(&from, digest) && api.auth.may_pull(head, &from),
        None => api.has(Quirk::AnonymousMount) && api.store.has_content(digest),
    }
}

/// Answers requests to an upload that has begun.
pub(crate) fn upload(
    api: &Api,
    head: &Head,
    body: &mut BodyReader<'_>,
    repo: &str,
    id: &str,
) -> io::Result<Response> {
    let Some(upload) = api.store.upload(id) else {
        return Ok(unknown(id));
    };
    let mut upload = lock(&upload);
    // The address is opaque: a client that puts it together again loses its state.
    if upload.repo != repo || head.query("_state").is_none() {
        return Ok(unknown(id));
    }
    match head.method.as_str() {
        "GET" => Ok(Response { status: 204, ..accepted(api, head, id, &upload) }),
        "DELETE" => {
            api.store.cancel(id, &upload)?;
            Ok(Response::new(204))
        }
        method => {
            let last = method == "PUT" && head.header("content-length") == Some("0");
            let refusal = check_order(api, head, id, &upload)
                .or_else(|| check_chunks(api, &upload).filter(|_| !last));
            if let Some(refusal) = refusal {
                return Ok(refusal);
            }
            let before = upload.mark();
            if let Err(refusal) = take(api, head, body, &mut upload)? {
                return Ok(refusal);
            }
            if let Some(refusal) = check_length(head, before.size, &upload) {
                upload.rewind(before)?;
                return Ok(refusal);
            }
            upload.last_chunk = (method == "PATCH").then_some(upload.size - before.size);
            match (method, head.query("digest")) {
                ("PATCH", _) => Ok(accepted(api, head, id, &upload)),
                (_, Some(digest)) => commit(api, head, id, &upload, &digest),
                (_, None) => Ok(error(400, DIGEST, "the digest parameter is missing")),
            }
        }
    }
}

/// Takes a request's body. The inner error is the answer to give: the token has ended since.
fn take(
    api: &Api,
    head: &Head,
    body: &mut BodyReader<'_>,
    upload: &mut Upload,
) -> io::Result<Result<(), Response>> {
    let before = upload.mark();
    // Addresses elsewhere are signed: there is no token to look at.
    let strict = api.has(Quirk::StrictTokens) && !head.path.starts_with("/storage/");
    let repo = upload.repo.clone();
    let taken = match strict {
        true => upload.append(Watched { api, head, repo: &repo, body, next: LOOK }),
        false => upload.append(body),
    };
    if taken.is_err() && api.has(Quirk::NoPartialUploads) {
        upload.rewind(before)?;
    }
    match taken {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let need = Some((repo.as_str(), Access::Push));
            // Whatever has ended does not begin again.
            Ok(api.auth.check_again(head, need))
        }
        taken => taken.map(Ok),
    }
}

/// After so many bytes the token is looked at again.
const LOOK: u64 = 1024 * 1024;

/// A body whose token is looked at while it comes, and at its end.
struct Watched<'a, 'b> {
    api: &'a Api,
    head: &'a Head,
    repo: &'a str,
    body: &'a mut BodyReader<'b>,
    next: u64,
}

impl Read for Watched<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        if count == 0 || self.body.read >= self.next {
            self.next = self.body.read + LOOK;
            let need = Some((self.repo, Access::Push));
            if self.api.auth.check_again(self.head, need).is_err() {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        }
        Ok(count)
    }
}

/// First and last byte of a `Content-Range`, which the specification writes without a unit.
fn content_range(head: &Head) -> Option<(Option<u64>, Option<u64>)> {
    let range = head.header("content-range")?;
    let range = range.strip_prefix("bytes ").unwrap_or(range);
    let range = range.split('/').next().unwrap_or_default();
    let (first, last) = range.split_once('-').unwrap_or((range, ""));
    Some((first.parse().ok(), last.parse().ok()))
}

/// A chunk must begin where the last one ended.
fn check_order(api: &Api, head: &Head, id: &str, upload: &Upload) -> Option<Response> {
    let (first, _) = content_range(head)?;
    if first == Some(upload.size) {
        return None;
    }
    let progress = accepted(api, head, id, upload);
    let refusal = error(416, "RANGE_INVALID", "the chunk is out of order");
    Some(progress.headers.into_iter().fold(refusal, |r, (name, value)| r.with(&name, value)))
}

/// A chunk must be as long as its range says.
fn check_length(head: &Head, before: u64, upload: &Upload) -> Option<Response> {
    let (first, last) = content_range(head)?;
    let (length, announced) = (upload.size - before, last?.checked_sub(first?)? + 1);
    let message = format!("{length} bytes came, and Content-Range names {announced}");
    (length != announced).then(|| error(400, "SIZE_INVALID", &message))
}

/// Only the last chunk may be small.
fn check_chunks(api: &Api, upload: &Upload) -> Option<Response> {
    let least = api.limits.min_chunk?;
    let short = upload.last_chunk.filter(|length| *length < least)?;
    let message =
        format!("the chunk before had {short} bytes; only the last may have under {least}");
    Some(error(400, "SIZE_INVALID", &message))
}

fn commit(api: &Api, head: &Head, id: &str, upload: &Upload, digest: &str) -> io::Result<Response> {
    if upload.digest() != digest {
        api.store.cancel(id, upload)?;
        let message = format!("the content's digest is {}, not {digest}", upload.digest());
        return Ok(error(400, DIGEST, &message));
    }
    api.store.commit(id, upload)?;
    Ok(created(api, head, &upload.repo, digest))
}

/// The answer that tells where and from which byte on the upload continues.
fn accepted(api: &Api, head: &Head, id: &str, upload: &Upload) -> Response {
    let path = format!("/v2/{}/blobs/uploads/{id}?_state={}", upload.repo, upload.size);
    let location = match api.storage.as_ref().filter(|_| api.has(Quirk::UploadsElsewhere)) {
        Some(storage) => format!("http://{storage}/storage{path}"),
        None => location(api, head, &path),
    };
    let response = Response::new(202)
        .with("Location", location)
        .with("Range", format!("0-{}", upload.size.saturating_sub(1)))
        .with("Docker-Upload-UUID", id);
    match api.limits.min_chunk {
        Some(least) => response.with("OCI-Chunk-Min-Length", least.to_string()),
        None => response,
    }
}

fn created(api: &Api, head: &Head, repo: &str, digest: &str) -> Response {
    let path = format!("/v2/{repo}/blobs/{digest}");
    let location = location(api, head, &path);
    Response::new(201).with("Location", location).with("Docker-Content-Digest", digest)
}

fn location(api: &Api, head: &Head, path: &str) -> String {
    match head.header("host").filter(|_| !api.has(Quirk::RelativeLocation)) {
        Some(host) => format!("http://{host}{path}"),
        None => path.to_owned(),
    }
}

fn unknown(id: &str) -> Response {
    error(404, "BLOB_UPLOAD_UNKNOWN", &format!("upload {id} is unknown to this repository"))
}
