//! The roots that all registries share, read when the first of them shows a certificate: a build that
//! speaks plain HTTP, or whose mirror does, opens none of the hundreds of files.

use std::sync::{Arc, OnceLock};

use super::host_dirs::Bad;
use super::roots::{Named, Roots};

/// Roots that may not have been read yet. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Trust(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    named: Named,
    roots: OnceLock<Result<Roots, Bad>>,
}

impl Trust {
    /// Reads nothing.
    pub(super) fn new(named: Named) -> Self {
        Self(Arc::new(Inner { named, roots: OnceLock::new() }))
    }

    /// The roots. Who comes first reads them, and the others wait.
    ///
    /// # Errors
    /// A bundle that is there and cannot be used.
    pub(super) fn roots(&self) -> Result<&Roots, &Bad> {
        self.0.roots.get_or_init(|| Roots::load(&self.0.named)).as_ref()
    }

    /// Whether they were read.
    pub(super) fn is_read(&self) -> bool {
        self.0.roots.get().is_some()
    }
}
