//! Reading a blob: streamed with bounded memory, resumed where the connection broke, verified.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, Url};
use tokio::sync::mpsc;

use super::client::Client;
use super::error::RegistryError;
use super::reference::Repository;
use super::retry::{Attempts, Policy};
use super::transport::{
    Place, Request, SILENCE, Target, Transport, connection_error, host_of, timed_out,
};
use crate::digest::{Digest, Hasher};
use crate::image::Descriptor;

/// Chunks between the network and the reader; each is what one read of the socket gave.
const CHUNKS: usize = 16;
/// After so many bytes the failures before them no longer count.
const PROGRESS: u64 = 1 << 20;

type Chunk = Box<dyn AsRef<[u8]> + Send>;

/// A blob's bytes. The last read returns an error instead of the end where length or digest are not
/// the descriptor's; its inner error is a [`RegistryError`].
pub struct BlobReader {
    chunks: mpsc::Receiver<Result<Chunk, RegistryError>>,
    chunk: Option<Chunk>,
    /// Bytes of the chunk that were read.
    taken: usize,
    state: State,
    what: String,
    host: String,
    digest: Digest,
    size: u64,
    /// Where the reader began. The digest is checked only where that is the blob's first byte.
    offset: u64,
    /// Its runtime fills the channel.
    client: Client,
}

enum State {
    Reading(Hasher),
    /// All bytes were read, and they were right.
    Verified,
    /// An error was returned; a caller who reads on must not see an end.
    Failed,
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader").field("what", &self.what).finish_non_exhaustive()
    }
}

/// Asks for a blob, and starts to read it at `offset`.
pub(super) fn open(
    client: &Client,
    repository: &Repository,
    descriptor: &Descriptor,
    offset: u64,
) -> Result<BlobReader, RegistryError> {
    let what = format!("the blob {} of `{repository}`", descriptor.digest);
    let mut source = Source {
        transport: client.transport().clone(),
        place: Place::pull(repository),
        url: None,
        what: what.clone(),
        digest: descriptor.digest,
        size: descriptor.size,
    };
    let policy = client.policy();
    let response = client.engine().block_on(source.open(policy, &descriptor.urls, offset))?;
    let host = host_of(response.url());
    let (sender, chunks) = mpsc::channel(CHUNKS);
    let stop = client.engine().stop();
    client.engine().spawn(async move {
        let pump = Pump { source, received: offset, attempts: policy.start(), counted: offset };
        // An error that has no reader any more has nobody to tell.
        if let Err(error) = stop.or(pump.run(response, &sender)).await {
            let _ = sender.send(Err(error)).await;
        }
        Ok(())
    })?;
    Ok(BlobReader {
        chunks,
        chunk: None,
        taken: 0,
        state: State::Reading(Hasher::default()),
        what,
        host,
        digest: descriptor.digest,
        size: descriptor.size,
        offset,
        client: client.clone(),
    })
}

/// Where a blob comes from.
struct Source {
    transport: Arc<Transport>,
    place: Place,
    /// Of a foreign layer, once the registry did not have it.
    url: Option<Url>,
    what: String,
    digest: Digest,
    size: u64,
}

impl Source {
    /// The first response; the registry's own, else that of one of a foreign layer's URLs.
    async fn open(
        &mut self,
        policy: Policy,
        urls: &[String],
        offset: u64,
    ) -> Result<Response, RegistryError> {
        let missing = match policy.run(async || self.ask(offset).await).await {
            Err(error) if error.is_not_found() && !urls.is_empty() => error,
            outcome => return outcome,
        };
        for url in urls.iter().filter_map(|url| Url::parse(url).ok()) {
            self.url = Some(url);
            if let Ok(response) = policy.run(async || self.ask(offset).await).await {
                return Ok(response);
            }
        }
        Err(missing)
    }

    /// Asks for the bytes from `offset` on.
    async fn ask(&self, offset: u64) -> Result<Response, RegistryError> {
        let target = Target::Path(format!("blobs/{}", self.digest));
        let action = format!("read {}", self.what);
        let mut request =
            Request::new(Method::GET, &self.place, target, action).what(self.what.clone());
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let response = match &self.url {
            Some(url) => self.transport.send_bare(&request, url.clone()).await?,
            None => self.transport.send(&request, None).await?,
        };
        match response.status().as_u16() {
            200 => self.check_length(response),
            206 if offset > 0 && starts_at(&response, offset) => Ok(response),
            206 => Err(RegistryError::Protocol {
                host: host_of(response.url()),
                action: request.action,
                reason: "it sent another part of the blob than the one that was asked for".into(),
            }),
            _ => Err(self.transport.failure(&request, response).await),
        }
    }

