//! The requests for manifests that a push makes, and what their refusals mean.

use reqwest::{Method, StatusCode};

use super::super::error::RegistryError;
use super::super::pull::{MANIFEST_MAX, content_digest, image_name, manifest_request};
use super::super::transport::{Request, is_one_of, read_body};
use super::Pusher;
use crate::digest::Digest;

impl Pusher {
    pub(super) async fn put(
        &self,
        request: &Request,
        digest: Digest,
        version: &str,
    ) -> Result<Digest, RegistryError> {
        let response = self.client.transport().send(request, None).await?;
        if is_one_of(response.status(), &[200, 201, 202, 204]) {
            return match content_digest(response.headers()) {
                Some(found) if found != digest => Err(RegistryError::Digest {
                    what: format!("the manifest `{}`", image_name(&self.repository, version)),
                    host: self.place.host().to_owned(),
                    expected: digest,
                    found,
                }),
                _ => Ok(digest),
            };
        }
        let status = response.status();
        let error = self.client.transport().failure(request, response).await;
        if let Some(media_type) = unknown_media_type(error.said()) {
            return Err(RegistryError::MediaType {
                reference: image_name(&self.repository, version),
                advice: advice(&media_type),
                media_type,
                said: error.said().to_owned(),
            });
        }
        // The repository is there, and something that the manifest names is not.
        if status == StatusCode::NOT_FOUND && error.said().contains("BLOB_UNKNOWN") {
            return Err(RegistryError::Status {
                host: self.place.host().to_owned(),
                action: request.action.clone(),
                status: status.as_u16(),
                retry_after: None,
                said: error.said().to_owned(),
            });
        }
        if !is_about_tag(status, &error) {
            return Err(error);
        }
        match self.head(version).await {
            Ok(Some(found)) if found == digest => Ok(digest),
            Ok(Some(_)) => Err(RegistryError::ImmutableTag {
                reference: image_name(&self.repository, version),
                said: error.said().to_owned(),
            }),
            _ => Err(error),
        }
    }

    pub(super) async fn head(&self, version: &str) -> Result<Option<Digest>, RegistryError> {
        let transport = self.client.transport();
        let head = manifest_request(Method::HEAD, &self.place, version);
        let response = transport.send(&head, None).await?;
        match response.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::OK => {}
            _ => return Err(transport.failure(&head, response).await),
        }
        if let Some(digest) = content_digest(response.headers()) {
            return Ok(Some(digest));
        }
        // The header is optional for registries.
        let get = manifest_request(Method::GET, &self.place, version);
        let response = transport.expect(&get, &[200]).await?;
        let bytes = read_body(response, self.place.host(), MANIFEST_MAX, &get.action).await?;
        Ok(Some(Digest::of(&bytes)))
    }
}

/// Whether a refusal may mean that the tag exists and must not change. ECR answers 400
/// `ImageTagAlreadyExistsException` or TAG_INVALID, Artifact Registry 400 or 409 with "immutability",
/// Harbor 412, GitLab 403 with a sentence. Statuses alone say it only where there are no words: a 409
/// may be two pushes at the same moment.
fn is_about_tag(status: StatusCode, error: &RegistryError) -> bool {
    let said = error.said().to_ascii_lowercase();
    let words = ["immutab", "already exists", "alreadyexists", "tag_invalid", "overwrite"];
    matches!(status.as_u16(), 409 | 412) && said.is_empty()
        || status.is_client_error() && words.iter().any(|word| said.contains(word))
}

/// Whether another request was in the way: a 409 that is about no tag.
pub(super) fn is_conflict(error: &RegistryError) -> bool {
    let conflict = matches!(error, RegistryError::Status { status: 409, .. });
    conflict && !is_about_tag(StatusCode::CONFLICT, error)
}

/// The type that a registry with a list of those that it takes says it does not know. GitLab's:
/// MANIFEST_INVALID with the detail `unknown media type: TYPE`
/// (<https://gitlab.com/gitlab-org/container-registry/-/issues/1679>).
fn unknown_media_type(said: &str) -> Option<String> {
    let lower = said.to_ascii_lowercase();
    let words = ["unknown media type", "unsupported media type", "media type not supported"];
    let at = words.iter().find_map(|words| lower.find(words))?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || "/.+-_".contains(c);
    let types = |text: &str| {
        let mut words = text.split(|c: char| !is_part(c));
        words.find(|word| word.contains('/')).map(|word| word.trim_end_matches('.').to_owned())
    };
    types(said.get(at..)?).or_else(|| types(said))
}

/// What makes an image without a type.
fn advice(media_type: &str) -> &'static str {
    match media_type {
        zstd if zstd.contains("zstd") => ". Build with --compression gzip",
        layer if layer.contains(".nondistributable") || layer.contains(".foreign") => {
            ". It is a layer of the base image: use another base"
        }
        docker if docker.contains("vnd.docker.") => ". Build with --image-format oci",
        oci if oci.contains("vnd.oci.image.") => ". Build with --image-format docker",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_about_a_tag_by_its_words() {
        for (status, said, about_tag, conflict) in [
            (409, "CONFLICT: tag is immutable", true, false),
            (409, "the repository has enabled tag immutability", true, false),
            (409, "", true, false),
            (409, "CONFLICT: another upload of this manifest is running", false, true),
            (412, "PRECONDITION: configured as immutable", true, false),
            (412, "", true, false),
            (412, "PRECONDITION: the project's quota is spent", false, false),
            (400, "ImageTagAlreadyExistsException: no", true, false),
            (400, "", false, false),
            (503, "immutable", false, false),
        ] {
            let error = RegistryError::Status {
                host: "r.io".into(),
                action: "test".into(),
                status,
                retry_after: None,
                said: said.into(),
            };
            let code = StatusCode::from_u16(status).expect("a status");
            assert_eq!(is_about_tag(code, &error), about_tag, "{status} {said}");
            assert_eq!(is_conflict(&error), conflict, "{status} {said}");
        }
    }

    #[test]
    fn the_type_is_found_in_what_registries_say() {
        for (said, media_type, part) in [
            (
                "MANIFEST_INVALID: manifest invalid (unknown media type: \
                 application/vnd.oci.image.layer.v1.tar+zstd)",
                Some("application/vnd.oci.image.layer.v1.tar+zstd"),
                "gzip",
            ),
            (
                "Unsupported media type `application/vnd.oci.image.index.v1+json`.",
                Some("application/vnd.oci.image.index.v1+json"),
                "--image-format docker",
            ),
            (
                "application/vnd.docker.distribution.manifest.v2+json: unknown media type",
                Some("application/vnd.docker.distribution.manifest.v2+json"),
                "--image-format oci",
            ),
            ("unknown media type", None, ""),
            ("MANIFEST_INVALID: no application/json", None, ""),
        ] {
            let found = unknown_media_type(said);
            assert_eq!(found.as_deref(), media_type, "{said}");
            assert!(found.is_none_or(|found| advice(&found).contains(part)), "{said}");
        }
    }
}
