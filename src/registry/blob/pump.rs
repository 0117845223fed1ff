//! Moves the bytes of a blob, or of a part, from the network to whoever reads them, and asks for the
//! rest where an answer broke off.

use std::ops::Range;

use reqwest::Response;
use tokio::sync::mpsc;

use super::super::error::RegistryError;
use super::super::retry::{Attempts, Policy};
use super::super::transport::{SILENCE, connection_error, host_of, timed_out};
use super::Chunk;
use super::source::Source;

/// After so many bytes the failures before them no longer count.
const PROGRESS: u64 = 1 << 20;

/// Moves bytes from the network to the reader.
pub(super) struct Pump {
    source: Source,
    /// Where the next byte stands in the blob.
    received: u64,
    /// Where it stops.
    end: u64,
    attempts: Attempts,
    /// Where the failures so far were forgotten last: small steps add up to progress too.
    counted: u64,
}

impl Pump {
    /// For these bytes of a blob.
    pub(super) fn new(source: Source, policy: Policy, part: Range<u64>) -> Self {
        let Range { start, end } = part;
        Self { source, received: start, end, attempts: policy.start(), counted: start }
    }

    /// Passes the bytes on, beginning with those of an answer that is there already. `Ok` when all
    /// are passed on, or nobody reads any more.
    pub(super) async fn run(
        mut self,
        first: Option<Response>,
        sender: &mpsc::Sender<Result<Chunk, RegistryError>>,
    ) -> Result<(), RegistryError> {
        let mut next = match first {
            Some(response) => Ok(response),
            None => self.source.ask(self.received..self.end).await,
        };
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
                self.counted = self.received;
            }
            let pause = self.attempts.pause_after(failed).map_err(|error| self.truncated(error))?;
            tokio::time::sleep(pause).await;
            next = self.source.ask(self.received..self.end).await;
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
        while self.received < self.end {
            let chunk = tokio::time::timeout(SILENCE, response.chunk()).await;
            let chunk = chunk.map_err(|_| timed_out(&host))?;
            let Some(mut chunk) = chunk.map_err(|error| connection_error(&host, "", error))? else {
                let cause = "the answer ended too early".to_owned();
                return Err(RegistryError::Connection { host, cause, hint: "" });
            };
            let skipped = skip.min(chunk.len() as u64);
            skip -= skipped;
            let mut rest = chunk.split_off(skipped as usize);
            // More than a part is what a server sends that knows no ranges; more than the blob is
            // passed on, as its reader has a word for it.
            let left = usize::try_from(self.end - self.received).unwrap_or(usize::MAX);
            if self.end < self.source.size && rest.len() > left {
                rest.truncate(left);
            }
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
