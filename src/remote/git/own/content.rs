//! An object's content: in memory while it is small, else in a file without a name.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::wrong::{Wrong, written};
use crate::remote::RemoteError;

/// More is in a file.
const IN_MEMORY: u64 = 16 << 20;
const BLOCK: usize = 64 << 10;

/// The bytes of one object.
#[derive(Debug)]
pub(super) enum Content {
    Memory(Vec<u8>),
    File(Spilled),
}

/// What is too large for memory.
#[derive(Debug)]
pub(super) struct Spilled {
    file: File,
    length: u64,
    /// Where the file is.
    dir: PathBuf,
}

impl Content {
    /// An empty one, for so many bytes.
    pub(super) fn new(size: u64, dir: &Path) -> Result<Self, Wrong> {
        if size <= IN_MEMORY {
            // Not as much as is announced: whoever announces it has not sent it yet.
            return Ok(Self::Memory(Vec::with_capacity(size.min(BLOCK as u64) as usize)));
        }
        let file = tempfile::tempfile_in(dir).map_err(RemoteError::io("write in", dir))?;
        Ok(Self::File(Spilled { file, length: 0, dir: dir.to_owned() }))
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(spilled) => spilled.length,
        }
    }

    /// What it costs to have it at hand, in bytes of memory; an open file costs, too.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(..) => IN_MEMORY as usize / 2,
        }
    }

    /// The bytes, if they are few.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Memory(bytes) => Some(bytes),
            Self::File(..) => None,
        }
    }

    /// Hands on a part, in pieces. It has to be there.
    pub(super) fn part(
        &self,
        from: u64,
        length: u64,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => {
                let (from, length) = (from as usize, length as usize);
                take(bytes.get(from..from + length).ok_or(io::ErrorKind::UnexpectedEof)?)
            }
            Self::File(Spilled { file, .. }) => {
                let mut block = vec![0; BLOCK.min(length as usize)];
                let mut done = 0;
                while done < length {
                    let size = block.len().min((length - done) as usize);
                    file.read_exact_at(&mut block[..size], from + done)?;
                    take(&block[..size])?;
                    done += size as u64;
                }
                Ok(())
            }
        }
    }
}

impl Write for Content {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Memory(all) => all.extend_from_slice(bytes),
            Self::File(Spilled { file, length, dir }) => {
                file.write_all(bytes).map_err(written("write in", dir))?;
                *length += bytes.len() as u64;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file from a place on, for one of several readers.
#[derive(Debug)]
pub(super) struct At<'a> {
    pub(super) file: &'a File,
    pub(super) offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(into, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}
