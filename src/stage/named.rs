//! Named contexts that are no images: opened when a step uses them, once for the build.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow};

use super::files::Files;
use super::layers::ImageLayer;
use super::workshop::Workshop;
use crate::context::{Archive, Context, is_archive, unpack};
use crate::request::NamedSource;
use crate::rootfs::Index;
use crate::rootfs::copy::{self, CopyRequest, Owner};

/// Those that are open, and those of which there is a layer.
#[derive(Debug, Default)]
pub(super) struct NamedContexts {
    open: Mutex<BTreeMap<String, Arc<Context>>>,
    layers: Mutex<BTreeMap<String, Vec<Arc<ImageLayer>>>>,
}

impl Workshop {
    /// The files of a named context.
    pub(super) fn named(&self, name: &str) -> Result<Arc<Context>> {
        let source = self.named_sources.get(name);
        let source = source.ok_or_else(|| anyhow!("there is no context `{name}`"))?;
        // Before others have to wait.
        if let Some(remote) = source.remote() {
            self.downloads.get(&remote)?;
        }
        let mut open = self.named.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = open.get(name) {
            return Ok(context.clone());
        }
        let context =
            self.open_named(source).with_context(|| format!("cannot use the context `{name}`"))?;
        Ok(open.entry(name.to_owned()).or_insert(Arc::new(context)).clone())
    }

    fn open_named(&self, source: &NamedSource) -> Result<Context> {
        let files = |dir: &Path| Context::without_ignore_file(dir);
        let Some(remote) = source.remote() else {
            return Ok(match source {
                // Without a Dockerfile's own ignore file.
                NamedSource::Directory(dir) => Context::open(dir, Path::new(""))?,
                _ => files(&self.new_scratch_dir()?)?,
            });
        };
        let fetched = self.downloads.get(&remote)?;
        let Some(file) = &fetched.file else { return Ok(files(&fetched.dir)?) };
        let path = fetched.dir.join(file);
        if !is_archive(&path)? {
            return Ok(files(&fetched.dir)?);
        }
        let dir = self.new_scratch_dir()?;
        unpack(&Archive::File(path), &dir, &self.cancel)?;
        Ok(files(&dir)?)
    }

    /// A named context as the layers of an image: one, or none where it is empty.
    pub(super) fn named_layers(&self, name: &str) -> Result<Vec<Arc<ImageLayer>>> {
        let context = self.named(name)?;
        let mut known = self.named.layers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layers) = known.get(name) {
            return Ok(layers.clone());
        }
        let empty = Index::default();
        let request = CopyRequest {
            sources: vec![copy::CopySource::Path("/".into())],
            dest: "/",
            from: context.root.clone(),
            ignore: context.ignore.as_ref(),
            target: &empty,
            owner: Owner::Context,
            chmod: None,
            unpack: copy::Unpack::Never,
            exclude: &[],
            created: self.now,
            spool: &self.scratch_dir,
        };
        let tree = copy::copy(&request)?;
        let layer = self.store_tree(&mut Files::new(self, Vec::new(), false), &tree)?;
        let layers: Vec<_> = layer.into_iter().collect();
        known.insert(name.to_owned(), layers.clone());
        Ok(layers)
    }
}
