//! Two parts of the engine that are of use without a copy.

use std::path::{Path, PathBuf};

use super::CopyError;
use super::plan::{Inherits, NewDir, Plan};
use super::source::Sources;
use crate::layer::{Metadata, Tree};
use crate::rootfs::view::View;

/// What a source argument leads to, without links; for a root of which only the names are known.
/// What does not exist is left to the copy itself, which will say so.
pub fn source_paths(view: &dyn View, written: &str) -> Result<Vec<PathBuf>, CopyError> {
    match (Sources { root: view, ignore: None }).find(written) {
        Ok(matches) => Ok(matches.into_iter().map(|found| found.path).collect()),
        Err(CopyError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Plans a directory, and those above it that are missing, all with this metadata. Below one with
/// the set-group-ID bit they get the bit, too, as after mkdir(2) and chown(2).
pub fn make_dirs(target: &dyn View, path: &Path, new: &Metadata) -> Result<Tree, CopyError> {
    let mut plan = Plan::new(target);
    let resolved = plan.resolve(path)?;
    let new = NewDir { meta: new.clone(), inherits: Inherits::Bit };
    plan.ensure_dir(&resolved.path, &new)?;
    Ok(plan.finish())
}
