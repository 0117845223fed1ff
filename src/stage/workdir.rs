//! WORKDIR: makes the directory, owned by the stage's user, unless it is there.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::files::Files;
use super::layers::ImageLayer;
use super::workshop::Workshop;
use crate::layer::{LayerWriter, Tree, write_tree};
use crate::plan::WorkdirStep;
use crate::rootfs::Users;
use crate::rootfs::copy::make_dirs;
use crate::rootfs::resolve;

/// Makes the directory and its missing parents; nothing where it exists.
pub(super) fn workdir(
    shop: &Workshop,
    files: &mut Files<'_>,
    step: &WorkdirStep,
) -> Result<Option<Arc<ImageLayer>>> {
    let path = Path::new(&step.path);
    if resolve(files.view()?, path, true)?.is_dir() {
        return Ok(None);
    }
    let owner = if step.user.is_empty() {
        None
    } else {
        let process = Users::load(files.view()?)?.process(&step.user)?;
        Some((process.uid, process.gid))
    };
    let tree = make_dirs(files.view()?, path, owner, shop.now)?;
    shop.store_tree(files, &tree)
}

impl Workshop {
    /// Writes a tree as a layer on top of a stage's files; nothing where it is empty.
    pub(super) fn store_tree(
        &self,
        files: &mut Files<'_>,
        tree: &Tree,
    ) -> Result<Option<Arc<ImageLayer>>> {
        if tree.is_empty() {
            return Ok(None);
        }
        let writer = LayerWriter::telling(&self.blobs, &self.layer_options, files.hear())?;
        let layer = write_tree(writer, tree)?;
        let layer = Arc::new(ImageLayer::built(&layer, None));
        files.push(layer.clone(), Some(tree))?;
        Ok(Some(layer))
    }
}
