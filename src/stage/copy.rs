//! COPY and ADD: files of the context, a stage or an image become a layer, written straight to tar.

use std::sync::Arc;

use anyhow::Result;

use super::files::{self, Files};
use super::layered::MountedView;
use super::layers::ImageLayer;
use super::workshop::Workshop;
use crate::plan::CopyStep;
use crate::rootfs::copy::{CopyRequest, CopySource, Owner, Unpack, copy as copy_tree};
use crate::rootfs::glob::has_meta;
use crate::rootfs::{Root, Users};

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
            Source::Directory(shop.select(&layers, &step.sources)?)
        }
    };
    let ignore = match &source {
        Source::Context(_) => shop.context.ignore.as_ref(),
        _ => None,
    };
    let request = CopyRequest {
        sources: step.sources.iter().cloned().map(CopySource::Path).collect(),
        dest: &step.dest,
        from: source.root(),
        ignore,
        target: files.view()?,
        owner,
        chmod,
        unpack: if step.unpack { Unpack::Auto } else { Unpack::Never },
        exclude: &[],
        created: shop.now,
        spool: &shop.scratch_dir,
    };
    let tree = copy_tree(&request)?;
    // BuildKit's rule, and Dockerfiles rely on it; still it is often a mistake.
    if tree.is_empty() && step.sources.iter().all(|source| has_meta(source.as_bytes())) {
        let sources = step.sources.join("` or `");
        shop.reporter.warning(&format!("no file matches `{sources}`: nothing is copied"));
    }
    shop.store_tree(files, &tree)
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
