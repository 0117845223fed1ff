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
use std::sync::atomic::{AtomicU64, Ordering};

use super::bytes::{Reader, Writer, unzip};
use super::chunks;
use super::error::MountError;
use super::manifest::LAYER;
use super::tree::NODES_MAX;
use crate::digest::{Digest, Hasher};
use crate::image::Descriptor;

const MAGIC: &[u8; 8] = b"kilnpck1";
/// Bytes of a block before the piece that ends it.
const BLOCK: usize = 1 << 20;
/// No block has more.
const BLOCK_MAX: usize = BLOCK + chunks::MAX;
/// Bytes of an index, not compressed: two million pieces.
const INDEX_MAX: usize = 80 << 20;
/// Bytes of a piece in there at least.
const ENTRY_MIN: u64 = 33;
/// Pieces of all packs of a snapshot: twice as many as it may have files, since half of a pack may be of no
/// use any more. Each takes 50 bytes of memory.
const PIECES_MAX: u64 = 2 * NODES_MAX as u64;
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
}

/// How many pieces the packs of one snapshot may still have: a short index says more than memory holds.
#[derive(Debug)]
pub(super) struct Budget(AtomicU64);

impl Budget {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(PIECES_MAX))
    }

    fn take(&self, pieces: u64) -> Result<(), MountError> {
        let less = |left: u64| left.checked_sub(pieces);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let what = || MountError::TooLarge(format!("its packs have more than {PIECES_MAX} pieces"));
        taken.map(drop).map_err(|_| what())
    }
}

/// The blocks of all packs that were used last. Pieces that several files have are far from their
/// neighbours, so some stay in memory.
#[derive(Debug)]
pub(super) struct Blocks {
    /// The number of the pack, that of the block in there, and its bytes; the newest first.
    plain: Vec<(u32, u32, Vec<u8>)>,
    most: usize,
}

impl Blocks {
    /// At most so many, of a megabyte and a half each.
    pub(super) fn new(most: usize) -> Self {
        Self { plain: Vec::new(), most: most.max(1) }
    }

    fn load(&mut self, pack: u32, number: u32, reader: &PackReader) -> Result<&[u8], MountError> {
        let known = |(a, b, _): &(u32, u32, Vec<u8>)| (*a, *b) == (pack, number);
        let block = match self.plain.iter().position(known) {
            Some(at) => self.plain.remove(at),
            None => {
                // Before the next one takes its place.
                self.plain.truncate(self.most - 1);
                (pack, number, reader.read(number)?)
            }
        };
        self.plain.insert(0, block);
        Ok(&self.plain[0].2)
    }
}

/// All packs of a snapshot, by their numbers.
#[derive(Debug)]
pub(super) struct Packs {
    readers: Vec<PackReader>,
    blocks: Blocks,
}

impl Packs {
    pub(super) fn new(readers: Vec<PackReader>, blocks: Blocks) -> Self {
        Self { readers, blocks }
    }

    /// What is in one of them; nothing where there is no such pack.
    pub(super) fn chunks(&self, pack: u32) -> &[Chunk] {
        self.readers.get(pack as usize).map_or(&[], |reader| &reader.chunks)
    }

    /// The bytes of a piece, checked against its digest.
    pub(super) fn get(&mut self, pack: u32, number: u32) -> Result<&[u8], MountError> {
        let digest = self.chunks(pack).get(number as usize).map(|chunk| chunk.digest);
        let bytes = self.get_again(pack, number)?;
        if Some(Digest::of(bytes)) != digest {
            return Err(MountError::damaged("a piece does not match its digest"));
        }
        Ok(bytes)
    }

    /// The bytes of a piece that was checked before.
    pub(super) fn get_again(&mut self, pack: u32, number: u32) -> Result<&[u8], MountError> {
        let missing = || MountError::damaged("a file names what is in no pack");
        let reader = self.readers.get(pack as usize).ok_or_else(missing)?;
        let chunk = *reader.chunks.get(number as usize).ok_or_else(missing)?;
        let (block, at) = *reader.places.get(number as usize).ok_or_else(missing)?;
        let at = at as usize;
        let bytes = self.blocks.load(pack, block, reader)?;
        bytes.get(at..at + chunk.length as usize).ok_or_else(missing)
    }
}

#[derive(Debug, Clone, Copy)]
struct Block {
    at: u64,
    compressed: u64,
    plain: u64,
}

impl PackReader {
    /// Reads the index.
    pub(super) fn open(path: &Path, budget: &Budget) -> Result<Self, MountError> {
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
        if length > compress_bound(INDEX_MAX) as u64 {
            return Err(no_pack());
        }
        let mut index = vec![0; length as usize];
        file.read_exact_at(&mut index, start).map_err(read())?;
        let index = unzip(&index, INDEX_MAX)?;
        let mut reader = Self {
            path: path.to_owned(),
            file,
            blocks: Vec::new(),
            chunks: Vec::new(),
            places: Vec::new(),
        };
        reader.index(&mut Reader(&index), start, budget)?;
        Ok(reader)
    }

