//! A file that is read while it arrives.

use std::fmt;
use std::io::{self, Read, Write as _};
use std::path::Path;

use super::address::without_secrets;
use super::http::{create, dress};
use super::{Fetcher, RemoteError};
use crate::registry::{FileAt, FileReader, Object};

/// One file elsewhere. `Display` shows no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteFile<'a> {
    /// `http://…` or `https://…`.
    Address(&'a str),
    /// An object of a cloud's store.
    Object(&'a Object),
}

impl fmt::Display for RemoteFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(&without_secrets(address)),
            Self::Object(object) => object.fmt(f),
        }
    }
}

/// The bytes of a file elsewhere.
pub struct Incoming<'a> {
    reader: FileReader,
    shown: String,
    host: String,
    /// Bytes that were read.
    count: u64,
    progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("shown", &self.shown).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Starts to read a file. `progress` hears of bytes, and of how many there are if the server says
    /// so.
    ///
    /// # Errors
    /// No file; what goes wrong later is the reader's error.
    pub fn open<'a>(
        &self,
        file: RemoteFile<'_>,
        progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
    ) -> Result<Incoming<'a>, RemoteError> {
        let shown = file.to_string();
        let (opened, host) = match file {
            RemoteFile::Address(address) => {
                let access = self.access(address);
                let (address, authorization) = (&access.plain, access.authorization.as_ref());
                let at = FileAt::Address { address, authorization };
                (self.client.open_file(at), access.host.to_owned())
            }
            RemoteFile::Object(object) => {
                (self.client.open_file(FileAt::Object(object)), String::new())
            }
        };
        let reader = opened.map_err(|error| RemoteError::http(shown.clone(), &host, error))?;
        Ok(Incoming { reader, shown, host, count: 0, progress })
    }
}

impl Incoming<'_> {
    /// Why reading failed, if it did: readers between here and the caller have words of their own.
    pub fn take_failure(&mut self) -> Option<RemoteError> {
        let error = self.reader.take_failure()?;
        Some(RemoteError::http(self.shown.clone(), &self.host, error))
    }

    /// Keeps what was read of it as a file, as [`Fetcher::file`] would have written it.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn keep(&self, bytes: &[u8], dir: &Path, name: &str) -> Result<(), RemoteError> {
        let (path, mut file) = create(dir, name)?;
        file.write_all(bytes).map_err(RemoteError::io("write", &path))?;
        dress(&file, self.reader.last_modified())
            .map_err(RemoteError::io("set mode and time of", &path))
    }
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.count += count as u64;
        (self.progress)(self.count, self.reader.size());
        Ok(count)
    }
}
