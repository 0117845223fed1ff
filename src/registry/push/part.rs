//! One request that carries bytes of a blob: all of them, or some.
//!
//! The request runs in the client's threads; the caller's thread reads the bytes and writes them
//! into the request's body. So the source may block, the progress function may borrow, and a slow
//! registry slows the source down.

use std::io::{self, Write};
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode, Url};

use super::super::client::Client;
use super::super::error::RegistryError;
use super::super::options::Patience;
use super::super::transport::{
    BodyWriter, Place, Request, Stream, Target, Transport, is_one_of, pipe, redirect,
};
use super::session::offset;
use super::source::Source;
use crate::image::Descriptor;

/// Bytes that are handed over at once.
const BUFFER: usize = 128 << 10;
/// Bytes that a registry needs a second more for: those on object stores copy what they commit.
const COMMIT_RATE: u64 = 1 << 20;
/// More hops than any registry needs.
const REDIRECTS_MAX: usize = 8;

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Of the first byte, in the blob.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) length: u64,
    /// Whether the blob ends with this request (a PUT), or more follows (a PATCH).
    pub(super) commits: bool,
}

impl Part {
    /// How long the answer may take once the registry has the bytes of this request to a blob of so
    /// many. The one that ends the blob has the registry copy all of it.
    pub(super) fn patience(self, size: u64, limits: Patience) -> Duration {
        let bytes = if self.commits { size } else { self.length };
        limits.answer_max.min(limits.answer + Duration::from_secs(bytes / COMMIT_RATE))
    }
}

/// What came of a request.
#[derive(Debug)]
pub(super) enum Sent {
    /// The blob is there.
    Committed,
    /// The registry took the bytes.
    Taken {
        /// Where the next ones go; `None` is where these went.
        next: Option<Url>,
        /// How many bytes the registry says that it has.
        offset: Option<u64>,
    },
    /// It did not.
    Refused(StatusCode, RegistryError),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// The source: nothing can be done.
    Source(RegistryError),
    /// The way to the registry.
    Way(RegistryError),
}

/// Sends parts of one blob to one repository.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) client: &'a Client,
    pub(super) place: &'a Place,
    pub(super) descriptor: &'a Descriptor,
    pub(super) progress: &'a (dyn Fn(u64) + Sync),
}

/// An answer, read in the client's threads.
pub(super) enum Answer {
    Final(Sent),
    Moved(Url),
}

