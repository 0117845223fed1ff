//! Takes a few files out of layers without unpacking the rest: what `COPY --from` of an image, or
//! of a stage without RUN, needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use super::layers::ImageLayer;
use super::workshop::Workshop;
use crate::layer::{Entry, Kind};
use crate::rootfs::copy::source_paths;
use crate::rootfs::{Index, Root, View, ViewError, Wanted};

impl Workshop {
    /// A directory that holds what the source patterns name, and nothing else.
    pub(super) fn select(
        &self,
        layers: &[Arc<ImageLayer>],
        sources: &[String],
    ) -> Result<Arc<Root>> {
        let index = Arc::new(self.index(layers)?);
        let wanted = wanted(&index, sources)?;
        let wanted: Wanted = Arc::new(move |path| wanted.contains(path));
        let root = self.unpack_parts(layers, index.visible_parts(&wanted)?)?;
        index.complete(&root, self.ownership(), &wanted)?;
        Ok(Arc::new(root))
    }
}

/// Every path that a copy of the sources will look at.
fn wanted(index: &Index, sources: &[String]) -> Result<BTreeSet<PathBuf>> {
    let recorder = Recorder { inner: index, seen: Mutex::default() };
    for source in sources {
        for path in source_paths(&recorder, source)? {
            look_below(&recorder, path)?;
        }
    }
    Ok(recorder.seen.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Looks at everything from a path down. Not by recursion: a hostile image can nest directories as
/// deep as paths are long.
fn look_below(view: &dyn View, path: PathBuf) -> Result<(), ViewError> {
    let mut pending = vec![path];
    while let Some(path) = pending.pop() {
        if matches!(view.lstat(&path)?, Some(Entry { kind: Kind::Dir, .. })) {
            pending.extend(view.list(&path)?.into_iter().map(|name| path.join(name)));
        }
    }
    Ok(())
}

/// A view that remembers which objects were looked at.
struct Recorder<'a> {
    inner: &'a Index,
    seen: Mutex<BTreeSet<PathBuf>>,
}

impl View for Recorder<'_> {
    fn lstat(&self, path: &Path) -> Result<Option<Entry>, ViewError> {
        let found = self.inner.lstat(path)?;
        if found.is_some() {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        }
        Ok(found)
    }

    fn list(&self, path: &Path) -> Result<Vec<std::ffi::OsString>, ViewError> {
        self.inner.list(path)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ViewError> {
        self.inner.read(path, limit)
    }
}
