//! From a header and what extends it to an [`Entry`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::pax::{self, Records};
use super::text;
use crate::layer::entry::{Entry, Kind, Metadata, Timestamp};
use crate::layer::tar_error::TarError;
use crate::layer::tar_header::{
    BLOCK, DEV_MAJOR, DEV_MINOR, GID, GNU_ATIME, GNU_CTIME, GNU_MAGIC, LINK, MAGIC, MODE, MTIME,
    NAME, PREFIX, SIZE, STAR_PREFIX, STAR_TRAILER, TYPE, UID, number,
};

/// Linux' PATH_MAX. No system call takes more, so neither Docker nor kiln could create it.
const MAX_PATH: usize = 4096;

/// What the headers before a member say about it.
#[derive(Debug, Default)]
pub(super) struct Extended {
    pub(super) records: Records,
    /// GNU's own way.
    pub(super) long_name: Option<Vec<u8>>,
    pub(super) long_link: Option<Vec<u8>>,
}

impl Extended {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.long_name.is_none() && self.long_link.is_none()
    }

    /// The member's path, as it is written. GNU's sparse files carry an invented one in `path`.
    pub(super) fn name(&self, header: &[u8; BLOCK]) -> Vec<u8> {
        let given = || self.long_name.as_deref().or(self.records.get("path"));
        let name = self.records.get("GNU.sparse.name").or_else(given);
        name.map_or_else(|| header_name(header), <[u8]>::to_vec)
    }

    fn link(&self, header: &[u8; BLOCK]) -> Vec<u8> {
        let given = self.long_link.as_deref().or(self.records.get("linkpath"));
        given.map_or_else(|| text(header[LINK].to_vec()), <[u8]>::to_vec)
    }
}

/// The path in the header itself: in ustar and star it has a part that goes before.
fn header_name(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = text(header[NAME].to_vec());
    let prefix = match &header[MAGIC] {
        magic if magic == GNU_MAGIC => old_go_prefix(header),
        magic if !magic.starts_with(b"ustar\0") => &[],
        _ if header[STAR_TRAILER] == *b"tar\0" => &header[STAR_PREFIX],
        _ => &header[PREFIX],
    };
    let prefix = text(prefix.to_vec());
    if prefix.is_empty() { name } else { [&prefix[..], b"/", &name[..]].concat() }
}

/// Go before 1.8 wrote a prefix into GNU headers, where two times are. Images of that age are still
/// pulled. So, as Go does: where the times are no times, it is a prefix.
fn old_go_prefix(header: &[u8; BLOCK]) -> &[u8] {
    let time = |field: &[u8]| field[0] == 0 || number(field).is_some();
    if time(&header[GNU_ATIME]) && time(&header[GNU_CTIME]) {
        return &[];
    }
    let prefix = &header[PREFIX];
    if text(prefix.to_vec()).is_ascii() { prefix } else { &[] }
}

/// The entry, and how many bytes of content it has in the archive.
pub(super) fn interpret(
    header: &[u8; BLOCK],
    extended: &Extended,
    globals: &Records,
) -> Result<(Entry, u64), TarError> {
    let name = extended.name(header);
    let fields = Fields { header, records: &extended.records, globals, name: &name };
    let size = fields.size()?;
    let kind = fields.kind(size, &extended.link(header))?;
    let path = clean(&name, &name)?;
    if path.as_os_str().is_empty() && kind != Kind::Dir {
        return Err(fields.invalid("it has no name"));
    }
    // Links, directories and devices have no content, whatever the size says (as in Go).
    let stored = if matches!(kind, Kind::File { .. }) { size } else { 0 };
    Ok((Entry { path, meta: fields.metadata()?, kind }, stored))
}

/// A path relative to the root. `member` is for the message.
fn clean(path: &[u8], member: &[u8]) -> Result<PathBuf, TarError> {
    if path.len() > MAX_PATH {
        return Err(TarError::limit(member, "a path has more than 4096 bytes"));
    }
    if path.contains(&0) {
        return Err(TarError::member(member, "a path contains a NUL byte"));
    }
    let mut cleaned = PathBuf::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(TarError::escapes(member)),
            part => cleaned.push(OsStr::from_bytes(part)),
        }
    }
    Ok(cleaned)
}

