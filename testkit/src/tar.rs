//! Tar archives byte by byte, also such as no honest program writes.

use std::fmt;

/// Size of a tar block in bytes.
const BLOCK: usize = 512;

/// A tar archive in the making. Entries are written as given: no path is cleaned, nothing is
/// added, and what comes twice stands in it twice. `mode`, `owner`, `mtime`, `xattr`, `pax` and
/// `raw_header` change the entry before them.
///
/// ```
/// use testkit::tar::TarBytes;
///
/// let layer = TarBytes::new()
///     .dir("etc")
///     .file("etc/passwd", "root:x:0:0::/:/bin/sh\n")
///     .file("bin/tool", "#!/bin/sh\n").mode(0o755)
///     .symlink("evil", "/etc").file("evil/passwd", "")
///     .finish();
/// assert_eq!(layer.len() % 512, 0);
/// ```
#[derive(Debug, Clone, Default)]
pub struct TarBytes {
    items: Vec<Item>,
    gnu: bool,
}

#[derive(Debug, Clone)]
enum Item {
    Entry(Box<Entry>),
    Raw(Vec<u8>),
}

#[derive(Clone)]
struct Entry {
    path: Vec<u8>,
    kind: u8,
    link: Vec<u8>,
    content: Vec<u8>,
    mode: u32,
    owner: (u64, u64),
    mtime: u64,
    device: (u32, u32),
    pax: Vec<(String, Vec<u8>)>,
    change: Option<fn(&mut [u8; BLOCK])>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = String::from_utf8_lossy(&self.path);
        write!(out, "{} {path} {:o}", char::from(self.kind), self.mode)
    }
}

impl TarBytes {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes names that are too long for the header as GNU tar does, instead of in PAX records.
    #[must_use]
    pub fn gnu(mut self) -> Self {
        self.gnu = true;
        self
    }

    /// A regular file, mode 644.
    #[must_use]
    pub fn file(self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let mut archive = self.entry(path, b'0', 0o644);
        archive.last().content = content.as_ref().to_vec();
        archive
    }

    /// A directory, mode 755. The path's slash at the end is added.
    #[must_use]
    pub fn dir(self, path: impl AsRef<[u8]>) -> Self {
        let mut path = path.as_ref().to_vec();
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        self.entry(path, b'5', 0o755)
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let mut archive = self.entry(path, b'2', 0o777);
        archive.last().link = target.as_ref().to_vec();
        archive
    }

    /// A hard link to an entry of that path.
    #[must_use]
    pub fn hardlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let mut archive = self.entry(path, b'1', 0o644);
        archive.last().link = target.as_ref().to_vec();
        archive
    }

    /// A named pipe.
    #[must_use]
    pub fn fifo(self, path: impl AsRef<[u8]>) -> Self {
        self.entry(path, b'6', 0o644)
    }

    /// A character device.
    #[must_use]
    pub fn char_device(self, path: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        let mut archive = self.entry(path, b'3', 0o644);
        archive.last().device = (major, minor);
        archive
    }

    /// A block device.
    #[must_use]
    pub fn block_device(self, path: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        let mut archive = self.entry(path, b'4', 0o644);
        archive.last().device = (major, minor);
        archive
    }

    /// The mark that a lower layer's path is gone.
    #[must_use]
    pub fn whiteout(self, path: &str) -> Self {
        let (dir, name) = path.rsplit_once('/').map_or(("", path), |(dir, name)| (dir, name));
        let slash = if dir.is_empty() { "" } else { "/" };
        self.file(format!("{dir}{slash}.wh.{name}"), "")
    }

    /// The mark that what lower layers have in this directory is gone.
    #[must_use]
    pub fn opaque(self, dir: &str) -> Self {
        self.file(format!("{dir}/.wh..wh..opq"), "")
    }

    /// Permissions of the last entry, with the set-id and sticky bits.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.last().mode = mode;
        self
    }

    /// User and group of the last entry.
    #[must_use]
    pub fn owner(mut self, uid: u64, gid: u64) -> Self {
        self.last().owner = (uid, gid);
        self
    }

    /// Modification time of the last entry in seconds since 1970.
    #[must_use]
    pub fn mtime(mut self, seconds: u64) -> Self {
        self.last().mtime = seconds;
        self
    }

    /// An extended attribute of the last entry.
    #[must_use]
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax(&format!("SCHILY.xattr.{name}"), value)
    }

    /// A PAX record of the last entry.
    #[must_use]
    pub fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.last().pax.push((key.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Changes the last entry's header as it pleases. The checksum is made afterwards.
    #[must_use]
    pub fn raw_header(mut self, change: fn(&mut [u8; BLOCK])) -> Self {
        self.last().change = Some(change);
        self
    }

    /// Any bytes at this place.
    #[must_use]
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.items.push(Item::Raw(bytes.as_ref().to_vec()));
        self
    }

    /// The archive with its two empty blocks at the end.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = self.unfinished();
        out.extend_from_slice(&[0; 2 * BLOCK]);
        out
    }

    /// The archive without an end.
    pub fn unfinished(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for item in &self.items {
            match item {
                Item::Raw(bytes) => out.extend_from_slice(bytes),
                Item::Entry(entry) => entry.write(&mut out, self.gnu),
            }
        }
        out
    }

    fn entry(mut self, path: impl AsRef<[u8]>, kind: u8, mode: u32) -> Self {
        self.items.push(Item::Entry(Box::new(Entry {
            path: path.as_ref().to_vec(),
            kind,
            link: Vec::new(),
            content: Vec::new(),
            mode,
            owner: (0, 0),
            mtime: 0,
            device: (0, 0),
            pax: Vec::new(),
            change: None,
        })));
        self
    }

    fn last(&mut self) -> &mut Entry {
        match self.items.last_mut() {
            Some(Item::Entry(entry)) => entry,
            _ => panic!("there is no entry before this call that it could change"),
        }
    }
}

