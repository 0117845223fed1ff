//! THE STORY: how a Dockerfile becomes an image in a registry. [`build`] tells it:
//!
//! 1. **Context**: find the Dockerfile and the files that COPY may take ([`crate::context`]).
//! 2. **Plan**: parse, find the needed stages, ask registries for the bases' manifests and configs
//!    (no layers), expand every instruction ([`crate::dockerfile`], [`crate::plan`]). Meanwhile the
//!    destinations are asked whether a push will be allowed.
//! 3. **Stages**: run side by side ([`crate::schedule`], [`crate::stage`]). A stage without RUN is
//!    never unpacked; a base layer is downloaded only when somebody needs its files.
//! 4. **Layers** go to the destinations while later steps run ([`crate::publish::Uploads`]).
//! 5. **Assemble** config and manifest ([`crate::image::assemble()`]).
//! 6. **Publish**: OCI layout and docker archive, then the tags, last and only when all succeeded.
//! 7. **Report** digest, size and times to the caller; only [`crate::ui`] prints.

mod check;
mod dry_run;
mod unpacked;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

pub use self::check::{Checkup, Looked, check, outline, targets};
pub use self::dry_run::dry_run;
use self::unpacked::Unpacked;
use crate::base_cache::BaseCache;
use crate::cancel::Cancel;
use crate::context::{Context, DockerfileText, read_dockerfile};
use crate::digest::Digest;
use crate::dockerfile::{self, Dockerfile, Located};
use crate::event::Reporter;
use crate::image::{FinishedImage, ImageFormat, Platform, archive, assemble, layout};
use crate::layer::{LayerOptions, Timestamp};
use crate::plan::{Action, Graph, ImageKey, Inputs, NeededImage, Plan, plan};
use crate::publish::{Destination, Uploads, send_digest, write_digest_files};
use crate::registry::{Client, Reference};
use crate::request::Request;
use crate::sandbox::{Entered, Sandbox, Unable};
use crate::schedule::run_stages;
pub use crate::schedule::was_cancelled;
use crate::settings;
use crate::stage::{BaseImage, Finished, ImageLayer, Place, SharedLayers, Tools, Workshop};
use crate::work_dir::WorkDir;

/// What a build stands on, made before any thread was.
#[derive(Debug)]
pub struct Ground {
    /// What can run a RUN.
    pub sandbox: Entered,
    /// Hears of progress.
    pub reporter: Reporter,
    /// Stops the build.
    pub cancel: Cancel,
}

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// The image's digest.
    pub digest: Digest,
    /// Where it is now: names in registries, then paths of files.
    pub places: Vec<String>,
    /// Compressed bytes of layers and config.
    pub size: u64,
    /// Number of layers.
    pub layers: usize,
    /// How long it took.
    pub time: Duration,
    /// How long each step of the Dockerfile took, in the order in which they ended.
    pub steps: Vec<(String, Duration)>,
}

