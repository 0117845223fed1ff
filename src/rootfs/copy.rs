//! COPY and ADD: plans the tree that their layer holds.
//!
//! The rules are BuildKit's, as observed with `docker build` where its documentation is silent:
//! - a directory gives its contents, a file becomes `dest`, or `dest/name` where `dest` ends with a
//!   slash or is a directory;
//! - the directories that are made on the way have mode 0755; so has a new `dest` that a directory
//!   is copied to, whatever that directory's own mode is. An existing one keeps its metadata, but
//!   further down directories take over the source's;
//! - links in `dest` are followed, links below it are not: they are replaced by files, and a
//!   directory onto a link is an error;
//! - `--chmod` applies to all that is copied, but not to what was made on the way, to links, or to
//!   what an archive holds.
//!
//! Nothing is written here but archives that have to be decompressed: contents are read when the
//! layer is.

mod chmod;
mod error;
mod near;
mod plan;
mod source;
mod unpack;
mod walk;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::chmod::{BadChmod, Change, Chmod};
pub use self::error::CopyError;
use self::plan::Plan;
use self::source::{Match, SourceFile, Sources};
use self::walk::{Place, Walk};
use super::ignore::{Ignore, Trail};
use super::root::Root;
use super::view::View;
use crate::layer::content::{Content, Tree};
use crate::layer::{Entry, Kind, Metadata, Timestamp};

/// A COPY or an ADD, expanded and ready.
pub struct CopyRequest<'a> {
    /// What to copy, in order; of two that become the same file, the later one wins.
    pub sources: Vec<CopySource>,
    /// Absolute, already joined to WORKDIR; with a slash at the end if it was written so.
    pub dest: &'a str,
    /// Where the sources are.
    pub from: Arc<Root>,
    /// What is hidden there.
    pub ignore: Option<&'a Ignore>,
    /// The image that is copied to.
    pub target: &'a dyn View,
    /// Who owns what is copied, and the directories made on the way.
    pub owner: Owner,
    /// `--chmod`.
    pub chmod: Option<Chmod>,
    /// Whether local archives are unpacked.
    pub unpack: Unpack,
    /// `--exclude`: patterns for paths below a source directory, or for the name of a source file.
    pub exclude: &'a [String],
    /// Modification time of what has none of its own: directories made on the way, inline files.
    pub created: Timestamp,
    /// A directory on this machine for decompressed archives.
    pub spool: &'a Path,
}

impl std::fmt::Debug for CopyRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyRequest")
            .field("sources", &self.sources)
            .field("dest", &self.dest)
            .field("from", &self.from)
            .field("owner", &self.owner)
            .field("chmod", &self.chmod)
            .field("unpack", &self.unpack)
            .field("exclude", &self.exclude)
            .finish_non_exhaustive()
    }
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path or pattern, from the root of where the sources are.
    Path(String),
    /// A heredoc.
    Inline {
        /// Its delimiter, the name in a destination directory.
        name: String,
        /// Its body.
        body: Vec<u8>,
    },
}

/// Who owns what is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This user and this group (`--chown`; 0 and 0 for a context).
    Fixed(u32, u32),
    /// Whoever owns the source: what BuildKit does for `COPY --from` without `--chown`. Directories
    /// made on the way belong to root, and so does what has no owner of its own.
    Keep,
}

/// Whether local archives are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpack {
    /// COPY, and `ADD --unpack=false`.
    Never,
    /// ADD: a file that is a tar by its content, compressed or not.
    Auto,
}

/// Plans what a COPY or an ADD writes: the objects, and the directories above them. Directories that
/// the image has are in the tree with the metadata that they have there.
pub fn copy(request: &CopyRequest<'_>) -> Result<Tree, CopyError> {
    let copy = Copy::new(request)?;
    let mut plan = Plan::new(request.target);
    if request.sources.len() > 1 && !request.dest.ends_with('/') {
        return Err(copy.needs_directory(None));
    }
    for source in &request.sources {
        match source {
            CopySource::Inline { name, body } => copy.inline(&mut plan, name, body)?,
            CopySource::Path(written) => copy.path(&mut plan, written)?,
        }
    }
    Ok(plan.finish())
}

/// A request with its patterns compiled.
struct Copy<'a> {
    request: &'a CopyRequest<'a>,
    exclude: Option<Ignore>,
}

impl<'a> Copy<'a> {
    fn new(request: &'a CopyRequest<'a>) -> Result<Self, CopyError> {
        let exclude = Ignore::from_patterns(request.exclude)?;
        Ok(Self { request, exclude: (!exclude.is_empty()).then_some(exclude) })
    }

    fn root(&self) -> &Arc<Root> {
        &self.request.from
    }

    fn ignore(&self) -> Option<&Ignore> {
        self.request.ignore
    }

    fn exclude(&self) -> Option<&Ignore> {
        self.exclude.as_ref()
    }

    fn path(&self, plan: &mut Plan<'a>, written: &str) -> Result<(), CopyError> {
        let sources = Sources { root: self.root(), ignore: self.ignore() };
        let matches = sources.find(written)?;
        self.reject_lost_files(plan, written, &matches)?;
        for found in matches {
            if found.entry.kind == Kind::Dir {
                self.directory(plan, &found)?;
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

    fn needs_directory(&self, why: Option<String>) -> CopyError {
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

    fn directory(&self, plan: &mut Plan<'a>, found: &Match) -> Result<(), CopyError> {
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
        Walk::new(self, plan).contents(&dir, &place)
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

    fn inline(&self, plan: &mut Plan<'a>, name: &str, body: &[u8]) -> Result<(), CopyError> {
        let kind = Kind::File { size: body.len() as u64 };
        let meta =
            Metadata { mode: 0o644, mtime: self.request.created, ..Metadata::default() };
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
    fn make_dir(&self, plan: &mut Plan<'a>, dest: &str) -> Result<PathBuf, CopyError> {
        let dir = plan.resolve(Path::new(dest))?;
        plan.ensure_dir(&dir.path, &self.made())?;
        Ok(dir.path)
    }

    /// The metadata of a directory made on the way.
    fn made(&self) -> Metadata {
        let (uid, gid) = self.owner(0, 0);
        Metadata { mode: 0o755, uid, gid, mtime: self.request.created, ..Metadata::default() }
    }

    /// A source's metadata as it is copied.
    fn metadata(&self, mut meta: Metadata, kind: &Kind) -> Metadata {
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
            Owner::Keep => (uid, gid),
        }
    }
}

fn directory_onto(there: &Entry) -> CopyError {
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
