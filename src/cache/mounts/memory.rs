//! What kiln knows of a cache's directory since it brought the files there, or saved them: how each
//! looked and what is in it, and which packs have that. On a machine that stays it is kept in a file
//! beside the directory. Who writes there writes the cache itself, so it is believed as far as that.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::bytes::{Reader, Writer, unzip};
use super::error::MountError;
use super::manifest::LAYER;
use super::pack::{Chunk, Pack};
use super::scan::{Seen, Stamp};
use crate::digest::Digest;
use crate::image::{Descriptor, open_regular};
use crate::layer::{Entry, Kind, Metadata, Timestamp};

/// Which form the file has.
const VERSION: u64 = 1;
/// Bytes of the file, not compressed.
const PLAIN_MAX: usize = 1 << 30;
/// Of a path, an attribute.
const TEXT_MAX: usize = 64 << 10;

/// See above; empty of a directory that kiln knows nothing about.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub(super) seen: Vec<Seen>,
    by_path: HashMap<PathBuf, usize>,
    /// Packs that are somewhere.
    pub(super) packs: Vec<Pack>,
    /// The snapshots that have just these files.
    pub(super) kept: Vec<Kept>,
}

/// A snapshot that is at a place, under the cache's own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// The place's name.
    pub(super) place: String,
    /// What it has ([`super::scan::content`]).
    pub(super) content: Digest,
    /// Seconds since 1970.
    pub(super) saved: u64,
}

impl Memory {
    pub(super) fn new(seen: Vec<Seen>, packs: Vec<Pack>, kept: Vec<Kept>) -> Self {
        let numbered = seen.iter().enumerate();
        let by_path = numbered.map(|(at, seen)| (seen.entry.path.clone(), at)).collect();
        Self { seen, by_path, packs, kept }
    }

    pub(super) fn get(&self, path: &Path) -> Option<&Seen> {
        self.by_path.get(path).and_then(|at| self.seen.get(*at))
    }
}

impl Memory {
    /// Reads what [`Memory::write`] wrote. Nothing where there is no such file, or one that is damaged:
    /// then all files are read again.
    pub fn read(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        let limit = PLAIN_MAX as u64;
        open_regular(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
        let plain = unzip(&bytes, PLAIN_MAX).ok()?;
        decode(&mut Reader(&plain)).ok()
    }

    /// Writes it to a file, which is new: what has its name is removed, be it a link.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut out = Writer::default();
        encode(self, &mut out);
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::File::create_new(path)?.write_all(&zstd::bulk::compress(&out.0, 1)?)
    }
}

fn encode(memory: &Memory, out: &mut Writer) {
    out.number(VERSION);
    out.number(memory.kept.len() as u64);
    for Kept { place, content, saved } in &memory.kept {
        out.text(place.as_bytes());
        out.digest(content);
        out.number(*saved);
    }
    out.number(memory.packs.len() as u64);
    for Pack { descriptor, chunks } in &memory.packs {
        out.digest(&descriptor.digest);
        out.number(descriptor.size);
        put_chunks(chunks, out);
    }
    out.number(memory.seen.len() as u64);
    memory.seen.iter().for_each(|seen| put(seen, out));
}

fn put_chunks(chunks: &[Chunk], out: &mut Writer) {
    out.number(chunks.len() as u64);
    for chunk in chunks {
        out.digest(&chunk.digest);
        out.number(chunk.length.into());
    }
}

fn put_time(time: Timestamp, out: &mut Writer) {
    out.signed(time.secs);
    out.number(time.nanos.into());
}

fn put(seen: &Seen, out: &mut Writer) {
    let Seen { entry: Entry { path, meta, kind }, used, chunks, stamp, read_at } = seen;
    out.text(path.as_os_str().as_bytes());
    let (tag, target) = match kind {
        Kind::Symlink(target) => (1, Some(target)),
        Kind::HardLink(target) => (2, Some(target)),
        Kind::File { .. } => (3, None),
        _ => (0, None),
    };
    out.number(tag);
    if let Some(target) = target {
        out.text(target.as_os_str().as_bytes());
    }
    if let Kind::File { size } = kind {
        out.number(*size);
        put_chunks(chunks, out);
    }
    for number in [meta.mode, meta.uid, meta.gid, *used] {
        out.number(number.into());
    }
    put_time(meta.mtime, out);
    put_time(*read_at, out);
    out.number(meta.xattrs.len() as u64);
    for (name, value) in &meta.xattrs {
        out.text(name.as_bytes());
        out.text(value);
    }
    out.number(stamp.is_some().into());
    if let Some(stamp) = stamp {
        out.number(stamp.inode);
        out.number(stamp.size);
        put_time(stamp.mtime, out);
        put_time(stamp.ctime, out);
    }
}

fn decode(from: &mut Reader<'_>) -> Result<Memory, MountError> {
    if from.number()? != VERSION {
        return Err(MountError::damaged("another version wrote it"));
    }
    let mut kept = Vec::new();
    for _ in 0..from.number()? {
        let place = String::from_utf8_lossy(from.text(TEXT_MAX)?).into_owned();
        kept.push(Kept { place, content: from.digest()?, saved: from.number()? });
    }
    let mut packs = Vec::new();
    for _ in 0..from.number()? {
        let (digest, size) = (from.digest()?, from.number()?);
        let descriptor = Descriptor::new(LAYER, digest, size);
        packs.push(Pack { descriptor, chunks: get_chunks(from)? });
    }
    let mut seen = Vec::new();
    for _ in 0..from.number()? {
        seen.push(get(from)?);
    }
    Ok(Memory::new(seen, packs, kept))
}

fn get_chunks(from: &mut Reader<'_>) -> Result<Vec<Chunk>, MountError> {
    let mut chunks = Vec::new();
    for _ in 0..from.number()? {
        chunks.push(Chunk { digest: from.digest()?, length: from.small()? });
    }
    Ok(chunks)
}

fn get_time(from: &mut Reader<'_>) -> Result<Timestamp, MountError> {
    Ok(Timestamp { secs: from.signed()?, nanos: from.small()? })
}

fn get_path(from: &mut Reader<'_>) -> Result<OsString, MountError> {
    Ok(OsString::from_vec(from.text(TEXT_MAX)?.to_vec()))
}

fn get(from: &mut Reader<'_>) -> Result<Seen, MountError> {
    let path = get_path(from)?.into();
    let mut chunks = Vec::new();
    let kind = match from.number()? {
        1 => Kind::Symlink(get_path(from)?.into()),
        2 => Kind::HardLink(get_path(from)?.into()),
        3 => {
            let size = from.number()?;
            chunks = get_chunks(from)?;
            Kind::File { size }
        }
        _ => Kind::Dir,
    };
    let (mode, uid, gid, used) = (from.small()?, from.small()?, from.small()?, from.small()?);
    let (mtime, read_at) = (get_time(from)?, get_time(from)?);
    let mut xattrs = BTreeMap::new();
    for _ in 0..from.number()? {
        xattrs.insert(get_path(from)?, from.text(TEXT_MAX)?.to_vec());
    }
    let stamp = match from.number()? {
        0 => None,
        _ => Some(Stamp {
            inode: from.number()?,
            size: from.number()?,
            mtime: get_time(from)?,
            ctime: get_time(from)?,
        }),
    };
    let entry = Entry { path, meta: Metadata { mode, uid, gid, mtime, xattrs }, kind };
    Ok(Seen { entry, used, chunks, stamp, read_at })
}
