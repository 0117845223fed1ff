//! A manifest or index as it is, for whoever passes it on.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::client::Client;
use super::error::RegistryError;
use super::pull::{MANIFEST_MAX, content_digest, image_name, manifest_request};
use super::reference::{Reference, Repository};
use super::transport::{Place, read_body};
use crate::digest::Digest;

/// A manifest or index, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteDocument {
    /// Where it is.
    pub repository: Repository,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The media type that the registry gave it; may be empty.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
}

impl Client {
    /// What a reference names, of the registry itself and of no mirror: a tag may have been set just
    /// now.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`], [`RegistryError::Digest`], and all that connections can be.
    pub fn document(&self, reference: &Reference) -> Result<RemoteDocument, RegistryError> {
        let repository = reference.repository();
        let version = reference.version();
        let name = image_name(&repository, &version);
        let request = manifest_request(Method::GET, &Place::pull(&repository), &version)
            .what(format!("the image `{name}`"));
        let host = repository.host();
        let ask = async || {
            let response = self.transport().expect(&request, &[200]).await?;
            let announced = content_digest(response.headers());
            let media_type = response.headers().get(CONTENT_TYPE);
            let media_type = media_type.and_then(|it| it.to_str().ok()).unwrap_or_default();
            let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
            let bytes = read_body(response, host, MANIFEST_MAX, &request.action).await?;
            let digest = Digest::of(&bytes);
            match reference.digest.or(announced) {
                Some(expected) if expected != digest => Err(RegistryError::Digest {
                    what: format!("the manifest of `{name}`"),
                    host: host.to_owned(),
                    expected,
                    found: digest,
                }),
                _ => {
                    Ok(RemoteDocument { repository: repository.clone(), bytes, media_type, digest })
                }
            }
        };
        self.engine().block_on(self.policy().run(ask))
    }
}