/// Builds and publishes an image.
pub fn build(request: &Request, ground: &Ground) -> Result<Built> {
    let start = Instant::now();
    // 1. Context
    let unpacked = Unpacked::from_archive(request, ground)?;
    let dir = unpacked.as_ref().map_or(request.context.as_path(), Unpacked::dir);
    let file = read_dockerfile(dir, request.dockerfile.path())?;
    let dockerfile = parse(&file)?;
    let context = Context::open(dir, &file.path)?;
    let names = names(request)?;

    // 2. Plan
    let options = settings::registry_options(&request.registry);
    let client = Client::new(options, ground.cancel.clone())?;
    let bases = BaseCache::new(request.cache_dir.clone(), ground.reporter.clone());
    let inputs = inputs(request, file.path.display().to_string())?;
    let graph = Graph::new(&dockerfile, &inputs)?;
    let pushed: &[Reference] = if request.push { &names } else { &[] };
    let destinations = Destination::all(&client, pushed);
    let place = Place { path: inputs.path.clone(), text: dockerfile.text.as_str().into() };
    let questions = questions(&graph, &place)?;
    let images = thread::scope(|scope| {
        let permission = scope.spawn(|| check_push(request, &destinations));
        let images = resolve_all(&client, &bases, &questions, &place, &ground.reporter);
        permission.join().map_err(|_| anyhow!("the push check ended abnormally"))??;
        images
    })?;
    let configs = images.iter().map(|(key, image)| (key.clone(), image.config.clone())).collect();
    let plan = plan(&dockerfile, &inputs, &graph, &configs)?;
    check::report(request, ground, (&dockerfile, &inputs), &configs, context.ignore.as_ref())?;
    plan.warnings.iter().for_each(|warning| ground.reporter.warning(warning));
    can_run(&plan, ground, &place)?;

    // 3. Stages, and 4. their layers on their way to the destinations
    let (sandbox, work_dir) = settle(request, ground, &plan, dir, &place)?;
    let tools = tools(request, ground, Sources { sandbox, client, bases, context }, place);
    let shop = Arc::new(Workshop::open(work_dir.path(), tools)?);
    mark_needed(request, &plan, &images);
    let uploads = Uploads::new(shop.clone(), destinations)
        .ignoring_immutable_tags(request.ignore_immutable_tags);
    let finished = run_stages(&shop, &plan, &images, Some(&uploads));
    let outcome = shop.sandbox.give_back().map_err(Into::into).and(finished).and_then(|finished| {
        // 5. Assemble, and 6. publish
        let format = settings::image_format(request, base_of(&plan, &images));
        finish(request, &shop, &finished, format, &uploads)
    });
    // Threads that still send look into the work directory: let them end before it goes.
    let image = outcome.map_err(|error| {
        ground.cancel.cancel();
        why(error, uploads.wait())
    })?;
    write_digest_files(request, &names, &image.manifest_digest)?;
    let options = settings::registry_options(&request.registry);
    send_digest(request, &options, &ground.cancel, &image.manifest_digest)?;
    // 7. Report
    Ok(Built {
        digest: image.manifest_digest,
        size: image.size(),
        layers: image.layers.len(),
        places: places(request, pushed),
        time: start.elapsed(),
        steps: shop.take_times(),
    })
}

fn parse(file: &DockerfileText) -> Result<Dockerfile> {
    dockerfile::parse(file.text.as_bytes()).map_err(|error| {
        Located {
            path: file.path.display().to_string(),
            text: file.text.as_str().into(),
            span: error.span.clone(),
            message: error.message.clone(),
            help: error.help.clone(),
            cause: None,
        }
        .into()
    })
}

fn inputs(request: &Request, path: String) -> Result<Inputs> {
    let platform = match &request.platform {
        Some(text) => text.parse()?,
        None => Platform::host(),
    };
    Ok(Inputs {
        path,
        args: request.build_args.clone(),
        target: request.target.clone(),
        platform,
        labels: request.labels.clone(),
    })
}

/// The image's names, each once.
fn names(request: &Request) -> Result<Vec<Reference>> {
    let mut names: Vec<Reference> = Vec::new();
    for name in &request.destinations {
        let reference: Reference = name.parse()?;
        if reference.digest.is_some() {
            return Err(anyhow!("cannot push to `{name}`: a destination is a tag, not a digest"));
        }
        if !names.contains(&reference) {
            names.push(reference);
        }
    }
    Ok(names)
}

fn places(request: &Request, pushed: &[Reference]) -> Vec<String> {
    let paths = [&request.oci_layout_path, &request.tar_path];
    let paths = paths.into_iter().flatten().map(|path| path.display().to_string());
    pushed.iter().map(Reference::familiar).chain(paths).collect()
}

/// Asks before the build, so that a wrong password costs a second and not the whole build.
fn check_push(request: &Request, destinations: &[Destination]) -> Result<()> {
    if request.skip_push_check {
        return Ok(());
    }
    destinations.iter().try_for_each(Destination::check)
}

/// An image to ask a registry for, and the place that names it.
struct Question<'a> {
    key: &'a ImageKey,
    image: &'a NeededImage,
    reference: Reference,
    platform: Platform,
}

/// The images to ask for, before anybody is asked: a name that is none costs no request.
fn questions<'a>(graph: &'a Graph, place: &Place) -> Result<Vec<Question<'a>>> {
    let question = |(key, image): (&'a ImageKey, &'a NeededImage)| {
        let reference = key.name.parse().map_err(anyhow::Error::new);
        let reference = reference.map_err(|error| place.locate(error, &image.span))?;
        Ok(Question { key, image, reference, platform: key.platform.parse()? })
    };
    graph.images.iter().map(question).collect()
}

