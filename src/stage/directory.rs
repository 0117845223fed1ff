//! Files of a stage where nothing can be mounted: all layers in one directory, in which the commands
//! run, and a snapshot by which their changes are found.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};

use super::layers::ImageLayer;
use super::pull::{side_by_side, through_tar};
use super::workshop::Workshop;
use crate::rootfs::vacate::Kept;
use crate::rootfs::{
    ChangeSink, DiffStats, Extract, Extracted, Index, Ledger, Root, Scan, Snapshot, View,
    Whiteouts, extract, join,
};
use crate::sandbox::{DirectoryRoot, Sandbox};

/// One stage's directory.
#[derive(Debug)]
pub struct StageDir {
    path: PathBuf,
    root: Arc<Root>,
    /// What the sandbox moves out of the way while a command runs.
    aside: PathBuf,
    scan: Scan,
    /// What is not the image's in there.
    kept: Kept,
    /// What is known of the files that were laid down.
    ledger: Arc<Ledger>,
    /// What the layers have, where the directory has more than that.
    headers: Option<Box<Index>>,
    /// What was there before the next command.
    snapshot: Option<Snapshot>,
    /// How many of the stage's layers are in it.
    laid: usize,
    /// The snapshot is older than the last layer.
    stale: bool,
}

impl StageDir {
    /// An empty one: a new one, or `/` with all gone but what has to stay there.
    pub(super) fn make(shop: &Workshop) -> Result<Self> {
        let aside = shop.layers_dir.join(shop.new_layer_dir()?);
        let (path, kept) = match &shop.sandbox {
            Sandbox::Inplace(inplace) => (PathBuf::from("/"), inplace.take(&shop.cancel)?),
            _ => (shop.layers_dir.join(shop.new_layer_dir()?), Kept::default()),
        };
        let threads = NonZeroUsize::new(shop.layer_options.threads).unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            root: Arc::new(shop.open_root(&path)?),
            path,
            aside,
            scan: Scan { skip: kept.whole().clone(), threads, scratch: shop.scratch_dir.clone() },
            kept,
            ledger: Arc::default(),
            headers: matches!(shop.sandbox, Sandbox::Inplace(_)).then(Box::default),
            snapshot: None,
            laid: 0,
            stale: true,
        })
    }

    /// The files.
    pub(super) fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// The files, for look-ups.
    pub(super) fn view(&self) -> &dyn View {
        match &self.headers {
            Some(headers) => headers.as_ref(),
            None => self.root.as_ref(),
        }
    }

    /// Puts the layers that are not in it yet on top of those that are. Layers from elsewhere are unpacked
    /// side by side while they arrive, the lowest here, the others apart; then they come to it one after the
    /// other, because each removes and replaces what the ones below have.
    pub(super) fn lay(&mut self, shop: &Workshop, layers: &[Arc<ImageLayer>]) -> Result<()> {
        let new = layers.get(self.laid..).unwrap_or_default();
        if new.is_empty() {
            return Ok(());
        }
        let from_base = new.iter().any(|layer| is_elsewhere(shop, layer));
        let plural = if new.len() == 1 { "" } else { "s" };
        let name = format!("unpack {} layer{plural}", new.len());
        // A COPY's own layer is not worth a word.
        let task = (self.laid == 0 || from_base).then(|| shop.reporter.start(&name));
        let parts: Vec<_> = new.iter().enumerate().map(Part::new).collect();
        side_by_side(&parts, |part| part.bring(shop, self))?;
        for part in parts {
            shop.cancel.check()?;
            part.settle(shop, self)?;
            self.stale = true;
            self.count_layer(shop, part.layer)?;
        }
        if let Some(task) = task {
            let size =
                new.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.descriptor.size));
            task.progress(size, Some(size));
            task.done();
        }
        Ok(())
    }

    /// Unpacks a layer on top of those that are in it.
    fn unpack(&self, shop: &Workshop, layer: &ImageLayer) -> Result<()> {
        let kept = self.kept.clone();
        let policy = Extract {
            filter: Some(Box::new(move |path, _| !kept.has(path))),
            ledger: Some(self.ledger.clone()),
            ..Extract::new(Whiteouts::Apply, shop.ownership())
        };
        unpack(shop, layer, &self.root, &policy).map(drop)
    }

    /// Notes what is there before a command runs.
    pub(super) fn ready(&mut self) -> Result<()> {
        let snapshot = match self.snapshot.take() {
            Some(mut snapshot) => {
                if self.stale {
                    snapshot.refresh(&self.root, &self.scan)?;
                }
                snapshot
            }
            None => Snapshot::take(&self.root, self.ledger.clone(), &self.scan)?,
        };
        self.stale = false;
        self.snapshot = Some(snapshot);
        Ok(())
    }

    /// The directory as a command's root, once it is ready.
    pub(super) fn as_chroot(&self) -> Result<DirectoryRoot> {
        let links = self.before()?.links().filter(|(path, target)| leads_out(path, target));
        let links = links.map(|(path, _)| path).collect();
        Ok(DirectoryRoot { path: self.path.clone(), aside: self.aside.clone(), links })
    }

    fn before(&self) -> Result<&Snapshot> {
        self.snapshot.as_ref().context("no snapshot was taken")
    }

    /// Hands on what the command has changed; from now on it is a layer's.
    pub(super) fn changes(&mut self, sink: &mut dyn ChangeSink) -> Result<DiffStats> {
        let snapshot = self.snapshot.as_mut().context("no snapshot was taken")?;
        Ok(snapshot.changes(&self.root, &self.scan, &BTreeSet::new(), sink)?)
    }

    /// A layer that is in it already, such as that of the changes that were handed on.
    pub(super) fn count_layer(&mut self, shop: &Workshop, layer: &ImageLayer) -> Result<()> {
        self.laid += 1;
        let Some(headers) = &mut self.headers else { return Ok(()) };
        let blob = shop.blobs.open(&layer.descriptor.digest)?;
        through_tar(layer, Box::new(blob), |entries| Ok(headers.apply(entries)?))
    }
}

