//! From a request to its answer: names and routes, and what concerns the registry as a whole.
//!
//! Source: OCI distribution-spec 1.1, "Endpoints" and "Error Codes".

use std::fs::File;
use std::io::{self, Read};

use serde_json::{Value, json};

use super::Quirk;
use super::auth::{Access, Auth, TOKEN_PATH};
use super::http::{Body, BodyReader, Head, Response};
use super::limits::Limits;
use super::store::Store;
use super::{blobs, manifests, uploads};
use crate::digest::is_sha256;

/// Largest token request that is read.
const MAX_FORM: u64 = 64 * 1024;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Api {
    pub store: Store,
    pub auth: Auth,
    pub quirks: Vec<Quirk>,
    pub limits: Limits,
    /// Host and port of the storage that blobs are redirected to, or uploads go to.
    pub storage: Option<String>,
}

/// What a path under `/v2/` names.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    Base,
    Catalog,
    Tags(&'a str),
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Uploads(&'a str),
    Upload(&'a str, &'a str),
    Referrers(&'a str, &'a str),
}

impl<'a> Route<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let path = match path {
            "/v2" | "/v2/" => return Some(Self::Base),
            "/v2/_catalog" => return Some(Self::Catalog),
            _ => path.strip_prefix("/v2/")?,
        };
        if let Some(repo) = path.strip_suffix("/tags/list") {
            return Some(Self::Tags(repo));
        }
        let uploads = path.strip_suffix('/').unwrap_or(path).strip_suffix("/blobs/uploads");
        if let Some(repo) = uploads {
            return Some(Self::Uploads(repo));
        }
        let (front, last) = path.rsplit_once('/')?;
        let route = |kind| front.strip_suffix(kind);
        if let Some(repo) = route("/blobs/uploads") {
            return Some(Self::Upload(repo, last));
        }
        if let Some(repo) = route("/blobs") {
            return Some(Self::Blob(repo, last));
        }
        if let Some(repo) = route("/manifests") {
            return Some(Self::Manifest(repo, last));
        }
        route("/referrers").map(|repo| Self::Referrers(repo, last))
    }

    fn repo(&self) -> Option<&'a str> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Tags(repo)
            | Self::Manifest(repo, _)
            | Self::Blob(repo, _)
            | Self::Uploads(repo)
            | Self::Upload(repo, _)
            | Self::Referrers(repo, _) => Some(repo),
        }
    }

    /// What the method does to the repository. An upload's status is part of pushing.
    fn access(&self, method: &str) -> Access {
        match (self, method) {
            (Self::Uploads(_) | Self::Upload(..), _) => Access::Push,
            (_, "GET" | "HEAD") => Access::Pull,
            (_, "DELETE") => Access::Delete,
            _ => Access::Push,
        }
    }
}

impl Api {
    /// Whether the registry was told to behave so.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// Answers one request.
    ///
    /// # Errors
    /// When the client's connection or the store's disk fails; there is no answer then.
    pub fn answer(&self, head: &Head, body: &mut BodyReader<'_>) -> io::Result<Response> {
        if head.path == TOKEN_PATH {
            let mut form = String::new();
            body.take(MAX_FORM).read_to_string(&mut form)?;
            return Ok(self.auth.issue(head, &form));
        }
        if let Some(refusal) = self.limits.refuse(head) {
            return Ok(refusal);
        }
        if let Some(path) = head.path.strip_prefix("/storage/") {
            return self.storage(head, body, path);
        }
        let Some(route) = Route::parse(&head.path) else {
            return Ok(error(404, "UNSUPPORTED", "no such endpoint"));
        };
        if let Some(repo) = route.repo().filter(|repo| !is_name(repo)) {
            return Ok(error(400, "NAME_INVALID", &format!("{repo} is no repository name")));
        }
        let need = route.repo().map(|repo| (repo, route.access(&head.method)));
        if let Err(refusal) = self.auth.check(head, need) {
            return Ok(refusal);
        }
        if head.method == "HEAD" && self.has(Quirk::NoHead) {
            return Ok(method_not_allowed());
        }
        self.dispatch(&route, head, body)
    }

