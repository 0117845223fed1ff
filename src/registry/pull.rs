//! From a reference to an image: manifest, platform, config.

use std::sync::Arc;

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};

use super::error::RegistryError;
use super::memo::{Fetched, Memo};
use super::reference::{Reference, Repository};
use super::retry::Policy;
use super::transport::{Place, Request, Target, Transport, read_body};
use crate::digest::Digest;
use crate::image::manifest::ManifestError;
use crate::image::{
    DOCUMENT_MAX, Descriptor, Document, ImageConfig, Index, Manifest, Platform, media_type,
};

/// Largest manifest or index.
pub(super) const MANIFEST_MAX: usize = DOCUMENT_MAX as usize;
/// Largest config.
const CONFIG_MAX: usize = 8 << 20;
/// An index may name another, but no image needs more.
const NESTED_MAX: usize = 4;
/// Every document that kiln can use, in both spellings.
pub(super) const ACCEPTED: [&str; 4] = [
    media_type::OCI_INDEX,
    media_type::DOCKER_INDEX,
    media_type::OCI_MANIFEST,
    media_type::DOCKER_MANIFEST,
];
/// The header by which registries name a manifest.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// An image that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// What was asked for.
    pub reference: Reference,
    /// Where it was found: the registry or a mirror, with its prefix. Blobs are read from here.
    pub repository: Repository,
    /// Digest of the platform's manifest.
    pub digest: Digest,
    /// Digest of what the tag names: the same, or that of an index.
    pub top_digest: Digest,
    /// The platform's manifest.
    pub manifest: Manifest,
    /// The image's config.
    pub config: ImageConfig,
    /// The config's bytes, as `manifest.config` digests them.
    pub config_bytes: Vec<u8>,
    /// The bytes of all documents from what the reference names to the manifest: of
    /// `top_digest` first, of `digest` last.
    pub documents: Vec<Vec<u8>>,
}

impl Resolved {
    /// Puts an image together whose bytes are checked. `documents` are as in [`Self::documents`],
    /// and `manifest` is the last of them.
    ///
    /// # Errors
    /// [`RegistryError::ImageConfig`].
    pub fn new(
        reference: &Reference,
        repository: &Repository,
        documents: Vec<Vec<u8>>,
        manifest: Manifest,
        config_bytes: Vec<u8>,
    ) -> Result<Self, RegistryError> {
        let bad_config = |reason| {
            let reference = reference.familiar();
            RegistryError::ImageConfig { reference, reason }
        };
        let config: ImageConfig =
            serde_json::from_slice(&config_bytes).map_err(|error| bad_config(error.to_string()))?;
        let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            let other = &manifest.config.media_type;
            return Err(bad_config(format!(
                "it names {diff_ids} layers and the manifest {layers} (config type `{other}`)"
            )));
        }
        let digest_of = |document: Option<&Vec<u8>>| Digest::of(document.map_or(&[], |d| d));
        Ok(Self {
            reference: reference.clone(),
            repository: repository.clone(),
            digest: digest_of(documents.last()),
            top_digest: digest_of(documents.first()),
            manifest,
            config,
            config_bytes,
            documents,
        })
    }
}

/// What is looked for.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) reference: &'a Reference,
    pub(super) platform: &'a Platform,
}

/// The way to an answer.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) transport: &'a Transport,
    pub(super) memo: &'a Memo,
    pub(super) policy: Policy,
}

impl Question<'_> {
    /// Asks one place after the other.
    pub(super) async fn ask(
        &self,
        way: Way<'_>,
        places: &[Repository],
    ) -> Result<Resolved, RegistryError> {
        let mut mirrors = Vec::new();
        let skipped = self.mirrors_without_it(way.memo, places).await;
        for (index, repository) in places.iter().enumerate().skip(skipped) {
            let is_last = index + 1 == places.len();
            let policy = if is_last { way.policy } else { way.policy.impatient() };
            let way = Way { policy, ..way };
            match (Asking { question: self, way, repository }).run().await {
                Err(error) if !is_last && !error.is_cancelled() => mirrors.push(error.to_string()),
                Err(source) if !mirrors.is_empty() => {
                    let mirrors = mirrors.join("; ");
                    return Err(RegistryError::Mirrors { mirrors, source: Box::new(source) });
                }
                outcome => return outcome,
            }
        }
        Err(self.bad_config("there is no place to look for it")) // `places` is never empty
    }

    /// How many places before the one that gave the image for another platform did not have it.
    async fn mirrors_without_it(&self, memo: &Memo, places: &[Repository]) -> usize {
        let version = self.reference.version();
        for (index, repository) in places.iter().enumerate() {
            if memo.known(repository, &version).await.is_some() {
                return index;
            }
        }
        0
    }

    fn bad_config(&self, reason: &str) -> RegistryError {
        let reference = self.reference.familiar();
        RegistryError::ImageConfig { reference, reason: reason.to_owned() }
    }
}

