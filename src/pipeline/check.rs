//! What is said of a Dockerfile without building it: `--call=check`, `outline` and `targets`. And the
//! same warnings in a build.

use std::collections::BTreeSet;
use std::thread;

use anyhow::{Error, Result, anyhow};

use super::Ground;
use super::prepare::{Source, inputs};
use crate::base_cache::{BaseCache, LAYOUT, read_layout};
use crate::dockerfile::{Dockerfile, Located, Span, line_of};
use crate::image::ImageConfig;
use crate::lint::outline::Outline;
use crate::lint::targets::Target;
use crate::lint::{self, Checked, Finding, LintError, Which};
use crate::plan::{Base, Bases, Graph, ImageKey, Inputs, plan};
use crate::registry::{Client, Reference};
use crate::request::Request;
use crate::settings;
use crate::stage::Place;

/// What was found in a Dockerfile, and the Dockerfile.
#[derive(Debug)]
pub struct Looked<T> {
    /// The file, as people would name it.
    pub path: String,
    /// Its whole text.
    pub text: String,
    /// What was found; spans are ranges of the text.
    pub found: T,
}

/// What a check found.
#[derive(Debug)]
pub struct Checkup {
    /// What is legal but doubtful, in the order of the file.
    pub findings: Vec<Finding>,
    /// Why it cannot be built, if it cannot.
    pub error: Option<Error>,
}

/// Looks for what is doubtful and what is wrong. Without a target in the request all stages are looked
/// at, as with BuildKit. Registries are asked for the configs of base images alone; one that cannot be
/// asked is a note, and what depends on it is left out.
///
/// # Errors
///
/// There is no Dockerfile or no context, or `# check=` cannot be read. What is wrong with the
/// Dockerfile itself is an answer.
pub fn check(request: &Request, ground: &Ground) -> Result<Looked<Checkup>> {
    let source = match Source::open(request, ground) {
        Ok(source) => source,
        Err(error) => return unreadable(error),
    };
    let (dockerfile, ignore) = (&source.dockerfile, source.context.ignore.as_ref());
    let inputs = asked_of(request, &source)?;
    let which = if inputs.target.is_some() { Which::Needed } else { Which::All };
    let asked = ask(request, ground, dockerfile, &inputs, which)?;
    let checked = lint::check(dockerfile, &inputs, &asked.bases, ignore, which);
    let Checked { findings, .. } = checked.map_err(unboxed)?;
    let wrong = || mistake(dockerfile, &inputs, &asked.bases, which).map(Error::new);
    let error = asked.error.or_else(wrong);
    Ok(looked(&source, Checkup { findings, error }))
}

/// What the target asks for. Registries are asked as by [`check`].
///
/// # Errors
///
/// As [`check`]; and the Dockerfile has a mistake, or no such target.
pub fn outline(request: &Request, ground: &Ground) -> Result<Looked<Outline>> {
    let source = Source::open(request, ground)?;
    let dockerfile = &source.dockerfile;
    let inputs = asked_of(request, &source)?;
    let asked = ask(request, ground, dockerfile, &inputs, Which::Needed)?;
    match lint::outline::outline(dockerfile, &inputs, &asked.bases) {
        Some(outline) => Ok(looked(&source, outline)),
        None => match Graph::new(dockerfile, &inputs) {
            Err(error) => Err(error.into()),
            Ok(_) => Err(anyhow!("there is no such target")),
        },
    }
}

/// The stages. No registry is asked.
///
/// # Errors
///
/// There is no Dockerfile, or it has a mistake.
pub fn targets(request: &Request, ground: &Ground) -> Result<Looked<Vec<Target>>> {
    let source = Source::open(request, ground)?;
    Ok(looked(&source, lint::targets::targets(&source.dockerfile)))
}

/// Reports what is doubtful in a Dockerfile that is about to be built.
///
/// # Errors
///
/// It wants that to be an error, and this build lets it.
pub(super) fn report(
    request: &Request,
    ground: &Ground,
    source: &Source,
    inputs: &Inputs,
    bases: &Bases,
) -> Result<()> {
    let (dockerfile, ignore) = (&source.dockerfile, source.context.ignore.as_ref());
    let reporter = &ground.reporter;
    let Checked { findings, violation } =
        match lint::check(dockerfile, inputs, bases, ignore, Which::Needed) {
            Ok(checked) => checked,
            Err(error) if request.checks_may_fail => return Err(unboxed(error)),
            Err(error) => {
                reporter.warning(&error.to_string());
                return Ok(());
            }
        };
    for Finding { rule, message, span, .. } in &findings {
        let line = line_of(&dockerfile.text, span.start);
        reporter.warning(&format!("{}: {message} ({}:{line})", rule.name, inputs.path));
    }
    match violation {
        Some(violation) if request.checks_may_fail => Err(violation.into()),
        _ => Ok(()),
    }
}

/// What is asked of the Dockerfile, for the first platform.
fn asked_of(request: &Request, source: &Source) -> Result<Inputs> {
    let first = inputs(request, &source.place.path).into_iter().next();
    first.ok_or_else(|| anyhow!("no platform was asked for"))
}

/// A Dockerfile with a mistake is an answer; that there is none is not.
fn unreadable(error: Error) -> Result<Looked<Checkup>> {
    let Some(Located { path, text, .. }) = error.downcast_ref() else { return Err(error) };
    let (path, text) = (path.clone(), text.to_string());
    let found = Checkup { findings: Vec::new(), error: Some(error) };
    Ok(Looked { path, text, found })
}

