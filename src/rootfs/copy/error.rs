//! What can be wrong with a COPY or an ADD.

use std::io;
use std::path::{Path, PathBuf};

use crate::layer::TarError;
use crate::rootfs::glob::BadPattern;
use crate::rootfs::ignore::IgnoreError;
use crate::rootfs::root::RootError;
use crate::rootfs::view::ViewError;

/// A COPY or an ADD that cannot be done. Source paths are quoted as BuildKit quotes them, from the
/// root of the context, because people search for its messages.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A source that is not there, or that is hidden.
    #[error("\"{path}\": not found{}", because(.why))]
    NotFound {
        /// From the root, with a leading slash.
        path: String,
        /// What is known of the reason.
        why: Option<String>,
        /// A sentence that may help.
        help: Option<String>,
    },
    /// A malformed wildcard.
    #[error("source `{pattern}`: {source}")]
    Pattern {
        /// As written.
        pattern: String,
        /// What is wrong.
        source: BadPattern,
    },
    /// Several sources that would all become the same file.
    #[error(
        "When using {instruction} with more than one source file, the destination must be a \
         directory and end with a /{}", because(.why)
    )]
    NeedsDirectory {
        /// COPY or ADD.
        instruction: &'static str,
        /// Which sources, where the Dockerfile does not show it.
        why: Option<String>,
    },
    /// A directory where something else is.
    #[error("cannot copy to non-directory: /{}{}", .path.display(), because(.why))]
    DirectoryOntoFile {
        /// In the image.
        path: PathBuf,
        /// What is there.
        why: Option<String>,
    },
    /// A file where a directory is.
    #[error("cannot replace the directory /{} with a file", .0.display())]
    FileOntoDirectory(PathBuf),
    /// A destination below something that is no directory.
    #[error("cannot create /{}: /{} is not a directory", .path.display(), .parent.display())]
    ParentIsNoDirectory {
        /// In the image.
        path: PathBuf,
        /// What is in the way.
        parent: PathBuf,
    },
    /// A name that means deletion.
    #[error(
        "/{} cannot be stored in an image: in a layer, a name that starts with .wh. is the order to \
         delete a file; leave it out with .dockerignore or --exclude", .0.display()
    )]
    WhiteoutName(PathBuf),
    /// A source that could not be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// From the root of the sources.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An archive that ADD cannot unpack.
    #[error("cannot unpack \"/{}\": {why}", .path.display())]
    Archive {
        /// From the root of the sources.
        path: PathBuf,
        /// A clause.
        why: String,
    },
    /// An archive that is damaged.
    #[error("cannot unpack \"/{}\": {source}", .path.display())]
    Tar {
        /// From the root of the sources.
        path: PathBuf,
        /// Why.
        source: TarError,
    },
    /// The place for decompressed archives.
    #[error("cannot write a temporary file in {}: {source}", .path.display())]
    Spool {
        /// The directory on this machine.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file system that could not be looked at.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A source that could not be opened.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A list of patterns that cannot be used.
    #[error(transparent)]
    Ignore(#[from] IgnoreError),
}

fn because(why: &Option<String>) -> String {
    why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}

impl CopyError {
    /// What to try, in one sentence.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::NotFound { help, .. } => help.as_deref(),
            _ => None,
        }
    }

    pub(super) fn read(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Read { path: Path::new("/").join(path), source: source.into() }
    }
}
