//! A pack: pieces of many files in one blob. They are compressed in blocks of about [`BLOCK`] bytes, so
//! that small ones share what they have in common, and one can be had without all before it.
//!
//! ```text
//! block … block | index, compressed | length of that: 4 bytes, little endian | MAGIC
//! ```

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::bytes::{Reader, Writer, unzip};
use super::chunks;
use super::error::MountError;
use super::manifest::LAYER;
use crate::digest::{Digest, Hasher};
use crate::image::Descriptor;

const MAGIC: &[u8; 8] = b"kilnpck1";
/// Bytes of a block before the piece that ends it.
const BLOCK: usize = 1 << 20;
/// No block has more.
const BLOCK_MAX: usize = BLOCK + chunks::MAX;
/// Bytes of an index, not compressed: two million pieces.
const INDEX_MAX: usize = 80 << 20;
/// No frame of zstd has less.
const FRAME_MIN: u64 = 9;
/// zstd's own choice. Most of a package manager's cache is compressed already.
const LEVEL: i32 = 3;

/// What one piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Chunk {
    pub(super) digest: Digest,
    /// Bytes.
    pub(super) length: u32,
}

/// A pack that is somewhere, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pack {
    pub(super) descriptor: Descriptor,
    pub(super) chunks: Vec<Chunk>,
}

impl Pack {
    /// Bytes of its pieces.
    pub(super) fn plain_size(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.length)).sum()
    }
}

/// Writes one.
pub(super) struct PackWriter {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    block: Vec<u8>,
    in_block: u64,
    /// Blocks: compressed length and number of pieces.
    blocks: Vec<(u64, u64)>,
    chunks: Vec<Chunk>,
    compressor: zstd::bulk::Compressor<'static>,
}

impl PackWriter {
    /// Into this file, which is new.
    pub(super) fn create(path: &Path) -> Result<Self, MountError> {
        let compressor = zstd::bulk::Compressor::new(LEVEL);
        Ok(Self {
            path: path.to_owned(),
            file: File::create_new(path).map_err(MountError::io("write", path))?,
            hasher: Hasher::default(),
            block: Vec::with_capacity(BLOCK_MAX),
            in_block: 0,
            blocks: Vec::new(),
            chunks: Vec::new(),
            compressor: compressor.map_err(MountError::io("compress", path))?,
        })
    }

    /// The next piece.
    pub(super) fn add(&mut self, chunk: Chunk, bytes: &[u8]) -> Result<(), MountError> {
        self.block.extend_from_slice(bytes);
        self.in_block += 1;
        self.chunks.push(chunk);
        if self.block.len() >= BLOCK { self.end_block() } else { Ok(()) }
    }

    /// Ends it; it is in its file then.
    pub(super) fn finish(mut self) -> Result<Pack, MountError> {
        self.end_block()?;
        let mut index = Writer::default();
        index.number(self.blocks.len() as u64);
        for (length, count) in &self.blocks {
            index.number(*length);
            index.number(*count);
        }
        for chunk in &self.chunks {
            index.number(chunk.length.into());
            index.digest(&chunk.digest);
        }
        let index = self.compress(&index.0)?;
        let length = u32::try_from(index.len()).unwrap_or(u32::MAX);
        self.write(&index)?;
        self.write(&length.to_le_bytes())?;
        self.write(MAGIC)?;
        let (digest, size) = self.hasher.finish();
        Ok(Pack { descriptor: Descriptor::new(LAYER, digest, size), chunks: self.chunks })
    }

    fn end_block(&mut self) -> Result<(), MountError> {
        if self.in_block == 0 {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        let compressed = self.compress(&block)?;
        self.write(&compressed)?;
        self.blocks.push((compressed.len() as u64, self.in_block));
        (self.block, self.in_block) = (block, 0);
        self.block.clear();
        Ok(())
    }

    fn compress(&mut self, bytes: &[u8]) -> Result<Vec<u8>, MountError> {
        self.compressor.compress(bytes).map_err(MountError::io("compress", &self.path))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), MountError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(MountError::io("write", &self.path))
    }
}

