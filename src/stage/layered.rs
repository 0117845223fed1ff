//! Files of a stage where an overlay can be mounted: each layer in a directory of its own, and the
//! overlay puts them on one another.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use super::layers::{ImageLayer, Local};
use super::pull::{side_by_side, through_tar};
use super::workshop::Workshop;
use crate::layer::{Entry, Kind};
use crate::rootfs::{Extract, Extracted, Root, View, Whiteouts, extract};
use crate::sandbox::{Namespaces, Sandbox, ViewMount};

/// Layers on one another, read-only, as long as this value lives. What is open in it stays open.
#[derive(Debug)]
pub struct MountedView {
    root: Arc<Root>,
    _mount: ViewMount,
}

impl MountedView {
    /// The files.
    pub fn root(&self) -> &Arc<Root> {
        &self.root
    }
}

impl Workshop {
    /// What an overlay is mounted with.
    pub(super) fn namespaces(&self) -> Result<&Namespaces> {
        match &self.sandbox {
            Sandbox::Namespaces(namespaces) => Ok(namespaces),
            other => bail!("isolation `{}` mounts no overlay", other.name()),
        }
    }

    /// A read-only view of unpacked layers, lowest first.
    pub fn mount(&self, dirs: &[String]) -> Result<MountedView> {
        let lowers: Vec<PathBuf> = dirs.iter().map(PathBuf::from).collect();
        let mountpoint = self.new_scratch_dir()?;
        let mount = self.namespaces()?.view(&self.layers_dir, &lowers, &mountpoint)?;
        let root = Arc::new(self.open_root(mount.path())?);
        Ok(MountedView { root, _mount: mount })
    }

    /// Unpacks layers, several at once; the answer is their directories, lowest first.
    pub fn unpack(&self, layers: &[Arc<ImageLayer>]) -> Result<Vec<String>> {
        let missing: Vec<usize> =
            (0..layers.len()).filter(|&number| layers[number].lock().dir.is_none()).collect();
        if !missing.is_empty() {
            let plural = if missing.len() == 1 { "" } else { "s" };
            let task = self.reporter.start(&format!("unpack {} layer{plural}", missing.len()));
            side_by_side(&missing, |&number| self.unpack_one(&layers[number]))?;
            let sizes = missing.iter().map(|&number| layers[number].descriptor.size);
            let size = sizes.fold(0, u64::saturating_add);
            task.progress(size, Some(size));
            task.done();
        }
        // All layers, not only those that were missing: another stage that unpacked the same base
        // may not be here yet.
        (0..layers.len()).try_for_each(|number| self.complete(layers, number))?;
        let dir = |layer: &Arc<ImageLayer>| layer.lock().dir.clone();
        layers.iter().map(|layer| dir(layer).context("a layer was not unpacked")).collect()
    }

    fn unpack_one(&self, layer: &ImageLayer) -> Result<()> {
        let mut local = layer.lock();
        if local.dir.is_some() {
            return Ok(());
        }
        let name = self.new_layer_dir()?;
        let root = self.open_root(&self.layers_dir.join(&name))?;
        let extracted = self.with_bytes(layer, |bytes| {
            through_tar(layer, bytes, |entries| {
                Ok(extract(entries, &root, &self.extract_policy()?)?)
            })
        })?;
        local.dir = Some(name);
        local.incomplete = Some(extracted);
        Ok(())
    }

    fn extract_policy(&self) -> Result<Extract> {
        let namespaces = self.namespaces()?;
        let whiteouts = Whiteouts::Overlay { userxattr: namespaces.userxattr() };
        Ok(Extract::new(whiteouts, self.ownership()))
    }

    /// Does what a layer needs from the layers below it, which must be complete. Whoever comes at
    /// the same time waits for the layer's lock; locks are taken from above to below only.
    fn complete(&self, layers: &[Arc<ImageLayer>], number: usize) -> Result<()> {
        let mut local = layers[number].lock();
        let Local { dir: Some(dir), incomplete: Some(extracted) } = &*local else { return Ok(()) };
        let own = self.open_root(&self.layers_dir.join(dir))?;
        self.complete_from(&own, layers, number, extracted)?;
        local.incomplete = None;
        Ok(())
    }

    fn complete_from(
        &self,
        own: &Root,
        layers: &[Arc<ImageLayer>],
        number: usize,
        extracted: &Extracted,
    ) -> Result<()> {
        if extracted.opaque_root {
            bail!(
                "layer {} removes everything below it with one whiteout of the root, which kiln \
                 cannot do",
                layers[number].descriptor.digest
            );
        }
        if let (false, Some(below)) = (extracted.mentions_root, number.checked_sub(1)) {
            self.root_like(own, &self.root_of(&layers[below])?)?;
        }
        if extracted.foreign_links.is_empty() && extracted.implicit_dirs.is_empty() {
            return Ok(());
        }
        let lowers: Vec<Root> = layers[..number]
            .iter()
            .rev()
            .map(|layer| self.root_of(layer))
            .collect::<Result<_>>()?;
        for dir in &extracted.implicit_dirs {
            if let Some((_, entry)) = find(&lowers, dir, |kind| *kind == Kind::Dir)? {
                own.set_metadata(dir, &entry.meta, self.ownership())?;
            }
        }
        for (link, target, meta) in &extracted.foreign_links {
            // As on an overlay, a link to a file of a lower layer is a copy of its own.
            let found = find(&lowers, target, |kind| matches!(kind, Kind::File { .. }))?;
            let (lower, _) = found.with_context(|| {
                format!(
                    "layer {} links {} to {}, which no layer has",
                    layers[number].descriptor.digest,
                    link.display(),
                    target.display()
                )
            })?;
            let mut to = own.create_file(link, meta.mode)?;
            io::copy(&mut lower.open_file(target)?, &mut to)
                .with_context(|| format!("cannot unpack {}", link.display()))?;
            own.set_metadata(link, meta, self.ownership())?;
        }
        Ok(())
    }

    /// Gives the directory of a layer that says nothing of the root the metadata of the root below
    /// it: what overlayfs shows as `/` is the uppermost directory.
    pub(super) fn root_like(&self, own: &Root, below: &dyn View) -> Result<()> {
        let root = Path::new("");
        if let Some(entry) = below.lstat(root)? {
            own.set_metadata(root, &entry.meta, self.ownership())?;
        }
        Ok(())
    }

    fn root_of(&self, layer: &ImageLayer) -> Result<Root> {
        let name = layer.lock().dir.clone().context("a layer was not unpacked")?;
        self.open_root(&self.layers_dir.join(name))
    }
}

/// The topmost lower layer that has something at a path, if it is of the kind that is looked for.
fn find<'a>(
    lowers: &'a [Root],
    path: &Path,
    is_it: impl Fn(&Kind) -> bool,
) -> Result<Option<(&'a Root, Entry)>> {
    for lower in lowers {
        if let Some(entry) = lower.lstat(path)? {
            return Ok(is_it(&entry.kind).then_some((lower, entry)));
        }
    }
    Ok(None)
}