/// The manifest of an index that fits a platform best.
///
/// # Errors
/// [`RegistryError::Platform`].
pub fn choose<'i>(
    index: &'i Index,
    reference: &Reference,
    platform: &Platform,
) -> Result<&'i Descriptor, RegistryError> {
    choose_from(index, platform).map_err(|available| RegistryError::Platform {
        reference: reference.familiar(),
        wanted: platform.to_string(),
        available,
    })
}

/// The same, for an index that has no name; else what it has, comma separated.
pub fn choose_from<'i>(index: &'i Index, platform: &Platform) -> Result<&'i Descriptor, String> {
    let images: Vec<_> = index.manifests.iter().filter(|d| !is_attestation(d)).collect();
    let fits = |wanted: &Platform| {
        let fit = |d: &&&Descriptor| d.platform.as_ref().is_some_and(|p| p.satisfies(wanted));
        images.iter().find(fit).copied()
    };
    if let Some(found) = compatible(platform).iter().find_map(fits) {
        return Ok(found);
    }
    // Some tools write an index around one image and name no platform.
    if let [only] = images[..]
        && only.platform.is_none()
    {
        return Ok(only);
    }
    let names: Vec<_> =
        images.iter().filter_map(|d| d.platform.as_ref()).map(Platform::to_string).collect();
    Err(if names.is_empty() { "none at all".into() } else { names.join(", ") })
}

/// The digest of what a tag names, of the first place that says it: one small request for each,
/// which registries with limits do not count as a pull. Whoever gets no answer asks for the image
/// and hears why.
pub(super) async fn peek(
    way: Way<'_>,
    places: &[Repository],
    reference: &Reference,
) -> Option<(Repository, Digest)> {
    for repository in places {
        let place = Place::pull(repository);
        let version = reference.version();
        let request = manifest_request(Method::HEAD, &place, &version);
        let ask = async || {
            let expect = async || way.transport.expect(&request, &[200]).await;
            let response = way.policy.impatient().run(expect).await?;
            content_digest(response.headers()).ok_or_else(|| RegistryError::Protocol {
                host: place.host().to_owned(),
                action: request.action.clone(),
                reason: "it names no digest".into(),
            })
        };
        if let Ok(digest) = way.memo.tag(repository, &version, ask).await {
            return Some((repository.clone(), digest));
        }
    }
    None
}

/// The question at one place.
struct Asking<'a> {
    question: &'a Question<'a>,
    way: Way<'a>,
    repository: &'a Repository,
}