/// Reads one out of a file whose digest was checked, which says who wrote it and no more.
#[derive(Debug)]
pub(super) struct PackReader {
    path: PathBuf,
    file: File,
    blocks: Vec<Block>,
    chunks: Vec<Chunk>,
    /// For each piece, its block and where it begins in there.
    places: Vec<(u32, u32)>,
    /// The blocks that were used last, the newest first.
    plain: Vec<(u32, Vec<u8>)>,
    /// How many of them are kept.
    kept: usize,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    at: u64,
    compressed: u64,
    plain: u64,
}

impl PackReader {
    /// Reads the index. Pieces that several files have are far from their neighbours, so `kept` blocks
    /// stay in memory.
    pub(super) fn open(path: &Path, kept: usize) -> Result<Self, MountError> {
        let read = || MountError::io("read", path);
        let mut file = File::open(path).map_err(read())?;
        let size = file.metadata().map_err(read())?.len();
        let tail = MAGIC.len() as u64 + 4;
        let body = size.checked_sub(tail).ok_or_else(no_pack)?;
        file.seek(SeekFrom::Start(body)).map_err(read())?;
        let (mut length, mut magic) = ([0; 4], [0; MAGIC.len()]);
        file.read_exact(&mut length).and_then(|()| file.read_exact(&mut magic)).map_err(read())?;
        let length = u64::from(u32::from_le_bytes(length));
        let start = body.checked_sub(length).filter(|_| &magic == MAGIC).ok_or_else(no_pack)?;
        let mut index = vec![0; length as usize];
        file.read_exact_at(&mut index, start).map_err(read())?;
        let index = unzip(&index, INDEX_MAX)?;
        let mut reader = Self {
            path: path.to_owned(),
            file,
            blocks: Vec::new(),
            chunks: Vec::new(),
            places: Vec::new(),
            plain: Vec::new(),
            kept: kept.max(1),
        };
        reader.index(&mut Reader(&index), start)?;
        Ok(reader)
    }

    /// What is in it.
    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The bytes of a piece, checked against its digest.
    pub(super) fn get(&mut self, number: u32) -> Result<&[u8], MountError> {
        let digest = self.chunks.get(number as usize).map(|chunk| chunk.digest);
        let bytes = self.get_again(number)?;
        if Some(Digest::of(bytes)) != digest {
            return Err(MountError::damaged("a piece does not match its digest"));
        }
        Ok(bytes)
    }

    /// The bytes of a piece that was checked before.
    pub(super) fn get_again(&mut self, number: u32) -> Result<&[u8], MountError> {
        let missing = || MountError::damaged(format!("a pack has no piece {number}"));
        let chunk = *self.chunks.get(number as usize).ok_or_else(missing)?;
        let (block, at) = *self.places.get(number as usize).ok_or_else(missing)?;
        let at = at as usize;
        self.load(block)?.get(at..at + chunk.length as usize).ok_or_else(missing)
    }

    fn load(&mut self, number: u32) -> Result<&[u8], MountError> {
        let at = self.plain.iter().position(|(known, _)| *known == number);
        let block = match at {
            Some(at) => self.plain.remove(at),
            None => (number, self.read(number)?),
        };
        self.plain.truncate(self.kept - 1);
        self.plain.insert(0, block);
        Ok(&self.plain[0].1)
    }

    fn read(&self, number: u32) -> Result<Vec<u8>, MountError> {
        let block = *self.blocks.get(number as usize).ok_or_else(no_pack)?;
        let mut compressed = vec![0; block.compressed as usize];
        let read = self.file.read_exact_at(&mut compressed, block.at);
        read.map_err(MountError::io("read", &self.path))?;
        unzip(&compressed, block.plain as usize)
    }

