//! The files of a snapshot: names, metadata, and in which packs their content is. No content.
//!
//! Written as columns (all names, all times, …), which compress better than one file after the other. A
//! file names its directory by a number, so nothing can lie below a link or outside.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::bytes::{Reader, Writer, unzip};
use super::chunks;
use super::error::MountError;
use crate::layer::{Entry, Kind, Metadata, Timestamp, Whiteout};

/// Which layout of columns this is.
const VERSION: u64 = 1;
/// Files of one snapshot: as many as four large Cargo registries have.
pub(super) const NODES_MAX: usize = 2_000_000;
/// Bytes of a tree, not compressed; two million files need half.
const PLAIN_MAX: usize = 256 << 20;
/// Bytes of all paths together: a long one costs nothing to write below itself again and again.
const PATHS_MAX: usize = 256 << 20;
/// Attributes of all files together.
const XATTRS_MAX: u64 = 1_000_000;
/// Linux's limits.
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4095;
const XATTR_MAX: usize = 64 << 10;
/// zstd's own choice; higher ones make the save later by more than they make it smaller.
const LEVEL: i32 = 3;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// The pack that has it, by its number among the snapshot's.
    pub(super) pack: u32,
    /// Its number in there.
    pub(super) number: u32,
    /// Its length in bytes.
    pub(super) length: u32,
}

/// An object of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Where and what it is; the cache's directory itself has the empty path.
    pub(super) entry: Entry,
    /// When it was last of use: hours since 1970.
    pub(super) used: u32,
    /// The content of a file.
    pub(super) pieces: Vec<Piece>,
}

/// All of them, each directory before what is in it, hard links after what they name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tree(pub(super) Vec<Node>);

/// One column each.
#[derive(Debug, Default)]
struct Columns {
    shape: Writer,
    names: Writer,
    owners: Writer,
    times: Writer,
    used: Writer,
    content: Writer,
    xattrs: Writer,
}

const DIR: u64 = 0;
const FILE: u64 = 1;
const SYMLINK: u64 = 2;
const HARD_LINK: u64 = 3;

impl Tree {
    /// As bytes, compressed.
    pub(super) fn encode(&self) -> Result<Vec<u8>, MountError> {
        let mut columns = Columns::default();
        let mut numbers: HashMap<&Path, u64> = HashMap::new();
        let mut last = Piece { pack: 0, number: 0, length: 0 };
        for (at, node) in self.0.iter().enumerate() {
            numbers.insert(&node.entry.path, at as u64);
            columns.add(node, at as u64, &numbers, &mut last)?;
        }
        let Columns { shape, names, owners, times, used, content, xattrs } = columns;
        let mut all = Writer::default();
        all.number(VERSION);
        all.number(self.0.len() as u64);
        for column in [shape, names, owners, times, used, content, xattrs] {
            all.text(&column.0);
        }
        zstd::bulk::compress(&all.0, LEVEL).map_err(MountError::io("compress", Path::new("")))
    }

    /// From bytes that a stranger may have made. `size_max` is how many bytes its files may have.
    pub(super) fn decode(bytes: &[u8], size_max: u64) -> Result<Self, MountError> {
        let plain = unzip(bytes, PLAIN_MAX)?;
        let mut all = Reader(&plain);
        let version = all.number()?;
        if version != VERSION {
            let what = format!("it has version {version}, and this kiln knows {VERSION}");
            return Err(MountError::Damaged(what));
        }
        let count = usize::try_from(all.number()?).unwrap_or(usize::MAX);
        if count > NODES_MAX {
            return Err(MountError::TooLarge(format!("it has {count} files")));
        }
        let mut column = || all.text(PLAIN_MAX).map(Reader);
        let mut decoder = Decoder {
            shape: column()?,
            names: column()?,
            owners: column()?,
            times: column()?,
            used: column()?,
            content: column()?,
            xattrs: column()?,
            nodes: Vec::new(),
            known: HashSet::new(),
            last: Piece { pack: 0, number: 0, length: 0 },
            left: size_max,
            paths_left: PATHS_MAX,
            xattrs_left: XATTRS_MAX,
        };
        for _ in 0..count {
            decoder.node()?;
        }
        Ok(Self(decoder.nodes))
    }
}

