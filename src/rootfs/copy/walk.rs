//! Copies what is inside a directory.
//!
//! A context may have a hundred thousand files, so each name costs one stat(2) relative to its
//! directory's descriptor, and the image is only asked about what it can have: nothing, below a
//! directory that is new.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::CopyError;
use super::job::{Copy, directory_onto, keep_xattrs};
use super::plan::Plan;
use super::source::SourceFile;
use crate::layer::content::Content;
use crate::layer::{Kind, Metadata};
use crate::rootfs::ignore::{Ignore, Trail};
use crate::rootfs::root::{CONTENT, DIRECTORY, read_dir};
use crate::rootfs::stat::{self, Found};
use crate::rootfs::view::View;
use crate::rootfs::xattr;

/// Linux' PATH_MAX: what is deeper could neither be opened by its path nor be unpacked again.
const MAX_PATH: usize = 4096;

/// One directory on the way.
pub(super) struct Place {
    /// From the root of the sources.
    pub(super) source: PathBuf,
    /// From the directory that the source argument names; `--exclude` is relative to it.
    pub(super) inner: PathBuf,
    /// In the image, without links.
    pub(super) target: PathBuf,
    /// Whether the image has nothing there.
    pub(super) is_new: bool,
    /// What the ignore list says of the parents.
    pub(super) ignored: Trail,
    /// What `--exclude` says of the parents.
    pub(super) excluded: Trail,
}

impl Place {
    fn child(&self, name: &OsStr) -> Self {
        Self {
            source: self.source.join(name),
            inner: self.inner.join(name),
            target: self.target.join(name),
            is_new: self.is_new,
            ignored: Trail::default(),
            excluded: Trail::default(),
        }
    }
}

/// A directory that is being copied.
struct Level {
    dir: OwnedFd,
    place: Place,
    /// What is left of it.
    names: std::vec::IntoIter<(OsString, FileType)>,
    /// How many directories waited before this one.
    waiting: usize,
}

impl Level {
    fn new(dir: OwnedFd, place: Place, waiting: usize) -> Result<Self, CopyError> {
        let mut names = read_dir(&dir).map_err(|errno| CopyError::read(&place.source, errno))?;
        names.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        Ok(Self { dir, place, names: names.into_iter(), waiting })
    }
}

/// What the two lists say of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Shown,
    Hidden,
    /// Hidden, but if it is a directory, something in it may be shown.
    Perhaps,
}

/// A walk through one source directory.
pub(super) struct Walk<'c, 'p, 'a> {
    copy: &'c Copy<'a>,
    /// Patterns for paths below the source directory.
    exclude: Option<&'c Ignore>,
    plan: &'p mut Plan<'a>,
    /// Where a file with several names was put first, by device and inode.
    first_names: HashMap<(u64, u64), PathBuf>,
    /// Hidden directories around the present one, outermost first, that are only copied if
    /// something in them is shown.
    waiting: Vec<(PathBuf, Metadata)>,
}

impl<'c, 'p, 'a> Walk<'c, 'p, 'a> {
    pub(super) fn new(
        copy: &'c Copy<'a>,
        plan: &'p mut Plan<'a>,
        exclude: Option<&'c Ignore>,
    ) -> Self {
        Self { copy, exclude, plan, first_names: HashMap::new(), waiting: Vec::new() }
    }

    /// Copies what is inside an open directory. With a stack of its own: a hostile context can be
    /// nested deeper than a thread's goes.
    pub(super) fn contents(&mut self, dir: OwnedFd, place: Place) -> Result<(), CopyError> {
        let mut levels = vec![Level::new(dir, place, 0)?];
        while let Some(level) = levels.last_mut() {
            let below = match level.names.next() {
                Some((name, file_type)) => self.name(level, &name, file_type)?,
                None => {
                    self.waiting.truncate(level.waiting);
                    levels.pop();
                    None
                }
            };
            levels.extend(below);
        }
        Ok(())
    }

    /// One name of a directory. If it is a directory itself, it is next.
    fn name(
        &mut self,
        level: &Level,
        name: &OsStr,
        file_type: FileType,
    ) -> Result<Option<Level>, CopyError> {
        let child = level.place.child(name);
        if child.source.as_os_str().len() > MAX_PATH || child.target.as_os_str().len() > MAX_PATH {
            return Err(CopyError::read(&child.source, Errno::NAMETOOLONG));
        }
        let verdict = self.verdict(&level.place, &child)?;
        let may_be_dir = matches!(file_type, FileType::Directory | FileType::Unknown);
        if verdict == Verdict::Hidden || (verdict == Verdict::Perhaps && !may_be_dir) {
            return Ok(None);
        }
        let stat = match statat(&level.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Removed since the directory was listed.
            Err(Errno::NOENT) => return Ok(None),
            stat => stat.map_err(|errno| CopyError::read(&child.source, errno))?,
        };
        if stat::found(&stat) == Found::Kind(Kind::Dir) {
            return self.directory(level, name, &stat, child, verdict).map(Some);
        }
        if verdict == Verdict::Shown {
            self.object(&level.dir, name, &stat, &child)?;
        }
        Ok(None)
    }