/// Asks registries for all bases at once: manifests and configs, no layers.
fn resolve_all(
    client: &Client,
    bases: &BaseCache,
    questions: &[Question<'_>],
    place: &Place,
    reporter: &Reporter,
) -> Result<BTreeMap<ImageKey, Arc<BaseImage>>> {
    let shared = SharedLayers::default();
    let resolve = |question: &Question<'_>| -> Result<Arc<BaseImage>> {
        let Question { key, image, reference, platform } = question;
        let task = reporter.start(&format!("resolve {}", key.name));
        let resolved = bases.resolve(client, reference, platform).map_err(|error| {
            let help = image.meant_stage.as_ref().filter(|_| error.is_not_found());
            let help = help.map(|stage| format!("did you mean the stage `{stage}`?"));
            place.locate_with(error.into(), &image.span, help)
        })?;
        task.done_with(resolved.digest.to_string());
        let image = BaseImage::new(key.name.clone(), resolved, &shared);
        // What is on this machine already is not fetched past it.
        let here = image.layers.iter().filter(|l| bases.blob(&l.descriptor.digest).is_some());
        here.for_each(|layer| layer.need_here());
        Ok(Arc::new(image))
    };
    thread::scope(|scope| {
        let resolve = &resolve;
        let threads: Vec<_> = questions
            .iter()
            .map(|question| (question.key, scope.spawn(move || resolve(question))))
            .collect();
        threads
            .into_iter()
            .map(|(key, thread)| {
                let image = thread.join().map_err(|_| anyhow!("a look-up ended abnormally"))??;
                Ok((key.clone(), image))
            })
            .collect()
    })
}

/// Refuses a RUN that nothing can run before anything is fetched for it.
fn can_run(plan: &Plan, ground: &Ground, place: &Place) -> Result<()> {
    let mut steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    let Some(step) = steps.find(|step| matches!(step.action, Action::Run(_))) else {
        return Ok(());
    };
    let Sandbox::None(reason) = ground.sandbox.strongest() else { return Ok(()) };
    Err(Located {
        path: place.path.clone(),
        text: place.text.clone(),
        span: step.span.clone(),
        message: format!("this RUN cannot run here: {}", reason.reason),
        help: Some(reason.advice),
        cause: None,
    }
    .into())
}

/// Decides how commands are run, which depends on what the work directory can hold, and says so where
/// they are run with less than most expect.
fn settle(
    request: &Request,
    ground: &Ground,
    plan: &Plan,
    context: &Path,
    place: &Place,
) -> Result<(Sandbox, WorkDir)> {
    let Ground { sandbox, reporter, .. } = ground;
    if !needs_files(plan) {
        let sandbox = Sandbox::None(Unable::not_needed());
        let dir = WorkDir::create(request, &sandbox, reporter)?;
        return Ok((sandbox, dir));
    }
    let strongest = sandbox.strongest();
    let (sandbox, dir) = match (WorkDir::create(request, &strongest, reporter), &strongest) {
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
        apart(plan, context, place)?;
        inplace.keep([context.to_owned(), dir.path().to_owned()]);
        inplace.keep(request.cache_dir.clone().filter(|dir| dir.is_dir()));
    }
    without_effect(request, &sandbox, reporter);
    if let Some(reason) = sandbox.single_id_reason() {
        reporter.warning(&format!(
            "in every RUN all files are root's, and chown to any other user fails: {reason}"
        ));
    }
    Ok((sandbox, dir))
}

