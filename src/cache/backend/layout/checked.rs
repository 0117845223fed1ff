//! A blob that is read: the bytes are checked against the digest when the last one is read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

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
        let removed = if self.remove() { "removed" } else { "to be removed" };
        let text = format!(
            "{} is damaged: it has {size} bytes with the digest {digest}; it is {removed}",
            self.path.display()
        );
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

impl Checked {
    /// As long as it is there, nobody writes a good one. Somebody may have by now.
    fn remove(&self) -> bool {
        let same = |there: &fs::Metadata, open: &fs::Metadata| {
            (there.dev(), there.ino()) == (open.dev(), open.ino())
        };
        match (fs::symlink_metadata(&self.path), self.file.metadata()) {
            (Ok(there), Ok(open)) if same(&there, &open) => fs::remove_file(&self.path).is_ok(),
            _ => true,
        }
    }
}
