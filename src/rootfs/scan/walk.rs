//! Looking at everything in a directory, with several threads.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, Mode, openat, readlinkat};
use rustix::io::Errno;

use super::Scan;
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
    /// The root's device, for kernels that do not say what a mount is.
    device: (u32, u32),
}

/// A directory that is still to be listed.
struct Job {
    id: usize,
    path: PathBuf,
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    jobs: Vec<Job>,
    /// Threads that may still find jobs.
    busy: usize,
    dirs: Vec<Dir>,
    /// The first one by path, of those that were met.
    error: Option<(PathBuf, DiffError)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        root: &'a Root,
        scan: &'a Scan,
        ledger: Option<&'a Ledger>,
    ) -> Result<Self, DiffError> {
        let stamp = Stamp::of(root).map_err(|errno| system("look at", Path::new(""), errno))?;
        Ok(Self { root, scan, ledger, device: stamp.identity.device })
    }

    /// Everything there is. Names that vanish meanwhile are left out.
    pub(super) fn run(&self) -> Result<Tree, DiffError> {
        let first = Job { id: 0, path: PathBuf::new() };
        let start = Shared { jobs: vec![first], dirs: vec![Dir::default()], ..Shared::default() };
        let (shared, ready) = (Mutex::new(start), Condvar::new());
        std::thread::scope(|scope| {
            for _ in 1..self.scan.threads.get() {
                // Where a container allows no more threads, this one does all the work.
                let thread = std::thread::Builder::new();
                if thread.spawn_scoped(scope, || self.work(&shared, &ready)).is_err() {
                    break;
                }
            }
            self.work(&shared, &ready);
        });
        let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        match shared.error {
            Some((_, error)) => Err(error),
            None => Ok(Tree { dirs: shared.dirs }),
        }
    }

    fn work(&self, shared: &Mutex<Shared>, ready: &Condvar) {
        let mut state = lock(shared);
        loop {
            let Some(job) = state.jobs.pop() else {
                if state.busy == 0 {
                    return;
                }
                state = ready.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.busy += 1;
            drop(state);
            let found = self.directory(&job.path);
            state = lock(shared);
            state.busy -= 1;
            state.take(job, found);
            ready.notify_all();
        }
    }

    fn directory(&self, path: &Path) -> Result<Dir, DiffError> {
        let fd = match self.root.open_dir(path) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Dir::default()),
            Err(errno) => return Err(system("open", path, errno)),
        };
        let mut names = read_dir(&fd).map_err(|errno| system("list", path, errno))?;
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut dir = Dir::default();
        for (name, _) in names {
            if path.as_os_str().len() + name.len() >= MAX_PATH {
                check_length(&path.join(&name))?;
            }
            if !self.scan.skip.is_empty() && self.scan.skip.contains(&path.join(&name)) {
                dir.covered.push(name);
                continue;
            }
            match Stamp::look(&fd, &name) {
                Ok(looked) if self.is_mount(&looked) => dir.covered.push(name),
                Ok(looked) => dir.nodes.extend(self.node(&fd, path, name, looked.stamp)?),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(system("look at", &path.join(&name), errno)),
            }
        }
        self.note_attributes(&fd, path, &dir)?;
        let fail = |error| system("read the attributes of", path, error);
        dir.attributes = attributes(&fd).map_err(fail)?;
        Ok(dir)
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
        dir_path: &Path,
        name: OsString,
        stamp: Stamp,
    ) -> Result<Option<Node>, DiffError> {
        let what = match stamp.file_type() {
            FileType::Symlink => match readlinkat(dir, &name, Vec::new()) {
                Ok(target) => What::Symlink(OsString::from_vec(target.into_bytes()).into()),
                Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
                Err(errno) => return Err(system("read the link", &dir_path.join(&name), errno)),
            },
            // Its number comes when it is put among the others.
            FileType::Directory if !is_reserved(&name) => What::Dir(0),
            _ => What::Other,
        };
        Ok(Some(Node { name, stamp, what, placed: false, racy: false }))
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

impl Shared {
    fn take(&mut self, job: Job, found: Result<Dir, DiffError>) {
        match found {
            Ok(_) if self.error.is_some() => {}
            Ok(mut dir) => {
                for node in &mut dir.nodes {
                    if let What::Dir(id) = &mut node.what {
                        *id = self.dirs.len();
                        self.dirs.push(Dir::default());
                        self.jobs.push(Job { id: *id, path: job.path.join(&node.name) });
                    }
                }
                self.dirs[job.id] = dir;
            }
            Err(error) => {
                self.jobs.clear();
                if self.error.as_ref().is_none_or(|(path, _)| job.path < *path) {
                    self.error = Some((job.path, error));
                }
            }
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The attributes of an open file or directory that images carry; nothing where there are none.
pub(super) fn attributes(file: &OwnedFd) -> io::Result<Option<Box<Attributes>>> {
    let found = xattr::read(file)?;
    Ok((!found.is_empty()).then(|| Box::new(found)))
}