/// Where `/` becomes the image's, the context stays in it: a step that works there would see, and
/// change, the user's files instead of the image's.
fn apart(plan: &Plan, context: &Path, place: &Place) -> Result<()> {
    let context = context.canonicalize().unwrap_or_else(|_| context.to_owned());
    let steps = plan.stages.iter().filter(|stage| stage.unpacked).flat_map(|stage| &stage.steps);
    for step in steps {
        let path = match &step.action {
            Action::Run(run) => &run.cwd,
            Action::Copy(copy) => &copy.dest,
            Action::Workdir(workdir) => &workdir.path,
            Action::Metadata => continue,
        };
        if !Path::new(path).starts_with(&context) {
            continue;
        }
        return Err(Located {
            path: place.path.clone(),
            text: place.text.clone(),
            span: step.span.clone(),
            message: format!(
                "this step works in {path}, where this machine has the build context: isolation \
                 `inplace` runs commands in the container's own root and would change your files"
            ),
            help: Some(
                "put the context somewhere else and name it with --context, or give the container \
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

/// What was made for the build so far.
struct Sources {
    sandbox: Sandbox,
    client: Client,
    bases: BaseCache,
    context: Context,
}

fn tools(request: &Request, ground: &Ground, sources: Sources, place: Place) -> Tools {
    let Sources { sandbox, client, bases, context } = sources;
    let epoch = request.source_date_epoch.map(Timestamp::from_secs);
    let now = epoch.unwrap_or_else(Timestamp::now);
    Tools {
        client,
        bases,
        layer_options: LayerOptions {
            compression: settings::compression(request),
            clamp: epoch,
            threads: request.jobs,
        },
        sandbox,
        context,
        reporter: ground.reporter.clone(),
        cancel: ground.cancel.clone(),
        place,
        now,
        created: rfc3339(now),
        hosts: request.add_hosts.clone(),
        ignore_paths: request.ignore_paths.clone(),
        shm_size: request.shm_size,
    }
}

fn rfc3339(time: Timestamp) -> String {
    let nanos = i32::try_from(time.nanos).unwrap_or(0);
    jiff::Timestamp::new(time.secs, nanos).unwrap_or_default().to_string()
}

/// The image at the bottom of the target.
fn base_of<'a>(
    plan: &Plan,
    images: &'a BTreeMap<ImageKey, Arc<BaseImage>>,
) -> Option<&'a BaseImage> {
    images.get(plan.image_below(plan.target)?).map(AsRef::as_ref)
}

/// Says of each base layer whether its bytes will be on this machine anyway, so that an upload does
/// not fetch them a second time.
fn mark_needed(request: &Request, plan: &Plan, images: &BTreeMap<ImageKey, Arc<BaseImage>>) {
    let mut needed = plan.images_looked_into();
    if request.oci_layout_path.is_some() || request.tar_path.is_some() {
        needed.extend(plan.image_below(plan.target));
    }
    let layers = needed.into_iter().filter_map(|key| images.get(key)).flat_map(|i| &i.layers);
    layers.for_each(|layer| layer.need_here());
}

fn finish(
    request: &Request,
    shop: &Workshop,
    finished: &Finished,
    format: ImageFormat,
    uploads: &Uploads,
) -> Result<FinishedImage> {
    let image = assemble_image(request, shop, finished, format)?;
    write_files(request, shop, finished, &image)?;
    uploads.finish(&image)?;
    Ok(image)
}

fn assemble_image(
    request: &Request,
    shop: &Workshop,
    finished: &Finished,
    format: ImageFormat,
) -> Result<FinishedImage> {
    let mut config = finished.config.clone();
    config.created = Some(shop.created.clone());
    config.history.clone_from(&finished.history);
    config.rootfs.diff_ids = finished.layers.iter().map(|layer| layer.diff_id).collect();
    let layers: Vec<_> = finished.layers.iter().map(|layer| layer.descriptor.clone()).collect();
    let names = names(request)?.iter().map(Reference::familiar).collect();
    Ok(assemble(&config, &layers, format, &request.annotations, names)?)
}

fn write_files(
    request: &Request,
    shop: &Workshop,
    finished: &Finished,
    image: &FinishedImage,
) -> Result<()> {
    if request.oci_layout_path.is_none() && request.tar_path.is_none() {
        return Ok(());
    }
    for layer in &finished.layers {
        fetch(shop, layer)?;
    }
    if let Some(path) = &request.oci_layout_path {
        let task = shop.reporter.start(&format!("write OCI layout {}", path.display()));
        layout::write_layout(path, &shop.blobs, image)?;
        task.done();
    }
    if let Some(path) = &request.tar_path {
        let task = shop.reporter.start(&format!("write docker archive {}", path.display()));
        archive::write_docker_archive(path, &shop.blobs, image)?;
        task.done();
    }
    Ok(())
}

fn fetch(shop: &Workshop, layer: &ImageLayer) -> Result<()> {
    shop.fetch(layer).map(drop)
}

/// Of a build's error and an upload's, the one that came first: the other was cancelled by it.
fn why(build: anyhow::Error, uploads: Result<()>) -> anyhow::Error {
    match uploads {
        Err(error) if was_cancelled(&build) && !was_cancelled(&error) => error,
        _ => build,
    }
}
