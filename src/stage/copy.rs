//! COPY and ADD: files of the context, a stage or an image become a layer, written straight to tar.

use std::sync::Arc;

use anyhow::Result;

use super::files::{self, Files};
use super::layered::MountedView;
use super::layers::ImageLayer;
use super::workshop::Workshop;
use crate::plan::{CopySource, CopyStep, FilesFrom, Unpack};
use crate::rootfs::copy::{self, Chmod, CopyError, CopyRequest, Owner, copy_all};
use crate::rootfs::glob::{escape, has_meta};
use crate::rootfs::{Index, Root, Users, View};

/// A source that is no context: its layers, and where their files are.
pub(super) type Foreign = Option<(Vec<Arc<ImageLayer>>, files::Source)>;

/// Fetches what a step takes from elsewhere, or waits for it.
pub(super) fn prepare(shop: &Workshop, step: &CopyStep) -> Result<()> {
    let remotes = step.sources.iter().filter_map(|source| match source {
        CopySource::Remote { source, .. } => Some(source),
        _ => None,
    });
    remotes.into_iter().try_for_each(|source| shop.downloads.get(source).map(drop))
}

/// Copies; nothing where no file was named in the end.
pub(super) fn copy(
    shop: &Workshop,
    files: &mut Files<'_>,
    step: &CopyStep,
    foreign: Foreign,
) -> Result<Option<Arc<ImageLayer>>> {
    if step.is_add && step.sources.len() > 1 && !step.dest.ends_with('/') {
        return Err(CopyError::NeedsDirectory { instruction: "ADD", why: None }.into());
    }
    let chown = step.chown.as_ref().map(|spec| chown(files, spec)).transpose()?;
    let own = chown.unwrap_or(if foreign.is_some() { Owner::Keep } else { Owner::Context });
    let chmod: Option<Chmod> = step.chmod.as_deref().map(str::parse).transpose()?;
    let named = match &step.from {
        FilesFrom::Named(name) => Some(shop.named(name)?),
        _ => None,
    };
    let context = named.as_deref().unwrap_or(&shop.context);
    let source = match foreign {
        None => Source::Context(context.root.clone()),
        Some((layers, files::Source::Directories)) => {
            Source::Mounted(shop.mount(&shop.unpack(&layers)?)?)
        }
        Some((_, files::Source::Directory(root))) => Source::Directory(root),
        Some((layers, files::Source::Blobs)) => {
            Source::Directory(shop.select(&layers, &patterns(step))?)
        }
    };
    let ignore = match &source {
        Source::Context(_) => context.ignore.as_ref(),
        _ => None,
    };
    // With --link the layer does not depend on those below: no link of theirs is followed, and the
    // directories on the way are made anew.
    let empty = Index::default();
    let target: &dyn View = if step.link { &empty } else { files.view()? };
    let request = |part: Part| CopyRequest {
        sources: part.sources,
        dest: &step.dest,
        from: part.root,
        ignore: ignore.filter(|_| !part.is_remote),
        target,
        owner: if part.is_remote { chown.unwrap_or(Owner::Context) } else { own },
        chmod: chmod.clone(),
        unpack: match (step.unpack, part.is_remote) {
            (Unpack::Never, _) | (Unpack::Local, true) => copy::Unpack::Never,
            (Unpack::Local | Unpack::All, _) => copy::Unpack::Auto,
        },
        exclude: &step.exclude,
        created: shop.now,
        spool: &shop.scratch_dir,
    };
    let requests: Vec<_> = parts(shop, step, &source.root())?.into_iter().map(request).collect();
    let tree = copy_all(target, &requests)?;
    drop(requests);
    // BuildKit's rule, and Dockerfiles rely on it; still it is often a mistake.
    if tree.is_empty() && step.sources.iter().all(is_pattern) {
        let sources: Vec<String> = step.sources.iter().map(CopySource::shown).collect();
        let sources = sources.join("` or `");
        shop.reporter.warning(&format!("no file matches `{sources}`: nothing is copied"));
    }
    shop.store_tree(files, &tree)
}

/// Sources that are in one place.
struct Part {
    sources: Vec<copy::CopySource>,
    root: Arc<Root>,
    is_remote: bool,
}

/// The sources in their order, by where they are; paths are in `own`.
fn parts(shop: &Workshop, step: &CopyStep, own: &Arc<Root>) -> Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    for source in &step.sources {
        let asked = match source {
            CopySource::Remote { source, .. } => {
                let fetched = shop.downloads.get(source)?;
                let path = fetched.file.as_deref().map_or_else(|| "/".to_owned(), escape);
                let sources = vec![copy::CopySource::Path(path)];
                let root = Arc::new(Root::open(&fetched.dir)?);
                parts.push(Part { sources, root, is_remote: true });
                continue;
            }
            CopySource::Path(path) if step.parents => copy::CopySource::Parents(path.clone()),
            CopySource::Path(path) => copy::CopySource::Path(path.clone()),
            CopySource::Inline { name, body } => {
                copy::CopySource::Inline { name: name.clone(), body: body.clone().into_bytes() }
            }
        };
        match parts.last_mut().filter(|part| !part.is_remote) {
            Some(part) => part.sources.push(asked),
            None => parts.push(Part { sources: vec![asked], root: own.clone(), is_remote: false }),
        }
    }
    Ok(parts)
}

/// The paths among the sources.
fn patterns(step: &CopyStep) -> Vec<String> {
    let path = |source: &CopySource| match source {
        CopySource::Path(path) => Some(path.clone()),
        CopySource::Remote { .. } | CopySource::Inline { .. } => None,
    };
    step.sources.iter().filter_map(path).collect()
}

fn is_pattern(source: &CopySource) -> bool {
    matches!(source, CopySource::Path(path) if has_meta(path.as_bytes()))
}

fn chown(files: &mut Files<'_>, spec: &str) -> Result<Owner> {
    // Numbers need no look-up in the image, and so no download of it.
    let (uid, gid) = match Users::numeric(spec) {
        Some(ids) => ids,
        None => Users::load(files.view()?)?.chown(spec)?,
    };
    Ok(Owner::Fixed(uid, gid))
}

enum Source {
    Context(Arc<Root>),
    Mounted(MountedView),
    Directory(Arc<Root>),
}

impl Source {
    fn root(&self) -> Arc<Root> {
        match self {
            Self::Context(root) | Self::Directory(root) => root.clone(),
            Self::Mounted(view) => view.root().clone(),
        }
    }
}
