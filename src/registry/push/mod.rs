//! Pushing: blobs, then the manifest that names them.

mod ahead;
mod chunks;
mod manifest;
mod part;
mod session;
mod source;
mod upload;

use std::path::{Path, PathBuf};

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

pub use self::ahead::{Sent, Unfinished};
use self::session::Session;
use super::client::Client;
use super::error::RegistryError;
use super::pull::image_name;
use super::reference::{Reference, Repository, is_tag};
use super::transport::{Place, Request, Target};
use crate::digest::Digest;
use crate::image::Descriptor;

/// Where a blob's bytes are.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// In a file, which holds nothing else.
    File(&'a Path),
    /// In a file that is made only when the bytes have to be sent.
    Later(&'a (dyn Fn() -> std::io::Result<PathBuf> + Sync)),
    /// In a repository of any registry; they are passed on without touching the disk.
    Remote(&'a Repository),
    /// In memory.
    Bytes(&'a [u8]),
}

impl std::fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Later(_) => "Later",
            Self::Remote(_) => "Remote",
            Self::Bytes(_) => "Bytes",
        })
    }
}

/// Whether a repository may have a blob before it is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chance {
    /// It is asked first.
    Some,
    /// This build has just made it, so only another that made the same can have pushed it. A small one
    /// is sent without a question; a larger one is asked about while its upload begins.
    Little,
}

/// How a blob came to be in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    Exists,
    /// The registry took it from another of its repositories.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

/// Pushes to one repository. Clones share everything; calls block and may come from many threads.
#[derive(Debug, Clone)]
pub struct Pusher {
    client: Client,
    reference: Reference,
    repository: Repository,
    place: Place,
}

impl Pusher {
    pub(super) fn new(client: Client, reference: Reference) -> Self {
        let repository = reference.repository();
        let place = Place::push(&repository);
        Self { client, reference, repository, place }
    }

    /// Asks for the permission to push, by starting an upload and cancelling it; the latter is not waited
    /// for before [`Client::settle`].
    ///
    /// # Errors
    /// [`RegistryError::Unauthorized`] and [`RegistryError::NotFound`] are the registry's no.
    pub fn check(&self) -> Result<(), RegistryError> {
        let session = self.session();
        let engine = self.client.engine();
        let begin = self.client.policy().run(async || session.begin().await);
        let upload = engine.finish(begin)?;
        let (transport, place) = (self.client.transport().clone(), self.place.clone());
        engine.tidy_later(async move {
            Session { transport: &transport, place: &place }.cancel(upload.url).await
        });
        Ok(())
    }

    /// Whether the repository has a blob.
    ///
    /// # Errors
    /// Anything but a yes or no.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let session = self.session();
        let ask = async || session.has_blob(digest).await;
        self.client.engine().block_on(self.client.policy().run(ask))
    }

    /// Puts a blob into the repository: not at all where it is there, by a mount where `mount_from`
    /// is a repository of the same registry, else by an upload. `chance` decides whether anybody looks
    /// whether it is there. `progress` is told how many bytes of the blob were handed over so far; the
    /// number starts again when an upload does.
    ///
    /// # Errors
    /// Those of the destination, of the source, and a source that is not what the descriptor says.
    pub fn push_blob(
        &self,
        descriptor: &Descriptor,
        body: Body<'_>,
        mount_from: Option<&Repository>,
        chance: Chance,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Pushed, RegistryError> {
        let mount_from = mount_from.filter(|from| from.registry == self.repository.registry);
        let upload = self.upload(descriptor, body, progress);
        upload::Upload { mount_from, chance, ..upload }.run(None)
    }

    /// Completes a blob of which the repository may have a part, in whatever way is left.
    ///
    /// # Errors
    /// As [`Pusher::push_blob`].
    pub fn go_on(
        &self,
        unfinished: Unfinished,
        descriptor: &Descriptor,
        body: Body<'_>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Pushed, RegistryError> {
        self.upload(descriptor, body, progress).run(Some(unfinished))
    }

    /// Writes a manifest, by the tag of the reference or by another tag or digest. Returns its
    /// digest. Writing what a tag names already succeeds even where the registry forbids to change
    /// the tag.
    ///
    /// # Errors
    /// [`RegistryError::ImmutableTag`] among others.
    pub fn put_manifest(
        &self,
        reference_or_digest: Option<&str>,
        bytes: &[u8],
        media_type: &str,
    ) -> Result<Digest, RegistryError> {
        let version = self.version(reference_or_digest)?;
        let name = image_name(&self.repository, &version);
        let target = Target::Path(format!("manifests/{version}"));
        let action = format!("push the manifest `{name}`");
        let mut request = Request::new(Method::PUT, &self.place, target, action)
            .header(CONTENT_TYPE, media_type)
            .what(session::repository_name(&self.place));
        request.body = bytes.to_vec();
        let digest = Digest::of(bytes);
        let mut attempts = self.client.policy().start();
        self.client.engine().block_on(async {
            loop {
                let error = match self.put(&request, digest, &version).await {
                    Err(error) => error,
                    done => return done,
                };
                let pause = match manifest::is_conflict(&error) {
                    true => attempts.pause_anyway(error)?,
                    false => attempts.pause_after(error)?,
                };
                tokio::time::sleep(pause).await;
            }
        })
    }

    /// What the reference's tag (or digest) names now; `None` if nothing.
    ///
    /// # Errors
    /// Anything but an answer.
    pub fn head_manifest(&self) -> Result<Option<Digest>, RegistryError> {
        let version = self.reference.version();
        let ask = async || self.head(&version).await;
        self.client.engine().block_on(self.client.policy().run(ask))
    }

    /// Whether the repository has a manifest or index of this digest, and with it all that it names.
    ///
    /// # Errors
    /// Anything but a yes or no.
    pub fn has_manifest(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let version = digest.to_string();
        let ask = async || self.head(&version).await;
        let found = self.client.engine().block_on(self.client.policy().run(ask))?;
        Ok(found.is_some())
    }

    /// One that asks first whether the blob is there.
    fn upload<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        body: Body<'a>,
        progress: &'a (dyn Fn(u64) + Sync),
    ) -> upload::Upload<'a> {
        upload::Upload {
            client: &self.client,
            session: self.session(),
            descriptor,
            body,
            mount_from: None,
            chance: Chance::Some,
            progress,
            chunk: self.client.upload_chunk(),
        }
    }

    fn session(&self) -> Session<'_> {
        Session { transport: self.client.transport(), place: &self.place }
    }

    /// The path element of a manifest, checked: it becomes a part of a URL.
    fn version(&self, given: Option<&str>) -> Result<String, RegistryError> {
        let Some(given) = given else {
            return Ok(self.reference.tag.clone().unwrap_or_else(|| self.reference.version()));
        };
        if is_tag(given) || given.parse::<Digest>().is_ok() {
            return Ok(given.to_owned());
        }
        Err(RegistryError::Option {
            what: "tag or digest",
            value: given.to_owned(),
            reason: "up to 128 letters, digits, . _ and - are a tag".into(),
        })
    }
}
