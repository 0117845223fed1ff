//! What can be wrong with a directory of base images.

use std::io;
use std::path::{Path, PathBuf};

use crate::cancel::Cancelled;
use crate::image::manifest::ManifestError;
use crate::registry::RegistryError;

/// Why an image cannot be read from the cache, or not be written to it.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The operating system says no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read`, `make`, ….
        action: &'static str,
        /// What it is about.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file with other bytes than its name, or its manifest, says.
    #[error("the cached file {} is damaged; run the warmer with --force to replace it", .0.display())]
    Damaged(PathBuf),
    /// A part of an image that is not there.
    #[error("the cached image in {} is incomplete; run the warmer with --force to replace it", .0.display())]
    Incomplete(PathBuf),
    /// A document that is no image.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// The document.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
    },
    /// An image that is not for this platform, or whose config is none.
    #[error(transparent)]
    Image(#[from] RegistryError),
    /// The build was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl CacheError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
