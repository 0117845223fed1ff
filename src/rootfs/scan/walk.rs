//! Looking at everything in a directory, with several threads.
//!
//! Each name is asked about each time, as what happens to a file shows nowhere but in its own stamp. But
//! which names a directory has, its attributes, and where a link leads can change only together with a
//! stamp, so where that is the same they are taken from the look before.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FileType, Mode, openat, readlinkat};
use rustix::io::Errno;

use super::Scan;
use super::heap::Heap;
use super::ledger::{Attributes, Known, Ledger};
use super::stamp::{Looked, Stamp};
use super::tree::{Dir, Node, Tree, What, is_reserved};
use crate::rootfs::diff::{DiffError, check_length, system};
use crate::rootfs::place::MAX_PATH;
use crate::rootfs::root::{CONTENT, Root, read_dir};
use crate::rootfs::xattr;

/// One look at a directory.
pub(super) struct Walk<'a> {
    pub(super) root: &'a Root,
    pub(super) scan: &'a Scan,
    /// Where the attributes of files go that nobody knows yet.
    pub(super) ledger: Option<&'a Ledger>,
    /// The look before this one: what is as it was then is not asked for again.
    before: Option<&'a Tree>,
    /// The root's device, for kernels that do not say what a mount is.
    device: (u32, u32),
    /// The number of the next directory.
    next_id: AtomicUsize,
}

/// A directory that is still to be looked at.
struct Job<'a> {
    id: usize,
    path: PathBuf,
    before: Option<Before<'a>>,
}

/// The same directory, as the look before saw it.
#[derive(Clone, Copy)]
struct Before<'a> {
    dir: &'a Arc<Dir>,
    /// Nothing has happened to it since: its names and its attributes are the same. What is in its
    /// files, and below it, may be other.
    is_untouched: bool,
}

/// What there is to a name.
enum Seen {
    There(Stamp),
    /// It is not looked at.
    Covered,
    /// It has vanished meanwhile.
    Gone,
}

