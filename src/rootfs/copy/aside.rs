//! Two parts of the engine that are of use without a copy.

use std::path::{Path, PathBuf};

use super::CopyError;
use super::plan::{Inherits, NewDir, Plan};
use super::source::Sources;
use crate::layer::{Metadata, Timestamp, Tree};
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

/// Plans a directory, and those above it that are missing, all with mode 755. Below one with the
/// set-group-ID bit they get the bit, and without an owner of their own the group, too: BuildKit
/// makes them with mkdir(2) and, if they have an owner, chown(2).
pub fn make_dirs(
    target: &dyn View,
    path: &Path,
    owner: Option<(u32, u32)>,
    mtime: Timestamp,
) -> Result<Tree, CopyError> {
    let mut plan = Plan::new(target);
    let resolved = plan.resolve(path)?;
    let (uid, gid) = owner.unwrap_or_default();
    let inherits = if owner.is_some() { Inherits::Bit } else { Inherits::BitAndGroup };
    let meta = Metadata { mode: 0o755, uid, gid, mtime, ..Metadata::default() };
    let new = NewDir { meta, inherits };
    plan.ensure_dir(&resolved.path, &new)?;
    Ok(plan.finish())
}
