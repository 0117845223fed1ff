//! Manifests, tags and referrers.
//!
//! Source: OCI distribution-spec 1.1, "Pulling manifests", "Pushing Manifests", "Listing Tags" and
//! "Listing Referrers".

use std::io::{self, Read};

use serde_json::{Map, Value, json};

use super::Quirk;
use super::api::{Api, DIGEST, JSON, error, error_about};
use super::http::{BodyReader, Head, Response};
use super::store::StoredManifest;
use crate::digest::{is_sha256, sha256};

/// Largest manifest that is taken: the least that the specification asks a registry to take.
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Answers GET and HEAD of a manifest.
pub(crate) fn get(api: &Api, head: &Head, repo: &str, reference: &str) -> Response {
    let Some(manifest) = api.store.manifest(repo, reference) else {
        return unknown(reference);
    };
    if !accepts(head, &manifest.media_type) {
        // As distribution does for OCI types; Docker Hub and GitLab run it.
        let message = format!("the Accept header does not allow for {}", manifest.media_type);
        return error(404, "MANIFEST_UNKNOWN", &message);
    }
    Response::new(200)
        .bytes(&manifest.media_type, manifest.bytes)
        .with("Docker-Content-Digest", manifest.digest)
}

fn accepts(head: &Head, media_type: &str) -> bool {
    let mut lines = head.headers_named("accept").peekable();
    let types = |line: &str| {
        let mut types = line.split(',').map(|t| t.split(';').next().unwrap_or_default().trim());
        types.any(|t| t == media_type || t == "*/*" || t == "application/*")
    };
    lines.peek().is_none() || lines.any(types)
}