/// A layer on its way to a stage's directory.
struct Part<'a> {
    layer: &'a ImageLayer,
    is_lowest: bool,
    unpacked: Mutex<Option<Unpacked>>,
}

/// Where a layer was unpacked.
enum Unpacked {
    /// In the stage's directory.
    There,
    /// By itself.
    Apart(Root, Extracted),
}

impl<'a> Part<'a> {
    fn new((number, layer): (usize, &'a Arc<ImageLayer>)) -> Self {
        Self { layer, is_lowest: number == 0, unpacked: Mutex::default() }
    }

    /// Does what can be done before the layers below are there.
    fn bring(&self, shop: &Workshop, dir: &StageDir) -> Result<()> {
        let unpacked = if self.is_lowest {
            dir.unpack(shop, self.layer)?;
            Unpacked::There
        } else if !is_elsewhere(shop, self.layer) {
            return Ok(());
        } else if matches!(shop.sandbox, Sandbox::Inplace(_)) {
            // In `/` everything is the image's, and may be on another file system.
            return shop.fetch(self.layer).map(drop);
        } else {
            self.unpack_apart(shop, dir)?
        };
        *self.unpacked.lock().unwrap_or_else(PoisonError::into_inner) = Some(unpacked);
        Ok(())
    }

    fn unpack_apart(&self, shop: &Workshop, dir: &StageDir) -> Result<Unpacked> {
        let own = shop.open_root(&shop.layers_dir.join(shop.new_layer_dir()?))?;
        let policy = Extract {
            ledger: Some(dir.ledger.clone()),
            ..Extract::new(Whiteouts::Apart, shop.ownership())
        };
        let extracted = unpack(shop, self.layer, &own, &policy)?;
        Ok(Unpacked::Apart(own, extracted))
    }

    /// Does the rest, once they are.
    fn settle(&self, shop: &Workshop, dir: &StageDir) -> Result<()> {
        let unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner).take();
        match unpacked {
            Some(Unpacked::There) => Ok(()),
            Some(Unpacked::Apart(own, extracted)) => {
                let broken = || format!("layer {} is broken", self.layer.descriptor.digest);
                join(&own, &dir.root, &extracted, shop.ownership()).with_context(broken)
            }
            None => dir.unpack(shop, self.layer),
        }
    }
}

fn is_elsewhere(shop: &Workshop, layer: &ImageLayer) -> bool {
    !shop.blobs.has(&layer.descriptor.digest)
}

fn unpack(shop: &Workshop, layer: &ImageLayer, root: &Root, policy: &Extract) -> Result<Extracted> {
    // Whoever has the lock may be downloading it; once it is here, nobody needs it.
    let lock = layer.lock();
    let here = shop.blobs.has(&layer.descriptor.digest);
    let _lock = (!here).then_some(lock);
    shop.with_bytes(layer, |bytes| {
        through_tar(layer, bytes, |entries| Ok(extract(entries, root, policy)?))
    })
}

/// Whether a link leads into a directory that is no part of the image.
fn leads_out(path: &Path, target: &Path) -> bool {
    let from = if target.is_absolute() { Path::new("") } else { path.parent().unwrap_or(path) };
    let mut names = Vec::new();
    for component in from.join(target.strip_prefix("/").unwrap_or(target)).components() {
        match component {
            std::path::Component::Normal(name) => names.push(name.to_owned()),
            std::path::Component::ParentDir => _ = names.pop(),
            _ => {}
        }
    }
    names.first().is_some_and(|first| first == "proc" || first == "sys" || first == "dev")
        && !matches!(path.components().next(), Some(first) if first.as_os_str() == "dev")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_out_of_the_image_are_known() {
        let rows = [
            ("etc/mtab", "../proc/self/mounts", true),
            ("etc/mtab", "/proc/mounts", true),
            ("var/log/access.log", "/dev/stdout", true),
            ("etc/localtime", "/usr/share/zoneinfo/UTC", false),
            ("usr/proc", "x", false),
            ("dev/fd", "/proc/self/fd", false),
            ("a/b", "../../../dev/null", true),
        ];
        for (path, target, expected) in rows {
            assert_eq!(leads_out(Path::new(path), Path::new(target)), expected, "{path} {target}");
        }
    }
}
