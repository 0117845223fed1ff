//! COPY and ADD: files of the context, a stage or an image become a layer, written straight to tar.

use std::sync::Arc;

use anyhow::Result;

use super::files::{self, Files};
use super::layered::MountedView;
use super::layers::ImageLayer;
use super::workshop::Workshop;
use crate::plan::{CopySource, CopyStep, Unpack};
use crate::rootfs::copy::{self, CopyRequest, Owner, copy as copy_tree};
use crate::rootfs::glob::has_meta;
use crate::rootfs::{Index, Root, Users};

/// A source that is no context: its layers, and where their files are.
pub(super) type Foreign = Option<(Vec<Arc<ImageLayer>>, files::Source)>;

/// Copies; nothing where no file was named in the end.
pub(super) fn copy(
    shop: &Workshop,
    files: &mut Files<'_>,
    step: &CopyStep,
    foreign: Foreign,
) -> Result<Option<Arc<ImageLayer>>> {
    let owner = match &step.chown {
        Some(spec) => chown(files, spec)?,
        None if foreign.is_some() => Owner::Keep,
        None => Owner::Context,
    };
    let chmod = step.chmod.as_deref().map(str::parse).transpose()?;
    let source = match foreign {
        None => Source::Context(shop.context.root.clone()),
        Some((layers, files::Source::Directories)) => {
            Source::Mounted(shop.mount(&shop.unpack(&layers)?)?)
        }
        Some((_, files::Source::Directory(root))) => Source::Directory(root),
        Some((layers, files::Source::Blobs)) => {
            Source::Directory(shop.select(&layers, &patterns(step))?)
        }
    };
    let ignore = match &source {
        Source::Context(_) => shop.context.ignore.as_ref(),
        _ => None,
    };
    // With --link the layer does not depend on those below: no link of theirs is followed, and the
    // directories on the way are made anew.
    let empty = Index::default();
    let request = CopyRequest {
        sources: step.sources.iter().map(|source| asked(source, step.parents)).collect(),
        dest: &step.dest,
        from: source.root(),
        ignore,
        target: if step.link { &empty } else { files.view()? },
        owner,
        chmod,
        unpack: match step.unpack {
            Unpack::Never => copy::Unpack::Never,
            Unpack::Local | Unpack::All => copy::Unpack::Auto,
        },
        exclude: &step.exclude,
        created: shop.now,
        spool: &shop.scratch_dir,
    };
    let tree = copy_tree(&request)?;
    // BuildKit's rule, and Dockerfiles rely on it; still it is often a mistake.
    if tree.is_empty() && step.sources.iter().all(is_pattern) {
        let sources: Vec<String> = step.sources.iter().map(CopySource::shown).collect();
        let sources = sources.join("` or `");
        shop.reporter.warning(&format!("no file matches `{sources}`: nothing is copied"));
    }
    shop.store_tree(files, &tree)
}

/// The paths among the sources.
fn patterns(step: &CopyStep) -> Vec<String> {
    let path = |source: &CopySource| match source {
        CopySource::Path(path) => Some(path.clone()),
        CopySource::Inline { .. } => None,
    };
    step.sources.iter().filter_map(path).collect()
}

fn is_pattern(source: &CopySource) -> bool {
    matches!(source, CopySource::Path(path) if has_meta(path.as_bytes()))
}

fn asked(source: &CopySource, parents: bool) -> copy::CopySource {
    match source {
        CopySource::Path(path) if parents => copy::CopySource::Parents(path.clone()),
        CopySource::Path(path) => copy::CopySource::Path(path.clone()),
        CopySource::Inline { name, body } => {
            copy::CopySource::Inline { name: name.clone(), body: body.clone().into_bytes() }
        }
    }
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
