//! A snapshot becomes a directory.
//!
//! Packs are brought here whole and checked before anything is made of them. Files are made by the code
//! that unpacks layers, into a directory that nobody uses yet: what a snapshot says cannot lead out of
//! it, and a snapshot that is damaged leaves nothing.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::slice::Iter;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::error::MountError;
use super::find::Found;
use super::memory::{Kept, Memory};
use super::pack::{Blocks, Budget, Pack, PackReader, Packs};
use super::scan::{self, Seen, side_by_side};
use super::tree::{Node, Piece, Tree};
use crate::cache::Backend;
use crate::cancel::Cancel;
use crate::event::Task;
use crate::image::Descriptor;
use crate::layer::{Entry, Kind};
use crate::rootfs::{Entries, Extract, Ownership, Root, Whiteouts, extract};

/// Bytes of a tree as it is kept.
const TREE_MAX: u64 = 128 << 20;
/// Packs that are brought at the same time.
const AT_ONCE: usize = 4;
/// What packs may have beside what the files have: pieces that are of no use any more, indexes.
const SLACK: u64 = 64 << 20;
/// Blocks of packs that are kept in memory, of a megabyte and a half at most: of all packs together.
const BLOCKS: usize = 64;

/// Where a snapshot is laid down.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    /// An empty directory.
    pub(super) into: &'a Path,
    /// Another one, for packs.
    pub(super) scratch: &'a Path,
    /// What becomes of owners.
    pub(super) ownership: Ownership,
    /// Bytes that the files may have.
    pub(super) size_max: u64,
    /// Stops it.
    pub(super) cancel: &'a Cancel,
}

/// What was laid down.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) memory: Memory,
    pub(super) files: usize,
    /// Bytes that were brought here.
    pub(super) brought: u64,
}

/// Lays a snapshot down.
pub(super) fn restore(
    found: &Found,
    ground: &Ground<'_>,
    task: &Task,
) -> Result<Restored, MountError> {
    let snapshot = &found.snapshot;
    let backend = &*found.place.backend;
    let packs_size: u64 = snapshot.packs.iter().fold(0, |sum, it| sum.saturating_add(it.size));
    if packs_size > ground.size_max.saturating_mul(2).saturating_add(SLACK) {
        let what = format!("its packs have {packs_size} bytes");
        return Err(MountError::TooLarge(what));
    }
    let brought = AtomicU64::new(0);
    let total = packs_size.saturating_add(snapshot.tree.size);
    let progress = |bytes: u64| {
        let done = brought.fetch_add(bytes, Ordering::Relaxed) + bytes;
        task.progress(done, Some(total));
    };
    let mut bring = Bring { backend, cancel: ground.cancel, progress: &progress };
    let tree = bring.tree(&snapshot.tree, ground.size_max)?;
    let mut packs = Packs::new(bring.packs(&snapshot.packs, ground.scratch)?, Blocks::new(BLOCKS));
    let root = Root::open(ground.into)?.with_owners(ground.ownership);
    let policy = Extract::new(Whiteouts::Apply, ground.ownership);
    let nodes = tree.0.iter();
    let mut entries = Laid { nodes, packs: &mut packs, cancel: ground.cancel };
    extract(&mut entries, &root, &policy)?;
    let files = tree.0.iter().filter(|node| node.entry.kind != Kind::Dir).count();
    let memory = remember(found, tree, &packs, &root, ground.cancel)?;
    Ok(Restored { memory, files, brought: brought.into_inner() })
}

