//! The first two steps of everything that reads a Dockerfile: its text and its files, then what is to
//! be done. Nothing is built and nothing is downloaded but manifests and configs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;

use anyhow::{Result, anyhow};

use super::arrived::{Arrived, dockerfile};
use super::bases::{Images, configs, questions, resolve_all};
use super::{Ground, check};
use crate::base_cache::BaseCache;
use crate::context::{Context, DockerfileText};
use crate::dockerfile::{self, Dockerfile, Located, StageText};
use crate::event::Reporter;
use crate::image::Platform;
use crate::plan::{Bases, Graph, Inputs, Plan, Twins, plan};
use crate::publish::Destination;
use crate::registry::{Client, Reference};
use crate::request::Request;
use crate::settings;
use crate::stage::Place;

/// A Dockerfile, and the files that its COPY takes.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) dockerfile: Dockerfile,
    pub(super) context: Context,
    /// Where errors point to.
    pub(super) place: Place,
    /// The directory of the context.
    pub(super) dir: PathBuf,
    /// Where the context came from elsewhere, its directory; it goes with this value.
    _arrived: Option<Arrived>,
}

impl Source {
    /// Finds and parses the Dockerfile of a request.
    pub(super) fn open(request: &Request, ground: &Ground) -> Result<Self> {
        let mut arrived = Arrived::fetch(request, ground)?;
        let dir = arrived.as_ref().map_or(request.context.as_path(), Arrived::dir).to_owned();
        let own = arrived.as_mut().and_then(Arrived::take_dockerfile);
        let file = match own {
            Some(text) => text,
            None => dockerfile(request, ground, &dir)?,
        };
        let chosen = request.build_args.get("BUILDKIT_SYNTAX").map(String::as_str);
        let dockerfile = parse(&file, chosen)?;
        let context = Context::open(&dir, &file.path)?;
        let path = file.path.display().to_string();
        let place = Place { path, text: dockerfile.text.as_str().into() };
        Ok(Self { dockerfile, context, place, dir, _arrived: arrived })
    }
}

/// Whether the registries of the destinations are asked for permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PushCheck {
    /// While the bases are resolved.
    Ask,
    /// Not: nothing will be pushed.
    Skip,
}

/// What is to be done, and with whom.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) client: Client,
    pub(super) bases: BaseCache,
    /// For each platform, in the order asked for.
    pub(super) plans: Vec<Plan>,
    /// The platforms.
    pub(super) platforms: Vec<Platform>,
    pub(super) images: Images,
    /// The image's names, each once.
    pub(super) names: Vec<Reference>,
    /// Where it will be pushed to.
    pub(super) destinations: Vec<Destination>,
}

impl Prepared {
    /// Resolves the bases and expands every instruction.
    pub(super) fn new(
        request: &Request,
        ground: &Ground,
        source: &Source,
        client: Client,
        check: PushCheck,
    ) -> Result<Self> {
        let names = references(&request.destinations)?;
        let cache_dir = request.cache_dir.clone().filter(|_| !request.freshness.pull);
        let bases = BaseCache::new(cache_dir, ground.reporter.clone());
        let inputs = inputs(request, &source.place.path);
        let graphs = inputs.iter().map(|inputs| Graph::new(&source.dockerfile, inputs));
        let mut graphs = graphs.collect::<Result<Vec<_>, _>>()?;
        let destinations = Destination::all(&client, if request.push { &names } else { &[] });
        let asked = questions(&graphs, &Images::new(), &source.place)?;
        let mut images = thread::scope(|scope| {
            let permission = scope.spawn(|| check_push(request, check, &destinations));
            let images = resolve_all(&client, &bases, &asked, &source.place, &ground.reporter);
            permission.join().map_err(|_| anyhow!("the push check ended abnormally"))??;
            images
        })?;
        // What a base stores with ONBUILD may name further images, and those have triggers too.
        while follow_triggers(&mut graphs, &source.dockerfile, &inputs, &configs(&images))? {
            let asked = questions(&graphs, &images, &source.place)?;
            let more = resolve_all(&client, &bases, &asked, &source.place, &ground.reporter)?;
            images.extend(more);
        }
        client.take_warnings().iter().for_each(|warning| ground.reporter.warning(warning));
        let configs = configs(&images);
        let plan = |(inputs, graph)| plan(&source.dockerfile, inputs, graph, &configs);
        let plans = inputs.iter().zip(&graphs).map(plan).collect::<Result<Vec<_>, _>>()?;
        // Platforms differ in their values, hardly in what is doubtful.
        if let Some(inputs) = inputs.first() {
            check::report(request, ground, source, inputs, &configs)?;
        }
        let platforms = inputs.into_iter().map(|inputs| inputs.platform).collect();
        let mut prepared = Self { client, bases, plans, platforms, images, names, destinations };
        prepared.show_platforms();
        prepared.warn(request, &source.dockerfile, &ground.reporter);
        Ok(prepared)
    }

