//! A file that no registry has: at an address, or in an object store. With the registries' TLS
//! settings, proxies and patience, and resumed where the connection broke.
//!
//! | module | job |
//! |---|---|
//! | `origin` | one request: redirects, signatures, what part is asked for |
//! | `known` | whether two answers are about the same file |
//! | `reader` | from the network to a reader, over as many requests as it takes |
//! | `refusal` | what an object store says instead |

mod known;
mod origin;
mod reader;
mod refusal;

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::time::SystemTime;

use self::origin::Origin;
pub use self::reader::FileReader;
use super::auth::Secret;
use super::client::Client;
use super::cloud::Object;
use super::error::RegistryError;
use crate::digest::{Digest, Hasher};

/// In errors: what kiln wanted.
const ACTION: &str = "download a file";
/// Bytes that go into a file at once.
const BUFFER: usize = 128 * 1024;

/// Where a file is that no registry has.
#[derive(Debug, Clone, Copy)]
pub enum FileAt<'a> {
    /// At an `http://` or `https://` address.
    Address {
        /// Without a user before its host.
        address: &'a str,
        /// An Authorization header, which goes to the address's own host only.
        authorization: Option<&'a Secret>,
    },
    /// In an object store. Its signature is made anew for each request.
    Object(&'a Object),
}

/// What is known of a file after it was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Of its bytes.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// When it was changed last, if the server says so.
    pub last_modified: Option<SystemTime>,
}

impl Client {
    /// Starts to read a file. What breaks later is asked for again from there on; the reader fails
    /// where the file has changed meanwhile.
    ///
    /// # Errors
    /// An address that is none, a connection that failed, an answer that is no file.
    pub fn open_file(&self, at: FileAt<'_>) -> Result<FileReader, RegistryError> {
        reader::open(self, Origin::new(self.transport().clone(), at)?)
    }

    /// Writes a file into an empty one of this machine. `progress` hears of bytes, and of how many
    /// there are where the server says so.
    ///
    /// # Errors
    /// As [`Client::open_file`] and its reader, and a disk that is full.
    pub fn download(
        &self,
        at: FileAt<'_>,
        mut into: &File,
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<Downloaded, RegistryError> {
        let mut reader = self.open_file(at)?;
        let written = |error: std::io::Error| RegistryError::Store(error.to_string());
        into.set_len(0).and_then(|()| into.rewind()).map_err(written)?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Err(reader.take_failure().unwrap_or_else(|| written(error))),
            };
            into.write_all(&buffer[..count]).map_err(written)?;
            hasher.update(&buffer[..count]);
            progress(hasher.count(), reader.size());
        }
        let (digest, size) = hasher.finish();
        Ok(Downloaded { digest, size, last_modified: reader.last_modified() })
    }
}