/// Answers PUT of a manifest.
pub(crate) fn put(
    api: &Api,
    head: &Head,
    body: &mut BodyReader<'_>,
    repo: &str,
    reference: &str,
) -> io::Result<Response> {
    let mut bytes = Vec::new();
    body.take(MAX_MANIFEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_MANIFEST {
        return Ok(error(413, "SIZE_INVALID", "a manifest may have 4 MiB at most"));
    }
    let digest = sha256(&bytes);
    let tag = (!reference.contains(':')).then_some(reference);
    if tag.is_none() && reference != digest {
        return Ok(error(400, DIGEST, &format!("the content's digest is {digest}")));
    }
    let manifest = match check(api, head, repo, &bytes) {
        Ok(manifest) => manifest,
        Err(refusal) => return Ok(refusal),
    };
    if let Some(tag) = tag.filter(|_| api.has(Quirk::ImmutableTags))
        && api.store.resolve(repo, tag).is_some_and(|old| old != digest)
    {
        let message = format!("tag {tag} exists and is immutable");
        return Ok(error(400, "TAG_INVALID", &message));
    }
    let media_type = head.header("content-type").unwrap_or_default();
    api.store.put_manifest(repo, tag, media_type, &bytes)?;
    let mut response = Response::new(201)
        .with("Location", format!("/v2/{repo}/manifests/{digest}"))
        .with("Docker-Content-Digest", digest);
    let subject = manifest["subject"]["digest"].as_str();
    if let Some(subject) = subject.filter(|_| !api.has(Quirk::NoReferrers)) {
        response = response.with("OCI-Subject", subject);
    }
    Ok(response)
}

/// Parses a manifest and checks that all it refers to is there. The error is the answer.
fn check(api: &Api, head: &Head, repo: &str, bytes: &[u8]) -> Result<Value, Response> {
    let invalid = |message: &str| error(400, "MANIFEST_INVALID", message);
    let manifest: Value =
        serde_json::from_slice(bytes).map_err(|problem| invalid(&problem.to_string()))?;
    let sent = head.header("content-type").ok_or_else(|| invalid("no Content-Type"))?;
    if manifest["schemaVersion"] != 2 {
        return Err(invalid("schemaVersion is not 2"));
    }
    if manifest["mediaType"].as_str().is_some_and(|own| own != sent) {
        return Err(invalid("mediaType differs from Content-Type"));
    }
    let list = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
    let is_index = sent == OCI_INDEX || sent.contains("manifest.list");
    let (blobs, manifests) = match is_index {
        true => (Vec::new(), list("manifests")),
        false => ([vec![manifest["config"].clone()], list("layers")].concat(), Vec::new()),
    };
    for blob in &blobs {
        let digest = descriptor(blob).ok_or_else(|| invalid("a descriptor is malformed"))?;
        // Foreign layers live elsewhere.
        if blob["urls"].is_null() && !api.store.has_blob(repo, digest) {
            let message = format!("blob {digest} is unknown to this repository");
            let detail = json!({ "digest": digest });
            return Err(error_about(404, "MANIFEST_BLOB_UNKNOWN", &message, detail));
        }
        let stored = std::fs::metadata(api.store.content(digest)).map(|found| found.len());
        if stored.is_ok_and(|stored| blob["size"] != stored) {
            return Err(invalid(&format!("the size of {digest} is not the blob's")));
        }
    }
    for child in &manifests {
        let digest = descriptor(child).ok_or_else(|| invalid("a descriptor is malformed"))?;
        if api.store.resolve(repo, digest).is_none() {
            let message = format!("manifest {digest} is unknown to this repository");
            let detail = json!({ "digest": digest });
            return Err(error_about(404, "MANIFEST_BLOB_UNKNOWN", &message, detail));
        }
    }
    Ok(manifest)
}

/// The digest of a descriptor that has all that a descriptor needs.
fn descriptor(value: &Value) -> Option<&str> {
    let complete = value["mediaType"].is_string() && value["size"].is_u64();
    value["digest"].as_str().filter(|digest| complete && is_sha256(digest))
}

/// Answers DELETE of a tag or of a manifest.
pub(crate) fn delete(api: &Api, repo: &str, reference: &str) -> io::Result<Response> {
    match api.store.delete_manifest(repo, reference)? {
        true => Ok(Response::new(202)),
        false => Ok(unknown(reference)),
    }
}

fn unknown(reference: &str) -> Response {
    error(404, "MANIFEST_UNKNOWN", &format!("manifest {reference} is unknown to this repository"))
}

/// Answers a request for the tags, in pages if the client asks for them.
pub(crate) fn tags(api: &Api, head: &Head, repo: &str) -> Response {
    if !api.store.has_repo(repo) {
        return error(404, "NAME_UNKNOWN", &format!("repository {repo} is unknown"));
    }
    let mut tags = api.store.tags(repo);
    if let Some(last) = head.query("last") {
        tags.retain(|tag| *tag > last);
    }
    let limit = head.query("n").and_then(|n| n.parse::<usize>().ok()).unwrap_or(usize::MAX);
    let more = tags.len() > limit;
    tags.truncate(limit);
    let answer = json!({ "name": repo, "tags": tags });
    let response = Response::new(200).bytes(JSON, answer.to_string());
    match tags.last().filter(|_| more) {
        Some(last) => {
            let next = format!("</v2/{repo}/tags/list?n={limit}&last={last}>; rel=\"next\"");
            response.with("Link", next)
        }
        None => response,
    }
}

/// Answers a request for the manifests that have this one as their subject.
pub(crate) fn referrers(api: &Api, head: &Head, repo: &str, digest: &str) -> Response {
    if api.has(Quirk::NoReferrers) {
        return error(404, "UNSUPPORTED", "there is no such endpoint here");
    }
    if !is_sha256(digest) {
        return error(400, DIGEST, &format!("{digest} is no sha256 digest"));
    }
    let filter = head.query("artifactType");
    let manifests = api.store.manifests(repo).into_iter();
    let found: Vec<Value> = manifests
        .filter_map(|candidate| api.store.manifest(repo, &candidate))
        .filter_map(|stored| referrer(&stored, digest))
        .filter(|found| filter.as_deref().is_none_or(|kind| found["artifactType"] == kind))
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found });
    let response = Response::new(200).bytes(OCI_INDEX, index.to_string());
    match filter {
        Some(_) => response.with("OCI-Filters-Applied", "artifactType"),
        None => response,
    }
}

/// The descriptor of a manifest, if that digest is its subject.
fn referrer(stored: &StoredManifest, subject: &str) -> Option<Value> {
    let manifest: Value = serde_json::from_slice(&stored.bytes).ok()?;
    if manifest["subject"]["digest"] != subject {
        return None;
    }
    let kinds = [&manifest["artifactType"], &manifest["config"]["mediaType"]];
    let mut found = Map::new();
    found.insert("mediaType".to_owned(), stored.media_type.clone().into());
    found.insert("digest".to_owned(), stored.digest.clone().into());
    found.insert("size".to_owned(), stored.bytes.len().into());
    if let Some(kind) = kinds.into_iter().find(|kind| kind.is_string()) {
        found.insert("artifactType".to_owned(), kind.clone());
    }
    if !manifest["annotations"].is_null() {
        found.insert("annotations".to_owned(), manifest["annotations"].clone());
    }
    Some(Value::Object(found))
}
