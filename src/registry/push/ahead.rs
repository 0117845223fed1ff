//! A blob that is sent while it is being made: its digest is not known before its last byte is.
//!
//! Only one way of uploading begins without a digest: POST, one PATCH of unknown length, and a PUT that
//! says the digest. `docker push` works so, hence every registry knows it. What goes wrong here is no
//! error, as the blob can be sent when it is there; and that has more ways, and says why they fail.

use std::io::{self, Read as _, Write as _};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};
use tokio::time::timeout;

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
    Part(Box<Unfinished>),
    /// Nothing was begun, or nothing is left of it.
    Nothing,
}

/// An upload that the registry may know how to go on with. Dropped, it is cancelled there.
#[derive(Debug)]
pub struct Unfinished {
    pusher: Pusher,
    begun: Option<Begun>,
}

/// What is known of it.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) url: Url,
    pub(super) chunk_min: Option<u64>,
    /// Bytes that the registry can have.
    pub(super) most: u64,
}

impl Unfinished {
    /// What is known; now it is somebody else's.
    pub(super) fn take(mut self) -> Option<Begun> {
        self.begun.take()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.pusher.client.engine().tidy(self.pusher.session().cancel(begun.url));
        }
    }
}

/// How far the bytes have come.
enum Copied {
    /// All of them are on their way.
    All(Digest, u64),
    /// The registry has the blob already.
    Exists(Digest),
    /// The way broke.
    Broken,
    /// The blob came to nothing, or nobody wants it.
    Gone,
}

impl Pusher {
    /// Whether blobs may go in one piece: nobody has said that they do not get through.
    pub fn sends_whole(&self) -> bool {
        self.client.upload_chunk().is_none()
    }

    /// Sends a blob while it grows, as long as it `is_wanted`. `progress` is told how many bytes were
    /// handed over.
    pub fn push_growing(
        &self,
        growing: &Growing,
        is_wanted: &(dyn Fn() -> bool + Sync),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Sent {
        let opened = self.client.engine().finish(self.session().begin());
        let Ok(Opened { url, chunk_min }) = opened else { return Sent::Nothing };
        let begun = Some(Begun { url, chunk_min, most: 0 });
        let mut unfinished = Unfinished { pusher: self.clone(), begun };
        let Some(begun) = &mut unfinished.begun else { return Sent::Nothing };
        match self.send_growing(begun, growing, is_wanted, progress) {
            Ok(Copied::All(digest, size)) if self.commit(&begun.url, digest, size, progress) => {
                unfinished.take();
                Sent::There(digest, Pushed::Uploaded)
            }
            Ok(Copied::All(..) | Copied::Broken) => Sent::Part(Box::new(unfinished)),
            Ok(Copied::Exists(digest)) => Sent::There(digest, Pushed::Exists),
            Ok(Copied::Gone) | Err(_) => Sent::Nothing,
        }
    }

    fn send_growing(
        &self,
        begun: &mut Begun,
        growing: &Growing,
        is_wanted: &(dyn Fn() -> bool + Sync),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Copied, RegistryError> {
        let engine = self.client.engine();
        let (mut writer, body, hangup) = pipe(&engine.handle()?, self.client.patience().bytes);
        let action = format!("upload a layer to `{}`", self.repository.familiar());
        let target = Target::Url(begun.url.clone());
        let request = Request::new(Method::PATCH, &self.place, target, action)
            .header(CONTENT_TYPE, "application/octet-stream");
        let transport = self.client.transport().clone();
        let mut task = engine.spawn(async move {
            let outcome = transport.send(&request, Some(Stream { body, length: None })).await;
            drop(hangup); // unblocks the writer if the registry answered before the end
            answer(&transport, &request, outcome?, false).await
        })?;
        let copied = self.copy_growing(growing, &mut writer, is_wanted, &mut |sent| {
            begun.most = sent;
            progress(sent);
        });
        let part = Part { offset: 0, length: begun.most, commits: false };
        let patience = part.patience(begun.most, self.client.patience());
        let answer = engine.block_on(async {
            if matches!(copied, Copied::All(..)) {
                drop(writer);
                if let Ok(answer) = timeout(patience, &mut task).await {
                    return Ok(answer.ok());
                }
            }
            // Ended before the writer is, so that what is cut does not look like all of it; and before
            // anybody else writes to this upload.
            task.abort();
            _ = task.await;
            Ok(None)
        })?;
        let Copied::All(..) = copied else { return Ok(copied) };
        let Some(Ok(Answer::Final(part::Sent::Taken { next, .. }))) = answer else {
            return Ok(Copied::Broken);
        };
        if let Some(next) = next {
            begun.url = next;
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
        writer: &mut BodyWriter,
        is_wanted: &(dyn Fn() -> bool + Sync),
        sent_so_far: &mut dyn FnMut(u64),
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
                    if is_worth_it && self.is_there(&digest) {
                        return Copied::Exists(digest);
                    }
                    has_asked = true;
                    size
                }
                Extent::Part(len) => len,
            };
            if self.client.cancel().check().is_err() || !is_wanted() {
                return Copied::Gone;
            }
            let room = usize::try_from(there - sent).unwrap_or(BUFFER).min(BUFFER);
            match reader.read(&mut buffer[..room]) {
                Ok(count @ 1..) => {
                    sent += count as u64;
                    sent_so_far(sent);
                    if writer.write_all(&buffer[..count]).is_err() {
                        return Copied::Broken;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Copied::Broken,
            }
        }
    }

    /// Asked once: the upload waits for the answer.
    fn is_there(&self, digest: &Digest) -> bool {
        self.client.engine().block_on(self.session().has_blob(digest)).unwrap_or(false)
    }
}
