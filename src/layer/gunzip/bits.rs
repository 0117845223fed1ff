//! The bits of compressed data, the least significant of each byte first (RFC 1951, 3.1.1).

use std::io::{self, Read};

/// Bytes that are read at once.
pub(super) const INPUT: usize = 64 << 10;
/// As many bits as there are at least after [`Bits::refill`], if the input has them.
const FULL: u32 = 56;

/// An input, bit by bit.
pub(super) struct Bits<'a> {
    reader: Box<dyn Read + Send + 'a>,
    /// What was read; the bytes from `at` to `end` are not in `buffer` yet.
    pub(super) input: Box<[u8; INPUT]>,
    pub(super) at: usize,
    pub(super) end: usize,
    /// The next bits, `count` of them; those above are zero.
    pub(super) buffer: u64,
    pub(super) count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(reader: Box<dyn Read + Send + 'a>) -> Self {
        Self { reader, input: Box::new([0; INPUT]), at: 0, end: 0, buffer: 0, count: 0 }
    }

    /// Reads, where all that was read is used.
    pub(super) fn read(&mut self) -> io::Result<()> {
        while self.at == self.end {
            match self.reader.read(&mut self.input[..]) {
                Ok(count) => {
                    (self.at, self.end) = (0, count);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes whole bytes until there are [`FULL`] bits, or the input ends.
    pub(super) fn refill(&mut self) -> io::Result<()> {
        while self.count < FULL {
            self.read()?;
            let Some(&byte) = self.input[..self.end].get(self.at) else { break };
            self.buffer |= u64::from(byte) << self.count;
            self.count += 8;
            self.at += 1;
        }
        Ok(())
    }

    /// Uses bits that were looked at.
    ///
    /// # Errors
    /// If the input ends before them.
    pub(super) fn used(&mut self, count: u32) -> io::Result<()> {
        if self.count < count {
            let text = "the gzip data ends in the middle";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        self.buffer >>= count;
        self.count -= count;
        Ok(())
    }

    /// The next so many bits, at most 32.
    pub(super) fn take(&mut self, count: u32) -> io::Result<u32> {
        if self.count < count {
            self.refill()?;
        }
        let value = self.buffer & ((1 << count) - 1);
        self.used(count)?;
        Ok(value as u32)
    }

    pub(super) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(8)? as u8)
    }

    /// Skips to the next whole byte.
    pub(super) fn align(&mut self) {
        let odd = self.count % 8;
        self.buffer >>= odd;
        self.count -= odd;
    }

    /// Fills `out` from a whole byte on. Returns how many bytes there were, none at the end only.
    pub(super) fn copy(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.count > 0 {
            let Some(first) = out.first_mut() else { return Ok(0) };
            *first = self.byte()?;
            return Ok(1);
        }
        self.read()?;
        let count = out.len().min(self.end - self.at);
        out[..count].copy_from_slice(&self.input[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }

    /// Whether there is nothing any more.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        if self.count == 0 {
            self.read()?;
        }
        Ok(self.count == 0 && self.at == self.end)
    }
}
