//! COPY and ADD: files of the context, a stage or an image become a layer, written straight to tar.

use std::sync::Arc;

use anyhow::Result;

use super::Done;
use super::files::{self, Files};
use super::layered::MountedView;
use super::layers::ImageLayer;
use super::workshop::Workshop;
use crate::cache::facts::{Facts, Known, Noting};
use crate::layer::Tree;
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

/// Copies; there is no layer where no file was named in the end. `known` is what is known of the files
/// below, where an earlier build has asked.
pub(super) fn copy(
    shop: &Workshop,
    files: &mut Files<'_>,
    step: &CopyStep,
    foreign: Foreign,
    known: Option<&Facts>,
) -> Result<Done> {
    if step.is_add && step.sources.len() > 1 && !step.dest.ends_with('/') {
        return Err(CopyError::NeedsDirectory { instruction: "ADD", why: None }.into());
    }
    let chown = step.chown.as_ref().map(|spec| chown(files, spec, known)).transpose()?;
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
    let from = source.root();
    let plan = |target: &dyn View| -> Result<Tree> {
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
        let requests: Vec<_> = parts(shop, step, &from)?.into_iter().map(request).collect();
        Ok(copy_all(target, &requests)?)
    };
    let owner = match (&step.chown, chown) {
        (Some(spec), Some(Owner::Fixed(uid, gid))) => Some((spec.as_str(), (uid, gid))),
        _ => None,
    };
    let (tree, facts) = onto(files, step, known, owner, &plan)?;
    // BuildKit's rule, and Dockerfiles rely on it; still it is often a mistake.
    if tree.is_empty() && step.sources.iter().all(is_pattern) {
        let sources: Vec<String> = step.sources.iter().map(CopySource::shown).collect();
        let sources = sources.join("` or `");
        shop.reporter.warning(&format!("no file matches `{sources}`: nothing is copied"));
    }
    Ok(Done { layer: shop.store_tree(files, &tree)?, facts })
}

/// What `--chown` says of itself.
type Named<'a> = Option<(&'a str, (u32, u32))>;

/// Plans a copy onto the files of the stage, and tells what it asked of them.
fn onto(
    files: &mut Files<'_>,
    step: &CopyStep,
    known: Option<&Facts>,
    owner: Named<'_>,
    plan: &dyn Fn(&dyn View) -> Result<Tree>,
) -> Result<(Tree, Facts)> {
    // With --link the layer does not depend on those below: no link of theirs is followed, and the
    // directories on the way are made anew.
    if step.link {
        return Ok((plan(&Index::default())?, Facts::default()));
    }
    if let Some(facts) = known {
        let view = Known::new(facts);
        let planned = plan(&view);
        // What failed is told of the files themselves.
        if let (Ok(tree), false) = (planned, view.was_asked_more()) {
            return Ok((tree, facts.clone().small()));
        }
    }
    let view = Noting::new(files.view()?);
    let tree = plan(&view)?;
    Ok((tree, view.facts(owner)))
}

/// Sources that are in one place.
pub(super) struct Part {
    pub(super) sources: Vec<copy::CopySource>,
    pub(super) root: Arc<Root>,
    pub(super) is_remote: bool,
}

/// The sources in their order, by where they are; paths are in `own`.
pub(super) fn parts(shop: &Workshop, step: &CopyStep, own: &Arc<Root>) -> Result<Vec<Part>> {
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

fn chown(files: &mut Files<'_>, spec: &str, known: Option<&Facts>) -> Result<Owner> {
    // Numbers need no look-up in the image, and so no download of it.
    let known = known.and_then(|facts| facts.owner(spec));
    let (uid, gid) = match Users::numeric(spec).or(known) {
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
