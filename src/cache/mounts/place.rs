//! Where snapshots are.

use std::sync::Arc;

use crate::cache::Backend;

/// A place, and the tag below which this cache has its own.
#[derive(Debug, Clone)]
pub struct Place {
    /// What keeps it.
    pub backend: Arc<dyn Backend>,
    /// The cache's tag there.
    pub tag: String,
}

impl Place {
    /// Whether it is the same one.
    pub(super) fn is(&self, other: &str) -> bool {
        self.name() == other
    }

    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.backend.name(), self.tag)
    }
}