struct Bring<'a> {
    backend: &'a dyn Backend,
    cancel: &'a Cancel,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Bring<'_> {
    fn tree(&mut self, tree: &Descriptor, size_max: u64) -> Result<Tree, MountError> {
        if tree.size > TREE_MAX {
            return Err(MountError::TooLarge(format!("its tree has {} bytes", tree.size)));
        }
        let mut bytes = Vec::new();
        self.copy(tree, &mut |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        Tree::decode(&bytes, size_max)
    }

    fn packs(&self, packs: &[Descriptor], dir: &Path) -> Result<Vec<PackReader>, MountError> {
        let path = |at: usize| dir.join(format!("pack-{at}"));
        let (next, budget) = (AtomicUsize::new(0), Budget::new());
        let readers: Mutex<Vec<Option<PackReader>>> =
            Mutex::new(packs.iter().map(|_| None).collect());
        side_by_side(AT_ONCE.min(packs.len()), &|| {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(pack) = packs.get(at) else { return Ok(()) };
                let reader = self.pack(pack, &path(at), &budget).inspect_err(|_| {
                    // The others need not go on.
                    next.store(packs.len(), Ordering::Relaxed);
                })?;
                let mut all = readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                all[at] = Some(reader);
            }
        })?;
        let readers = readers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(readers.into_iter().flatten().collect())
    }

    fn pack(
        &self,
        pack: &Descriptor,
        path: &Path,
        budget: &Budget,
    ) -> Result<PackReader, MountError> {
        let write = || MountError::io("write", path);
        let mut file = File::create_new(path).map_err(write())?;
        self.copy(pack, &mut |part| file.write_all(part).map_err(write()))?;
        PackReader::open(path, budget)
    }

    /// Reads a blob to its end, where its digest is checked.
    fn copy(
        &self,
        blob: &Descriptor,
        take: &mut dyn FnMut(&[u8]) -> Result<(), MountError>,
    ) -> Result<(), MountError> {
        let mut from = self.backend.open(blob)?;
        let mut buffer = vec![0; 256 << 10];
        let mut left = blob.size;
        loop {
            self.cancel.check()?;
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(MountError::damaged(format!(
                        "cannot read {}: {error}",
                        blob.digest
                    )));
                }
            };
            left = left.checked_sub(read as u64).ok_or_else(|| {
                MountError::damaged(format!("{} has more bytes than it should", blob.digest))
            })?;
            take(&buffer[..read])?;
            (self.progress)(read as u64);
        }
        if left > 0 {
            return Err(MountError::damaged(format!("{} ends too early", blob.digest)));
        }
        Ok(())
    }
}

/// The objects of a tree as those of a layer.
struct Laid<'a> {
    nodes: Iter<'a, Node>,
    packs: &'a mut Packs,
    cancel: &'a Cancel,
}

impl Entries for Laid<'_> {
    fn next_entry(&mut self) -> io::Result<Option<(Entry, Box<dyn Read + '_>)>> {
        self.cancel.check().map_err(io::Error::other)?;
        let Some(Node { entry, pieces, .. }) = self.nodes.next() else { return Ok(None) };
        let content = Content { packs: self.packs, left: pieces.iter(), at: 0, piece: None };
        Ok(Some((entry.clone(), Box::new(content))))
    }
}

struct Content<'a> {
    packs: &'a mut Packs,
    left: Iter<'a, Piece>,
    piece: Option<Piece>,
    /// Where in the piece.
    at: usize,
}

impl Read for Content<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.piece.take().or_else(|| self.left.next().copied()) else {
            return Ok(0);
        };
        let bytes = match self.at {
            0 => self.packs.get(piece.pack, piece.number),
            _ => self.packs.get_again(piece.pack, piece.number),
        };
        let bytes = bytes.map_err(io::Error::other)?;
        if bytes.len() != piece.length as usize {
            return Err(io::Error::other(MountError::damaged("a piece has another length")));
        }
        let rest = &bytes[self.at..];
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        if self.at < bytes.len() {
            self.piece = Some(piece);
        } else {
            self.at = 0;
        }
        Ok(count)
    }
}

/// Looks at what was laid down, so that what stays as it is need not be read again.
fn remember(
    found: &Found,
    tree: Tree,
    readers: &Packs,
    root: &Root,
    cancel: &Cancel,
) -> Result<Memory, MountError> {
    // From here on the clock shows every change.
    std::thread::sleep(scan::GRAIN + std::time::Duration::from_millis(1));
    let chunk = |piece: &Piece| readers.chunks(piece.pack)[piece.number as usize];
    let seen = tree.0.into_iter().map(|node| Seen {
        chunks: node.pieces.iter().map(chunk).collect(),
        entry: node.entry,
        used: node.used,
        stamp: None,
        read_at: crate::layer::Timestamp::default(),
    });
    let seen = scan::stamp(root, seen.collect(), cancel)?;
    let packs = found.snapshot.packs.iter().zip(0..);
    let packs = packs.map(|(descriptor, number)| Pack {
        descriptor: descriptor.clone(),
        chunks: readers.chunks(number).to_vec(),
    });
    let kept = found.is_exact.then(|| Kept {
        place: found.place.shown(),
        content: found.snapshot.content,
        saved: found.snapshot.saved,
    });
    Ok(Memory::new(seen, packs.collect(), kept.into_iter().collect()))
}

/// Bytes of what a restored cache has.
pub(super) fn size(memory: &Memory) -> u64 {
    let sizes = memory.seen.iter().map(|seen| match seen.entry.kind {
        Kind::File { size } => size,
        _ => 0,
    });
    sizes.sum()
}

/// A directory for one restore, below another one; removed with all that is in it.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn make(path: PathBuf) -> Result<Self, MountError> {
        std::fs::create_dir(&path).map_err(MountError::io("make the directory", &path))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is in the build's own directory, which goes too.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