impl Columns {
    fn add(
        &mut self,
        node: &Node,
        at: u64,
        numbers: &HashMap<&Path, u64>,
        last: &mut Piece,
    ) -> Result<(), MountError> {
        let Entry { path, meta, kind } = &node.entry;
        let missing = || MountError::damaged(format!("`{}` comes too early", path.display()));
        let number = |path: &Path| numbers.get(path).copied().ok_or_else(missing);
        let tag = match kind {
            Kind::Dir => DIR,
            Kind::File { .. } => FILE,
            Kind::Symlink(_) => SYMLINK,
            Kind::HardLink(_) => HARD_LINK,
            _ => return Err(missing()),
        };
        self.shape.number(tag);
        if let Some(parent) = path.parent() {
            self.shape.number(at - number(parent)?);
            self.names.text(path.file_name().unwrap_or_default().as_bytes());
        }
        match kind {
            Kind::HardLink(target) => {
                self.shape.number(at - number(target)?);
                return Ok(());
            }
            Kind::Symlink(target) => self.names.text(target.as_os_str().as_bytes()),
            Kind::File { size } => self.pieces(*size, &node.pieces, last),
            _ => {}
        }
        self.owners.number(meta.mode.into());
        self.owners.number(meta.uid.into());
        self.owners.number(meta.gid.into());
        self.times.signed(meta.mtime.secs);
        self.times.number(meta.mtime.nanos.into());
        self.used.number(node.used.into());
        self.xattrs.number(meta.xattrs.len() as u64);
        for (name, value) in &meta.xattrs {
            self.xattrs.text(name.as_bytes());
            self.xattrs.text(value);
        }
        Ok(())
    }

    /// Mostly a piece is the one after the last one, and then a file costs few bytes.
    fn pieces(&mut self, size: u64, pieces: &[Piece], last: &mut Piece) {
        self.content.number(size);
        if size == 0 {
            return;
        }
        self.content.number(pieces.len() as u64);
        for piece in pieces {
            self.content.signed(i64::from(piece.pack) - i64::from(last.pack));
            self.content.signed(i64::from(piece.number) - i64::from(last.number) - 1);
            if pieces.len() > 1 {
                self.content.number(piece.length.into());
            }
            *last = *piece;
        }
    }
}

struct Decoder<'a> {
    shape: Reader<'a>,
    names: Reader<'a>,
    owners: Reader<'a>,
    times: Reader<'a>,
    used: Reader<'a>,
    content: Reader<'a>,
    xattrs: Reader<'a>,
    nodes: Vec<Node>,
    /// Directory and name of all so far.
    known: HashSet<(usize, &'a [u8])>,
    last: Piece,
    /// Bytes that files may still have.
    left: u64,
    paths_left: usize,
    xattrs_left: u64,
}

