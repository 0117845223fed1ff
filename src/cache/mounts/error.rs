//! What can go wrong with a cache that travels: always a warning, never a failed build.

use std::io;
use std::path::{Path, PathBuf};

use crate::cache::CacheError;
use crate::cancel::Cancelled;
use crate::rootfs::{ExtractError, RootError, ViewError};

/// A snapshot that could not be brought back, or not be kept.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Whoever wrote it, it is not what it should be.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// It has more than may come here.
    #[error("the snapshot is too large: {0}")]
    TooLarge(String),
    /// A file is not what it was a moment ago.
    #[error("`{path}` changed while it was read", path = .0.display())]
    Changed(PathBuf),
    /// Others wrote while this one did, again and again.
    #[error("other builds were saving the same cache all the time")]
    Overtaken,
    /// A registry does not take a manifest that names what it has cleaned away.
    #[error("the registry does not take it: {0}")]
    Refused(CacheError),
    /// The build was told to stop.
    #[error("{0}")]
    Cancelled(#[from] Cancelled),
    /// What the place said.
    #[error(transparent)]
    Place(#[from] CacheError),
    /// The directory could not be filled.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// Or not be changed.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Or not be looked at.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The file system said no.
    #[error("cannot {action} `{path}`: {source}", path = .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl MountError {
    /// Wraps an I/O error; for `map_err`.
    pub(super) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: source.into() }
    }

    /// Whether it is the place that cannot be read, whatever is asked for.
    pub(super) fn is_of_place(&self) -> bool {
        matches!(self, Self::Place(CacheError::Registry(_) | CacheError::Io { .. }))
    }

    /// Something about a snapshot that cannot be.
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}
