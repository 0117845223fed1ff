//! What can go wrong with a cache.

use std::io;
use std::path::{Path, PathBuf};

use crate::cancel::Cancelled;
use crate::layer::StoreError;
use crate::registry::{ReferenceError, RegistryError};

/// A cache that cannot be used; hardly ever a reason to fail.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The build was told to stop.
    #[error("{0}")]
    Cancelled(#[from] Cancelled),
    /// A registry's answer.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// A blob that is not what it should be, or cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system said no.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Nobody answers, for so long that a build does without.
    #[error("it does not answer")]
    Silent,
    /// What is there is no cache of kiln's, or a damaged one.
    #[error("{place} is no cache of kiln's: {reason}")]
    NotACache {
        /// The place, as people name it.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl CacheError {
    /// Wraps an I/O error; for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the build was told to stop.
    pub fn is_cancelled(&self) -> bool {
        Cancelled::caused(self)
    }
}