/// What the threads have found.
#[derive(Default)]
struct Found {
    dirs: Vec<(usize, Arc<Dir>)>,
    /// The first one by path, of those that were met.
    error: Option<(PathBuf, DiffError)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        root: &'a Root,
        scan: &'a Scan,
        ledger: Option<&'a Ledger>,
        before: Option<&'a Tree>,
    ) -> Result<Self, DiffError> {
        let stamp = Stamp::of(root).map_err(|errno| system("look at", Path::new(""), errno))?;
        // A directory keeps its number as long as it is there.
        let next_id = AtomicUsize::new(before.map_or(1, |tree| tree.dirs.len().max(1)));
        Ok(Self { root, scan, ledger, before, device: stamp.identity.device, next_id })
    }

    /// Everything there is. Names that vanish meanwhile are left out.
    pub(super) fn run(self) -> Result<Tree, DiffError> {
        let root = self.before.and_then(|tree| tree.dirs.first());
        // Of the root itself there is no stamp.
        let before = root.map(|dir| Before { dir, is_untouched: false });
        let heap = Heap::new(Job { id: 0, path: PathBuf::new(), before });
        let found = Mutex::new(Found::default());
        std::thread::scope(|scope| {
            for _ in 1..self.scan.threads.get() {
                // Where a container allows no more threads, this one does all the work.
                let thread = std::thread::Builder::new();
                if thread.spawn_scoped(scope, || self.work(&heap, &found)).is_err() {
                    break;
                }
            }
            self.work(&heap, &found);
        });
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, error)) = found.error {
            return Err(error);
        }
        let mut tree = Tree::default();
        tree.dirs.resize_with(self.next_id.into_inner(), Arc::default);
        for (id, dir) in found.dirs {
            tree.dirs[id] = dir;
        }
        Ok(tree)
    }

    fn work(&self, heap: &Heap<Job<'a>>, found: &Mutex<Found>) {
        let mut own = Found::default();
        heap.work(|job, below| match self.directory(&job, below) {
            Ok(dir) => {
                own.dirs.push((job.id, dir));
                true
            }
            Err(error) => {
                own.fail(job.path, error);
                false
            }
        });
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.dirs.append(&mut own.dirs);
        if let Some((path, error)) = own.error {
            found.fail(path, error);
        }
    }

    /// What is in one directory. Those in it are left to `below`.
    fn directory(&self, job: &Job<'a>, below: &mut Vec<Job<'a>>) -> Result<Arc<Dir>, DiffError> {
        let path = &job.path;
        let fd = match self.root.open_dir(path) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Arc::default()),
            Err(errno) => return Err(system("open", path, errno)),
        };
        let untouched = job.before.filter(|before| before.is_untouched).map(|before| before.dir);
        let Some(before) = untouched else {
            let names = listed(&fd, path)?;
            let seen = self.look(&fd, path, names.iter())?;
            let fail = |error| system("read the attributes of", path, error);
            let attributes = attributes(&fd).map_err(fail)?;
            return self.fill(&fd, job, names.into_iter().zip(seen), attributes, below);
        };
        let names = before.names();
        let seen = self.look(&fd, path, names.iter().copied())?;
        if self.is_as_it_was(before, &seen) {
            for node in &before.nodes {
                below.extend(self.again(job, node, &node.stamp));
            }
            return Ok(before.clone());
        }
        let names = names.into_iter().map(OsStr::to_owned);
        self.fill(&fd, job, names.zip(seen), before.attributes.clone(), below)
    }

    /// Asks about each name.
    fn look(
        &self,
        fd: &OwnedFd,
        path: &Path,
        names: impl ExactSizeIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Vec<Seen>, DiffError> {
        let mut seen = Vec::with_capacity(names.len());
        for name in names {
            let name = name.as_ref();
            if path.as_os_str().len() + name.len() >= MAX_PATH {
                check_length(&path.join(name))?;
            }
            if !self.scan.skip.is_empty() && self.scan.skip.contains(&path.join(name)) {
                seen.push(Seen::Covered);
                continue;
            }
            seen.push(match Stamp::look(fd, name) {
                Ok(looked) if self.is_mount(&looked) => Seen::Covered,
                Ok(looked) => Seen::There(looked.stamp),
                Err(Errno::NOENT) => Seen::Gone,
                Err(errno) => return Err(system("look at", &path.join(name), errno)),
            });
        }
        Ok(seen)
    }

    /// Whether everything in a directory is as it was the last time.
    fn is_as_it_was(&self, dir: &Dir, seen: &[Seen]) -> bool {
        let same = |(was, now): (&Node, &Seen)| match now {
            Seen::There(now) => {
                let untouched = self.before.is_some_and(|tree| tree.is_untouched(&was.stamp, now));
                untouched && was.stamp.links == now.links && !was.placed
            }
            Seen::Covered | Seen::Gone => false,
        };
        dir.nodes.len() == seen.len() && dir.nodes.iter().zip(seen).all(same)
    }

    /// Puts together what was seen.
    fn fill(
        &self,
        fd: &OwnedFd,
        job: &Job<'a>,
        names: impl ExactSizeIterator<Item = (OsString, Seen)>,
        attributes: Option<Box<Attributes>>,
        below: &mut Vec<Job<'a>>,
    ) -> Result<Arc<Dir>, DiffError> {
        let nodes = Vec::with_capacity(names.len());
        let mut dir = Dir { is_listed: true, nodes, covered: Vec::new(), attributes };
        for (name, seen) in names {
            match seen {
                Seen::There(stamp) => dir.nodes.extend(self.node(fd, job, name, stamp, below)?),
                Seen::Covered => dir.covered.push(name),
                Seen::Gone => {}
            }
        }
        self.note_attributes(fd, &job.path, &dir)?;
        Ok(Arc::new(dir))
    }

    fn is_mount(&self, looked: &Looked) -> bool {
        let is_dir = looked.stamp.file_type() == FileType::Directory;
        // overlayfs may give files the devices of its layers, but not directories.
        let other_device = || is_dir && looked.stamp.identity.device != self.device;
        looked.is_mount.unwrap_or_else(other_device)
    }

    fn node(
        &self,
        dir: &OwnedFd,
        job: &Job<'a>,
        name: OsString,
        stamp: Stamp,
        below: &mut Vec<Job<'a>>,
    ) -> Result<Option<Node>, DiffError> {
        let was = || job.before.and_then(|before| before.dir.find(&name));
        let what = match stamp.file_type() {
            FileType::Symlink => match self.target(dir, job, &name, was(), &stamp)? {
                Some(target) => What::Symlink(target),
                None => return Ok(None),
            },
            FileType::Directory if !is_reserved(&name) => {
                let again = was().and_then(|was| self.again(job, was, &stamp));
                let next = again.unwrap_or_else(|| Job {
                    id: self.next_id.fetch_add(1, Ordering::Relaxed),
                    path: job.path.join(&name),
                    before: None,
                });
                let id = next.id;
                below.push(next);
                What::Dir(id)
            }
            _ => What::Other,
        };
        Ok(Some(Node { name, stamp, what, placed: false, racy: false }))
    }

    /// Where a link leads. What it says is never changed: another text is another link.
    fn target(
        &self,
        dir: &OwnedFd,
        job: &Job<'_>,
        name: &OsStr,
        was: Option<&Node>,
        stamp: &Stamp,
    ) -> Result<Option<PathBuf>, DiffError> {
        if let (Some(tree), Some(was)) = (self.before, was)
            && let What::Symlink(target) = &was.what
            && tree.is_untouched(&was.stamp, stamp)
        {
            return Ok(Some(target.clone()));
        }
        match readlinkat(dir, name, Vec::new()) {
            Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(system("read the link", &job.path.join(name), errno)),
        }
    }

    /// A directory that is the one which was there before, to be looked at again.
    fn again(&self, above: &Job<'a>, was: &Node, stamp: &Stamp) -> Option<Job<'a>> {
        let (tree, id) = (self.before?, was.dir()?);
        let dir = tree.dirs.get(id).filter(|_| was.stamp.identity == stamp.identity)?;
        let is_untouched = dir.is_listed && tree.is_untouched(&was.stamp, stamp);
        let before = Some(Before { dir, is_untouched });
        Some(Job { id, path: above.path.join(&was.name), before })
    }

    /// Reads the attributes of the files of which nothing is known, if somebody wants that.
    fn note_attributes(&self, fd: &OwnedFd, path: &Path, dir: &Dir) -> Result<(), DiffError> {
        let Some(ledger) = self.ledger else { return Ok(()) };
        let files: Vec<_> = dir.nodes.iter().filter(|node| node.stamp.is_regular()).collect();
        for at in ledger.unknown(files.iter().map(|node| &node.stamp)) {
            let Node { name, stamp, .. } = files[at];
            let file = match openat(fd, name, CONTENT, Mode::empty()) {
                Ok(file) => file,
                // Another user's file, and no right to read it: nor could its content be.
                Err(Errno::NOENT | Errno::LOOP | Errno::ACCESS) => continue,
                Err(errno) => return Err(system("open", &path.join(name), errno)),
            };
            let fail = |error| system("read the attributes of", &path.join(name), error);
            let attributes = attributes(&file).map_err(fail)?;
            ledger.note(stamp, Known { content: None, attributes });
        }
        Ok(())
    }
}

impl Found {
    fn fail(&mut self, path: PathBuf, error: DiffError) {
        if self.error.as_ref().is_none_or(|(first, _)| path < *first) {
            self.error = Some((path, error));
        }
    }
}

/// The names in a directory, sorted.
fn listed(dir: &OwnedFd, path: &Path) -> Result<Vec<OsString>, DiffError> {
    let listed = read_dir(dir).map_err(|errno| system("list", path, errno))?;
    let mut names: Vec<OsString> = listed.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    Ok(names)
}

/// The attributes of an open file or directory that images carry; nothing where there are none.
pub(super) fn attributes(file: &OwnedFd) -> io::Result<Option<Box<Attributes>>> {
    let found = xattr::read(file)?;
    Ok((!found.is_empty()).then(|| Box::new(found)))
}
