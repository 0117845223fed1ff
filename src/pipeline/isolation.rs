//! How commands are run: what the machine allows, and what that means for this build.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Ground;
use super::prepare::Source;
use crate::base_cache::layout_dir;
use crate::dockerfile::{Instruction, Located, Node};
use crate::event::Reporter;
use crate::plan::{Action, Plan, Step};
use crate::request::{CachePlace, CacheTarget, NamedSource, Request};
use crate::sandbox::{Sandbox, Unable, emulation};
use crate::stage::Place;
use crate::work_dir::WorkDir;

/// Refuses a RUN that nothing can run before anything is fetched for it.
pub(super) fn can_run(plans: &[Plan], ground: &Ground, place: &Place) -> Result<()> {
    let run = |step: &&Step| matches!(step.action, Action::Run(_));
    let stages = plans.iter().flat_map(|plan| &plan.stages);
    for stage in stages {
        let Some(step) = stage.steps.iter().find(run) else { continue };
        let refused = match ground.sandbox.strongest() {
            Sandbox::None(reason) => Some(reason),
            _ => emulation::refusal(&stage.platform),
        };
        let Some(reason) = refused else { continue };
        return Err(Located {
            path: place.path.clone(),
            text: place.text.clone(),
            span: step.span.clone(),
            message: format!("this RUN cannot run here: {}", reason.reason),
            help: Some(reason.advice),
            cause: None,
        }
        .into());
    }
    Ok(())
}

/// Makes the work directory while registries are asked, where namespaces may be needed: whether it can hold
/// an overlay is tried, by a process of its own. Nothing where that is not to be found out.
pub(super) fn make_ahead(
    request: &Request,
    ground: &Ground,
    source: &Source,
) -> Option<Result<WorkDir>> {
    let strongest = ground.sandbox.strongest();
    let is_run = |node: &Node| matches!(node.instruction, Instruction::Run(_));
    let mut stages = source.dockerfile.stages.iter();
    let runs = stages.any(|stage| stage.nodes.iter().any(is_run));
    (runs && matches!(strongest, Sandbox::Namespaces(_)))
        .then(|| WorkDir::create(request, &strongest, &ground.reporter))
}

/// Decides how commands are run, which depends on what the work directory can hold, and says so where
/// they are run with less than most expect. `made` is what [`make_ahead`] has made.
pub(super) fn settle(
    request: &Request,
    ground: &Ground,
    plans: &[Plan],
    source: &Source,
    made: Option<Result<WorkDir>>,
) -> Result<(Sandbox, WorkDir)> {
    let Ground { sandbox, reporter, .. } = ground;
    if !plans.iter().any(needs_files) {
        let sandbox = Sandbox::None(Unable::not_needed());
        let dir = WorkDir::create(request, &sandbox, reporter)?;
        return Ok((sandbox, dir));
    }
    if let Some(caches) = &request.run.cache_dir {
        std::fs::create_dir_all(caches).with_context(|| {
            format!("cannot make the directory for caches, {}", caches.display())
        })?;
    }
    let strongest = sandbox.strongest();
    let made = made.unwrap_or_else(|| WorkDir::create(request, &strongest, reporter));
    let (sandbox, dir) = match (made, &strongest) {
        (Ok(dir), _) => (strongest, dir),
        (Err(error), Sandbox::Namespaces(_)) => match sandbox.without_overlay() {
            Sandbox::None(_) => return Err(error),
            other => {
                let dir = WorkDir::create(request, &other, reporter)?;
                (other, dir)
            }
        },
        (Err(error), _) => return Err(error),
    };
    if let Sandbox::Inplace(inplace) = &sandbox {
        let mut kept = vec![("the build context", source.dir.clone())];
        let named = request.named_contexts.values().filter_map(local_files);
        kept.extend(named.map(|files| ("a named context", files)));
        let bases = request.cache_dir.clone().filter(|dir| dir.is_dir());
        kept.extend(bases.map(|dir| ("its base images", dir)));
        kept.extend(request.run.cache_dir.clone().map(|dir| ("its caches", dir)));
        kept.extend(layouts(request).map(|dir| ("its cache", dir)));
        for plan in plans {
            kept.iter().try_for_each(|(what, dir)| apart(plan, what, dir, &source.place))?;
        }
        inplace.keep(kept.into_iter().map(|(_, dir)| dir));
        inplace.keep([dir.path().to_owned()]);
        inplace.keep(request.run.agents.values().cloned());
    }
    without_effect(request, &sandbox, reporter);
    if let Some(reason) = sandbox.single_id_reason() {
        reporter.warning(&format!(
            "in every RUN all files are root's, and chown to any other user fails: {reason}"
        ));
    }
    Ok((sandbox, dir))
}