    fn dispatch(
        &self,
        route: &Route<'_>,
        head: &Head,
        body: &mut BodyReader<'_>,
    ) -> io::Result<Response> {
        match (route, head.method.as_str()) {
            (Route::Base, "GET" | "HEAD") => Ok(Response::new(200).bytes(JSON, "{}")),
            (Route::Catalog, "GET") => {
                let names = self.store.repositories();
                Ok(Response::new(200).bytes(JSON, json!({ "repositories": names }).to_string()))
            }
            (Route::Tags(repo), "GET") => Ok(manifests::tags(self, head, repo)),
            (Route::Manifest(repo, reference), method) => {
                if !is_tag(reference) && !is_sha256(reference) {
                    let code = if reference.contains(':') { DIGEST } else { "TAG_INVALID" };
                    return Ok(error(400, code, &format!("{reference} is no tag and no digest")));
                }
                match method {
                    "GET" | "HEAD" => Ok(manifests::get(self, head, repo, reference)),
                    "PUT" => manifests::put(self, head, body, repo, reference),
                    "DELETE" => manifests::delete(self, repo, reference),
                    _ => Ok(method_not_allowed()),
                }
            }
            (Route::Blob(repo, digest), method) => {
                if !is_sha256(digest) {
                    return Ok(error(400, DIGEST, &format!("{digest} is no sha256 digest")));
                }
                match method {
                    "GET" | "HEAD" => blobs::get(self, head, repo, digest),
                    "DELETE" => blobs::delete(self, repo, digest),
                    _ => Ok(method_not_allowed()),
                }
            }
            (Route::Uploads(repo), "POST") => uploads::begin(self, head, body, repo),
            (Route::Upload(repo, id), "GET" | "PATCH" | "PUT" | "DELETE") => {
                let missing = match head.method.as_str() {
                    "GET" => self.has(Quirk::NoUploadStatus),
                    "PATCH" => self.has(Quirk::NoPatch),
                    _ => false,
                };
                if missing {
                    return Ok(method_not_allowed());
                }
                uploads::upload(self, head, body, repo, id)
            }
            (Route::Referrers(repo, digest), "GET") => {
                Ok(manifests::referrers(self, head, repo, digest))
            }
            _ => Ok(method_not_allowed()),
        }
    }

    /// The object storage behind a registry. It signs its addresses, and as Amazon's does it
    /// refuses a request that brings a second kind of authorization along.
    fn storage(&self, head: &Head, body: &mut BodyReader<'_>, path: &str) -> io::Result<Response> {
        if head.header("authorization").is_some() {
            return Ok(error(400, "InvalidArgument", "only one auth mechanism allowed"));
        }
        if let Some(Route::Upload(repo, id)) = Route::parse(&format!("/{path}")) {
            return uploads::upload(self, head, body, repo, id);
        }
        if !is_sha256(path) || !self.store.has_content(path) {
            return Ok(error(404, "NoSuchKey", "no such object"));
        }
        let file = File::open(self.store.content(path))?;
        let length = file.metadata()?.len();
        Ok(blobs::ranged(head, Body::File { file, start: 0, length }))
    }
}

/// Content type of the registry's own answers.
pub(crate) const JSON: &str = "application/json; charset=utf-8";
/// Error code for digests that are malformed or do not fit.
pub(crate) const DIGEST: &str = "DIGEST_INVALID";

/// An error answer in the specification's form.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Response {
    error_about(status, code, message, Value::Null)
}

/// An error answer with details.
pub(crate) fn error_about(status: u16, code: &str, message: &str, detail: Value) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": detail }] });
    Response::new(status).bytes(JSON, body.to_string())
}

fn method_not_allowed() -> Response {
    error(405, "UNSUPPORTED", "the operation is unsupported")
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` per component, at most 255 characters.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 255 && name.split('/').all(is_component)
}

fn is_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = component.split(alphanumeric).filter(|separator| !separator.is_empty());
    component.starts_with(alphanumeric) && component.ends_with(alphanumeric) && { separators }
        .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let cases = [
            ("/v2", Some(Route::Base)),
            ("/v2/", Some(Route::Base)),
            ("/v2/a/b/tags/list", Some(Route::Tags("a/b"))),
            ("/v2/a/manifests/latest", Some(Route::Manifest("a", "latest"))),
            ("/v2/a/blobs/uploads", Some(Route::Uploads("a"))),
            ("/v2/a/blobs/uploads/", Some(Route::Uploads("a"))),
            ("/v2/a/blobs/uploads/7", Some(Route::Upload("a", "7"))),
            ("/v2/a/blobs/sha256:0", Some(Route::Blob("a", "sha256:0"))),
            ("/v2/manifests", None),
            ("/v1/", None),
            ("/v22/", None),
        ];
        for (path, route) in cases {
            assert_eq!(Route::parse(path), route, "{path}");
        }
    }

    #[test]
    fn names() {
        for name in ["a", "library/python", "a.b/c_d/e__f/g---h", "0"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "A", "a/", "/a", "a//b", "..", "a/../b", "a..b", "a___b", "_a", "-a"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