    fn read(&self, number: u32) -> Result<Vec<u8>, MountError> {
        let block = *self.blocks.get(number as usize).ok_or_else(no_pack)?;
        let mut compressed = vec![0; block.compressed as usize];
        let read = self.file.read_exact_at(&mut compressed, block.at);
        read.map_err(MountError::io("read", &self.path))?;
        unzip(&compressed, block.plain as usize)
    }

    /// `end` is where the blocks end.
    fn index(
        &mut self,
        index: &mut Reader<'_>,
        end: u64,
        budget: &Budget,
    ) -> Result<(), MountError> {
        let mut counts = Vec::new();
        let (mut at, mut pieces): (u64, u64) = (0, 0);
        for _ in 0..index.number()? {
            let (compressed, count) = (index.number()?, index.number()?);
            // So that there cannot be many that are nothing.
            if !(FRAME_MIN..=compress_bound(BLOCK_MAX) as u64).contains(&compressed) || count == 0 {
                return Err(no_pack());
            }
            pieces = pieces.saturating_add(count);
            self.blocks.push(Block { at, compressed, plain: 0 });
            counts.push(count);
            at = at.checked_add(compressed).filter(|at| *at <= end).ok_or_else(no_pack)?;
        }
        if pieces.saturating_mul(ENTRY_MIN) > index.0.len() as u64 {
            return Err(no_pack());
        }
        budget.take(pieces)?;
        for (number, count) in counts.into_iter().enumerate() {
            let mut plain: u64 = 0;
            for _ in 0..count {
                let (length, digest) = (index.small()?, index.digest()?);
                if length == 0 || length as usize > chunks::MAX {
                    return Err(no_pack());
                }
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

fn compress_bound(plain: usize) -> usize {
    zstd::zstd_safe::compress_bound(plain)
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
        let mut packs = open(&path).unwrap();
        assert_eq!(packs.chunks(0), pack.chunks);
        for number in [0, 299, 1, 150, 149, 298] {
            assert_eq!(packs.get(0, number).unwrap(), pieces[number as usize]);
            assert!(packs.blocks.plain.len() <= 2);
        }
        assert!(packs.get(0, 300).is_err() && packs.get(1, 0).is_err());
    }

    fn open(path: &Path) -> Result<Packs, MountError> {
        Ok(Packs::new(vec![PackReader::open(path, &Budget::new())?], Blocks::new(2)))
    }

    /// A pack whose index says what its blocks do not have.
    fn with_index(path: &Path, blocks: &[(u64, u64)], pieces: &[u64]) {
        let mut index = Writer::default();
        index.number(blocks.len() as u64);
        for (length, count) in blocks {
            index.number(*length);
            index.number(*count);
        }
        for length in pieces {
            index.number(*length);
            index.digest(&Digest::of(b"x"));
        }
        let index = zstd::bulk::compress(&index.0, 1).unwrap();
        let length = u32::try_from(index.len()).unwrap().to_le_bytes();
        let file = File::create(path).unwrap();
        file.set_len(1 << 30).unwrap();
        let tail = [index.as_slice(), &length, MAGIC].concat();
        file.write_all_at(&tail, 1 << 30).unwrap();
    }

    #[test]
    fn an_index_that_says_what_cannot_be_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack");
        let long = chunks::MAX as u64;
        let huge = compress_bound(BLOCK_MAX) as u64;
        with_index(&path, &[(huge, 3), (9, 1)], &[1, 2, long, 1]);
        assert!(PackReader::open(&path, &Budget::new()).is_ok());
        for (what, blocks, pieces) in [
            ("a piece that is nothing", vec![(9, 1)], vec![0]),
            ("a piece that is too long", vec![(9, 1)], vec![long + 1]),
            ("a block that takes too much", vec![(huge + 1, 1)], vec![1]),
            ("a block that takes nothing", vec![(8, 1)], vec![1]),
            ("pieces that are not there", vec![(9, u64::MAX), (9, u64::MAX)], vec![1]),
            ("more in a block than may be", vec![(9, 4)], vec![long; 4]),
        ] {
            with_index(&path, &blocks, &pieces);
            let read = PackReader::open(&path, &Budget::new());
            assert!(matches!(read, Err(MountError::Damaged(_))), "{what}: {read:?}");
        }
        // Many small packs whose indexes are shorter still.
        let budget = Budget(AtomicU64::new(250));
        with_index(&path, &[(9, 100)], &[1; 100]);
        let mut packs = (0..3).map(|_| PackReader::open(&path, &budget));
        assert!(packs.next().unwrap().is_ok() && packs.next().unwrap().is_ok());
        assert!(matches!(packs.next().unwrap(), Err(MountError::TooLarge(_))));
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
            let read = open(&wrong)
                .and_then(|mut it| (0..300).try_for_each(|piece| it.get(0, piece).map(drop)));
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
        let mut packs = open(&path).unwrap();
        assert!(matches!(packs.get(0, 0), Err(MountError::TooLarge(_))));
    }
}
