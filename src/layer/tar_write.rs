//! Writes tar: ustar headers, and PAX records for what those cannot say, as Go's archive/tar does.
//!
//! The bytes follow from the entries alone: records are sorted, there are no names of users, no
//! access times, no process ids. Sparse files are written as plain data, since readers of layers
//! need not know GNU's sparse formats.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use super::entry::{Entry, Kind, Timestamp};
use super::tar_error::TarError;
use super::tar_header::{
    BLOCK, CHECKSUM, DEV_MAJOR, DEV_MINOR, GID, LINK, MAGIC, MODE, MTIME, NAME, SIZE, TYPE, UID,
    USTAR_MAGIC, checksums, largest_octal, put_octal,
};

/// Bytes read from a file at once.
const COPY_BUFFER: usize = 128 << 10;
/// Go's archive/tar, and so Docker and containerd, read no more PAX records than this per member.
pub(super) const MAX_PAX: usize = 1 << 20;
/// How Go, and all that read layers, spell extended attributes (from Schilling's star).
pub(super) const XATTR_PREFIX: &str = "SCHILY.xattr.";

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Writes an archive to `W`.
#[derive(Debug)]
pub struct TarWriter<W: Write> {
    out: W,
    buffer: Vec<u8>,
    /// An append failed half-way: the archive is worth nothing.
    broken: bool,
}

impl<W: Write> TarWriter<W> {
    /// An empty archive.
    pub fn new(out: W) -> Self {
        Self { out, buffer: vec![0; COPY_BUFFER], broken: false }
    }

    /// Adds a member. `content` is read for a file only, and must have exactly the file's size.
    pub fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), TarError> {
        if self.broken {
            return Err(TarError::Broken);
        }
        let (header, records) = encode(entry)?;
        let extended = extended_header(entry, &records)?;
        self.broken = true;
        self.out.write_all(&extended).map_err(TarError::Write)?;
        self.out.write_all(&header).map_err(TarError::Write)?;
        if let Kind::File { size } = entry.kind {
            self.copy(entry, size, content)?;
        }
        self.broken = false;
        Ok(())
    }

    /// Ends the archive. Returns the writer below.
    pub fn finish(mut self) -> io::Result<W> {
        if self.broken {
            return Err(io::Error::other(TarError::Broken));
        }
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn copy(&mut self, entry: &Entry, size: u64, content: &mut dyn Read) -> Result<(), TarError> {
        let changed =
            |found: String| TarError::Changed { path: entry.path.clone(), expected: size, found };
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let count = read(entry, content, &mut self.buffer[..wanted])?;
            if count == 0 {
                return Err(changed((size - left).to_string()));
            }
            self.out.write_all(&self.buffer[..count]).map_err(TarError::Write)?;
            left -= count as u64;
        }
        if read(entry, content, &mut self.buffer[..1])? != 0 {
            return Err(changed("more".to_owned()));
        }
        self.out.write_all(padding(size)).map_err(TarError::Write)
    }
}

fn read(entry: &Entry, content: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, TarError> {
    loop {
        match content.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(TarError::Content { path: entry.path.clone(), source }),
            Ok(count) => return Ok(count),
        }
    }
}

/// Zeros up to the next block.
fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    // Less than 512.
    let over = (size % BLOCK as u64) as usize;
    &ZEROS[..(BLOCK - over) % BLOCK]
}

/// The path as tar has it: directories end with a slash, the root is `./`.
fn member_name(entry: &Entry) -> Vec<u8> {
    let mut name = entry.path.as_os_str().as_bytes().to_vec();
    if name.is_empty() {
        name.push(b'.');
    }
    if entry.kind == Kind::Dir {
        name.push(b'/');
    }
    name
}

/// The header block, and the records for what does not fit into it.
fn encode(entry: &Entry) -> Result<([u8; BLOCK], Records), TarError> {
    let mut fields = Fields { block: [0; BLOCK], records: Records::new() };
    let meta = &entry.meta;
    fields.text(entry, NAME, "path", &member_name(entry))?;
    put_octal(&mut fields.block[MODE], u64::from(meta.mode & 0o7777));
    fields.number(UID, "uid", u64::from(meta.uid));
    fields.number(GID, "gid", u64::from(meta.gid));
    fields.time(meta.mtime);
    fields.kind(entry)?;
    for (name, value) in &meta.xattrs {
        let name = name.as_bytes();
        if name.is_empty() || name.iter().any(|byte| matches!(byte, b'=' | 0)) {
            let name = String::from_utf8_lossy(name);
            let reason = format!("PAX cannot express its extended attribute `{name}`");
            return Err(TarError::unrepresentable(&entry.path, reason));
        }
        fields.records.insert([XATTR_PREFIX.as_bytes(), name].concat(), value.clone());
    }
    Ok((seal(fields.block), fields.records))
}

/// Adds magic and checksum.
fn seal(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    block[MAGIC].copy_from_slice(USTAR_MAGIC);
    let (sum, _) = checksums(&block);
    // Six digits, NUL, space: the traditional form.
    put_octal(&mut block[CHECKSUM.start..CHECKSUM.end - 1], sum);
    block[CHECKSUM.end - 1] = b' ';
    block
}

struct Fields {
    block: [u8; BLOCK],
    records: Records,
}

