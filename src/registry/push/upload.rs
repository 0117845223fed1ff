//! One attempt to put a blob into a repository.
//!
//! The request runs in the client's threads; the caller's thread reads the bytes and writes them
//! into the request's body. So the source may block, the progress function may borrow, and a slow
//! registry slows the source down.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;

use super::super::client::Client;
use super::super::error::RegistryError;
use super::super::reference::Repository;
use super::super::transport::{BodyWriter, Stream, is_one_of, pipe};
use super::session::{Begun, Session};
use super::{Body, Pushed};
use crate::image::Descriptor;

/// Bytes that are handed over at once.
const BUFFER: usize = 128 << 10;
/// How long a registry may take to commit a blob once it has all bytes; those on object stores copy.
const COMMIT: Duration = Duration::from_secs(900);

/// A blob on its way.
pub(super) struct Upload<'a> {
    pub(super) client: &'a Client,
    pub(super) session: Session<'a>,
    pub(super) descriptor: &'a Descriptor,
    pub(super) body: Body<'a>,
    pub(super) mount_from: Option<&'a Repository>,
    pub(super) progress: &'a (dyn Fn(u64) + Sync),
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The credentials were refused while the bytes were on their way.
    Unauthorized(RegistryError),
    /// The registry has forgotten the upload; a new one may work.
    Session(RegistryError),
    /// Anything else.
    Other(RegistryError),
}

impl From<RegistryError> for Failed {
    fn from(error: RegistryError) -> Self {
        Self::Other(error)
    }
}

impl Upload<'_> {
    /// Looks, mounts or uploads.
    pub(super) fn attempt(&self) -> Result<Pushed, Failed> {
        let digest = &self.descriptor.digest;
        let begun = self.client.engine().block_on(async {
            if self.session.has_blob(digest).await? {
                return Ok(None);
            }
            let begun = match self.mount_from {
                Some(from) => self.session.mount(digest, &from.name).await?,
                None => Begun::Upload(self.session.begin().await?),
            };
            Ok(Some(begun))
        })?;
        match begun {
            None => Ok(Pushed::Exists),
            Some(Begun::Mounted) => Ok(Pushed::Mounted),
            Some(Begun::Upload(url)) => {
                let sent = self.send(url.clone());
                // A registry keeps what has come of an upload for days, unless it is told not to.
                if sent.is_err() {
                    self.client.engine().tidy(self.session.cancel(url));
                }
                sent.map(|()| Pushed::Uploaded)
            }
        }
    }

    fn send(&self, url: reqwest::Url) -> Result<(), Failed> {
        let mut source = self.source()?;
        let (writer, body, hangup) = pipe(&self.client.engine().handle()?);
        let stream = Stream { body, length: self.descriptor.size };
        let request = self.session.put(url, &self.descriptor.digest);
        let transport = self.client.transport().clone();
        let task = self.client.engine().spawn(async move {
            let outcome = transport.send(&request, Some(stream)).await;
            drop(hangup); // unblocks the writer if the registry answered before the end
            let response = outcome?;
            let status = response.status();
            if is_one_of(status, &[200, 201, 202, 204]) {
                return Ok(None);
            }
            Ok(Some((status, transport.failure(&request, response).await)))
        })?;
        let written = self.copy(&mut source, writer);
        if let Err(Copy::Source(error)) = written {
            task.abort();
            return Err(Failed::Other(error));
        }
        if let Err(Copy::Stalled) = written {
            task.abort();
            return Err(Failed::Other(self.connection("it takes no more bytes")));
        }
        let waited = self.client.engine().block_on(async {
            match tokio::time::timeout(COMMIT, task).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => Err(self.connection(&error.to_string())),
                Err(_) => Err(self.connection("it did not confirm the upload")),
            }
        })?;
        match waited {
            None => Ok(()),
            Some((StatusCode::UNAUTHORIZED, error)) => Err(Failed::Unauthorized(error)),
            // The session expired, or another server of a cluster does not know it.
            Some((StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE, error)) => {
                Err(Failed::Session(error))
            }
            Some((_, error)) => Err(Failed::Other(error)),
        }
    }

    fn source(&self) -> Result<Box<dyn Read + '_>, RegistryError> {
        let length = |what: String, found: u64| match self.descriptor.size {
            expected if expected != found => Err(RegistryError::Length { what, expected, found }),
            _ => Ok(()),
        };
        let file = |path: &Path| {
            let (file, found) = open(path)?;
            length(path.display().to_string(), found)?;
            Ok::<_, RegistryError>(Box::new(file))
        };
        match self.body {
            Body::File(path) => Ok(file(path)?),
            Body::Later(make) => Ok(file(&make().map_err(|error| self.source_error(error))?)?),
            Body::Bytes(bytes) => {
                length(format!("the blob {}", self.descriptor.digest), bytes.len() as u64)?;
                Ok(Box::new(bytes))
            }
            Body::Remote(from) => Ok(Box::new(self.client.open_blob(from, self.descriptor)?)),
        }
    }

    /// Copies all bytes; the writer is dropped at the end, which ends the body. Each piece is held
    /// back until the next one is read: a source that finds at its end that its bytes are wrong
    /// never becomes a whole body.
    fn copy(&self, source: &mut dyn Read, mut writer: BodyWriter) -> Result<(), Copy> {
        let (mut held, mut next) = (vec![0; BUFFER], vec![0; BUFFER]);
        let (mut held_bytes, mut done) = (0, 0);
        loop {
            let count = match source.read(&mut next) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Copy::Source(self.source_error(error))),
            };
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
            std::mem::swap(&mut held, &mut next);
            held_bytes = count;
        }
    }

    fn source_error(&self, error: io::Error) -> RegistryError {
        match self.body {
            Body::File(path) => RegistryError::File { path: path.to_owned(), source: error },
            _ => error.downcast().unwrap_or_else(|error| self.broken(&error)),
        }
    }

    fn broken(&self, error: &io::Error) -> RegistryError {
        self.connection(&error.to_string())
    }

    fn connection(&self, cause: &str) -> RegistryError {
        let host = self.session.place.host().to_owned();
        RegistryError::Connection { host, cause: cause.to_owned(), hint: "" }
    }
}

/// Why not all bytes went into the body.
enum Copy {
    Source(RegistryError),
    Stalled,
    Hangup,
}

fn open(path: &Path) -> Result<(File, u64), RegistryError> {
    let failed = |source| RegistryError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((file, length))
}
