//! The directories of a layer: opened once, made where they are missing, finished at the end.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{Mode, fchmod, fstat, mkdirat, openat};
use rustix::io::Errno;

use super::{ExtractError, Extracted, Unpacker, Whiteouts, settling, system};
use crate::layer::{Metadata, Timestamp};
use crate::rootfs::place::{remove_below, split};
use crate::rootfs::root::{DIRECTORY, remove_tree_at};
use crate::rootfs::settle::{Replace, mode, set_mtime, settle};
use crate::rootfs::stat;

/// How many directories are kept open: those of one path, and some neighbours. Fewer where layers are
/// unpacked side by side for each stage: a process may have 1024 descriptors, mostly.
const MAX_OPEN: usize = 128;
const MAX_OPEN_APART: usize = 32;

/// What its owner needs to put something into a directory.
const USABLE: u32 = 0o700;

/// A directory that a layer has something in but does not mention.
fn implicit() -> Metadata {
    Metadata { mode: 0o755, ..Metadata::default() }
}

#[derive(Debug, Default)]
pub(super) struct Dirs {
    /// By path, without links of this layer.
    open: HashMap<PathBuf, Rc<OwnedFd>>,
    /// What is still to be done to directories.
    unfinished: BTreeMap<PathBuf, Unfinished>,
    /// Made, but not mentioned by the layer.
    implicit: BTreeMap<PathBuf, ()>,
}

#[derive(Debug)]
struct Unfinished {
    mtime: Timestamp,
    /// A mode that would have kept us out.
    mode: Option<Mode>,
}