impl Fields {
    /// PAX text is UTF-8 by the standard, but Go writes and reads any bytes but NUL, so names that
    /// are not UTF-8 survive. The ustar field of a long name is not split at a prefix: every reader
    /// of layers knows PAX, and not all agree on prefixes.
    fn text(
        &mut self,
        entry: &Entry,
        field: Range<usize>,
        key: &str,
        text: &[u8],
    ) -> Result<(), TarError> {
        if text.contains(&0) {
            let reason = format!("its {key} contains a NUL byte");
            return Err(TarError::unrepresentable(&entry.path, reason));
        }
        if text.len() > field.len() || !text.is_ascii() {
            self.records.insert(key.into(), text.to_vec());
        }
        let short = short_text(text, field.len());
        self.block[field][..short.len()].copy_from_slice(&short);
        Ok(())
    }

    fn number(&mut self, field: Range<usize>, key: &str, value: u64) {
        if value <= largest_octal(field.len()) {
            put_octal(&mut self.block[field], value);
        } else {
            put_octal(&mut self.block[field], 0);
            self.records.insert(key.into(), value.to_string().into_bytes());
        }
    }

    fn time(&mut self, time: Timestamp) {
        let fits = u64::try_from(time.secs).ok().filter(|secs| *secs <= largest_octal(MTIME.len()));
        put_octal(&mut self.block[MTIME], fits.unwrap_or(0));
        if fits.is_none() || time.nanos != 0 {
            self.records.insert("mtime".into(), pax_time(time).into_bytes());
        }
    }

    fn kind(&mut self, entry: &Entry) -> Result<(), TarError> {
        let (size, devices) = match entry.kind {
            Kind::File { size } => (size, (0, 0)),
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                (0, (major, minor))
            }
            _ => (0, (0, 0)),
        };
        self.block[TYPE] = match &entry.kind {
            Kind::File { .. } => b'0',
            Kind::HardLink(_) => b'1',
            Kind::Symlink(_) => b'2',
            Kind::CharDevice { .. } => b'3',
            Kind::BlockDevice { .. } => b'4',
            Kind::Dir => b'5',
            Kind::Fifo => b'6',
        };
        if let Kind::HardLink(target) | Kind::Symlink(target) = &entry.kind {
            self.text(entry, LINK, "linkpath", target.as_os_str().as_bytes())?;
        }
        self.number(SIZE, "size", size);
        for (field, number) in [(DEV_MAJOR, devices.0), (DEV_MINOR, devices.1)] {
            // PAX has no record for these. Linux' own numbers have 12 and 20 bits, which fit.
            if u64::from(number) > largest_octal(field.len()) {
                let reason = format!("tar has no room for the device number {number}");
                return Err(TarError::unrepresentable(&entry.path, reason));
            }
            put_octal(&mut self.block[field], u64::from(number));
        }
        Ok(())
    }
}

/// What stands in a field whose whole text is in a record: for people, and for readers without PAX.
fn short_text(text: &[u8], len: usize) -> Vec<u8> {
    let mut short: Vec<u8> = text.iter().copied().filter(u8::is_ascii).collect();
    if short.len() > len {
        short.truncate(len);
        // Some readers take a file whose short name ends with a slash for a directory (Go #17545).
        while short.last() == Some(&b'/') {
            short.pop();
        }
    }
    short
}

/// Decimal seconds. Negative ones count from the same zero: -1.5 is half a second before -1.
fn pax_time(Timestamp { secs, nanos }: Timestamp) -> String {
    if nanos == 0 {
        return secs.to_string();
    }
    let (sign, whole, fraction) = if secs < 0 {
        ("-", (secs + 1).unsigned_abs(), 1_000_000_000 - nanos)
    } else {
        ("", secs.unsigned_abs(), nanos)
    };
    let text = format!("{sign}{whole}.{fraction:09}");
    text.trim_end_matches('0').to_owned()
}

/// The member before the member that carries its records; nothing where there are none.
fn extended_header(entry: &Entry, records: &Records) -> Result<Vec<u8>, TarError> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mut data = Vec::new();
    for (key, value) in records {
        push_record(&mut data, key, value);
    }
    if data.len() > MAX_PAX {
        let reason = "its names and extended attributes exceed the 1 MiB that readers accept";
        return Err(TarError::unrepresentable(&entry.path, reason));
    }
    let mut block = [0; BLOCK];
    let name = extended_name(&member_name(entry));
    block[NAME][..name.len()].copy_from_slice(&name);
    for field in [MODE, UID, GID, MTIME, DEV_MAJOR, DEV_MINOR] {
        put_octal(&mut block[field], 0);
    }
    put_octal(&mut block[SIZE], data.len() as u64);
    block[TYPE] = b'x';
    let pad = padding(data.len() as u64);
    Ok([&seal(block)[..], &data, pad].concat())
}

/// `dir/file` is described by `dir/PaxHeaders.0/file`, as POSIX suggests.
fn extended_name(member: &[u8]) -> Vec<u8> {
    let split = member.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (dir, file) = member.split_at(split);
    let name = [dir, b"PaxHeaders.0/", file].concat();
    let mut short = short_text(&name, NAME.len());
    while short.last() == Some(&b'/') {
        short.pop();
    }
    short
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn push_record(data: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + decimal_digits(rest);
    if decimal_digits(len) > decimal_digits(rest) {
        len += 1;
    }
    data.extend_from_slice(len.to_string().as_bytes());
    data.push(b' ');
    data.extend_from_slice(key);
    data.push(b'=');
    data.extend_from_slice(value);
    data.push(b'\n');
}

fn decimal_digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests;
