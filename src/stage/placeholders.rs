//! What a sandbox made in a root to mount on. It is in no layer, and the next RUN must not find it
//! either: the upper directory of this one is a lower directory of the next.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::workshop::Workshop;
use crate::layer::{Entry, Kind};
use crate::rootfs::{Root, View as _};

/// Removes them, the inner ones first; a directory that has something in it now stays. The directories
/// around them keep their times.
pub(super) fn remove(shop: &Workshop, root: &Root, placeholders: &[PathBuf]) -> Result<()> {
    for path in placeholders.iter().rev() {
        let parent = path.parent().unwrap_or(Path::new(""));
        let around = root.lstat(parent)?;
        match root.lstat(path)? {
            Some(Entry { kind: Kind::Dir, .. }) if root.list(path)?.is_empty() => {
                root.remove_tree(path)?;
            }
            Some(Entry { kind: Kind::File { size: 0 }, .. }) => root.remove_file(path)?,
            _ => continue,
        }
        if let Some(around) = around {
            root.set_metadata(parent, &around.meta, shop.ownership())?;
        }
    }
    Ok(())
}