    /// Where several platforms are built, logs say of each step whom it is for, as BuildKit's do: a
    /// stage that runs on one platform for another is `linux/amd64->arm64`.
    fn show_platforms(&mut self) {
        if self.platforms.len() < 2 {
            return;
        }
        let twins = Twins::of(&self.plans);
        for (number, (plan, target)) in self.plans.iter_mut().zip(&self.platforms).enumerate() {
            for stage in &mut plan.stages {
                let own = stage.platform.to_string();
                let target = target.to_string();
                let cross = own != target && !twins.is_shared(number, stage.id);
                let arrow = target.trim_start_matches("linux/");
                stage.shown_platform = Some(if cross { format!("{own}->{arrow}") } else { own });
            }
        }
    }

    /// Says what is doubtful, once for all platforms.
    fn warn(&self, request: &Request, dockerfile: &Dockerfile, reporter: &Reporter) {
        let mut said = BTreeSet::new();
        for warning in self.plans.iter().flat_map(|plan| &plan.warnings) {
            if said.insert(warning) {
                reporter.warning(warning);
            }
        }
        for wanted in &request.freshness.no_cache_filter {
            let named = |(number, stage): (usize, &StageText)| {
                let name = stage.from.name.as_deref();
                name.is_some_and(|name| name.eq_ignore_ascii_case(wanted))
                    || number.to_string() == *wanted
            };
            if !dockerfile.stages.iter().enumerate().any(named) {
                reporter.warning(&format!("--no-cache-filter: no stage is called `{wanted}`"));
            }
        }
    }
}

/// Whether there are images now that nobody has asked for.
fn follow_triggers(
    graphs: &mut [Graph],
    dockerfile: &Dockerfile,
    inputs: &[Inputs],
    configs: &Bases,
) -> Result<bool> {
    let mut some = false;
    for (graph, inputs) in graphs.iter_mut().zip(inputs) {
        some |= graph.follow_triggers(dockerfile, inputs, configs)?;
    }
    Ok(some)
}

/// `chosen` is the frontend that the user names, if any.
fn parse(file: &DockerfileText, chosen: Option<&str>) -> Result<Dockerfile> {
    let parsed = dockerfile::check_frontend(&file.text, chosen)
        .and_then(|()| dockerfile::parse(file.text.as_bytes()));
    parsed.map_err(|error| {
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

/// What is asked of the Dockerfile, for each platform.
pub(super) fn inputs(request: &Request, path: &str) -> Vec<Inputs> {
    let host = [Platform::host()];
    let platforms = if request.platforms.is_empty() { &host[..] } else { &request.platforms };
    let inputs = |platform: &Platform| Inputs {
        path: path.to_owned(),
        args: request.build_args.clone(),
        target: request.target.clone(),
        platform: platform.clone(),
        labels: request.labels.clone(),
        contexts: settings::named_contexts(request),
    };
    platforms.iter().map(inputs).collect()
}

/// Names of an image, each once.
pub(super) fn references(typed: &[String]) -> Result<Vec<Reference>> {
    let mut names: Vec<Reference> = Vec::new();
    for name in typed {
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

/// Asks before the build, so that a wrong password costs a second and not the whole build.
fn check_push(request: &Request, check: PushCheck, destinations: &[Destination]) -> Result<()> {
    if request.skip_push_check || check == PushCheck::Skip {
        return Ok(());
    }
    Destination::check_all(destinations)
}
