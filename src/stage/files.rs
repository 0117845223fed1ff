//! The files of a stage at one point: which layers make them, and how to look at them.

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;

use anyhow::Result;

use super::directory::StageDir;
use super::layered::MountedView;
use super::layers::ImageLayer;
use super::workshop::Workshop;
use crate::layer::Growing;
use crate::layer::content::Tree;
use crate::layer::writer::Hear;
use crate::rootfs::{Index, Root, View};
use crate::sandbox::Sandbox;

/// A stage's layers and the ways to see them.
pub struct Files<'a> {
    shop: &'a Workshop,
    layers: Vec<Arc<ImageLayer>>,
    unpacked: bool,
    seen: Seen,
    hear: Hear<'a>,
}

impl fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("layers", &self.layers).finish_non_exhaustive()
    }
}

fn nobody(_: Growing) {}

/// What a look-up goes to; made when the first one comes.
#[derive(Debug)]
enum Seen {
    Nothing,
    Headers(Box<Index>),
    Mounted(MountedView),
    /// All of them in one directory; the last layers may not be in it yet.
    Directory(Box<StageDir>),
}

/// Where the files of finished layers are.
#[derive(Debug, Clone)]
pub enum Source {
    /// In the blobs alone.
    Blobs,
    /// In a directory for each layer.
    Directories,
    /// In one directory, which nobody changes any more.
    Directory(Arc<Root>),
}

impl<'a> Files<'a> {
    /// The files that layers make. `unpacked` says that a RUN will need them in directories, so
    /// that a look-up may unpack them too.
    pub fn new(shop: &'a Workshop, layers: Vec<Arc<ImageLayer>>, unpacked: bool) -> Self {
        let seen = if layers.is_empty() { Seen::Headers(Box::default()) } else { Seen::Nothing };
        Self { shop, layers, unpacked, seen, hear: &nobody }
    }

    /// The same; large layers that are made on top are told of before they are complete.
    #[must_use]
    pub fn telling(self, hear: Hear<'a>) -> Self {
        Self { hear, ..self }
    }

    /// Who hears of large layers.
    pub fn hear(&self) -> Hear<'a> {
        self.hear
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Arc<ImageLayer>] {
        &self.layers
    }

    /// Brings the files to where a command can run in them.
    pub fn prepare_run(&mut self) -> Result<()> {
        match self.shop.sandbox {
            Sandbox::Namespaces(_) => self.shop.unpack(&self.layers).map(drop),
            _ => self.directory().map(drop),
        }
    }

    /// The directories of the layers, lowest first, where an overlay puts them on one another.
    pub fn unpack(&self) -> Result<Vec<String>> {
        self.shop.unpack(&self.layers)
    }

    /// The one directory that holds all layers, where there is no overlay.
    pub fn directory(&mut self) -> Result<&mut StageDir> {
        if !matches!(self.seen, Seen::Directory(_)) {
            self.seen = Seen::Directory(Box::new(StageDir::make(self.shop)?));
        }
        match &mut self.seen {
            Seen::Directory(dir) => {
                dir.lay(self.shop, &self.layers)?;
                Ok(dir)
            }
            _ => unreachable!("set above"),
        }
    }

    /// The files, for look-ups.
    pub fn view(&mut self) -> Result<&dyn View> {
        if self.unpacked && !matches!(self.shop.sandbox, Sandbox::Namespaces(_)) {
            return Ok(self.directory()?.view());
        }
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
            Seen::Directory(dir) => dir.view(),
            Seen::Nothing => unreachable!("set above"),
        })
    }

    /// Where others may copy the files of this stage from, and its layers.
    pub fn into_source(mut self) -> Result<(Vec<Arc<ImageLayer>>, Source)> {
        if !self.unpacked {
            return Ok((self.layers, Source::Blobs));
        }
        if matches!(self.shop.sandbox, Sandbox::Namespaces(_)) {
            return Ok((self.layers, Source::Directories));
        }
        if matches!(self.shop.sandbox, Sandbox::Inplace(_)) {
            // The next stage takes its place.
            return Ok((self.layers, Source::Blobs));
        }
        let root = self.directory()?.root().clone();
        Ok((self.layers, Source::Directory(root)))
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
            (Seen::Directory(_), _) => {}
            // A mount does not see the new layer: the next look-up mounts anew.
            (seen, _) => *seen = Seen::Nothing,
        }
        Ok(())
    }
}
