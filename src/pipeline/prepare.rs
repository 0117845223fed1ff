//! The first two steps of everything that reads a Dockerfile: its text and its files, then what is to
//! be done. Nothing is built and nothing is downloaded but manifests and configs.

use std::path::PathBuf;
use std::thread;

use anyhow::{Result, anyhow};

use super::Ground;
use super::arrived::{Arrived, dockerfile};
use super::bases::{Images, configs, questions, resolve_all};
use crate::base_cache::BaseCache;
use crate::context::{Context, DockerfileText};
use crate::dockerfile::{self, Dockerfile, Located};
use crate::image::Platform;
use crate::plan::{Graph, Inputs, Plan, plan};
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
        let dockerfile = parse(&file)?;
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
    pub(super) plan: Plan,
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
        check: PushCheck,
    ) -> Result<Self> {
        let names = names(request)?;
        let options = settings::registry_options(&request.registry);
        let client = Client::new(options, ground.cancel.clone())?;
        let bases = BaseCache::new(request.cache_dir.clone(), ground.reporter.clone());
        let inputs = inputs(request, source.place.path.clone())?;
        let mut graph = Graph::new(&source.dockerfile, &inputs)?;
        let destinations = Destination::all(&client, if request.push { &names } else { &[] });
        let asked = questions(&graph, &Images::new(), &source.place)?;
        let mut images = thread::scope(|scope| {
            let permission = scope.spawn(|| check_push(request, check, &destinations));
            let images = resolve_all(&client, &bases, &asked, &source.place, &ground.reporter);
            permission.join().map_err(|_| anyhow!("the push check ended abnormally"))??;
            images
        })?;
        // What a base stores with ONBUILD may name further images, and those have triggers too.
        while graph.follow_triggers(&source.dockerfile, &inputs, &configs(&images))? {
            let asked = questions(&graph, &images, &source.place)?;
            let more = resolve_all(&client, &bases, &asked, &source.place, &ground.reporter)?;
            images.extend(more);
        }
        let plan = plan(&source.dockerfile, &inputs, &graph, &configs(&images))?;
        plan.warnings.iter().for_each(|warning| ground.reporter.warning(warning));
        Ok(Self { client, bases, plan, images, names, destinations })
    }
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
        contexts: settings::named_contexts(request),
    })
}

/// The image's names, each once.
pub(super) fn names(request: &Request) -> Result<Vec<Reference>> {
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

/// Asks before the build, so that a wrong password costs a second and not the whole build.
fn check_push(request: &Request, check: PushCheck, destinations: &[Destination]) -> Result<()> {
    if request.skip_push_check || check == PushCheck::Skip {
        return Ok(());
    }
    destinations.iter().try_for_each(Destination::check)
}
