//! The files of a stage at one point: which layers make them, and how to look at them.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use super::layers::ImageLayer;
use super::workshop::Workshop;
use crate::layer::content::Tree;
use crate::rootfs::{Index, Root, View};
use crate::sandbox::ViewMount;

/// A stage's layers and the ways to see them.
#[derive(Debug)]
pub struct Files<'a> {
    shop: &'a Workshop,
    layers: Vec<Arc<ImageLayer>>,
    unpacked: bool,
    seen: Seen,
}

/// What a look-up goes to; made when the first one comes.
#[derive(Debug)]
enum Seen {
    Nothing,
    Headers(Box<Index>),
    Mounted(MountedView),
}

impl<'a> Files<'a> {
    /// The files that layers make. `unpacked` says that a RUN will need them in directories, so
    /// that a look-up may unpack them too.
    pub fn new(shop: &'a Workshop, layers: Vec<Arc<ImageLayer>>, unpacked: bool) -> Self {
        let seen = if layers.is_empty() { Seen::Headers(Box::default()) } else { Seen::Nothing };
        Self { shop, layers, unpacked, seen }
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Arc<ImageLayer>] {
        &self.layers
    }

    /// Gives the layers away.
    pub fn into_layers(self) -> Vec<Arc<ImageLayer>> {
        self.layers
    }

    /// Unpacks what is not unpacked yet; the answer is all directories, lowest first.
    pub fn unpack(&self) -> Result<Vec<String>> {
        self.shop.unpack(&self.layers)
    }

    /// The files, for look-ups.
    pub fn view(&mut self) -> Result<&dyn View> {
        if matches!(self.seen, Seen::Nothing) {
            self.seen = if self.unpacked {
                Seen::Mounted(self.shop.mount(&self.unpack()?)?)
            } else {
                Seen::Headers(Box::new(self.shop.index(&self.layers)?))
            };
        }
        Ok(match &self.seen {
            Seen::Mounted(view) => view.root().as_ref(),
            Seen::Headers(index) => index.as_ref(),
            Seen::Nothing => unreachable!("set above"),
        })
    }

    /// Adds a layer on top. `tree` is what it holds, where that is known.
    pub fn push(&mut self, layer: Arc<ImageLayer>, tree: Option<&Tree>) -> Result<()> {
        self.layers.push(layer);
        match (&mut self.seen, tree) {
            (Seen::Headers(index), Some(tree)) if !self.unpacked => {
                index.next_layer();
                for node in tree.values() {
                    index.insert(&node.entry)?;
                    if Index::keeps(&node.entry.path) {
                        let mut content = Vec::new();
                        node.content.open()?.read_to_end(&mut content)?;
                        index.insert_content(&node.entry.path, &content);
                    }
                }
            }
            // A mount does not see the new layer: the next look-up mounts anew.
            (seen, _) => *seen = Seen::Nothing,
        }
        Ok(())
    }
}

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
    /// A read-only view of unpacked layers, lowest first.
    pub fn mount(&self, dirs: &[String]) -> Result<MountedView> {
        let lowers: Vec<PathBuf> = dirs.iter().map(PathBuf::from).collect();
        let mountpoint = self.new_scratch_dir()?;
        let mount = self.sandbox.namespaces()?.view(&self.layers_dir, &lowers, &mountpoint)?;
        let root = Arc::new(self.open_root(mount.path())?);
        Ok(MountedView { root, _mount: mount })
    }
}
