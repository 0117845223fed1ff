//! Looking at a cache's directory: what is there, and of what pieces the files are. A file that looks as
//! it did when kiln last knew its content is not read.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{io, thread};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, StatVfsMountFlags, fcntl_getfl, fcntl_setfl, fstat,
    openat, statat,
};

use super::chunks;
use super::error::MountError;
use super::memory::Memory;
use super::pack::Chunk;
use super::tree::{NODES_MAX, SET_ID, is_attribute, is_name};
use crate::cancel::Cancel;
use crate::digest::{Digest, Hasher};
use crate::layer::{Entry, Kind, Metadata, Timestamp};
use crate::rootfs::{Root, View as _};

/// Directories in directories; what is deeper is left out. Nobody's cache is.
pub(super) const DEPTH_MAX: usize = 200;
/// The system's clock for files moves in steps of this at most (CONFIG_HZ=100). A file that was changed
/// later than that before it was looked at may be changed again and look the same.
pub(super) const GRAIN: Duration = Duration::from_millis(12);

/// What the system says of an object, for the price of one call. Whatever changes it changes this: nobody
/// but the system sets a ctime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) mtime: Timestamp,
    pub(super) ctime: Timestamp,
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            size: stat.st_size.max(0).cast_unsigned(),
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

fn time(secs: i64, nanos: impl TryInto<u32>) -> Timestamp {
    Timestamp { secs, nanos: nanos.try_into().unwrap_or(0) }
}

/// An object of a cache, and how it looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// As in the tree of a snapshot.
    pub(super) entry: Entry,
    /// Hours since 1970.
    pub(super) used: u32,
    /// The pieces of a file.
    pub(super) chunks: Vec<Chunk>,
    /// Nothing where it cannot be relied on.
    pub(super) stamp: Option<Stamp>,
    /// When the system says that it was last read.
    pub(super) read_at: Timestamp,
}

/// What is in a directory.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// In the order of a tree.
    pub(super) seen: Vec<Seen>,
    /// Directories that were left out, with all in them.
    pub(super) too_deep: usize,
    /// Bytes of the files that had to be read.
    pub(super) read: u64,
}

/// Hours since 1970.
pub(super) fn hours(time: Timestamp) -> u32 {
    u32::try_from(time.secs / 3600).unwrap_or(0)
}