impl Sender<'_> {
    /// Sends a part to an upload, or to where it is redirected.
    pub(super) fn send(
        &self,
        upload: &Url,
        part: Part,
        source: &mut Source<'_>,
    ) -> Result<Sent, Broken> {
        let mut url = upload.clone();
        if part.commits {
            let digest = self.descriptor.digest.to_string();
            url.query_pairs_mut().append_pair("digest", &digest);
        }
        for _ in 0..REDIRECTS_MAX {
            match self.once(url, part, source)? {
                Answer::Final(sent) => return Ok(sent),
                Answer::Moved(to) => url = to,
            }
        }
        Err(Broken::Way(RegistryError::Protocol {
            host: self.place.host().to_owned(),
            action: self.action(),
            reason: "it is redirected in circles".into(),
        }))
    }

    fn once(&self, url: Url, part: Part, source: &mut Source<'_>) -> Result<Answer, Broken> {
        source.go_to(part.offset).map_err(Broken::Source)?;
        let (engine, patience) = (self.client.engine(), self.client.patience());
        let (writer, body, hangup) = pipe(&engine.handle().map_err(Broken::Way)?, patience.bytes);
        let stream = Stream { body, length: Some(part.length) };
        let request = self.request(url, part);
        let transport = self.client.transport().clone();
        let task = engine.spawn(async move {
            let outcome = transport.send(&request, Some(stream)).await;
            drop(hangup); // unblocks the writer if the registry answered before the end
            answer(&transport, &request, outcome?, part.commits).await
        });
        let task = task.map_err(Broken::Way)?;
        match self.copy(source, part, writer) {
            Ok(()) | Err(Copy::Hangup) => {}
            Err(Copy::Source(error)) => {
                task.abort();
                return Err(Broken::Source(error));
            }
            Err(Copy::Stalled) => {
                task.abort();
                return Err(Broken::Way(self.connection("it takes no more bytes")));
            }
        }
        let waited = engine.block_on(async {
            let mut task = task;
            let patience = part.patience(self.descriptor.size, patience);
            match tokio::time::timeout(patience, &mut task).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => Err(self.connection(&error.to_string())),
                Err(_) => {
                    // Two requests at once would write to one upload.
                    task.abort();
                    let _ended = task.await;
                    Err(self.connection("it did not confirm the upload"))
                }
            }
        });
        waited.map_err(Broken::Way)
    }

    fn request(&self, url: Url, part: Part) -> Request {
        let method = if part.commits { Method::PUT } else { Method::PATCH };
        let request = Request::new(method, self.place, Target::Url(url), self.action())
            .header(CONTENT_TYPE, "application/octet-stream")
            .what("the upload that the registry had begun");
        if part.commits {
            return request;
        }
        // Both ends, without a unit: the specification's own form, not RFC 9110's.
        let end = part.offset + part.length.saturating_sub(1);
        request.header(CONTENT_RANGE, format!("{}-{end}", part.offset))
    }

    fn action(&self) -> String {
        format!("upload the blob {} to `{}`", self.descriptor.digest, self.place.name)
    }

    /// Copies a part's bytes; the writer is dropped at the end, which ends the body. Each piece is
    /// held back until the next one is read: a source that finds at its end that its bytes are wrong
    /// never becomes a whole blob.
    fn copy(
        &self,
        source: &mut Source<'_>,
        part: Part,
        mut writer: BodyWriter,
    ) -> Result<(), Copy> {
        let ends = part.offset + part.length == self.descriptor.size;
        let (mut held, mut next) = (vec![0; BUFFER], vec![0; BUFFER]);
        let (mut held_bytes, mut done, mut left) = (0, part.offset, part.length);
        loop {
            let room = match usize::try_from(left) {
                Ok(0) => usize::from(ends && part.length > 0), // the source says there that it ends
                Ok(left) => left.min(BUFFER),
                Err(_) => BUFFER,
            };
            let count = source.read(&mut next[..room]).map_err(Copy::Source)?;
            if (count == 0) != (left == 0) {
                return Err(Copy::Source(source.wrong_length(done + (held_bytes + count) as u64)));
            }
            match writer.write_all(&held[..held_bytes]) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Copy::Stalled);
                }
                // The request has ended; its outcome says why.
                Err(_) => return Err(Copy::Hangup),
            }
            done += held_bytes as u64;
            (self.progress)(done);
            if count == 0 {
                return Ok(());
            }
            left -= count as u64;
            std::mem::swap(&mut held, &mut next);
            held_bytes = count;
        }
    }

    fn connection(&self, cause: &str) -> RegistryError {
        let host = self.place.host().to_owned();
        RegistryError::Connection { host, cause: cause.to_owned(), hint: "" }
    }
}

/// Why not all bytes went into the body.
enum Copy {
    Source(RegistryError),
    Stalled,
    Hangup,
}

/// Registries differ in the status that ends an upload well: 201 by the specification.
pub(super) async fn answer(
    transport: &Transport,
    request: &Request,
    response: Response,
    commits: bool,
) -> Result<Answer, RegistryError> {
    let status = response.status();
    if matches!(status.as_u16(), 307 | 308) && redirect(&response).is_some() {
        return transport.location(request, &response).map(Answer::Moved);
    }
    if !is_one_of(status, &[200, 201, 202, 204]) {
        let error = transport.failure(request, response).await;
        return Ok(Answer::Final(Sent::Refused(status, error)));
    }
    if commits {
        return Ok(Answer::Final(Sent::Committed));
    }
    let next = transport.next_location(request, &response)?;
    Ok(Answer::Final(Sent::Taken { next, offset: offset(response.headers()) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_to_copy_more_gets_more_time() {
        const MIB: u64 = 1 << 20;
        for (length, size, commits, seconds) in [
            (0, 0, true, 60),
            (5 * MIB, 500 * MIB, false, 65),
            (0, 500 * MIB, true, 560),
            (100 * MIB, 100 * MIB, true, 160),
            (1 << 40, 1 << 40, true, 900),
        ] {
            let part = Part { offset: 0, length, commits };
            assert_eq!(part.patience(size, Patience::default()).as_secs(), seconds, "{part:?}");
        }
        let impatient = Patience { answer_max: Duration::from_secs(2), ..Patience::default() };
        let part = Part { offset: 0, length: MIB, commits: true };
        assert_eq!(part.patience(MIB, impatient).as_secs(), 2);
    }
}