    fn check_length(&self, response: Response) -> Result<Response, RegistryError> {
        match response.content_length() {
            Some(found) if found != self.size => Err(RegistryError::Size {
                what: self.what.clone(),
                host: host_of(response.url()),
                expected: self.size,
                found,
            }),
            _ => Ok(response),
        }
    }
}

fn starts_at(response: &Response, offset: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}

/// Moves bytes from the network to the reader.
struct Pump {
    source: Source,
    /// Bytes passed on.
    received: u64,
    attempts: Attempts,
    /// `received` at the last failure.
    counted: u64,
}

impl Pump {
    async fn run(
        mut self,
        first: Response,
        sender: &mpsc::Sender<Result<Chunk, RegistryError>>,
    ) -> Result<(), RegistryError> {
        let mut next = Ok(first);
        loop {
            let failed = match next {
                Ok(response) => match self.pump(response, sender).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if self.received - self.counted >= PROGRESS {
                self.attempts.reset();
            }
            self.counted = self.received;
            let pause = self.attempts.pause_after(failed).map_err(|error| self.truncated(error))?;
            tokio::time::sleep(pause).await;
            next = self.source.ask(self.received).await;
        }
    }

    /// Passes one response's bytes on. `Ok` when all are there, or nobody reads any more.
    async fn pump(
        &mut self,
        mut response: Response,
        sender: &mpsc::Sender<Result<Chunk, RegistryError>>,
    ) -> Result<(), RegistryError> {
        let host = host_of(response.url());
        // A server that knows no ranges starts again.
        let mut skip = if response.status() == 206 { 0 } else { self.received };
        while self.received < self.source.size {
            let chunk = tokio::time::timeout(SILENCE, response.chunk()).await;
            let chunk = chunk.map_err(|_| timed_out(&host))?;
            let Some(mut chunk) = chunk.map_err(|error| connection_error(&host, "", error))? else {
                let cause = "the answer ended too early".to_owned();
                return Err(RegistryError::Connection { host, cause, hint: "" });
            };
            let skipped = skip.min(chunk.len() as u64);
            skip -= skipped;
            let rest = chunk.split_off(skipped as usize);
            self.received += rest.len() as u64;
            if !rest.is_empty() && sender.send(Ok(Box::new(rest))).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The error of the last attempt, with how far it came. One that waiting cannot help stays as
    /// it is.
    fn truncated(&self, error: RegistryError) -> RegistryError {
        match error {
            RegistryError::Connection { .. } | RegistryError::Refused { .. } => {
                RegistryError::Truncated {
                    what: self.source.what.clone(),
                    received: self.received,
                    size: self.source.size,
                    source: Box::new(error),
                }
            }
            other => other,
        }
    }
}

impl BlobReader {
    /// The blob's length in bytes, as its descriptor says.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn next_chunk(&mut self) -> io::Result<bool> {
        match self.chunks.blocking_recv() {
            Some(Ok(chunk)) => {
                self.taken = 0;
                self.chunk = Some(chunk);
                Ok(true)
            }
            Some(Err(error)) => {
                self.state = State::Failed;
                Err(io::Error::other(error))
            }
            None => {
                // The task that fetches ends without a word when the build is stopped.
                self.client
                    .cancel()
                    .check()
                    .map_err(|stop| io::Error::other(RegistryError::from(stop)))?;
                self.verify().map(|()| false)
            }
        }
    }

    /// Judges the bytes, once there are no more.
    fn verify(&mut self) -> io::Result<()> {
        let (found, count) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Reading(hasher) => hasher.finish(),
            State::Verified => {
                self.state = State::Verified;
                return Ok(());
            }
            State::Failed => {
                return Err(io::Error::other(format!("{} was not read to its end", self.what)));
            }
        };
        let (what, host) = (self.what.clone(), self.host.clone());
        if self.offset + count != self.size {
            let (expected, found) = (self.size, self.offset + count);
            return Err(io::Error::other(RegistryError::Size { what, host, expected, found }));
        }
        if self.offset == 0 && found != self.digest {
            let expected = self.digest;
            return Err(io::Error::other(RegistryError::Digest { what, host, expected, found }));
        }
        self.state = State::Verified;
        Ok(())
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(chunk) = &self.chunk {
                let rest = (**chunk).as_ref().get(self.taken..).unwrap_or_default();
                if !rest.is_empty() {
                    let count = rest.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&rest[..count]);
                    self.taken += count;
                    if let State::Reading(hasher) = &mut self.state {
                        hasher.update(&buffer[..count]);
                    }
                    return Ok(count);
                }
            }
            if !self.next_chunk()? {
                return Ok(0);
            }
        }
    }
}