struct Fields<'a> {
    header: &'a [u8; BLOCK],
    records: &'a Records,
    globals: &'a Records,
    name: &'a [u8],
}

impl Fields<'_> {
    fn invalid(&self, reason: impl Into<String>) -> TarError {
        TarError::member(self.name, reason)
    }

    fn record(&self, key: &str) -> Option<&[u8]> {
        self.records.get(key).or_else(|| self.globals.get(key))
    }

    /// A number that is in a record, or else in the header.
    fn number(&self, key: &str, field: &[u8]) -> Result<u64, TarError> {
        let value = match self.record(key) {
            Some(value) => pax::decimal(value),
            None => number(field).and_then(|value| u64::try_from(value).ok()),
        };
        value.ok_or_else(|| self.invalid(format!("its {key} is no number")))
    }

    fn number_32(&self, key: &str, field: &[u8]) -> Result<u32, TarError> {
        let value = self.number(key, field)?;
        u32::try_from(value).map_err(|_| self.invalid(format!("its {key} {value} is too large")))
    }

    fn size(&self) -> Result<u64, TarError> {
        let size = self.number("size", &self.header[SIZE])?;
        // So that neither a padded size nor a position in the stream can overflow.
        if size > i64::MAX.unsigned_abs() / 2 {
            return Err(TarError::limit(self.name, "its size is beyond four exabytes"));
        }
        Ok(size)
    }

    fn kind(&self, size: u64, link: &[u8]) -> Result<Kind, TarError> {
        Ok(match self.header[TYPE] {
            b'0' | b'\0' | b'7' | b'S' if self.name.ends_with(b"/") => match size {
                // v7 had no other way to write a directory, and BSD kept it.
                0 => Kind::Dir,
                _ => return Err(self.invalid("it is a directory with content")),
            },
            // Contiguous files are ordinary ones; `S` is GNU's old sparse file.
            b'0' | b'\0' | b'7' | b'S' => Kind::File { size },
            b'1' => match clean(link, self.name)? {
                target if target.as_os_str().is_empty() => {
                    return Err(self.invalid("it is a hard link to nothing"));
                }
                target => Kind::HardLink(target),
            },
            b'2' => Kind::Symlink(self.symlink_target(link)?),
            b'3' => Kind::CharDevice { major: self.major()?, minor: self.minor()? },
            b'4' => Kind::BlockDevice { major: self.major()?, minor: self.minor()? },
            b'5' => Kind::Dir,
            b'6' => Kind::Fifo,
            kind => {
                let member = super::printable(self.name);
                return Err(TarError::UnknownType { member, kind: char::from(kind) });
            }
        })
    }

    fn symlink_target(&self, link: &[u8]) -> Result<PathBuf, TarError> {
        if link.is_empty() || link.contains(&0) {
            return Err(self.invalid("it is a symbolic link with no possible target"));
        }
        if link.len() >= MAX_PATH {
            return Err(TarError::limit(self.name, "its target has more than 4095 bytes"));
        }
        Ok(PathBuf::from(OsString::from_vec(link.to_vec())))
    }

    // PAX knows no records for device numbers.
    fn major(&self) -> Result<u32, TarError> {
        self.number_32("device number", &self.header[DEV_MAJOR])
    }

    fn minor(&self) -> Result<u32, TarError> {
        self.number_32("device number", &self.header[DEV_MINOR])
    }

    fn metadata(&self) -> Result<Metadata, TarError> {
        let mode =
            number(&self.header[MODE]).ok_or_else(|| self.invalid("its mode is no number"))?;
        let xattrs = self.globals.xattrs().chain(self.records.xattrs());
        Ok(Metadata {
            // The type bits, which some writers add, are the type flag's business.
            mode: (mode & 0o7777) as u32,
            uid: self.number_32("uid", &self.header[UID])?,
            gid: self.number_32("gid", &self.header[GID])?,
            mtime: self.mtime()?,
            xattrs: xattrs
                .map(|(name, value)| (OsStr::from_bytes(name).to_owned(), value.to_vec()))
                .collect(),
        })
    }

    fn mtime(&self) -> Result<Timestamp, TarError> {
        let time = match self.record("mtime") {
            Some(value) => pax::time(value),
            None => number(&self.header[MTIME]).map(Timestamp::from_secs),
        };
        time.ok_or_else(|| self.invalid("its modification time is no time"))
    }
}
