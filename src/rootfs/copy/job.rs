//! One COPY or ADD: from its sources to their places.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::plan::Plan;
use super::source::{Match, SourceFile, Sources, clean};
use super::walk::{Place, Walk};
use super::{CopyError, CopyRequest, Owner, Unpack, unpack};
use crate::layer::content::Content;
use crate::layer::{Entry, Kind, Metadata};
use crate::rootfs::glob::has_meta;
use crate::rootfs::ignore::{Ignore, Trail};
use crate::rootfs::root::Root;
use crate::rootfs::view::View;

/// A request with its patterns compiled.
pub(super) struct Copy<'a> {
    pub(super) request: &'a CopyRequest<'a>,
    exclude: Option<Ignore>,
}

impl<'a> Copy<'a> {
    pub(super) fn new(request: &'a CopyRequest<'a>) -> Result<Self, CopyError> {
        let exclude = Ignore::from_patterns(request.exclude)?;
        Ok(Self { request, exclude: (!exclude.is_empty()).then_some(exclude) })
    }

    pub(super) fn root(&self) -> &Arc<Root> {
        &self.request.from
    }

    pub(super) fn ignore(&self) -> Option<&Ignore> {
        self.request.ignore
    }

    pub(super) fn path(&self, plan: &mut Plan<'a>, written: &str) -> Result<(), CopyError> {
        let sources = Sources { root: self.root(), ignore: self.ignore() };
        let matches = sources.find(written)?;
        self.reject_lost_files(plan, written, &matches)?;
        for found in matches {
            if found.entry.kind == Kind::Dir {
                self.directory(plan, &found, self.exclude.as_ref())?;
            } else if !self.is_excluded(&found)? {
                let is_archive = self.request.unpack == Unpack::Auto
                    && matches!(found.entry.kind, Kind::File { .. })
                    && unpack::unpack(self, plan, &found)?;
                if !is_archive {
                    self.file(plan, found)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn with_parents(&self, plan: &mut Plan<'a>, written: &str) -> Result<(), CopyError> {
        let sources = Sources { root: self.root(), ignore: self.ignore() };
        let (from, path) = written.split_once("/./").unwrap_or(("", written));
        let path = clean(path);
        if !has_meta(written.as_bytes()) {
            sources.find(&format!("{from}/{path}"))?;
        }
        let mut patterns = self.request.exclude.to_vec();
        if !path.is_empty() {
            patterns.splice(0..0, ["**".to_owned(), format!("!{path}")]);
        }
        let only = Ignore::from_patterns(&patterns)?;
        for found in sources.find(from)? {
            if found.entry.kind == Kind::Dir {
                self.directory(plan, &found, Some(&only))?;
            }
        }
        Ok(())
    }

    /// BuildKit lets the files that a pattern matches overwrite each other where `dest` is no
    /// directory, and only the last one remains. Nobody wants that.
    fn reject_lost_files(
        &self,
        plan: &Plan<'a>,
        written: &str,
        matches: &[Match],
    ) -> Result<(), CopyError> {
        let files = matches.iter().filter(|found| found.entry.kind != Kind::Dir);
        if matches.len() < 2 || files.count() == 0 || self.request.dest.ends_with('/') {
            return Ok(());
        }
        if plan.resolve(Path::new(self.request.dest))?.is_dir() {
            return Ok(());
        }
        Err(self.needs_directory(Some(format!("`{written}` matches {} files", matches.len()))))
    }

    pub(super) fn needs_directory(&self, why: Option<String>) -> CopyError {
        let instruction = match self.request.unpack {
            Unpack::Never => "COPY",
            Unpack::Auto => "ADD",
        };
        CopyError::NeedsDirectory { instruction, why }
    }

    fn is_excluded(&self, found: &Match) -> Result<bool, CopyError> {
        match &self.exclude {
            Some(exclude) => Ok(exclude.matches(Path::new(&found.name))?),
            None => Ok(false),
        }
    }

    /// `exclude` is matched with the paths below the directory.
    fn directory(
        &self,
        plan: &mut Plan<'a>,
        found: &Match,
        exclude: Option<&Ignore>,
    ) -> Result<(), CopyError> {
        self.make_way(plan)?;
        let dest = plan.resolve(Path::new(self.request.dest))?;
        if let Some(there) = &dest.entry
            && there.kind != Kind::Dir
        {
            return Err(directory_onto(there));
        }
        plan.ensure_dir(&dest.path, &self.made())?;
        let dir = self
            .root()
            .open_dir(&found.path)
            .map_err(|errno| CopyError::read(&found.path, errno))?;
        let place = Place {
            source: found.path.clone(),
            inner: PathBuf::new(),
            target: dest.path,
            is_new: dest.entry.is_none(),
            ignored: self.trail_to(&found.path),
            excluded: Trail::default(),
        };
        Walk::new(self, plan, exclude).contents(&dir, &place)
    }

    /// What the ignore list says of a source directory and its parents.
    fn trail_to(&self, path: &Path) -> Trail {
        let Some(ignore) = self.ignore() else { return Trail::default() };
        let mut parents: Vec<_> = path.ancestors().collect();
        parents.reverse();
        let enter = |trail: Trail, parent: &&Path| ignore.enter(&trail, parent);
        parents.iter().skip(1).fold(Trail::default(), enter)
    }

    fn file(&self, plan: &mut Plan<'a>, found: Match) -> Result<(), CopyError> {
        let Match { path, name, entry: Entry { meta, kind, .. } } = found;
        let content = match kind {
            Kind::File { .. } => SourceFile::content(self.root(), &path),
            // As below a directory: it would be of no use to anybody.
            Kind::Fifo => return Ok(()),
            _ => Content::None,
        };
        let meta = self.metadata(meta, &kind);
        self.put(plan, &name, meta, kind, content)
    }

    pub(super) fn inline(
        &self,
        plan: &mut Plan<'a>,
        name: &str,
        body: &[u8],
    ) -> Result<(), CopyError> {
        let kind = Kind::File { size: body.len() as u64 };
        let meta = Metadata { mode: 0o644, mtime: self.request.created, ..Metadata::default() };
        let meta = self.metadata(meta, &kind);
        self.put(plan, OsStr::new(name), meta, kind, Content::Bytes(body.to_vec()))
    }

    /// Plans one file at the destination, or in it.
    fn put(
        &self,
        plan: &mut Plan<'a>,
        name: &OsStr,
        meta: Metadata,
        kind: Kind,
        content: Content,
    ) -> Result<(), CopyError> {
        self.make_way(plan)?;
        let dest = plan.resolve(Path::new(self.request.dest))?;
        let path = if dest.is_dir() { dest.path.join(name) } else { dest.path };
        plan.ensure_dir(path.parent().unwrap_or(Path::new("")), &self.made())?;
        match plan.lstat(&path)? {
            Some(there) if there.kind == Kind::Dir => Err(CopyError::FileOntoDirectory(path)),
            _ => plan.put(&path, meta, kind, content),
        }
    }

    /// Makes the destination's parents, and the destination if it ends with a slash.
    fn make_way(&self, plan: &mut Plan<'a>) -> Result<(), CopyError> {
        let end = self.request.dest.rfind('/').unwrap_or(0);
        self.make_dir(plan, &self.request.dest[..end]).map(drop)
    }

    /// Makes a directory, following links, and says where it is.
    pub(super) fn make_dir(&self, plan: &mut Plan<'a>, dest: &str) -> Result<PathBuf, CopyError> {
        let dir = plan.resolve(Path::new(dest))?;
        plan.ensure_dir(&dir.path, &self.made())?;
        Ok(dir.path)
    }

    /// The metadata of a directory made on the way.
    pub(super) fn made(&self) -> Metadata {
        let (uid, gid) = self.owner(0, 0);
        Metadata { mode: 0o755, uid, gid, mtime: self.request.created, ..Metadata::default() }
    }

    /// A source's metadata as it is copied.
    pub(super) fn metadata(&self, mut meta: Metadata, kind: &Kind) -> Metadata {
        (meta.uid, meta.gid) = self.owner(meta.uid, meta.gid);
        if let Some(chmod) = &self.request.chmod
            && !matches!(kind, Kind::Symlink(_))
        {
            meta.mode = chmod.apply(meta.mode, *kind == Kind::Dir);
        }
        meta
    }

    fn owner(&self, uid: u32, gid: u32) -> (u32, u32) {
        match self.request.owner {
            Owner::Fixed(uid, gid) => (uid, gid),
            Owner::Context => (0, 0),
            Owner::Keep => (uid, gid),
        }
    }
}

/// A directory that is there keeps the attributes that the one copied over it does not have.
pub(super) fn keep_xattrs(meta: &mut Metadata, there: &Entry) {
    for (name, value) in &there.meta.xattrs {
        meta.xattrs.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

pub(super) fn directory_onto(there: &Entry) -> CopyError {
    let why = match &there.kind {
        Kind::Symlink(target) => Some(format!(
            "it is a symbolic link to {}; copy to that directory itself, or give the copied \
             directory as a source of its own",
            target.display()
        )),
        _ => None,
    };
    CopyError::DirectoryOntoFile { path: there.path.clone(), why }
}