/// The directories of the build's cache. What is to stay has to be there before `/` is the image's; one
/// that cannot be made is complained about when something is written.
fn layouts(request: &Request) -> impl Iterator<Item = PathBuf> {
    let from = request.cache.from.iter();
    let to = request.cache.to.iter().filter_map(|target| match target {
        CacheTarget::Place { place, .. } => Some(place),
        CacheTarget::Inline => None,
    });
    let dirs = from.chain(to).filter_map(|place| match place {
        CachePlace::Layout { dir, .. } => Some(dir.clone()),
        CachePlace::Registry(_) => None,
    });
    dirs.filter(|dir| std::fs::create_dir_all(dir).is_ok())
}

/// Where a named context is on this machine.
fn local_files(source: &NamedSource) -> Option<PathBuf> {
    match source {
        NamedSource::Directory(dir) => Some(dir.clone()),
        NamedSource::Layout(address) => Some(layout_dir(address).to_owned()),
        _ => None,
    }
}

/// Where `/` becomes the image's, the context and what else belongs to the user stay in it: a step that
/// works there would see, and change, the user's files instead of the image's.
fn apart(plan: &Plan, what: &str, kept: &Path, place: &Place) -> Result<()> {
    let kept = kept.canonicalize().unwrap_or_else(|_| kept.to_owned());
    let steps = plan.stages.iter().filter(|stage| stage.unpacked).flat_map(|stage| &stage.steps);
    for step in steps {
        let path = match &step.action {
            Action::Run(run) => &run.cwd,
            Action::Copy(copy) => &copy.dest,
            Action::Workdir(workdir) => &workdir.path,
            Action::Metadata | Action::Cached => continue,
        };
        if !Path::new(path).starts_with(&kept) {
            continue;
        }
        return Err(Located {
            path: place.path.clone(),
            text: place.text.clone(),
            span: step.span.clone(),
            message: format!(
                "this step works in {path}, where this machine has {what}: isolation \
                 `inplace` runs commands in the container's own root and would change your files"
            ),
            help: Some(
                "put that somewhere else, the context with --context, or give the container \
                 CAP_SYS_CHROOT and CAP_SETPCAP, so that isolation `chroot` is possible"
                    .to_owned(),
            ),
            cause: None,
        }
        .into());
    }
    Ok(())
}

/// Flags that take a mount are not ignored without a word where there is none.
fn without_effect(request: &Request, sandbox: &Sandbox, reporter: &Reporter) {
    let mounts = matches!(sandbox, Sandbox::Namespaces(_));
    if request.shm_size != Request::SHM_SIZE && !mounts {
        reporter.warning(&format!(
            "--shm-size has no effect in isolation `{}`: /dev/shm is a directory without a limit of \
             its own",
            sandbox.name()
        ));
    }
    if !request.add_hosts.is_empty() && matches!(sandbox, Sandbox::Inplace(_)) {
        reporter.warning(
            "--add-host has no effect in isolation `inplace`: /etc/hosts is the container's own",
        );
    }
}

/// Whether a stage's files have to be on disk, because a command runs in them.
fn needs_files(plan: &Plan) -> bool {
    plan.stages.iter().any(|stage| stage.unpacked)
}