    fn verdict(&self, place: &Place, child: &Place) -> Result<Verdict, CopyError> {
        let of = |list: Option<&Ignore>, trail: &Trail, path: &Path| -> Result<_, CopyError> {
            let Some(list) = list else { return Ok(Verdict::Shown) };
            Ok(match list.matches_in(trail, path)? {
                false => Verdict::Shown,
                true if list.may_reinclude_below(path) => Verdict::Perhaps,
                true => Verdict::Hidden,
            })
        };
        let ignored = of(self.copy.ignore(), &place.ignored, &child.source)?;
        let excluded = of(self.exclude, &place.excluded, &child.inner)?;
        Ok(match (ignored, excluded) {
            (Verdict::Hidden, _) | (_, Verdict::Hidden) => Verdict::Hidden,
            (Verdict::Perhaps, _) | (_, Verdict::Perhaps) => Verdict::Perhaps,
            (Verdict::Shown, Verdict::Shown) => Verdict::Shown,
        })
    }

    /// Copies anything but a directory.
    fn object(
        &mut self,
        dir: &OwnedFd,
        name: &OsStr,
        stat: &Stat,
        child: &Place,
    ) -> Result<(), CopyError> {
        let fail = |errno| CopyError::read(&child.source, errno);
        let kind = match stat::found(stat) {
            // A socket: no tar has a place for one, and it means something to its process only.
            Found::Other => return Ok(()),
            Found::Symlink => Kind::Symlink(link_target(dir, name).map_err(fail)?),
            Found::Kind(kind) => kind,
        };
        let mut meta = stat::metadata(stat);
        if matches!(kind, Kind::File { .. }) {
            let file = openat(dir, name, CONTENT, Mode::empty()).map_err(fail)?;
            meta.xattrs =
                xattr::read(file).map_err(|error| CopyError::read(&child.source, error))?;
        }
        self.copy.root().as_in_image(&mut meta);
        self.arrive()?;
        self.reject_directory(child)?;
        self.put(stat, self.copy.metadata(meta, &kind), kind, child)
    }

    fn put(
        &mut self,
        stat: &Stat,
        meta: Metadata,
        kind: Kind,
        child: &Place,
    ) -> Result<(), CopyError> {
        if !matches!(kind, Kind::File { .. }) {
            return self.plan.put(&child.target, meta, kind, Content::None);
        }
        let identity = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1
            && let Some(first) = self.first_names.get(&identity)
            && self.plan.put_link(&child.target, first, None)?
        {
            return Ok(());
        }
        if stat.st_nlink > 1 {
            self.first_names.insert(identity, child.target.clone());
        }
        let content = SourceFile::content(self.copy.root(), &child.source);
        self.plan.put(&child.target, meta, kind, content)
    }

    /// Copies a directory, or lets it wait, and opens it.
    fn directory(
        &mut self,
        level: &Level,
        name: &OsStr,
        stat: &Stat,
        mut child: Place,
        verdict: Verdict,
    ) -> Result<Level, CopyError> {
        let dir = openat(&level.dir, name, DIRECTORY, Mode::empty())
            .map_err(|errno| CopyError::read(&child.source, errno))?;
        let mut meta = stat::metadata(stat);
        meta.xattrs = xattr::read(&dir).map_err(|error| CopyError::read(&child.source, error))?;
        self.copy.root().as_in_image(&mut meta);
        let meta = self.copy.metadata(meta, &Kind::Dir);
        let enter = |list: Option<&Ignore>, trail: &Trail, path: &Path| {
            list.map(|list| list.enter(trail, path)).unwrap_or_default()
        };
        child.ignored = enter(self.copy.ignore(), &level.place.ignored, &child.source);
        child.excluded = enter(self.exclude, &level.place.excluded, &child.inner);
        let waiting = self.waiting.len();
        if verdict == Verdict::Perhaps {
            self.waiting.push((child.target.clone(), meta));
        } else {
            self.arrive()?;
            child.is_new |= self.put_dir(&child.target, meta, child.is_new)?;
        }
        Level::new(dir, child, waiting)
    }

    /// Something is shown here, so the hidden directories around it are copied after all.
    fn arrive(&mut self) -> Result<(), CopyError> {
        for (target, meta) in std::mem::take(&mut self.waiting) {
            self.put_dir(&target, meta, false)?;
        }
        Ok(())
    }

    /// Whether the directory is new.
    fn put_dir(
        &mut self,
        target: &Path,
        mut meta: Metadata,
        parent_is_new: bool,
    ) -> Result<bool, CopyError> {
        let there = if parent_is_new { None } else { self.plan.lstat(target)? };
        match &there {
            Some(there) if there.kind == Kind::Dir => keep_xattrs(&mut meta, there),
            Some(there) => return Err(directory_onto(there)),
            None => {}
        }
        self.plan.put(target, meta, Kind::Dir, Content::None)?;
        Ok(there.is_none())
    }

    fn reject_directory(&self, child: &Place) -> Result<(), CopyError> {
        if child.is_new {
            return Ok(());
        }
        match self.plan.lstat(&child.target)? {
            Some(there) if there.kind == Kind::Dir => {
                Err(CopyError::FileOntoDirectory(child.target.clone()))
            }
            _ => Ok(()),
        }
    }
}

fn link_target(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<PathBuf> {
    let target = readlinkat(dir, name, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}
