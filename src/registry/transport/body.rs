//! A request body that another thread writes.
//!
//! A bounded channel: a slow registry slows the writer down.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use reqwest::Body;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// Pieces between the writer and the network.
const PIECES: usize = 4;

/// The writing end; dropping it ends the body.
#[derive(Debug)]
pub(in crate::registry) struct BodyWriter {
    runtime: Handle,
    pieces: mpsc::Sender<Vec<u8>>,
    hung_up: watch::Receiver<()>,
    /// How long the other side may take no byte.
    patience: Duration,
}

/// Unblocks the writer when the request has ended and nobody reads any more.
#[derive(Debug)]
pub(in crate::registry) struct Hangup {
    _sender: watch::Sender<()>,
}

struct Pieces(mpsc::Receiver<Vec<u8>>);

/// A body and its writer. Writing fails with `BrokenPipe` once the [`Hangup`] is dropped, and with
/// `WouldBlock` when the other side takes nothing for longer than `patience`.
pub(in crate::registry) fn pipe(
    runtime: &Handle,
    patience: Duration,
) -> (BodyWriter, Body, Hangup) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let (hangup, hung_up) = watch::channel(());
    let writer = BodyWriter { runtime: runtime.clone(), pieces: sender, hung_up, patience };
    (writer, Body::wrap_stream(Pieces(receiver)), Hangup { _sender: hangup })
}

impl Stream for Pieces {
    type Item = io::Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|piece| piece.map(Ok))
    }
}

impl io::Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let send = self.pieces.send(bytes.to_vec());
        let broken = || Err(io::ErrorKind::BrokenPipe.into());
        self.runtime.block_on(async {
            tokio::select! {
                sent = send => sent.map_or_else(|_| broken(), |()| Ok(bytes.len())),
                _ = self.hung_up.changed() => broken(),
                () = tokio::time::sleep(self.patience) => Err(io::ErrorKind::WouldBlock.into()),
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
