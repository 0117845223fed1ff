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

mod aside;
mod chmod;
mod error;
mod job;
mod near;
mod plan;
mod source;
mod unpack;
mod walk;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use self::aside::{make_dirs, source_paths};
pub use self::chmod::{BadChmod, Change, Chmod};
pub use self::error::CopyError;
use self::job::Copy;
use self::plan::Plan;
use super::ignore::Ignore;
use super::root::Root;
use super::view::View;
use crate::layer::Timestamp;
use crate::layer::content::Tree;

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
    /// With `--parents`: a path or pattern, `**` included, whose directories are kept in the
    /// destination; with a pivot `/./`, only those after it.
    Parents(String),
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
    /// This user and this group: `--chown`.
    Fixed(u32, u32),
    /// Root, whoever owns the files of the context on this machine; but what ADD unpacks belongs to
    /// whom the archive says. Without `--chown`.
    Context,
    /// Whoever owns the source; directories made on the way belong to root. `COPY --from` without
    /// `--chown`.
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
    copy_all(request.target, std::slice::from_ref(request))
}

/// The same for one instruction whose sources are in different places: a request for each place, in
/// the order of the sources. What they say of the target and the destination is the same.
pub fn copy_all<'a>(
    target: &'a dyn View,
    requests: &'a [CopyRequest<'a>],
) -> Result<Tree, CopyError> {
    let mut plan = Plan::new(target);
    let count: usize = requests.iter().map(|request| request.sources.len()).sum();
    for request in requests {
        let copy = Copy::new(request)?;
        if count > 1 && !request.dest.ends_with('/') {
            return Err(copy.needs_directory(None));
        }
        for source in &request.sources {
            match source {
                CopySource::Inline { name, body } => copy.inline(&mut plan, name, body)?,
                CopySource::Path(written) => copy.path(&mut plan, written)?,
                CopySource::Parents(written) => copy.with_parents(&mut plan, written)?,
            }
        }
    }
    Ok(plan.finish())
}
