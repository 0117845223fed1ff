//! A blob that is read: the bytes are checked against the digest when the last one is read.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::super::kept_file::remove;
use crate::digest::Hasher;
use crate::image::Descriptor;

/// A file that should be a blob.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) blob: Descriptor,
    /// Nothing once the end was seen.
    pub(super) hasher: Option<Hasher>,
}

impl Read for Checked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let count = self.file.read(buf)?;
        if count > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buf[..count]);
            }
            return Ok(count);
        }
        let Some((digest, size)) = self.hasher.take().map(Hasher::finish) else { return Ok(0) };
        if (digest, size) == (self.blob.digest, self.blob.size) {
            return Ok(0);
        }
        let removed = if remove(&self.path, &self.file) { "removed" } else { "to be removed" };
        let text = format!(
            "{} is damaged: it has {size} bytes with the digest {digest}; it is {removed}",
            self.path.display()
        );
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}