impl Decoder<'_> {
    fn node(&mut self) -> Result<(), MountError> {
        let tag = self.shape.number()?;
        let path = self.path()?;
        if path.as_os_str().is_empty() && tag != DIR {
            return Err(MountError::damaged("it is no directory"));
        }
        let mut pieces = Vec::new();
        let kind = match tag {
            DIR => Kind::Dir,
            FILE => {
                let size;
                (size, pieces) = self.pieces()?;
                Kind::File { size }
            }
            SYMLINK => Kind::Symlink(self.link_target()?),
            HARD_LINK => {
                let target = &self.back()?.entry;
                if !matches!(target.kind, Kind::File { .. }) {
                    return Err(MountError::damaged("a hard link names no file"));
                }
                let target = target.path.clone();
                self.count_path(&target)?;
                let kind = Kind::HardLink(target);
                let entry = Entry { path, meta: Metadata::default(), kind };
                self.nodes.push(Node { entry, used: 0, pieces });
                return Ok(());
            }
            _ => return Err(MountError::damaged(format!("it has a file of the kind {tag}"))),
        };
        let (mut meta, used) = (self.metadata()?, self.used.small()?);
        if kind != Kind::Dir {
            meta.mode &= !SET_ID;
        }
        self.nodes.push(Node { entry: Entry { path, meta, kind }, used, pieces });
        Ok(())
    }

    /// The first one is the cache's own directory.
    fn path(&mut self) -> Result<PathBuf, MountError> {
        if self.nodes.is_empty() {
            return Ok(PathBuf::new());
        }
        let parent = self.back_to()?;
        let name = self.names.text(NAME_MAX)?;
        let above = &self.nodes[parent].entry;
        if above.kind != Kind::Dir {
            let what = format!("`{}` is no directory, but has files", above.path.display());
            return Err(MountError::Damaged(what));
        }
        let path = above.path.join(OsStr::from_bytes(name));
        if !is_name(name) || path.as_os_str().len() > PATH_MAX {
            let name = String::from_utf8_lossy(name);
            return Err(MountError::Damaged(format!("`{name}` is no name of a file")));
        }
        self.count_path(&path)?;
        if !self.known.insert((parent, name)) {
            return Err(MountError::Damaged(format!("it has `{}` twice", path.display())));
        }
        Ok(path)
    }

    fn count_path(&mut self, path: &Path) -> Result<(), MountError> {
        let left = self.paths_left.checked_sub(path.as_os_str().len());
        self.paths_left =
            left.ok_or_else(|| MountError::TooLarge("its paths are too long".into()))?;
        Ok(())
    }

    /// A number so far before this one.
    fn back_to(&mut self) -> Result<usize, MountError> {
        let back = self.shape.number()?;
        let to = usize::try_from(back).ok().filter(|back| *back > 0);
        to.and_then(|back| self.nodes.len().checked_sub(back))
            .ok_or_else(|| MountError::damaged("it names a file that it does not have"))
    }

    fn back(&mut self) -> Result<&Node, MountError> {
        let to = self.back_to()?;
        Ok(&self.nodes[to])
    }

    fn link_target(&mut self) -> Result<PathBuf, MountError> {
        let target = self.names.text(PATH_MAX)?;
        if target.is_empty() || target.contains(&0) {
            return Err(MountError::damaged("it has a link to nothing"));
        }
        Ok(PathBuf::from(OsStr::from_bytes(target)))
    }

    fn metadata(&mut self) -> Result<Metadata, MountError> {
        let (mode, uid, gid) = (self.owners.small()?, self.owners.small()?, self.owners.small()?);
        let mtime = Timestamp { secs: self.times.signed()?, nanos: self.times.small()? };
        if mode > 0o7777 || mtime.nanos > 999_999_999 || uid == u32::MAX || gid == u32::MAX {
            return Err(MountError::damaged("it has a mode, a time or an owner that cannot be"));
        }
        let mut meta = Metadata { mode, uid, gid, mtime, ..Metadata::default() };
        let count = self.xattrs.number()?;
        let left = self.xattrs_left.checked_sub(count);
        self.xattrs_left =
            left.ok_or_else(|| MountError::TooLarge("it has too many attributes".into()))?;
        for _ in 0..count {
            let name = OsStr::from_bytes(self.xattrs.text(NAME_MAX)?).to_owned();
            if !is_attribute(name.as_bytes()) {
                return Err(MountError::damaged("it has an attribute that does not travel"));
            }
            meta.xattrs.insert(name, self.xattrs.text(XATTR_MAX)?.to_vec());
        }
        Ok(meta)
    }

    fn pieces(&mut self) -> Result<(u64, Vec<Piece>), MountError> {
        let size = self.content.number()?;
        self.left = self.left.checked_sub(size).ok_or_else(|| {
            MountError::TooLarge("its files have more bytes than a cache may keep here".into())
        })?;
        let count = if size == 0 { 0 } else { self.content.number()? };
        let wrong = || MountError::damaged("the pieces of a file are not its length");
        // All but the last one have the least length at least.
        if count > size / chunks::MIN as u64 + 1 {
            return Err(wrong());
        }
        let mut pieces = Vec::new();
        let mut left = size;
        for _ in 0..count {
            let pack = self.moved(self.last.pack, 0)?;
            let number = self.moved(self.last.number, 1)?;
            let length = if count == 1 { size } else { self.content.number()? };
            if length == 0 || length > chunks::MAX as u64 {
                return Err(wrong());
            }
            left = left.checked_sub(length).ok_or_else(wrong)?;
            self.last = Piece { pack, number, length: length as u32 };
            pieces.push(self.last);
        }
        if left != 0 {
            return Err(wrong());
        }
        Ok((size, pieces))
    }

    fn moved(&mut self, from: u32, by: i64) -> Result<u32, MountError> {
        let moved = self.content.signed()?.checked_add(i64::from(from) + by);
        let moved = moved.and_then(|number| u32::try_from(number).ok());
        moved.ok_or_else(|| MountError::damaged("it names a piece that cannot be"))
    }
}

/// The bits of a file's mode that make a program another user's.
pub(super) const SET_ID: u32 = 0o6000;

/// Whether a file of a snapshot may have an attribute of this name: those are the user's own. All others
/// mean something to the system.
pub(super) fn is_attribute(name: &[u8]) -> bool {
    name.strip_prefix(b"user.").is_some_and(|rest| !rest.is_empty() && !rest.contains(&0))
}

/// Whether a file of a snapshot may have this name. Those that hide others in a layer are not told from
/// them when files are unpacked.
pub(super) fn is_name(name: &[u8]) -> bool {
    let strange = matches!(name, b"" | b"." | b"..") || name.iter().any(|b| matches!(b, b'/' | 0));
    !strange && Whiteout::of(Path::new(OsStr::from_bytes(name))).is_none()
}

#[cfg(test)]
mod tests;