impl Unpacker<'_> {
    /// Puts a directory at a path, or gives the one that is there this metadata.
    pub(super) fn directory(&mut self, path: &Path, meta: &Metadata) -> Result<(), ExtractError> {
        let (dir, replace) = if path.as_os_str().is_empty() {
            let dir = self.root.open_dir(path).map_err(|errno| system("open", path, errno))?;
            (dir, Replace::Yes)
        } else {
            let parent = self.dir(split(path).0)?;
            self.open_or_make(&parent, path, meta)?
        };
        self.settle_dir(&dir, path, meta, replace)?;
        self.dirs.implicit.remove(path);
        self.keep_open(path, dir)?;
        Ok(())
    }

    /// The directory at a path without links of this layer, made if need be. A link of a lower layer,
    /// or a file, gives way to it, as overlayfs would show it.
    pub(super) fn dir(&mut self, path: &Path) -> Result<Rc<OwnedFd>, ExtractError> {
        if let Some(dir) = self.dirs.open.get(path) {
            return Ok(dir.clone());
        }
        let dir = match self.root.open_dir(path) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => self.make_missing(path)?,
            Err(errno) => return Err(system("open", path, errno)),
        };
        self.keep_open(path, dir)
    }

    /// The directory at a path, if there is one.
    pub(super) fn existing_dir(&self, path: &Path) -> Result<Option<Rc<OwnedFd>>, ExtractError> {
        if let Some(dir) = self.dirs.open.get(path) {
            return Ok(Some(dir.clone()));
        }
        match self.root.open_dir(path) {
            Ok(dir) => Ok(Some(Rc::new(dir))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(system("open", path, errno)),
        }
    }

    /// Goes down name by name and makes what is missing.
    fn make_missing(&mut self, path: &Path) -> Result<OwnedFd, ExtractError> {
        let mut here = PathBuf::new();
        let mut dir = self.root.open_dir(&here).map_err(|errno| system("open", &here, errno))?;
        for name in path {
            let below = here.join(name);
            dir = match openat(&dir, name, DIRECTORY, Mode::empty()) {
                Ok(dir) => dir,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                    self.remember_time(&here, &dir)?;
                    let meta = implicit();
                    let (dir, replace) = self.open_or_make(&dir, &below, &meta)?;
                    if replace == Replace::No {
                        self.settle_dir(&dir, &below, &meta, replace)?;
                        self.dirs.implicit.insert(below.clone(), ());
                    }
                    dir
                }
                Err(errno) => return Err(system("open", &below, errno)),
            };
            here = below;
        }
        Ok(dir)
    }

    /// Opens a directory in `parent`, after making it in place of whatever else is there. A new one
    /// mostly has the right mode at once.
    fn open_or_make(
        &mut self,
        parent: &OwnedFd,
        path: &Path,
        meta: &Metadata,
    ) -> Result<(OwnedFd, Replace), ExtractError> {
        let name = split(path).1;
        let fail = |errno| system("make the directory", path, errno);
        let open = || openat(parent, name, DIRECTORY, Mode::empty());
        let mode = Mode::from_raw_mode(meta.mode & 0o777 | USABLE);
        let make = || mkdirat(parent, name, mode);
        let replaces_link = self.foreign.remove(path).is_some();
        match make() {
            Ok(()) if !replaces_link => return Ok((open().map_err(fail)?, Replace::No)),
            Ok(()) => {}
            Err(Errno::EXIST) => match open() {
                Ok(dir) => return Ok((dir, Replace::Yes)),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    self.clear(parent, path)?;
                    make().map_err(fail)?;
                }
                Err(errno) => return Err(fail(errno)),
            },
            Err(errno) => return Err(fail(errno)),
        }
        let dir = open().map_err(fail)?;
        // What this layer had here before, a whiteout or a file, hid the lower layers' directory.
        self.hide(path);
        if let Some(overlay) = self.overlay() {
            overlay.set_opaque(&dir).map_err(|error| system("make opaque", path, error))?;
        }
        Ok((dir, Replace::No))
    }

    fn settle_dir(
        &mut self,
        dir: &OwnedFd,
        path: &Path,
        meta: &Metadata,
        replace: Replace,
    ) -> Result<(), ExtractError> {
        let usable = Metadata { mode: meta.mode | USABLE, ..meta.clone() };
        let refused =
            settle(dir, &usable, self.policy.ownership, replace).map_err(settling(path, meta))?;
        self.done.xattrs_refused += refused;
        let mode = (usable.mode != meta.mode).then(|| mode(meta));
        self.dirs.unfinished.insert(path.to_owned(), Unfinished { mtime: meta.mtime, mode });
        Ok(())
    }

    fn keep_open(&mut self, path: &Path, dir: OwnedFd) -> Result<Rc<OwnedFd>, ExtractError> {
        self.remember_time(path, &dir)?;
        if self.policy.whiteouts == Whiteouts::Apply {
            for above in path.ancestors() {
                if !self.touched.insert(above.to_owned()) {
                    break;
                }
            }
        }
        let most =
            if self.policy.whiteouts == Whiteouts::Apart { MAX_OPEN_APART } else { MAX_OPEN };
        if self.dirs.open.len() >= most {
            self.dirs.open.clear();
        }
        let dir = Rc::new(dir);
        self.dirs.open.insert(path.to_owned(), dir.clone());
        Ok(dir)
    }

    /// A lower layer's directory keeps its time whatever this layer puts in it.
    pub(super) fn remember_time(&mut self, path: &Path, dir: &OwnedFd) -> Result<(), ExtractError> {
        if self.policy.whiteouts == Whiteouts::Apply && !self.dirs.unfinished.contains_key(path) {
            let stat = fstat(dir).map_err(|errno| system("look at", path, errno))?;
            let unfinished = Unfinished { mtime: stat::mtime(&stat), mode: None };
            self.dirs.unfinished.insert(path.to_owned(), unfinished);
        }
        Ok(())
    }

    /// Removes whatever is at a path, and what is known about it.
    pub(super) fn clear(&mut self, parent: &OwnedFd, path: &Path) -> Result<(), ExtractError> {
        remove_tree_at(parent, split(path).1).map_err(|errno| system("remove", path, errno))?;
        self.dirs.open.retain(|open, _| !open.starts_with(path));
        remove_below(&mut self.dirs.unfinished, path);
        remove_below(&mut self.dirs.implicit, path);
        Ok(())
    }

    /// Gives every directory its time, the deepest first.
    pub(super) fn finish(mut self) -> Result<Extracted, ExtractError> {
        self.dirs.open.clear();
        if self.policy.whiteouts != Whiteouts::Skip {
            for (path, unfinished) in self.dirs.unfinished.iter().rev() {
                self.finish_dir(path, unfinished)?;
            }
        }
        let foreign = std::mem::take(&mut self.foreign);
        self.done.foreign_links =
            foreign.into_iter().map(|(link, (target, meta))| (link, target, meta)).collect();
        self.done.implicit_dirs = self.dirs.implicit.into_keys().collect();
        Ok(self.done)
    }

    fn finish_dir(&self, path: &Path, unfinished: &Unfinished) -> Result<(), ExtractError> {
        let fail = |errno| system("finish the directory", path, errno);
        let dir = self.root.open_dir(path).map_err(fail)?;
        if let Some(mode) = unfinished.mode {
            fchmod(&dir, mode).map_err(fail)?;
        }
        set_mtime(&dir, unfinished.mtime).map_err(fail)
    }
}
