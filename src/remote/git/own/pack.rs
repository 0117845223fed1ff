//! A pack as it comes: written to a file, hashed, and looked through once (gitformat-pack(5)).

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::Crc;
use flate2::bufread::ZlibDecoder;

use super::budget::Budget;
use super::id::{Id, Kind, Sha1};
use super::wrong::{Wrong, unusable};
use crate::cancel::Cancel;
use crate::remote::RemoteError;

/// What a compressed object may have beside its bytes: zlib has 5 bytes in 16 KiB of what it cannot
/// compress. Blocks that hold nothing could go on for ever.
const LOOSE: u64 = 4 << 10;

/// No base.
pub(super) const NOTHING: u32 = u32::MAX;

/// An object of a pack. There may be millions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Where it begins.
    pub(super) offset: u64,
    /// The name; none of a delta that is not resolved yet.
    pub(super) id: Id,
    /// CRC-32 of its bytes in the pack.
    pub(super) crc: u32,
    /// The number of the entry that it is a delta to, or [`NOTHING`].
    pub(super) base: u32,
    /// Bytes before the compressed ones.
    pub(super) head: u8,
    /// Of a delta, that of its base, once that is known.
    pub(super) kind: Option<Kind>,
    /// Deltas from here to a whole object.
    pub(super) depth: u16,
}

/// All entries, in their order.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) entries: Vec<Entry>,
    /// Deltas whose base is named: the name, and the delta's number.
    pub(super) by_name: Vec<(Id, u32)>,
    /// The pack's own.
    pub(super) checksum: Id,
}

/// What stands before an entry's bytes.
enum Form {
    Whole(Kind),
    /// A delta to the entry so many bytes before.
    Before(u64),
    /// A delta to an object of a name.
    Named(Id),
}

/// Reads a pack to its end and writes it into a file, which is in `dir`.
pub(super) fn list(
    from: impl Read,
    into: &File,
    dir: &Path,
    budget: &Budget,
    cancel: &Cancel,
    progress: &dyn Fn(u64),
) -> Result<Listed, Wrong> {
    let limits = &budget.limits;
    let mut tee = Tee::new(from, into, dir, budget.bytes_left());
    let mut head = [0; 12];
    tee.read_exact(&mut head).map_err(Wrong::of_stream)?;
    let number =
        |at: usize| head[at..at + 4].iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
    if &head[..4] != b"PACK" || !matches!(number(4), 2 | 3) {
        return unusable("what the server sends is no pack");
    }
    let count = number(8);
    if count > limits.objects {
        return unusable(format!(
            "the pack has {count} objects, and kiln takes {}",
            limits.objects
        ));
    }
    let mut listed = Listed { entries: Vec::new(), by_name: Vec::new(), checksum: Id::NONE };
    for index in 0..count {
        cancel.check()?;
        listed.add(&mut tee, index, budget)?;
        progress(tee.offset);
    }
    let expected = tee.hash.clone().finish();
    let mut sum = [0; Id::LENGTH];
    tee.read_exact(&mut sum).map_err(Wrong::of_stream)?;
    if sum != expected.as_bytes() {
        return unusable("the pack is damaged: its checksum is another");
    }
    if !tee.fill_buf().map_err(Wrong::of_stream)?.is_empty() {
        return unusable("the pack is damaged: there is something behind its end");
    }
    tee.file.flush().map_err(RemoteError::io("write in", dir))?;
    budget.received(tee.offset);
    listed.checksum = expected;
    Ok(listed)
}

impl Listed {
    fn add<R: Read>(&mut self, tee: &mut Tee<R>, index: u32, budget: &Budget) -> Result<(), Wrong> {
        let offset = tee.offset;
        tee.crc = Crc::new();
        let (form, size) = header(tee)?;
        let most = budget.limits.object;
        if size > most {
            return unusable(format!("an object has {size} bytes, and kiln takes {most}"));
        }
        let head = u8::try_from(tee.offset - offset).unwrap_or(u8::MAX);
        let (kind, base) = match form {
            Form::Whole(kind) => (Some(kind), NOTHING),
            Form::Before(back) => (None, self.before(offset, back)?),
            Form::Named(id) => {
                self.by_name.push((id, index));
                (None, NOTHING)
            }
        };
        budget.spend(size)?;
        let mut hash = kind.map(|kind| Sha1::of_object(kind, size));
        tee.end = Some(tee.offset.saturating_add(size + size / 64 + LOOSE));
        inflate(&mut *tee, size, |bytes| {
            if let Some(hash) = &mut hash {
                hash.update(bytes);
            }
            Ok(())
        })?;
        tee.check()?;
        tee.end = None;
        let id = hash.map_or(Id::NONE, Sha1::finish);
        let mut crc = Crc::new();
        std::mem::swap(&mut crc, &mut tee.crc);
        self.entries.push(Entry { offset, id, crc: crc.sum(), base, head, kind, depth: 0 });
        Ok(())
    }

