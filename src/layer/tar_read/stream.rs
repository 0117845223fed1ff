//! The bytes of an archive, and how far they were read.

use std::io::{self, BufRead};

use crate::layer::tar_error::TarError;
use crate::layer::tar_header::BLOCK;

pub(super) struct Stream<R> {
    pub(super) inner: R,
    /// Bytes read so far.
    pub(super) position: u64,
}

impl<R: BufRead> Stream<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, position: 0 }
    }

    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.position += count as u64;
        Ok(count)
    }

    /// Fills the buffer.
    pub(super) fn exact(&mut self, buf: &mut [u8]) -> Result<(), TarError> {
        match self.fill(buf)? {
            count if count == buf.len() => Ok(()),
            _ => Err(self.truncated()),
        }
    }

    /// The next block; `None` where the stream ends before it.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        match self.fill(&mut block)? {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(self.truncated()),
        }
    }

    pub(super) fn skip(&mut self, count: u64) -> Result<(), TarError> {
        let mut left = count;
        while left > 0 {
            let skipped = self.pass_over(left).map_err(TarError::Read)?;
            if skipped == 0 {
                return Err(self.truncated());
            }
            left -= skipped;
        }
        Ok(())
    }

    /// Reads to the end.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        while self.pass_over(u64::MAX)? > 0 {}
        Ok(())
    }

    /// Skips what is there, so many bytes at most; nothing at the end only.
    fn pass_over(&mut self, most: u64) -> io::Result<u64> {
        let ready = loop {
            match self.inner.fill_buf() {
                Ok(bytes) => break bytes.len(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(ready);
        self.inner.consume(count);
        self.position += count as u64;
        Ok(count as u64)
    }

    pub(super) fn damaged(&self, reason: &str) -> TarError {
        TarError::Damaged { offset: self.position, reason: reason.to_owned() }
    }

    fn truncated(&self) -> TarError {
        self.damaged("it ends in the middle of a member")
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<usize, TarError> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.read(&mut buf[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        Ok(filled)
    }
}