    /// `end` is where the blocks end.
    fn index(&mut self, index: &mut Reader<'_>, end: u64) -> Result<(), MountError> {
        let mut counts = Vec::new();
        let mut at: u64 = 0;
        for _ in 0..index.number()? {
            let (compressed, count) = (index.number()?, index.number()?);
            // So that there cannot be many that are nothing.
            if compressed < FRAME_MIN || count == 0 {
                return Err(no_pack());
            }
            self.blocks.push(Block { at, compressed, plain: 0 });
            counts.push(count);
            at = at.checked_add(compressed).filter(|at| *at <= end).ok_or_else(no_pack)?;
        }
        for (number, count) in counts.into_iter().enumerate() {
            let mut plain: u64 = 0;
            for _ in 0..count {
                let (length, digest) = (index.small()?, index.digest()?);
                self.places.push((number as u32, plain as u32));
                self.chunks.push(Chunk { digest, length });
                plain += u64::from(length);
                if plain > BLOCK_MAX as u64 {
                    return Err(no_pack());
                }
            }
            self.blocks[number].plain = plain;
        }
        if !index.is_empty() {
            return Err(no_pack());
        }
        Ok(())
    }
}

fn no_pack() -> MountError {
    MountError::damaged("what should be a pack is none")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn pieces() -> Vec<Vec<u8>> {
        let mut numbers = fastrand::Rng::with_seed(1);
        (0..300).map(|at| vec![at as u8; numbers.usize(1..40_000)]).collect()
    }

    fn write(path: &Path, pieces: &[Vec<u8>]) -> Pack {
        let mut writer = PackWriter::create(path).unwrap();
        for piece in pieces {
            let chunk = Chunk { digest: Digest::of(piece), length: piece.len() as u32 };
            writer.add(chunk, piece).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn pieces_come_back_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack");
        let pieces = pieces();
        let pack = write(&path, &pieces);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(pack.descriptor.digest, Digest::of(&bytes));
        assert_eq!(pack.descriptor.size, bytes.len() as u64);
        let mut reader = PackReader::open(&path, 2).unwrap();
        assert_eq!(reader.chunks(), pack.chunks);
        for number in [0, 299, 1, 150, 149, 298] {
            assert_eq!(reader.get(number).unwrap(), pieces[number as usize]);
        }
        assert!(reader.get(300).is_err());
    }

    #[test]
    fn a_pack_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack");
        write(&path, &pieces());
        let good = std::fs::read(&path).unwrap();
        let wrong = dir.path().join("wrong");
        let mut rows = vec![vec![], b"short".to_vec(), good[1..].to_vec()];
        rows.push(good[..good.len() - 1].to_vec());
        // An index as long as the world.
        let mut long = good.clone();
        let end = long.len();
        long[end - 12..end - 8].copy_from_slice(&u32::MAX.to_le_bytes());
        rows.push(long);
        // Another byte in the first block: the piece says so.
        let mut other = good.clone();
        other[20] ^= 1;
        rows.push(other);
        for (number, bytes) in rows.into_iter().enumerate() {
            std::fs::write(&wrong, bytes).unwrap();
            let read = PackReader::open(&wrong, 2)
                .and_then(|mut it| (0..300).try_for_each(|piece| it.get(piece).map(drop)));
            let told = matches!(read, Err(MountError::Damaged(_) | MountError::TooLarge(_)));
            assert!(told, "{number}: {read:?}");
        }
    }

    #[test]
    fn a_block_that_decompresses_to_more_than_it_says_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack");
        let mut writer = PackWriter::create(&path).unwrap();
        let bomb = vec![0; 1 << 20];
        writer.add(Chunk { digest: Digest::of(b"x"), length: 1 }, &bomb).unwrap();
        writer.finish().unwrap();
        let mut reader = PackReader::open(&path, 2).unwrap();
        assert!(matches!(reader.get(0), Err(MountError::TooLarge(_))));
    }
}