impl Entry {
    fn write(&self, out: &mut Vec<u8>, gnu: bool) {
        let mut pax = self.pax.clone();
        for (text, key, gnu_kind) in [(&self.path, "path", b'L'), (&self.link, "linkpath", b'K')] {
            if text.len() <= 100 {
                continue;
            }
            match gnu {
                true => extra(out, b"././@LongLink", gnu_kind, &[text.as_slice(), b"\0"].concat()),
                false => pax.push((key.to_owned(), text.clone())),
            }
        }
        if !pax.is_empty() {
            let records: Vec<u8> = pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            extra(out, b"PaxHeaders/entry", b'x', &records);
        }
        let mut header = header(&self.path, self.kind, self.content.len());
        octal(&mut header[100..108], u64::from(self.mode));
        octal(&mut header[108..116], self.owner.0);
        octal(&mut header[116..124], self.owner.1);
        octal(&mut header[136..148], self.mtime);
        text(&mut header[157..257], &self.link);
        octal(&mut header[329..337], u64::from(self.device.0));
        octal(&mut header[337..345], u64::from(self.device.1));
        if let Some(change) = self.change {
            change(&mut header);
        }
        finish(out, header, &self.content);
    }
}

/// One PAX record. Its length counts the digits of the length itself.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() != rest.to_string().len() {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

fn extra(out: &mut Vec<u8>, name: &[u8], kind: u8, content: &[u8]) {
    finish(out, header(name, kind, content.len()), content);
}

fn header(path: &[u8], kind: u8, size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    text(&mut header[..100], path);
    octal(&mut header[100..108], 0o644);
    octal(&mut header[108..116], 0);
    octal(&mut header[116..124], 0);
    octal(&mut header[124..136], size as u64);
    octal(&mut header[136..148], 0);
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header
}

fn finish(out: &mut Vec<u8>, mut header: [u8; BLOCK], content: &[u8]) {
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|&byte| u64::from(byte)).sum();
    octal(&mut header[148..155], sum);
    out.extend_from_slice(&header);
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

fn text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// A number in octal digits, or in GNU's base 256 where these do not suffice.
fn octal(field: &mut [u8], number: u64) {
    let digits = format!("{number:0width$o}", width = field.len() - 1);
    if digits.len() < field.len() {
        field[..digits.len()].copy_from_slice(digits.as_bytes());
        return;
    }
    field.fill(0);
    field[0] = 0x80;
    let room = field.len().min(9) - 1; // not the byte with the mark
    let start = field.len() - room;
    field[start..].copy_from_slice(&number.to_be_bytes()[8 - room..]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read as _;

    use super::*;

    #[test]
    fn another_reader_understands_it() {
        let long = "d/".repeat(80) + "file";
        for archive in [TarBytes::new(), TarBytes::new().gnu()] {
            let bytes = archive
                .dir("d")
                .file(&long, "text")
                .mode(0o4755)
                .owner(3_000_000, 7)
                .mtime(1_700_000_000)
                .symlink("s", &long)
                .char_device("null", 1, 3)
                .finish();
            let mut archive = ::tar::Archive::new(bytes.as_slice());
            let mut entries = archive.entries().unwrap();
            assert_eq!(&*entries.next().unwrap().unwrap().path_bytes(), b"d/");
            let mut file = entries.next().unwrap().unwrap();
            assert_eq!(&*file.path_bytes(), long.as_bytes());
            let header = file.header().clone();
            assert_eq!((header.mode().unwrap(), header.uid().unwrap()), (0o4755, 3_000_000));
            assert_eq!((header.gid().unwrap(), header.mtime().unwrap()), (7, 1_700_000_000));
            let mut content = String::new();
            file.read_to_string(&mut content).unwrap();
            assert_eq!(content, "text");
            let link = entries.next().unwrap().unwrap();
            assert_eq!(&*link.link_name_bytes().unwrap(), long.as_bytes());
            let device = entries.next().unwrap().unwrap();
            assert_eq!(device.header().device_minor().unwrap(), Some(3));
            assert!(entries.next().is_none());
        }
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record("a", b"12345"), b"11 a=12345\n");
        for length in 80..110 {
            let record = record("key", &vec![b'x'; length]);
            let said: usize =
                std::str::from_utf8(&record).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, record.len());
        }
    }

    #[test]
    fn hostile_names_stay() {
        let bytes = TarBytes::new().file("../evil", "").raw_header(|h| h[156] = b'Z').finish();
        assert_eq!((&bytes[..7], bytes[156]), (&b"../evil"[..], b'Z'));
    }
}
