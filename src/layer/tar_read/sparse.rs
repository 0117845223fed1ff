//! GNU's sparse files: a list of pieces, and only their bytes. Here they become plain data again.
//!
//! There are four formats: the old one of type `S`, with the list in the header and blocks after it;
//! and three in PAX records, 0.0 with repeated keys, 0.1 with one key, and 1.0 with the list before
//! the data. Source: GNU tar manual, "Storing Sparse Files".

use std::io::BufRead;

use super::pax::{self, Records};
use super::stream::Stream;
use crate::layer::tar_error::TarError;
use crate::layer::tar_header::{BLOCK, GNU_EXTENDED, GNU_REAL_SIZE, GNU_SPARSE, TYPE, number};

/// More than fit into Go's limit of 1 MiB for the list in text.
const MAX_PIECES: usize = 1 << 17;
/// One piece in a header: offset and length, 12 bytes each.
const PAIR: usize = 24;
/// In a block that continues the list: 21 pieces, then whether another block follows.
const BLOCK_PIECES: usize = 21 * PAIR;
const MAX_LIST: usize = 1 << 20;

/// The pieces of a file, and where its reader is.
#[derive(Debug)]
pub(super) struct Sparse {
    /// Start and end in the file; ascending, none empty.
    pieces: Vec<(u64, u64)>,
    /// Length of the file.
    pub(super) size: u64,
    position: u64,
    /// The first piece that ends behind the position.
    current: usize,
}

/// What comes next, and how many bytes of it.
pub(super) enum Piece {
    Zeros(usize),
    Data(usize),
}

impl Sparse {
    /// The list of a sparse member; `None` for an ordinary one. Reads what the list has in the
    /// stream. `stored` is the member's size in the archive.
    pub(super) fn of<R: BufRead>(
        header: &[u8; BLOCK],
        records: &Records,
        stream: &mut Stream<R>,
        stored: u64,
        name: &[u8],
    ) -> Result<Option<Self>, TarError> {
        let malformed = || TarError::member(name, "its list of sparse pieces is malformed");
        let version = (records.get("GNU.sparse.major"), records.get("GNU.sparse.minor"));
        let list = records.get("GNU.sparse.map");
        let (numbers, size, stored) = if header[TYPE] == b'S' {
            let numbers = old_list(header, stream)?.ok_or_else(malformed)?;
            let size = number(&header[GNU_REAL_SIZE]).and_then(|size| u64::try_from(size).ok());
            (numbers, size, stored)
        } else if let (Some(b"1"), Some(b"0")) = version {
            let (numbers, read) = list_before_data(stream, stored)?.ok_or_else(malformed)?;
            let size = records.get("GNU.sparse.realsize").and_then(pax::decimal);
            (numbers, size, stored - read)
        } else if !matches!(version, (None, None) | (Some(b"0"), Some(b"0" | b"1"))) {
            return Err(TarError::member(name, "it is in a sparse format that kiln does not know"));
        } else if list.is_some() || !records.sparse_pairs.is_empty() {
            let numbers = match list {
                Some(list) => list.split(|byte| *byte == b',').map(pax::decimal).collect(),
                None => Some(records.sparse_pairs.clone()),
            };
            let size = records.get("GNU.sparse.size").and_then(pax::decimal);
            (numbers.ok_or_else(malformed)?, size, stored)
        } else if records.get("GNU.sparse.size").is_some() {
            // All hole, and so without any piece.
            let size = records.get("GNU.sparse.size").and_then(pax::decimal);
            (Vec::new(), size, stored)
        } else {
            return Ok(None);
        };
        let sparse = size.and_then(|size| Self::new(&numbers, size, stored));
        sparse.map(Some).ok_or_else(malformed)
    }

