//! One COPY or ADD: from its sources to their places.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::plan::{Inherits, NewDir, Plan};
use super::source::{Match, SourceFile, Sources, clean};
use super::unpack::unpack;
use super::walk::{Place, Walk};
use super::{CopyError, CopyRequest, Owner, Unpack};
use crate::layer::content::Content;
use crate::layer::{Entry, Kind, Metadata};
use crate::rootfs::glob::has_meta;
use crate::rootfs::ignore::{Ignore, Trail};
use crate::rootfs::root::Root;
use crate::rootfs::view::View;

/// A request with its patterns compiled.
pub(super) struct Copy<'a> {
    pub(super) request: &'a CopyRequest<'a>,
    /// Cleaned as BuildKit does before it looks at links: `/link/../x` is `/x`.
    dest: PathBuf,
    exclude: Option<Ignore>,
}

impl<'a> Copy<'a> {
    pub(super) fn new(request: &'a CopyRequest<'a>) -> Result<Self, CopyError> {
        let exclude = Ignore::from_patterns(request.exclude)?;
        Ok(Self {
            request,
            dest: PathBuf::from(clean(request.dest)),
            exclude: (!exclude.is_empty()).then_some(exclude),
        })
    }

    pub(super) fn root(&self) -> &Arc<Root> {
        &self.request.from
    }

    pub(super) fn ignore(&self) -> Option<&Ignore> {
        self.request.ignore
    }

    pub(super) fn path(&self, plan: &mut Plan<'a>, written: &str) -> Result<(), CopyError> {
        let sources = Sources { root: self.root().as_ref(), ignore: self.ignore() };
        let matches = sources.find(written)?;
        let count = matches.len();
        let mut replaced = false;
        for found in matches {
            if found.entry.kind == Kind::Dir {
                self.directory(plan, &found, self.exclude.as_ref())?;
                continue;
            }
            if self.is_excluded(&found)? || self.is_unpacked(plan, &found)? {
                continue;
            }
            let is_dest = self.file(plan, found)?;
            // BuildKit lets the files that a pattern matches replace each other where `dest` is no
            // directory, and only the last one remains. Nobody wants that.
            if is_dest && replaced {
                return Err(
                    self.needs_directory(Some(format!("`{written}` matches {count} paths")))
                );
            }
            replaced |= is_dest;
        }
        Ok(())
    }

    /// Unpacks an archive, if this is one and it is to be unpacked.
    fn is_unpacked(&self, plan: &mut Plan<'a>, found: &Match) -> Result<bool, CopyError> {
        match (self.request.unpack, &found.entry.kind) {
            (Unpack::Auto, Kind::File { .. }) => unpack(self, plan, found),
            _ => Ok(false),
        }
    }

    pub(super) fn with_parents(&self, plan: &mut Plan<'a>, written: &str) -> Result<(), CopyError> {
        let sources = Sources { root: self.root().as_ref(), ignore: self.ignore() };
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
        let dest = plan.resolve(&self.dest)?;
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
        Walk::new(self, plan, exclude).contents(dir, place)
    }

    /// What the ignore list says of a source directory and its parents.
    fn trail_to(&self, path: &Path) -> Trail {
        let Some(ignore) = self.ignore() else { return Trail::default() };
        let mut parents: Vec<_> = path.ancestors().collect();
        parents.reverse();
        let enter = |trail: Trail, parent: &&Path| ignore.enter(&trail, parent);
        parents.iter().skip(1).fold(Trail::default(), enter)
    }

    /// Whether it is the destination itself now, and not in it.
    fn file(&self, plan: &mut Plan<'a>, found: Match) -> Result<bool, CopyError> {
        let Match { path, name, entry: Entry { meta, kind, .. } } = found;
        let content = match kind {
            Kind::File { .. } => SourceFile::content(self.root(), &path),
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
        self.put(plan, OsStr::new(name), meta, kind, Content::Bytes(body.to_vec())).map(drop)
    }

    /// Plans one file as the destination, or in it; tells whether it is the former.
    fn put(
        &self,
        plan: &mut Plan<'a>,
        name: &OsStr,
        meta: Metadata,
        kind: Kind,
        content: Content,
    ) -> Result<bool, CopyError> {
        self.make_way(plan)?;
        let dest = plan.resolve(&self.dest)?;
        let is_dest = !dest.is_dir();
        let path = if is_dest { dest.path } else { dest.path.join(name) };
        plan.ensure_dir(path.parent().unwrap_or(Path::new("")), &self.made())?;
        match plan.lstat(&path)? {
            Some(there) if there.kind == Kind::Dir => Err(CopyError::FileOntoDirectory(path)),
            _ => plan.put(&path, meta, kind, content).map(|()| is_dest),
        }
    }

    /// Makes the destination's parents, and the destination if it ends with a slash.
    fn make_way(&self, plan: &mut Plan<'a>) -> Result<(), CopyError> {
        let dir = if self.request.dest.ends_with('/') {
            &self.dest
        } else {
            self.dest.parent().unwrap_or(&self.dest)
        };
        self.make_dir(plan, dir).map(drop)
    }

    /// Makes the destination a directory and says where it is.
    pub(super) fn make_dest(&self, plan: &mut Plan<'a>) -> Result<PathBuf, CopyError> {
        self.make_dir(plan, &self.dest)
    }

    fn make_dir(&self, plan: &mut Plan<'a>, dir: &Path) -> Result<PathBuf, CopyError> {
        let dir = plan.resolve(dir)?;
        plan.ensure_dir(&dir.path, &self.made())?;
        Ok(dir.path)
    }

    /// What a directory made on the way to the destination gets.
    fn made(&self) -> NewDir {
        let (uid, gid) = self.owner(0, 0);
        let inherits = match self.request.owner {
            Owner::Fixed(..) => Inherits::Bit,
            Owner::Context | Owner::Keep => Inherits::BitAndGroup,
        };
        NewDir { meta: Metadata { uid, gid, ..self.implied().meta }, inherits }
    }

    /// What a directory gets that an archive does not mention.
    pub(super) fn implied(&self) -> NewDir {
        let mtime = self.request.created;
        let meta = Metadata { mode: 0o755, mtime, ..Metadata::default() };
        NewDir { meta, inherits: Inherits::Nothing }
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
