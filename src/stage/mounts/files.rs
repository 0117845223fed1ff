//! `type=bind`: where the files of a mount are on this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use super::Others;
use super::laid::Original;
use crate::layer::{Entry, Kind};
use crate::plan::{BindMount, BindSource, FilesFrom};
use crate::rootfs::copy::{CopyError, Owner};
use crate::rootfs::glob::escape;
use crate::rootfs::ignore::Ignore;
use crate::rootfs::{Root, View, ViewError, resolve};
use crate::sandbox::{MountSource, Sandbox};
use crate::stage::files::Source;
use crate::stage::layered::MountedView;
use crate::stage::layers::ImageLayer;
use crate::stage::workshop::Workshop;

/// What a bind mount shows.
pub(super) fn shown(shop: &Workshop, bind: &BindMount, others: &Others) -> Result<MountSource> {
    let BindSource::Files(from) = &bind.from else {
        // Not a tmpfs: its mode is not that of the place which it covers.
        let empty = shop.shelf.get("nothing".to_owned(), || shop.new_readable_dir())?;
        return part_of(&Root::open(&empty)?, &bind.source);
    };
    let Some((layers, source)) = others.find(from) else {
        return of_context(shop, &bind.source).map(MountSource::Path);
    };
    if matches!(shop.sandbox, Sandbox::Namespaces(_)) {
        return of_layers(shop, &layers, &bind.source);
    }
    match source {
        Source::Directory(root) => part_of(&root, &bind.source),
        _ => {
            let name = format!("{} of {}", bind.source, others.identity(&bind.from));
            let dir = shop.shelf.get(name, || {
                let root = shop.select(&layers, &[escape(&bind.source)])?;
                Ok(root.path().to_owned())
            })?;
            part_of(&shop.open_root(&dir)?, &bind.source)
        }
    }
}

/// Layers are seen through an overlay; what of them, is known without links.
fn of_layers(shop: &Workshop, layers: &[Arc<ImageLayer>], source: &str) -> Result<MountSource> {
    let dirs = shop.unpack(layers)?;
    let lowers = dirs.iter().map(PathBuf::from).collect();
    if dirs.is_empty() || source == "/" {
        let path = if source == "/" { PathBuf::new() } else { return Err(missing(source)) };
        return Ok(MountSource::Layers { lowers, path });
    }
    let view = shop.mount(&dirs)?;
    let path = there(&**view.root(), source)?;
    Ok(MountSource::Layers { lowers, path })
}

fn part_of(root: &Root, source: &str) -> Result<MountSource> {
    Ok(MountSource::Path(root.path().join(there(root, source)?)))
}

/// Where a source leads inside a root, without links.
fn there(view: &dyn View, source: &str) -> Result<PathBuf> {
    let found = resolve(view, Path::new(source), true)?;
    if found.entry.is_none() {
        return Err(missing(source));
    }
    Ok(found.path)
}

/// As COPY says it.
fn missing(source: &str) -> anyhow::Error {
    CopyError::NotFound { path: source.to_owned(), why: None, help: None }.into()
}

/// A part of the context: itself, if a RUN may see it as it is, else a copy.
fn of_context(shop: &Workshop, source: &str) -> Result<PathBuf> {
    let root = &shop.context.root;
    shop.shelf.get(format!("{source} of the context"), || {
        let ignore = shop.context.ignore.as_ref();
        // What is not there, the copy explains.
        let found = resolve(&**root, Path::new(source), true).ok();
        if let Some(found) = found.filter(|found| found.entry.is_some())
            && is_as_it_should_be(root, found.path.clone(), ignore)?
        {
            return Ok(root.path().join(found.path));
        }
        let (root, path) = (root.clone(), source);
        let original = Original { root, ignore, owner: Owner::Context, path };
        original.lay_down(shop, &shop.new_readable_dir()?)
    })
}

/// Whether nothing from this path down is hidden, and everything is root's: so a builder has it that
/// gets the context sent. Not by recursion: a path can have thousands of directories.
fn is_as_it_should_be(root: &Root, path: PathBuf, ignore: Option<&Ignore>) -> Result<bool> {
    let mut pending = vec![path];
    while let Some(path) = pending.pop() {
        let hidden = match ignore {
            Some(ignore) if !path.as_os_str().is_empty() => ignore.matches(&path)?,
            _ => false,
        };
        let entry = root.lstat(&path)?;
        let Some(Entry { meta, kind, .. }) = entry.filter(|_| !hidden) else { return Ok(false) };
        if (meta.uid, meta.gid) != (0, 0) {
            return Ok(false);
        }
        if kind == Kind::Dir {
            pending.extend(below(root, &path)?);
        }
    }
    Ok(true)
}

fn below(root: &Root, path: &Path) -> Result<Vec<PathBuf>, ViewError> {
    Ok(root.list(path)?.into_iter().map(|name| path.join(name)).collect())
}

/// A root that has a part of a source, as long as this value lives.
pub(super) struct Seen {
    pub(super) root: Arc<Root>,
    _mount: Option<MountedView>,
}

/// Where a part of a stage or an image can be read. Nothing for the context.
pub(super) fn seen(
    shop: &Workshop,
    from: &FilesFrom,
    source: &str,
    others: &Others,
) -> Result<Seen> {
    let bare = |root: Arc<Root>| Seen { root, _mount: None };
    let Some((layers, at)) = others.find(from) else {
        return Ok(bare(shop.context.root.clone()));
    };
    Ok(match at {
        Source::Directories => {
            let view = shop.mount(&shop.unpack(&layers)?)?;
            Seen { root: view.root().clone(), _mount: Some(view) }
        }
        Source::Directory(root) => bare(root),
        Source::Blobs => bare(shop.select(&layers, &[escape(source)])?),
    })
}