impl Asking<'_> {
    async fn run(&self) -> Result<Resolved, RegistryError> {
        let reference = self.question.reference;
        let top = self.manifest(&reference.version(), reference.digest).await?;
        let (manifest, documents) = self.platform_manifest(top).await?;
        let config_bytes = self.config_bytes(&manifest.config).await?;
        Resolved::new(reference, self.repository, documents, manifest, config_bytes.to_vec())
    }

    /// The platform's manifest, and all documents up to it.
    async fn platform_manifest(
        &self,
        mut fetched: Fetched,
    ) -> Result<(Manifest, Vec<Vec<u8>>), RegistryError> {
        let mut documents = Vec::new();
        for _ in 0..NESTED_MAX {
            let document = self.parse(&fetched)?;
            documents.push(fetched.bytes.to_vec());
            match document {
                Document::Manifest(manifest) => return Ok((manifest, documents)),
                Document::Index(index) => {
                    let Question { reference, platform } = self.question;
                    let wanted = choose(&index, reference, platform)?.digest;
                    fetched = self.manifest(&wanted.to_string(), Some(wanted)).await?;
                }
            }
        }
        Err(self.unusable(ManifestError::NotAnImage("an index in an index in an index".into())))
    }

    fn parse(&self, fetched: &Fetched) -> Result<Document, RegistryError> {
        Document::parse(&fetched.bytes, fetched.content_type.as_deref())
            .map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: ManifestError) -> RegistryError {
        RegistryError::Manifest { reference: self.question.reference.familiar(), source }
    }

    async fn manifest(
        &self,
        version: &str,
        expected: Option<Digest>,
    ) -> Result<Fetched, RegistryError> {
        let fetched = self.way.memo.document(self.repository, version, async || {
            self.way.policy.run(async || self.ask_manifest(version, expected).await).await
        });
        fetched.await
    }

    async fn ask_manifest(
        &self,
        version: &str,
        expected: Option<Digest>,
    ) -> Result<Fetched, RegistryError> {
        let name = image_name(self.repository, version);
        let request = manifest_request(Method::GET, &Place::pull(self.repository), version)
            .what(format!("the image `{name}`"));
        let host = self.repository.host();
        let response = self.way.transport.expect(&request, &[200]).await?;
        let announced = content_digest(response.headers());
        let content_type = text(response.headers(), CONTENT_TYPE.as_str());
        let bytes = read_body(response, host, MANIFEST_MAX, &request.action).await?;
        let digest = Digest::of(&bytes);
        // By digest the reference decides; by tag the header is all there is to check.
        match expected.or(announced) {
            Some(expected) if expected != digest => Err(RegistryError::Digest {
                what: format!("the manifest of `{name}`"),
                host: host.to_owned(),
                expected,
                found: digest,
            }),
            _ => Ok(Fetched { bytes: bytes.into(), content_type, digest }),
        }
    }

    async fn config_bytes(&self, descriptor: &Descriptor) -> Result<Arc<[u8]>, RegistryError> {
        let ask = async || self.ask_config(descriptor).await.map(Arc::from);
        let digest = descriptor.digest.to_string();
        let bytes = self.way.memo.config(self.repository, &digest, ask).await?;
        let expected = descriptor.size;
        let found = bytes.len() as u64;
        if expected != found {
            let what = format!("the config {} of `{}`", descriptor.digest, self.repository);
            let host = self.repository.host().to_owned();
            return Err(RegistryError::Size { what, host, expected, found });
        }
        Ok(bytes)
    }

    async fn ask_config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let what = format!("the config {} of `{}`", descriptor.digest, self.repository);
        let host = self.repository.host().to_owned();
        let target = Target::Path(format!("blobs/{}", descriptor.digest));
        let place = Place::pull(self.repository);
        let action = format!("read {what}");
        let request = Request::new(Method::GET, &place, target, action).what(what.clone());
        let fetch = async || {
            let response = self.way.transport.expect(&request, &[200]).await?;
            read_body(response, &host, CONFIG_MAX, &request.action).await
        };
        let bytes = self.way.policy.run(fetch).await?;
        let (expected, found) = (descriptor.size, bytes.len() as u64);
        if expected != found {
            return Err(RegistryError::Size { what, host, expected, found });
        }
        let (expected, found) = (descriptor.digest, Digest::of(&bytes));
        if expected != found {
            return Err(RegistryError::Digest { what, host, expected, found });
        }
        Ok(bytes)
    }
}

/// A request for a manifest, whatever its type.
pub(super) fn manifest_request(method: Method, place: &Place, version: &str) -> Request {
    let repository = Repository { registry: place.registry.clone(), name: place.name.clone() };
    let action = format!("read the manifest of `{}`", image_name(&repository, version));
    Request::new(method, place, Target::Path(format!("manifests/{version}")), action)
        .header(ACCEPT, ACCEPTED.join(", "))
}

/// `repository:tag` or `repository@digest`.
pub(super) fn image_name(repository: &Repository, version: &str) -> String {
    let separator = if version.contains(':') { '@' } else { ':' };
    format!("{repository}{separator}{version}")
}

/// The digest that a registry announces; one of another algorithm says nothing.
pub(super) fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    text(headers, CONTENT_DIGEST)?.parse().ok()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// BuildKit's attestations are manifests for no platform.
fn is_attestation(descriptor: &Descriptor) -> bool {
    let unknown = |p: &Platform| p.os == "unknown" && p.architecture == "unknown";
    descriptor.platform.as_ref().is_some_and(unknown)
        || descriptor.annotations.contains_key("vnd.docker.reference.type")
}

/// The platforms whose images run on another, best first (containerd's platforms.Only).
fn compatible(wanted: &Platform) -> Vec<Platform> {
    let level = |prefix: &str| -> Option<u8> {
        wanted.variant.as_deref()?.strip_prefix(prefix)?.parse().ok()
    };
    let with = |variant: String| Platform { variant: Some(variant), ..wanted.clone() };
    let mut platforms = vec![wanted.clone()];
    match wanted.architecture.as_str() {
        "arm" => {
            let newest = level("v").unwrap_or(7).min(8);
            platforms.extend((5..newest).rev().map(|version| with(format!("v{version}"))));
        }
        "amd64" => {
            let newest = level("v").unwrap_or(1).min(4);
            platforms.extend((1..newest).rev().map(|version| with(format!("v{version}"))));
        }
        _ => {}
    }
    platforms
}