    /// The number of the entry that begins so many bytes before an offset.
    fn before(&self, offset: u64, back: u64) -> Result<u32, Wrong> {
        let place = offset.checked_sub(back).filter(|_| back > 0);
        let found = place
            .and_then(|place| self.entries.binary_search_by_key(&place, |entry| entry.offset).ok());
        match found.and_then(|found| u32::try_from(found).ok()) {
            Some(found) => Ok(found),
            None => unusable("the pack is damaged: a delta builds on something that is no object"),
        }
    }
}

/// Kind and size. Of a delta, the size is its own.
fn header(from: &mut impl Read) -> Result<(Form, u64), Wrong> {
    let first = byte(from)?;
    let mut size = u64::from(first & 0x0f);
    let (mut last, mut shift) = (first, 4);
    while last & 0x80 != 0 {
        last = byte(from)?;
        if shift > 53 {
            return unusable("the pack is damaged: an object has a size that is no number");
        }
        size |= u64::from(last & 0x7f) << shift;
        shift += 7;
    }
    let form = match first >> 4 & 7 {
        1 => Form::Whole(Kind::Commit),
        2 => Form::Whole(Kind::Tree),
        3 => Form::Whole(Kind::Blob),
        4 => Form::Whole(Kind::Tag),
        6 => Form::Before(back(from)?),
        7 => {
            let mut id = [0; Id::LENGTH];
            from.read_exact(&mut id).map_err(Wrong::of_stream)?;
            Form::Named(Id::from_start(&id).unwrap_or(Id::NONE))
        }
        _ => return unusable("the pack is damaged: an object has a kind that means nothing"),
    };
    Ok((form, size))
}

/// How far before it a delta's base begins.
fn back(from: &mut impl Read) -> Result<u64, Wrong> {
    let mut last = byte(from)?;
    let mut value = u64::from(last & 0x7f);
    while last & 0x80 != 0 {
        last = byte(from)?;
        if value >> 56 != 0 {
            return unusable("the pack is damaged: a delta builds on something far away");
        }
        value = (value + 1) << 7 | u64::from(last & 0x7f);
    }
    Ok(value)
}

fn byte(from: &mut impl Read) -> Result<u8, Wrong> {
    let mut byte = [0];
    from.read_exact(&mut byte).map_err(Wrong::of_stream)?;
    Ok(byte[0])
}

/// Unpacks one object's bytes, which have to be as many as were announced.
pub(super) fn inflate(
    from: impl BufRead,
    size: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Wrong> {
    let mut decoder = ZlibDecoder::new(from);
    let mut block = [0; 16 << 10];
    let mut left = size;
    loop {
        let length = decoder.read(&mut block).map_err(Wrong::of_stream)?;
        match left.checked_sub(length as u64) {
            Some(_) if length == 0 && left > 0 => {
                return unusable("the pack is damaged: an object has too few bytes");
            }
            Some(_) if length == 0 => return Ok(()),
            Some(rest) => left = rest,
            None => return unusable("the pack is damaged: an object has too many bytes"),
        }
        take(&block[..length]).map_err(Wrong::of_stream)?;
    }
}

/// Everything that is read goes into the file and the sums.
struct Tee<'a, R> {
    from: BufReader<R>,
    file: BufWriter<&'a File>,
    hash: Sha1,
    crc: Crc,
    offset: u64,
    /// Bytes that the pack may have.
    most: u64,
    /// Where the object that is being read has to have ended.
    end: Option<u64>,
    dir: &'a Path,
    failed: Option<io::Error>,
}

impl<'a, R: Read> Tee<'a, R> {
    fn new(from: R, into: &'a File, dir: &'a Path, most: u64) -> Self {
        Self {
            from: BufReader::with_capacity(64 << 10, from),
            file: BufWriter::with_capacity(256 << 10, into),
            hash: Sha1::new(),
            crc: Crc::new(),
            offset: 0,
            most,
            end: None,
            dir,
            failed: None,
        }
    }

    fn check(&mut self) -> Result<(), Wrong> {
        if let Some(error) = self.failed.take() {
            return Err(RemoteError::io("write in", self.dir)(error).into());
        }
        if self.offset > self.most {
            return unusable("the pack is larger than kiln takes");
        }
        if self.end.is_some_and(|end| self.offset > end) {
            return unusable("the pack is damaged: an object takes more bytes than it has");
        }
        Ok(())
    }
}

impl<R: Read> BufRead for Tee<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // Here and not after an object, which may have no end.
        self.check()?;
        self.from.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        let bytes = &self.from.buffer()[..count];
        if let Err(error) = self.file.write_all(bytes) {
            self.failed = Some(error);
        }
        self.hash.update(bytes);
        self.crc.update(bytes);
        self.offset += count as u64;
        self.from.consume(count);
    }
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

/// The size that an entry announces, and the compressed bytes behind it.
pub(super) fn body<'a>(
    file: &'a File,
    entry: &Entry,
) -> Result<(u64, BufReader<super::content::At<'a>>), Wrong> {
    let at = |offset| super::content::At { file, offset };
    let (_, size) = header(&mut BufReader::with_capacity(64, at(entry.offset)))?;
    let body = at(entry.offset + u64::from(entry.head));
    Ok((size, BufReader::with_capacity(16 << 10, body)))
}
