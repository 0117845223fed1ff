//! Blobs on their way in: in one request, in two, in chunks, or mounted from elsewhere.
//!
//! Source: OCI distribution-spec 1.1, "Pushing Blobs".

use std::io;

use super::Quirk;
use super::api::{Api, DIGEST, error};
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
            upload.append(body)?;
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
            if let Some(refusal) = check_order(api, head, id, &upload) {
                return Ok(refusal);
            }
            upload.append(body)?;
            match (method, head.query("digest")) {
                ("PATCH", _) => Ok(accepted(api, head, id, &upload)),
                (_, Some(digest)) => commit(api, head, id, &upload, &digest),
                (_, None) => Ok(error(400, DIGEST, "the digest parameter is missing")),
            }
        }
    }
}

/// A chunk must begin where the last one ended.
fn check_order(api: &Api, head: &Head, id: &str, upload: &Upload) -> Option<Response> {
    let range = head.header("content-range")?;
    let range = range.strip_prefix("bytes ").unwrap_or(range);
    let first = range.split_once('-').and_then(|(first, _)| first.parse::<u64>().ok());
    if first == Some(upload.size) {
        return None;
    }
    let progress = accepted(api, head, id, upload);
    let refusal = error(416, "RANGE_INVALID", "the chunk is out of order");
    Some(progress.headers.into_iter().fold(refusal, |r, (name, value)| r.with(&name, value)))
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
    Response::new(202)
        .with("Location", location(api, head, &path))
        .with("Range", format!("0-{}", upload.size.saturating_sub(1)))
        .with("Docker-Upload-UUID", id)
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