    /// Offsets and lengths in turn. `None` where the pieces overlap, leave the file, or do not have
    /// as many bytes as the archive.
    fn new(numbers: &[u64], size: u64, stored: u64) -> Option<Self> {
        if !numbers.len().is_multiple_of(2) || numbers.len() / 2 > MAX_PIECES {
            return None;
        }
        let mut pieces = Vec::with_capacity(numbers.len() / 2);
        let mut last_end = 0;
        for pair in numbers.chunks_exact(2) {
            let end = pair[0].checked_add(pair[1])?;
            if pair[0] < last_end || end > size {
                return None;
            }
            last_end = end;
            // Writers end the list with an empty piece at the end of the file.
            if pair[1] > 0 {
                pieces.push((pair[0], end));
            }
        }
        let sparse = Self { pieces, size, position: 0, current: 0 };
        (sparse.stored() == stored).then_some(sparse)
    }

    /// Bytes that the archive has of the file.
    pub(super) fn stored(&self) -> u64 {
        self.pieces.iter().map(|(start, end)| end - start).sum()
    }

    /// What comes next, at most `wanted` bytes of it. Zeros count as taken at once.
    pub(super) fn advance(&mut self, wanted: usize) -> Piece {
        let up_to = |left: u64| usize::try_from(left).unwrap_or(usize::MAX).min(wanted);
        let (start, end) = self.pieces.get(self.current).copied().unwrap_or((self.size, self.size));
        if self.position < start {
            let count = up_to(start - self.position);
            self.position += count as u64;
            return Piece::Zeros(count);
        }
        Piece::Data(up_to(end - self.position))
    }

    /// Tells that so many bytes of data were taken.
    pub(super) fn consumed(&mut self, count: usize) {
        self.position += count as u64;
        if self.pieces.get(self.current).is_some_and(|(_, end)| *end == self.position) {
            self.current += 1;
        }
    }
}

/// The old format's list. The outer error is the stream's.
fn old_list<R: BufRead>(
    header: &[u8; BLOCK],
    stream: &mut Stream<R>,
) -> Result<Option<Vec<u64>>, TarError> {
    let mut numbers = Vec::new();
    let mut complete = push_pairs(&mut numbers, &header[GNU_SPARSE]);
    let mut more = header[GNU_EXTENDED] != 0;
    while more && complete.is_some() && numbers.len() / 2 <= MAX_PIECES {
        let mut block = [0; BLOCK];
        stream.exact(&mut block)?;
        complete = push_pairs(&mut numbers, &block[..BLOCK_PIECES]);
        more = block[BLOCK_PIECES] != 0;
    }
    Ok(complete.map(|()| numbers))
}

/// Pieces up to the first empty field.
fn push_pairs(numbers: &mut Vec<u64>, pairs: &[u8]) -> Option<()> {
    for pair in pairs.chunks_exact(PAIR).take_while(|pair| pair[0] != 0) {
        for field in pair.chunks_exact(PAIR / 2) {
            numbers.push(u64::try_from(number(field)?).ok()?);
        }
    }
    Some(())
}

/// Format 1.0: the number of pieces, then offsets and lengths, one number a line, padded to a whole
/// block. Returns them, and how many bytes of the content they took.
fn list_before_data<R: BufRead>(
    stream: &mut Stream<R>,
    stored: u64,
) -> Result<Option<(Vec<u64>, u64)>, TarError> {
    let mut list = Vec::new();
    let (mut lines, mut wanted) = (0, 1);
    while lines < wanted {
        if list.len() as u64 + BLOCK as u64 > stored || list.len() >= MAX_LIST {
            return Ok(None);
        }
        let start = list.len();
        list.resize(start + BLOCK, 0);
        stream.exact(&mut list[start..])?;
        lines += list[start..].iter().filter(|byte| **byte == b'\n').count();
        if start == 0 {
            let count = list.split(|byte| *byte == b'\n').next().and_then(pax::decimal);
            let Some(count) = count.filter(|count| *count <= MAX_PIECES as u64) else {
                return Ok(None);
            };
            wanted = 1 + 2 * count as usize;
        }
    }
    let numbers = list.split(|byte| *byte == b'\n').take(wanted).skip(1).map(pax::decimal);
    Ok(numbers.collect::<Option<_>>().map(|numbers| (numbers, list.len() as u64)))
}
