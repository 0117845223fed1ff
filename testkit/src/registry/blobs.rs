//! Blobs on their way out.

use std::fs::File;
use std::io;

use super::Quirk;
use super::api::{Api, error};
use super::http::{Body, Head, Response};

/// Answers GET and HEAD of a blob.
pub(crate) fn get(api: &Api, head: &Head, repo: &str, digest: &str) -> io::Result<Response> {
    if !api.store.has_blob(repo, digest) {
        return Ok(unknown(digest));
    }
    if let Some(storage) = api.storage.as_ref().filter(|_| head.method == "GET") {
        let location = format!("http://{storage}/storage/{digest}?signature=testkit");
        return Ok(Response::new(307).with("Location", location));
    }
    let file = File::open(api.store.content(digest))?;
    let length = file.metadata()?.len();
    let whole = Body::File { file, start: 0, length };
    let response = match api.has(Quirk::NoRange) {
        true => Response { status: 200, headers: Vec::new(), body: whole },
        false => ranged(head, whole),
    };
    Ok(response.with("Docker-Content-Digest", digest))
}

/// Answers DELETE of a blob.
pub(crate) fn delete(api: &Api, repo: &str, digest: &str) -> io::Result<Response> {
    match api.store.unlink_blob(repo, digest)? {
        true => Ok(Response::new(202).with("Docker-Content-Digest", digest)),
        false => Ok(unknown(digest)),
    }
}

fn unknown(digest: &str) -> Response {
    error(404, "BLOB_UNKNOWN", &format!("blob {digest} is unknown to this repository"))
}

/// The part of a file that the request asks for, or all of it.
pub(crate) fn ranged(head: &Head, body: Body) -> Response {
    let Body::File { file, length, .. } = body else {
        return Response { status: 200, headers: Vec::new(), body };
    };
    let with_type = |response: Response| {
        response.with("Content-Type", "application/octet-stream").with("Accept-Ranges", "bytes")
    };
    let Some((first, last)) = head.header("range").and_then(|text| range(text, length)) else {
        let body = Body::File { file, start: 0, length };
        return with_type(Response { status: 200, headers: Vec::new(), body });
    };
    if first > last || first >= length {
        let refusal = error(416, "RANGE_INVALID", "the range lies outside of the blob");
        return refusal.with("Content-Range", format!("bytes */{length}"));
    }
    let body = Body::File { file, start: first, length: last - first + 1 };
    with_type(Response { status: 206, headers: Vec::new(), body })
        .with("Content-Range", format!("bytes {first}-{last}/{length}"))
}

/// First and last byte of a `Range` header with one range (RFC 9110, 14.1.2). Others are ignored,
/// as the RFC allows. The first lies beyond the last if the range cannot be satisfied.
fn range(text: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let end = length.saturating_sub(1);
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => Some((first, last.min(end))),
        (Ok(first), Err(_)) if last.is_empty() => Some((first, end)),
        (Err(_), Ok(0)) if first.is_empty() => Some((1, 0)),
        (Err(_), Ok(suffix)) if first.is_empty() => Some((length.saturating_sub(suffix), end)),
        _ => None,
    }
}
