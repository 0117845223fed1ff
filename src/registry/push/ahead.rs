//! A blob that is sent while it is being made: its digest is not known before its last byte is.
//!
//! Only one way of uploading begins without a digest: POST, one PATCH of unknown length, and a PUT that
//! says the digest. `docker push` works so, hence every registry knows it. What goes wrong here is no
//! error, as the blob can be sent when it is there; and that has more ways, and says why they fail.

use std::io::{self, Read as _, Write as _};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};

use super::part::{self, Answer, Part, Sender, answer};
use super::session::Opened;
use super::source::Source;
use super::{Body, Pushed, Pusher};
use crate::digest::Digest;
use crate::image::Descriptor;
use crate::image::media_type::OCI_LAYER_GZIP;
use crate::layer::{Extent, Growing};
use crate::registry::error::RegistryError;
use crate::registry::transport::{BodyWriter, Request, Stream, Target, pipe};

/// Bytes that are handed over at once.
const BUFFER: usize = 256 << 10;
/// With more than so many bytes left, it is worth a request to learn that the registry has the blob.
const WORTH_ASKING: u64 = 4 << 20;

/// What has come of a blob that was sent while it grew.
#[derive(Debug)]
pub enum Sent {
    /// It is there.
    There(Digest, Pushed),
    /// The way broke, and the registry may have a part of it.
    Part(Unfinished),
    /// Nothing was begun, or nothing is left of it.
    Nothing,
}

/// An upload that the registry may know how to go on with.
#[derive(Debug)]
pub struct Unfinished {
    pub(super) url: Url,
    pub(super) chunk_min: Option<u64>,
    /// Bytes that it can have.
    pub(super) most: u64,
}

/// How far the bytes have come.
enum Copied {
    /// All of them are on their way.
    All(Digest, u64),
    /// The registry has the blob already.
    Exists(Digest),
    /// The way broke after so many.
    Broken(u64),
    /// The blob came to nothing.
    Gone,
}

impl Pusher {
    /// Sends a blob while it grows. `progress` is told how many bytes were handed over.
    pub fn push_growing(&self, growing: &Growing, progress: &(dyn Fn(u64) + Sync)) -> Sent {
        // Somebody knows that whole blobs do not get through.
        if self.client.upload_chunk().is_some() {
            return Sent::Nothing;
        }
        let session = self.session();
        let Ok(opened) = self.client.engine().finish(session.begin()) else { return Sent::Nothing };
        let Opened { mut url, chunk_min } = opened;
        let sent = self.send_growing(&mut url, growing, progress);
        let forget = || self.client.engine().tidy(session.cancel(url.clone()));
        let unfinished = |most| Sent::Part(Unfinished { url: url.clone(), chunk_min, most });
        match sent {
            Ok(Copied::All(digest, size)) => match self.commit(&url, digest, size, progress) {
                true => Sent::There(digest, Pushed::Uploaded),
                false => unfinished(size),
            },
            Ok(Copied::Broken(most)) => unfinished(most),
            Ok(Copied::Exists(digest)) => {
                forget();
                Sent::There(digest, Pushed::Exists)
            }
            Ok(Copied::Gone) | Err(_) => {
                forget();
                Sent::Nothing
            }
        }
    }

    fn send_growing(
        &self,
        upload: &mut Url,
        growing: &Growing,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Copied, RegistryError> {
        let engine = self.client.engine();
        let (writer, body, hangup) = pipe(&engine.handle()?);
        let action = format!("upload a layer to `{}`", self.repository.familiar());
        let request = Request::new(Method::PATCH, &self.place, Target::Url(upload.clone()), action)
            .header(CONTENT_TYPE, "application/octet-stream");
        let transport = self.client.transport().clone();
        let task = engine.spawn(async move {
            let outcome = transport.send(&request, Some(Stream { body, length: None })).await;
            drop(hangup); // unblocks the writer if the registry answered before the end
            answer(&transport, &request, outcome?, false).await
        })?;
        let copied = self.copy_growing(growing, writer, progress);
        let Copied::All(_, size) = copied else {
            task.abort();
            return Ok(copied);
        };
        let answer = engine.block_on(async { Ok(task.await) })?;
        let Ok(Ok(Answer::Final(part::Sent::Taken { next, .. }))) = answer else {
            return Ok(Copied::Broken(size));
        };
        if let Some(next) = next {
            *upload = next;
        }
        Ok(copied)
    }

    /// Says which blob the bytes are; whether that worked.
    fn commit(
        &self,
        url: &Url,
        digest: Digest,
        size: u64,
        progress: &(dyn Fn(u64) + Sync),
    ) -> bool {
        let descriptor = Descriptor::new(OCI_LAYER_GZIP, digest, size);
        let sender =
            Sender { client: &self.client, place: &self.place, descriptor: &descriptor, progress };
        let mut nothing = Source::new(&self.client, &descriptor, Body::Bytes(&[]));
        let end = Part { offset: size, length: 0, commits: true };
        matches!(sender.send(url, end, &mut nothing), Ok(part::Sent::Committed))
    }

    fn copy_growing(
        &self,
        growing: &Growing,
        mut writer: BodyWriter,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Copied {
        let mut reader = growing.read_from(0);
        let mut buffer = vec![0; BUFFER];
        let (mut sent, mut has_asked) = (0, false);
        loop {
            let there = match growing.wait(sent + 1) {
                Extent::Gone => return Copied::Gone,
                Extent::Whole { digest, size } if sent == size => return Copied::All(digest, size),
                Extent::Whole { digest, size } => {
                    let is_worth_it = !has_asked && size - sent > WORTH_ASKING;
                    if is_worth_it && self.has_blob(&digest).unwrap_or(false) {
                        return Copied::Exists(digest);
                    }
                    has_asked = true;
                    size
                }
                Extent::Part(len) => len,
            };
            if self.client.cancel().check().is_err() {
                return Copied::Gone;
            }
            let room = usize::try_from(there - sent).unwrap_or(BUFFER).min(BUFFER);
            match reader.read(&mut buffer[..room]) {
                Ok(count @ 1..) => {
                    if writer.write_all(&buffer[..count]).is_err() {
                        return Copied::Broken(sent + count as u64);
                    }
                    sent += count as u64;
                    progress(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Copied::Broken(sent),
            }
        }
    }
}
