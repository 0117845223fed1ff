//! A file's bytes, streamed with bounded memory.
//!
//! Unlike a blob's (`blob`), nobody knows its digest beforehand, and often not its size. So what is
//! read after a break must be known to be the same file's.

use std::fmt;
use std::io::{self, Read};
use std::time::SystemTime;

use reqwest::{Response, StatusCode};
use tokio::sync::mpsc;

use super::known::Known;
use super::origin::{Origin, Part, changed};
use crate::registry::client::Client;
use crate::registry::error::RegistryError;
use crate::registry::retry::Attempts;
use crate::registry::transport::{SILENCE, connection_error, host_of, timed_out};

/// Chunks between the network and the reader; each is what one read of the socket gave.
const CHUNKS: usize = 16;
/// After so many bytes the failures before them no longer count.
const PROGRESS: u64 = 1 << 20;

type Chunk = Box<dyn AsRef<[u8]> + Send>;

enum Piece {
    Bytes(Chunk),
    /// There are no more; without this, the end of the channel is not the end of the file.
    End,
    Failed(RegistryError),
}

/// A file's bytes.
pub struct FileReader {
    pieces: mpsc::Receiver<Piece>,
    chunk: Option<Chunk>,
    /// Bytes of the chunk that were read.
    taken: usize,
    state: State,
    known: Known,
    /// Its runtime fills the channel.
    client: Client,
}

enum State {
    Reading,
    Ended,
    /// The error is the caller's to take; whoever reads on must not see an end.
    Failed(Option<RegistryError>),
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader").field("known", &self.known).finish_non_exhaustive()
    }
}

/// Asks for a file, and starts to read it.
pub(super) fn open(client: &Client, origin: Origin) -> Result<FileReader, RegistryError> {
    let policy = client.policy();
    let unknown = Known::default();
    let first = Part { from: 0, of: &unknown };
    let response = client.engine().block_on(policy.run(async || origin.ask(first).await))?;
    let known = Known::of(&response);
    let (sender, pieces) = mpsc::channel(CHUNKS);
    let stop = client.engine().stop();
    let pump =
        Pump { origin, known: known.clone(), received: 0, attempts: policy.start(), counted: 0 };
    client.engine().spawn(async move {
        let last = match stop.or(pump.run(response, &sender)).await {
            Ok(()) => Piece::End,
            Err(error) => Piece::Failed(error),
        };
        // What has no reader any more has nobody to tell.
        let _ = sender.send(last).await;
        Ok(())
    })?;
    let client = client.clone();
    Ok(FileReader { pieces, chunk: None, taken: 0, state: State::Reading, known, client })
}

/// Moves bytes from the network to the reader.
struct Pump {
    origin: Origin,
    known: Known,
    /// Bytes passed on.
    received: u64,
    attempts: Attempts,
    /// Where the failures so far were forgotten last: small steps add up to progress too.
    counted: u64,
}

impl Pump {
    async fn run(
        mut self,
        first: Response,
        sender: &mpsc::Sender<Piece>,
    ) -> Result<(), RegistryError> {
        let mut next = Ok((first, 0));
        loop {
            let failed = match next {
                Ok((response, skip)) => match self.pass_on(response, skip, sender).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if self.received > 0 && !self.known.is_recognisable() {
                return Err(self.truncated(failed));
            }
            if self.received - self.counted >= PROGRESS {
                self.attempts.reset();
                self.counted = self.received;
            }
            let pause = self.attempts.pause_after(failed).map_err(|error| self.truncated(error))?;
            tokio::time::sleep(pause).await;
            next = self.go_on().await;
        }
    }

    /// A response with the rest, and how many of its bytes were read before.
    async fn go_on(&self) -> Result<(Response, u64), RegistryError> {
        let response = self.origin.ask(Part { from: self.received, of: &self.known }).await?;
        let changed = || changed(&host_of(response.url()));
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let (start, part) = Known::of_part(&response).ok_or_else(changed)?;
            let same = start == self.received && self.known.is_same(&part);
            return if same { Ok((response, 0)) } else { Err(changed()) };
        }
        let same = self.received == 0 || self.known.is_same(&Known::of(&response));
        // A server that knows no ranges starts again.
        if same { Ok((response, self.received)) } else { Err(changed()) }
    }

    /// Passes one response's bytes on. `Ok` when all are there, or nobody reads any more.
    async fn pass_on(
        &mut self,
        mut response: Response,
        mut skip: u64,
        sender: &mpsc::Sender<Piece>,
    ) -> Result<(), RegistryError> {
        let host = host_of(response.url());
        loop {
            let chunk = tokio::time::timeout(SILENCE, response.chunk()).await;
            let chunk = chunk.map_err(|_| timed_out(&host))?;
            let chunk = chunk.map_err(|error| connection_error(&host, "", error))?;
            let Some(mut chunk) = chunk else { break };
            let skipped = skip.min(chunk.len() as u64);
            skip -= skipped;
            let rest = chunk.split_off(skipped as usize);
            self.received += rest.len() as u64;
            let piece = Piece::Bytes(Box::new(rest));
            if skip == 0 && sender.send(piece).await.is_err() {
                return Ok(());
            }
        }
        match self.known.size {
            Some(size) if size > self.received => {
                let cause = "the answer ended too early".to_owned();
                Err(RegistryError::Connection { host, cause, hint: "" })
            }
            Some(size) if size < self.received => Err(changed(&host)),
            _ => Ok(()),
        }
    }

    /// The error of the last attempt, with how far it came.
    fn truncated(&self, error: RegistryError) -> RegistryError {
        match error {
            RegistryError::Connection { .. } | RegistryError::Refused { .. } => {
                RegistryError::Truncated {
                    what: "the file".into(),
                    received: self.received,
                    size: self.known.size.unwrap_or(self.received),
                    source: Box::new(error),
                }
            }
            other => other,
        }
    }
}

impl FileReader {
    /// In bytes, if the server says so.
    pub fn size(&self) -> Option<u64> {
        self.known.size
    }

    /// When the file was changed last, if the server says so.
    pub fn last_modified(&self) -> Option<SystemTime> {
        self.known.last_modified()
    }

    /// Why reading failed; for whoever gets the reader's error by way of something that reads it.
    pub fn take_failure(&mut self) -> Option<RegistryError> {
        match &mut self.state {
            State::Failed(error) => error.take(),
            State::Reading | State::Ended => None,
        }
    }

    /// Whether there is a chunk.
    fn next_chunk(&mut self) -> Result<bool, RegistryError> {
        match self.pieces.blocking_recv() {
            Some(Piece::Bytes(chunk)) => {
                self.taken = 0;
                self.chunk = Some(chunk);
                Ok(true)
            }
            Some(Piece::End) => {
                self.state = State::Ended;
                Ok(false)
            }
            Some(Piece::Failed(error)) => Err(error),
            None => {
                // The task that fetches ends without a word when the build is stopped.
                self.client.cancel().check()?;
                Err(RegistryError::Start("a download ended abnormally".into()))
            }
        }
    }
}

impl Read for FileReader {
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
                    return Ok(count);
                }
            }
            match &self.state {
                State::Reading => {}
                State::Ended => return Ok(0),
                State::Failed(_) => {
                    return Err(io::Error::other("the file was not read to its end"));
                }
            }
            match self.next_chunk() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(error) => {
                    let said = io::Error::other(error.to_string());
                    self.state = State::Failed(Some(error));
                    return Err(said);
                }
            }
        }
    }
}
