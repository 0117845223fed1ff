//! A blob's bytes, from any of them on: an upload that broke off goes on in the middle.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::super::client::Client;
use super::super::error::RegistryError;
use super::Body;
use crate::image::Descriptor;

/// Where a blob's bytes are read from.
pub(super) struct Source<'a> {
    client: &'a Client,
    descriptor: &'a Descriptor,
    body: Body<'a>,
    /// Of [`Body::Later`], once it was made.
    made: Option<PathBuf>,
    open: Option<Open<'a>>,
}

struct Open<'a> {
    reader: Box<dyn Read + 'a>,
    position: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(client: &'a Client, descriptor: &'a Descriptor, body: Body<'a>) -> Self {
        Self { client, descriptor, body, made: None, open: None }
    }

    /// Makes the byte at `offset` the next one. A registry is asked for the rest; nothing happens
    /// where the source is there already.
    pub(super) fn go_to(&mut self, offset: u64) -> Result<(), RegistryError> {
        if self.open.as_ref().is_some_and(|open| open.position == offset) {
            return Ok(());
        }
        self.open = None;
        let nothing = offset > 0 && offset >= self.descriptor.size;
        let reader = if nothing { Box::new(io::empty()) } else { self.reader(offset)? };
        self.open = Some(Open { reader, position: offset });
        Ok(())
    }

    fn reader(&mut self, offset: u64) -> Result<Box<dyn Read + 'a>, RegistryError> {
        match self.body {
            Body::File(path) => Ok(Box::new(self.file(path, offset)?)),
            Body::Later(make) => {
                let path = match self.made.take() {
                    Some(path) => path,
                    None => make().map_err(|error| self.error(error))?,
                };
                let file = self.file(&path, offset)?;
                self.made = Some(path);
                Ok(Box::new(file))
            }
            Body::Bytes(bytes) => {
                let what = format!("the blob {}", self.descriptor.digest);
                self.check_length(what, bytes.len() as u64)?;
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Box::new(&bytes[start..]))
            }
            Body::Remote(from) => {
                Ok(Box::new(self.client.open_blob_from(from, self.descriptor, offset)?))
            }
        }
    }

    fn file(&self, path: &Path, offset: u64) -> Result<File, RegistryError> {
        let failed = |source| RegistryError::File { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?.len();
        self.check_length(path.display().to_string(), found)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(file)
    }

    fn check_length(&self, what: String, found: u64) -> Result<(), RegistryError> {
        let expected = self.descriptor.size;
        if expected == found {
            return Ok(());
        }
        Err(RegistryError::Length { what, expected, found })
    }

    /// Fills a buffer as far as one read does.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        let Some(open) = &mut self.open else { return Ok(0) };
        loop {
            match open.reader.read(buffer) {
                Ok(count) => {
                    open.position += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(error)),
            }
        }
    }

    /// The error of a source that has another length than it said.
    pub(super) fn wrong_length(&self, found: u64) -> RegistryError {
        let what = format!("the source of the blob {}", self.descriptor.digest);
        RegistryError::Length { what, expected: self.descriptor.size, found }
    }

    fn error(&self, error: io::Error) -> RegistryError {
        let path = match (self.body, &self.made) {
            (Body::File(path), _) => Some(path.to_owned()),
            (Body::Later(_), Some(path)) => Some(path.clone()),
            _ => None,
        };
        match path {
            Some(path) => RegistryError::File { path, source: error },
            None => error.downcast().unwrap_or_else(|error| {
                let text = error.to_string();
                let source = error.into_inner().unwrap_or_else(|| text.into());
                RegistryError::Source { digest: self.descriptor.digest, source }
            }),
        }
    }
}
