//! Several parts of one big blob at once: many servers and networks limit what one connection gets.
//!
//! The parts are handed over in order. The first of them goes straight to the reader; those behind it
//! wait in memory, and [`Ahead`] counts them over all blobs of a client. Nobody waits for room: a
//! blob for which there is none goes on with one connection, so that readers who wait for each other
//! never stand still.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use reqwest::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::super::error::RegistryError;
use super::super::options::Ranges;
use super::super::retry::Policy;
use super::super::transport::host_of;
use super::pump::Pump;
use super::source::Source;
use super::{CHUNKS, Chunk};

/// Chunks of a part that waits. A part has so many only if each is tiny; then it waits unfinished.
const WAITING: usize = 4096;

/// How big blobs are read, and how much room there is.
#[derive(Debug, Clone)]
pub(in crate::registry) struct Ahead {
    ranges: Ranges,
    room: Arc<Semaphore>,
}

impl Ahead {
    pub(in crate::registry) fn new(ranges: Ranges) -> Self {
        Self { ranges, room: Arc::new(Semaphore::new(ranges.ahead)) }
    }

    /// Whether so many bytes are worth several requests.
    pub(super) fn is_for(&self, size: u64) -> bool {
        self.ranges.at_once > 1 && size > self.ranges.over.max(self.ranges.window)
    }

    /// The part that begins at a byte.
    pub(super) fn window(&self, start: u64) -> Range<u64> {
        start..start + self.ranges.window.max(1)
    }
}

/// A blob that is read in parts.
pub(super) struct Windows {
    pub(super) source: Source,
    pub(super) policy: Policy,
    pub(super) ahead: Ahead,
    /// What of it is read.
    pub(super) all: Range<u64>,
}

/// A part on its way.
struct Window {
    part: Range<u64>,
    chunks: mpsc::Receiver<Result<Chunk, RegistryError>>,
    task: JoinHandle<()>,
    /// Of a part that waits.
    _room: Option<OwnedSemaphorePermit>,
}

impl Drop for Window {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Windows {
    /// Passes all bytes on; `first` is the answer to the request for the first part. `Ok` when all
    /// are passed on, or nobody reads any more.
    pub(super) async fn run(
        self,
        first: Response,
        sender: &mpsc::Sender<Result<Chunk, RegistryError>>,
    ) -> Result<(), RegistryError> {
        if first.status() != 206 {
            let pump = Pump::new(self.source, self.policy, self.all);
            return pump.run(Some(first), sender).await;
        }
        let host = host_of(first.url());
        let head = self.part(self.all.start);
        let mut next = head.end;
        let mut windows = VecDeque::from([self.open(head, Some(first), None)]);
        loop {
            while next < self.all.end && windows.len() < self.ahead.ranges.at_once {
                let room = match windows.is_empty() {
                    true => None,
                    false => match self.ahead.room.clone().try_acquire_owned() {
                        Ok(room) => Some(room),
                        Err(_) => break,
                    },
                };
                let part = self.part(next);
                next = part.end;
                windows.push_back(self.open(part, None, room));
            }
            let Some(window) = windows.pop_front() else { return Ok(()) };
            if !hand_over(window, &host, sender).await? {
                return Ok(());
            }
        }
    }

    fn part(&self, start: u64) -> Range<u64> {
        start..self.ahead.window(start).end.min(self.all.end)
    }

    fn open(
        &self,
        part: Range<u64>,
        answer: Option<Response>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Window {
        let (sender, chunks) = mpsc::channel(if room.is_some() { WAITING } else { CHUNKS });
        let pump = Pump::new(self.source.clone(), self.policy, part.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = pump.run(answer, &sender).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        Window { part, chunks, task, _room: room }
    }
}

/// Whether somebody still reads.
async fn hand_over(
    mut window: Window,
    host: &str,
    sender: &mpsc::Sender<Result<Chunk, RegistryError>>,
) -> Result<bool, RegistryError> {
    let mut left = window.part.end - window.part.start;
    while let Some(chunk) = window.chunks.recv().await {
        let chunk = chunk?;
        left = left.saturating_sub((*chunk).as_ref().len() as u64);
        if sender.send(Ok(chunk)).await.is_err() {
            return Ok(false);
        }
    }
    if left == 0 {
        return Ok(true);
    }
    let cause = "a part ended too early".to_owned();
    Err(RegistryError::Connection { host: host.to_owned(), cause, hint: "" })
}
