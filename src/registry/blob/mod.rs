//! Reading a blob: streamed with bounded memory, resumed where the connection broke, verified.
//!
//! `source` asks, `pump` passes the bytes of one answer on and asks again where it broke off, `ranges`
//! does so with several parts of a big blob at once.

mod pump;
mod ranges;
mod source;

use std::fmt;
use std::io::{self, Read};

use tokio::sync::mpsc;

use self::pump::Pump;
pub(super) use self::ranges::Ahead;
use self::ranges::Windows;
use self::source::Source;
use super::client::Client;
use super::error::RegistryError;
use super::reference::Repository;
use super::transport::{Place, host_of};
use crate::digest::{Digest, Hasher};
use crate::image::Descriptor;

/// Chunks between the network and the reader; each is what one read of the socket gave.
const CHUNKS: usize = 16;

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
    let ahead = client.ahead();
    let big = descriptor.urls.is_empty() && ahead.is_for(descriptor.size.saturating_sub(offset));
    let (response, in_parts) = client.engine().block_on(async {
        if big && let Some(first) = source.open_part(policy, ahead.window(offset)).await? {
            return Ok((first, true));
        }
        Ok((source.open(policy, &descriptor.urls, offset).await?, false))
    })?;
    let host = host_of(response.url());
    let (sender, chunks) = mpsc::channel(CHUNKS);
    let stop = client.engine().stop();
    let all = offset..descriptor.size;
    client.engine().spawn(async move {
        let work = async {
            if in_parts {
                Windows { source, policy, ahead, all }.run(response, &sender).await
            } else {
                Pump::new(source, policy, all).run(Some(response), &sender).await
            }
        };
        // An error that has no reader any more has nobody to tell.
        if let Err(error) = stop.or(work).await {
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
