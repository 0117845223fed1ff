//! Copies what is inside a directory.
//!
//! A context may have a hundred thousand files, so each name costs one stat(2) relative to its
//! directory's descriptor, and the image is only asked about what it can have: nothing, below a
//! directory that is new.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
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

    /// Copies what is inside an open directory.
    pub(super) fn contents(&mut self, dir: &OwnedFd, place: &Place) -> Result<(), CopyError> {
        let mut names = read_dir(dir).map_err(|errno| CopyError::read(&place.source, errno))?;
        names.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        for (name, file_type) in names {
            let child = place.child(&name);
            let verdict = self.verdict(place, &child)?;
            let may_be_dir = matches!(file_type, FileType::Directory | FileType::Unknown);
            match verdict {
                Verdict::Hidden => {}
                Verdict::Perhaps if !may_be_dir => {}
                verdict => self.object(dir, &name, place, child, verdict)?,
            }
        }
        Ok(())
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

    fn object(
        &mut self,
        dir: &OwnedFd,
        name: &OsStr,
        place: &Place,
        child: Place,
        verdict: Verdict,
    ) -> Result<(), CopyError> {
        let fail = |errno| CopyError::read(&child.source, errno);
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Removed since the directory was listed.
            Err(Errno::NOENT) => return Ok(()),
            stat => stat.map_err(fail)?,
        };
        let kind = match stat::found(&stat) {
            Found::Kind(Kind::Dir) => {
                return self.directory(dir, name, &stat, place, child, verdict);
            }
            _ if verdict == Verdict::Perhaps => return Ok(()),
            // As BuildKit does: both only mean something to the processes at their ends.
            Found::Kind(Kind::Fifo) | Found::Other => return Ok(()),
            Found::Symlink => Kind::Symlink(link_target(dir, name).map_err(fail)?),
            Found::Kind(kind) => kind,
        };
        let mut meta = stat::metadata(&stat);
        if matches!(kind, Kind::File { .. }) {
            let file = openat(dir, name, CONTENT, Mode::empty()).map_err(fail)?;
            meta.xattrs =
                xattr::read(file).map_err(|error| CopyError::read(&child.source, error))?;
        }
        self.copy.root().as_in_image(&mut meta);
        self.arrive()?;
        self.reject_directory(&child)?;
        self.put(&stat, self.copy.metadata(meta, &kind), kind, &child)
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
            && self.plan.put_link(&child.target, first)?
        {
            return Ok(());
        }
        if stat.st_nlink > 1 {
            self.first_names.insert(identity, child.target.clone());
        }
        let content = SourceFile::content(self.copy.root(), &child.source);
        self.plan.put(&child.target, meta, kind, content)
    }

    fn directory(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        stat: &Stat,
        place: &Place,
        mut child: Place,
        verdict: Verdict,
    ) -> Result<(), CopyError> {
        let dir = openat(parent, name, DIRECTORY, Mode::empty())
            .map_err(|errno| CopyError::read(&child.source, errno))?;
        let mut meta = stat::metadata(stat);
        meta.xattrs = xattr::read(&dir).map_err(|error| CopyError::read(&child.source, error))?;
        self.copy.root().as_in_image(&mut meta);
        let meta = self.copy.metadata(meta, &Kind::Dir);
        let enter = |list: Option<&Ignore>, trail: &Trail, path: &Path| {
            list.map(|list| list.enter(trail, path)).unwrap_or_default()
        };
        child.ignored = enter(self.copy.ignore(), &place.ignored, &child.source);
        child.excluded = enter(self.exclude, &place.excluded, &child.inner);
        if verdict == Verdict::Perhaps {
            let depth = self.waiting.len();
            self.waiting.push((child.target.clone(), meta));
            self.contents(&dir, &child)?;
            self.waiting.truncate(depth);
            return Ok(());
        }
        self.arrive()?;
        child.is_new |= self.put_dir(&child.target, meta, child.is_new)?;
        self.contents(&dir, &child)
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
    use std::os::unix::ffi::OsStringExt;
    let target = readlinkat(dir, name, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}