fn looked<T>(source: &Source, found: T) -> Looked<T> {
    Looked { path: source.place.path.clone(), text: source.place.text.to_string(), found }
}

/// The error with its place where `ui` looks for it.
fn unboxed(error: LintError) -> Error {
    match error {
        LintError::Directive(located) => Error::new(*located),
        other => other.into(),
    }
}

/// What registries said about base images.
struct Asked {
    /// Configs of those that could be asked.
    bases: Bases,
    /// An image that cannot be there, the first in the file.
    error: Option<Error>,
}

/// Asks for the configs of base images, all at once.
fn ask(
    request: &Request,
    ground: &Ground,
    dockerfile: &Dockerfile,
    inputs: &Inputs,
    which: Which,
) -> Result<Asked> {
    let images = lint::images(dockerfile, inputs, which);
    let mut asked = Asked { bases: Bases::new(), error: None };
    if images.is_empty() {
        return Ok(asked);
    }
    let mut options = settings::registry_options(&request.registry);
    // Nothing is lost where one cannot be asked, so nobody is kept waiting.
    options.retries = options.retries.min(1);
    let client = Client::new(options, ground.cancel.clone())?;
    let cache = BaseCache::new(request.cache_dir.clone(), ground.reporter.clone());
    let place = Place { path: inputs.path.clone(), text: dockerfile.text.as_str().into() };
    let answers: Vec<Answer> = thread::scope(|scope| {
        let (client, cache, place) = (&client, &cache, &place);
        let ask = |image| scope.spawn(move || ask_for(client, cache, place, image));
        let threads: Vec<_> = images.iter().map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Answer::Never)).collect()
    });
    ground.cancel.check()?;
    for ((key, _), answer) in images.into_iter().zip(answers) {
        match answer {
            Answer::Config(config) => {
                asked.bases.insert(key, *config);
            }
            Answer::Wrong(error) => asked.error = asked.error.or(Some(error)),
            Answer::NotNow(why) => ground.reporter.note(&format!(
                "the base image {} cannot be asked, so nothing is said that depends on it: {why}",
                key.name
            )),
            Answer::Never => return Err(anyhow!("a look-up ended abnormally")),
        }
    }
    Ok(asked)
}

enum Answer {
    Config(Box<ImageConfig>),
    /// No build will find it.
    Wrong(Error),
    /// Another day it may be different.
    NotNow(String),
    Never,
}

fn ask_for(
    client: &Client,
    cache: &BaseCache,
    place: &Place,
    (key, span): &(ImageKey, Span),
) -> Answer {
    let wrong = |error| Answer::Wrong(place.locate(error, span));
    let platform = match key.platform.parse() {
        Ok(platform) => platform,
        Err(error) => return wrong(Error::new(error)),
    };
    if key.name.starts_with(LAYOUT) {
        return match read_layout(&key.name, &platform) {
            Ok(found) => Answer::Config(Box::new(found.config)),
            Err(error) => wrong(error.into()),
        };
    }
    let reference: Reference = match key.name.parse() {
        Ok(reference) => reference,
        Err(error) => return wrong(Error::new(error)),
    };
    match cache.resolve(client, &reference, &platform) {
        Ok(resolved) => Answer::Config(Box::new(resolved.config)),
        Err(error) if error.is_not_found() => wrong(error.into()),
        Err(error) => Answer::NotNow(error.to_string()),
    }
}

/// What a target needs, as far as the bases are known: those that triggers name are not asked for.
fn followed(dockerfile: &Dockerfile, inputs: &Inputs, bases: &Bases) -> Result<Graph, Located> {
    let mut graph = Graph::new(dockerfile, inputs)?;
    loop {
        let count = graph.bases.len();
        graph.follow_triggers(dockerfile, inputs, bases)?;
        if graph.bases.len() == count {
            return Ok(graph);
        }
    }
}

/// The first mistake in the file that a build would end with. A stage whose base is not known is not
/// planned to its end.
fn mistake(
    dockerfile: &Dockerfile,
    inputs: &Inputs,
    bases: &Bases,
    which: Which,
) -> Option<Located> {
    let mut seen = BTreeSet::new();
    let mut mistakes = Vec::new();
    let stages = dockerfile.stages.len();
    let others = (0..stages).rev().filter(|_| which == Which::All).map(Some);
    for stage in std::iter::once(None).chain(others) {
        if stage.is_some_and(|stage| seen.contains(&stage)) {
            continue;
        }
        let target = stage.map_or_else(|| inputs.target.clone(), |stage| Some(stage.to_string()));
        let inputs = Inputs { target, ..inputs.clone() };
        let graph = match followed(dockerfile, &inputs, bases) {
            Ok(graph) => graph,
            Err(error) => {
                seen.extend(stage);
                mistakes.push(error);
                continue;
            }
        };
        seen.extend(graph.bases.keys().map(|id| id.0));
        let known = |base: &Base| !matches!(base, Base::Image(key) if !bases.contains_key(key));
        if graph.bases.values().all(known) {
            mistakes.extend(plan(dockerfile, &inputs, &graph, bases).err());
        }
    }
    mistakes.into_iter().min_by_key(|mistake| mistake.span.start)
}
