//! Decompression of gzip (RFC 1952), of as many members as there are.
//!
//! It is what the unpacking of a base image waits for, so it is kiln's own: a quarter faster than the
//! best library that reads a stream (docs/performance.md has the figures), and the same to the byte;
//! `fuzz/` and the tests beside it compare it with one.
//!
//! [`Bits`] are the compressed input, [`Table`](code::Table) decodes Huffman codes, and [`Inflate`] makes
//! plain bytes of them: [`symbols`] while there is room and input enough, and one by one at the edges.

mod bits;
mod code;
mod copies;
mod inflate;
mod symbols;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read};

use libdeflater::Crc;

use self::bits::Bits;
use self::inflate::{Inflate, Progress};

/// Plain bytes of gzip data. What follows its last member and is none is an error.
pub(super) struct Gunzip<'a> {
    inflate: Inflate<'a>,
    part: Part,
    checksum: Crc,
    length: u32,
    /// Is passed on when all that was made is taken.
    failure: Option<io::Error>,
}

/// What of a member comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    Data,
    Trailer,
    /// After the last member.
    End,
    /// What follows would be wrong.
    Broken,
}

impl fmt::Debug for Gunzip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gunzip").field("part", &self.part).finish_non_exhaustive()
    }
}

impl<'a> Gunzip<'a> {
    /// Reads `input` in large pieces; no buffer is needed before it.
    pub(super) fn new(input: impl Read + Send + 'a) -> Self {
        let inflate = Inflate::new(Bits::new(Box::new(input)));
        Self { inflate, part: Part::Header, checksum: Crc::new(), length: 0, failure: None }
    }

    /// Makes plain bytes where all are taken; there are none at the end.
    fn advance(&mut self) -> io::Result<()> {
        while self.inflate.ready().is_empty() {
            match self.part {
                Part::Header => self.header()?,
                Part::Data => self.data()?,
                Part::Trailer => self.trailer()?,
                Part::End => return Ok(()),
                Part::Broken => {
                    let again = || damaged("an earlier read has failed");
                    return Err(self.failure.take().unwrap_or_else(again));
                }
            }
        }
        Ok(())
    }

    fn data(&mut self) -> io::Result<()> {
        let progress = self.inflate.advance();
        let made = self.inflate.ready();
        self.checksum.update(made);
        // ISIZE is the length modulo 2^32.
        self.length = self.length.wrapping_add(made.len() as u32);
        match progress {
            Ok(Progress::Full) => {}
            Ok(Progress::Ended) => self.part = Part::Trailer,
            // First what was made before: it may be enough to see what this is.
            Err(error) => {
                self.failure = Some(error);
                self.part = Part::Broken;
            }
        }
        Ok(())
    }

    /// RFC 1952, 2.3: magic, method, flags, a time, a hint and an operating system, then what the flags
    /// say is there.
    fn header(&mut self) -> io::Result<()> {
        let bits = &mut self.inflate.bits;
        let mut fixed = [0; 10];
        for byte in &mut fixed {
            *byte = bits.byte()?;
        }
        let [magic @ .., flags, _, _, _, _, _, _] = &fixed;
        if *magic != [0x1f, 0x8b, 8] {
            return Err(damaged("no member begins where one should"));
        }
        if flags & 0xe0 != 0 {
            return Err(damaged("a header has flags that mean nothing"));
        }
        let mut seen = Crc::new();
        seen.update(&fixed);
        if flags & 4 != 0 {
            let mut length = [bits.byte()?, bits.byte()?];
            seen.update(&length);
            for _ in 0..u16::from_le_bytes(length) {
                length[0] = bits.byte()?;
                seen.update(&length[..1]);
            }
        }
        // A file's name, and a comment: each ends with a zero.
        for flag in [8, 16] {
            let mut more = flags & flag != 0;
            while more {
                let byte = bits.byte()?;
                seen.update(&[byte]);
                more = byte != 0;
            }
        }
        if flags & 2 != 0 && bits.take(16)? != seen.sum() & 0xffff {
            return Err(damaged("a header's checksum is wrong"));
        }
        self.checksum = Crc::new();
        self.length = 0;
        self.inflate.begin();
        self.part = Part::Data;
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<()> {
        let bits = &mut self.inflate.bits;
        bits.align();
        if bits.take(32)? != self.checksum.sum() {
            return Err(damaged("a checksum is wrong"));
        }
        if bits.take(32)? != self.length {
            return Err(damaged("a length is wrong"));
        }
        self.part = if bits.is_at_end()? { Part::End } else { Part::Header };
        Ok(())
    }
}

impl Read for Gunzip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if let Err(error) = self.advance() {
            self.part = Part::Broken;
            return Err(error);
        }
        let ready = self.inflate.ready();
        let count = ready.len().min(buf.len());
        buf[..count].copy_from_slice(&ready[..count]);
        self.inflate.take(count);
        Ok(count)
    }
}

fn damaged(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the gzip data is damaged: {reason}"))
}
