//! A request body that another thread writes.
//!
//! The bytes go through a socket pair: reqwest takes a stream only as a `futures` trait (a crate
//! that kiln does not depend on) or as a `tokio::fs::File`, and this file is the reading end. It is
//! bounded by the socket's buffer, so a slow registry slows the writer down.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use reqwest::Body;

/// How long a registry may take no byte of an upload.
const STALLED: Duration = Duration::from_secs(300);

/// The writing end; dropping it ends the body.
#[derive(Debug)]
pub(in crate::registry) struct BodyWriter(UnixStream);

/// Unblocks the writer when the request has ended and nobody reads any more.
#[derive(Debug)]
pub(in crate::registry) struct Hangup(UnixStream);

/// A body and its writer. Writing fails with `BrokenPipe` once the [`Hangup`] is dropped.
pub(in crate::registry) fn pipe() -> io::Result<(BodyWriter, Body, Hangup)> {
    let (writer, reader) = UnixStream::pair()?;
    writer.set_write_timeout(Some(STALLED))?;
    let hangup = Hangup(writer.try_clone()?);
    let reader = std::fs::File::from(OwnedFd::from(reader));
    Ok((BodyWriter(writer), Body::from(tokio::fs::File::from_std(reader)), hangup))
}

impl io::Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        // The hangup holds a second handle, so closing this one would not end the body.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

impl Drop for Hangup {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