/// Looks at everything in a directory.
pub(super) fn scan(root: &Root, memory: &Memory, cancel: &Cancel) -> Result<Scan, MountError> {
    let here = Path::new("");
    let flags = rustix::fs::fstatvfs(root).map_err(MountError::io("look at", root.path()))?.f_flag;
    let mut walk = Walk {
        root,
        memory,
        cancel,
        now: Timestamp::now(),
        reads_are_noted: !flags.contains(StatVfsMountFlags::NOATIME),
        names: HashMap::new(),
        unread: Vec::new(),
        found: Scan::default(),
    };
    let stat = fstat(root).map_err(MountError::io("look at", here))?;
    walk.note(here, &stat)?;
    let dir = openat(root, ".", DIRECTORY, Mode::empty()).map_err(MountError::io("open", here))?;
    walk.directory(&dir, here, 0)?;
    let Walk { mut found, unread, .. } = walk;
    read_all(root, &mut found, &unread, cancel)?;
    Ok(found)
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Walk<'a> {
    root: &'a Root,
    memory: &'a Memory,
    cancel: &'a Cancel,
    now: Timestamp,
    /// Whether the system notes when a file is read. Otherwise all were of use now.
    reads_are_noted: bool,
    /// Files with several names, by device and inode, and the first one.
    names: HashMap<(u64, u64), PathBuf>,
    /// Files whose pieces are not known.
    unread: Vec<usize>,
    found: Scan,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &OwnedFd, path: &Path, depth: usize) -> Result<(), MountError> {
        self.cancel.check()?;
        for name in names(dir).map_err(MountError::io("list", path))? {
            let below = path.join(&name);
            let stat = statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW);
            let stat = stat.map_err(MountError::io("look at", &below))?;
            let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if !is_name(name.as_bytes()) {
                continue;
            }
            if is_dir && depth >= DEPTH_MAX {
                self.found.too_deep += 1;
                continue;
            }
            if self.found.seen.len() >= NODES_MAX {
                return Err(MountError::TooLarge(format!("it has more than {NODES_MAX} files")));
            }
            self.note(&below, &stat)?;
            if is_dir {
                let opened = openat(dir, &name, DIRECTORY, Mode::empty());
                let opened = opened.map_err(MountError::io("open", &below))?;
                self.directory(&opened, &below, depth + 1)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, path: &Path, stat: &Stat) -> Result<(), MountError> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        // Sockets, devices and pipes do not travel.
        if !matches!(kind, FileType::Directory | FileType::RegularFile | FileType::Symlink) {
            return Ok(());
        }
        if kind == FileType::RegularFile && stat.st_nlink > 1 {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.names.get(&inode) {
                let kind = Kind::HardLink(first.clone());
                let entry = Entry { path: path.to_owned(), meta: Metadata::default(), kind };
                let seen = Seen {
                    entry,
                    used: 0,
                    chunks: Vec::new(),
                    stamp: None,
                    read_at: Timestamp::default(),
                };
                self.found.seen.push(seen);
                return Ok(());
            }
            self.names.insert(inode, path.to_owned());
        }
        let read_at = time(stat.st_atime, stat.st_atime_nsec);
        let stamp = Stamp::of(stat);
        let known = self.memory.get(path).filter(|known| known.stamp == Some(stamp));
        let used = match known {
            _ if !self.reads_are_noted => self.now,
            Some(known) if known.read_at == read_at => {
                Timestamp::from_secs(i64::from(known.used) * 3600)
            }
            // Programs that unpack an archive give files old times; the system's own says when.
            _ => read_at.max(stamp.mtime).max(stamp.ctime).min(self.now),
        };
        let (entry, chunks) = match known {
            // Also what the system did not take when it was laid down here: an attribute, an owner.
            Some(known) if !matches!(known.entry.kind, Kind::HardLink(_)) => {
                (known.entry.clone(), known.chunks.clone())
            }
            _ => match self.root.lstat(path)? {
                None => return Err(MountError::Changed(path.to_owned())),
                Some(mut entry) => {
                    without_power(&mut entry);
                    if matches!(entry.kind, Kind::File { size } if size > 0) {
                        self.unread.push(self.found.seen.len());
                    }
                    (entry, Vec::new())
                }
            },
        };
        let stamp = Some(stamp).filter(|stamp| is_settled(stamp.ctime, self.now));
        self.found.seen.push(Seen { entry, used: hours(used), chunks, stamp, read_at });
        Ok(())
    }
}

/// Takes away what makes a program more than its user: set-id bits of files, and the attributes that
/// are not the user's own, `security.capability` among them. Who may write to the cache's place must not
/// decide about that on the next machine.
fn without_power(entry: &mut Entry) {
    if entry.kind != Kind::Dir {
        entry.meta.mode &= !SET_ID;
    }
    entry.meta.xattrs.retain(|name, _| is_attribute(name.as_bytes()));
}

/// Notes how everything looks that was just laid down. The objects are in the order of a tree.
pub(super) fn stamp(
    root: &Root,
    mut seen: Vec<Seen>,
    cancel: &Cancel,
) -> Result<Vec<Seen>, MountError> {
    let now = Timestamp::now();
    let mut above: Vec<(PathBuf, OwnedFd)> = Vec::new();
    for Seen { entry: Entry { path, kind, .. }, stamp, read_at, .. } in &mut seen {
        let look = || MountError::io("look at", path);
        while above.last().is_some_and(|(dir, _)| path.parent() != Some(dir)) {
            above.pop();
            cancel.check()?;
        }
        let name = path.file_name().unwrap_or(OsStr::new("."));
        let dir = above.last().map_or(root.as_fd(), |(_, dir)| dir.as_fd());
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(look())?;
        let new = Stamp::of(&stat);
        *stamp = Some(new).filter(|stamp| is_settled(stamp.ctime, now));
        *read_at = time(stat.st_atime, stat.st_atime_nsec);
        if *kind == Kind::Dir {
            let opened = openat(dir, name, DIRECTORY, Mode::empty()).map_err(look())?;
            above.push((path.clone(), opened));
        }
    }
    Ok(seen)
}

/// Whether so much time has passed since a change that another one would look different.
fn is_settled(changed: Timestamp, now: Timestamp) -> bool {
    let since = (now.secs - changed.secs).saturating_mul(1_000_000_000) + i64::from(now.nanos)
        - i64::from(changed.nanos);
    since > GRAIN.as_nanos() as i64
}

/// The names in a directory, sorted by byte.
fn names(dir: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir.as_fd())? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Finds the pieces of files, on all cores.
fn read_all(
    root: &Root,
    found: &mut Scan,
    unread: &[usize],
    cancel: &Cancel,
) -> Result<(), MountError> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let seen = &found.seen;
    let work = || -> Result<(), MountError> {
        while let Some(at) = unread.get(next.fetch_add(1, Ordering::Relaxed)) {
            cancel.check()?;
            let chunks = read(root, &seen[*at].entry)?;
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((*at, chunks));
        }
        Ok(())
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(unread.len());
    side_by_side(threads, &work)?;
    for (at, chunks) in done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        found.read += chunks.iter().map(|chunk| u64::from(chunk.length)).sum::<u64>();
        found.seen[at].chunks = chunks;
    }
    Ok(())
}

/// Does the same in several threads.
pub(super) fn side_by_side(
    threads: usize,
    work: &(dyn Fn() -> Result<(), MountError> + Sync),
) -> Result<(), MountError> {
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = if threads == 0 { Ok(()) } else { work() };
        let join = |other: thread::ScopedJoinHandle<'_, _>| {
            other.join().unwrap_or_else(|_| Err(MountError::damaged("a thread ended abnormally")))
        };
        others.into_iter().map(join).fold(own, Result::and)
    })
}

/// Opens a file so that the system does not take it for use when kiln reads it, which it allows for files
/// of one's own (open(2), O_NOATIME; fcntl(2), F_SETFL).
pub(super) fn open(root: &Root, path: &Path) -> Result<File, MountError> {
    let file = root.open_file(path)?;
    if let Ok(flags) = fcntl_getfl(&file) {
        _ = fcntl_setfl(&file, flags | OFlags::NOATIME);
    }
    Ok(file)
}

fn read(root: &Root, entry: &Entry) -> Result<Vec<Chunk>, MountError> {
    let Kind::File { size } = entry.kind else { return Ok(Vec::new()) };
    let mut file = open(root, &entry.path)?;
    let mut chunks = Vec::new();
    let mut total = 0;
    let read = chunks::each(&mut file, &mut |piece| {
        chunks.push(Chunk { digest: Digest::of(piece), length: piece.len() as u32 });
        total += piece.len() as u64;
        Ok(())
    });
    read.map_err(MountError::io("read", &entry.path))?;
    if total != size {
        return Err(MountError::Changed(entry.path.clone()));
    }
    Ok(chunks)
}

/// What the files are: the same for two caches only if no program could tell them apart. The time of a
/// directory is left out: making and removing a file is no change.
pub(super) fn content(seen: &[Seen]) -> Digest {
    let mut hasher = Hasher::default();
    let mut text = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    let path = |path: &Path| path.as_os_str().as_bytes().to_vec();
    for Seen { entry: Entry { path: at, meta, kind }, chunks, .. } in seen {
        text(&path(at));
        let mtime = if *kind == Kind::Dir { Timestamp::default() } else { meta.mtime };
        text(
            format!("{:o} {} {} {}.{}", meta.mode, meta.uid, meta.gid, mtime.secs, mtime.nanos)
                .as_bytes(),
        );
        for (name, value) in &meta.xattrs {
            text(OsStr::as_bytes(name));
            text(value);
        }
        match kind {
            Kind::Dir => text(b"d"),
            Kind::Symlink(target) => text(&[b"l".as_slice(), &path(target)].concat()),
            Kind::HardLink(target) => text(&[b"h".as_slice(), &path(target)].concat()),
            _ => text(b"f"),
        }
        for chunk in chunks {
            text(chunk.digest.as_bytes());
        }
    }
    hasher.finish().0
}
