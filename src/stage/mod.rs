//! Carries out one stage: its steps in order, each leaving at most one layer.

mod cached;
mod copy;
mod created;
mod directory;
mod downloads;
mod files;
mod fingerprint;
mod headers;
mod layered;
mod layers;
mod merged;
mod mounts;
mod named;
mod placeholders;
mod pull;
mod run;
mod select;
mod workdir;
mod workshop;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::cache::Manner;
use crate::cache::facts::Facts;
use crate::cache::graph::StepKey;
use crate::cache::probe::At;
use crate::cancel::Cancelled;
use crate::dockerfile::{Located, Span};
use crate::image::{History, ImageConfig};
use crate::layer::Growing;
use crate::plan::{Action, Base, FilesFrom, ImageKey, Stage, StageId, Step};
use crate::rootfs::UserError;

pub use cached::{Cached, Made, Reach, StepHit, Trail};
pub use downloads::Downloads;
pub use files::{Files, Source};
pub use fingerprint::Fingerprints;
pub use layers::{BaseImage, ImageLayer, Origin, SharedLayers};
pub use mounts::upkeep as run_caches;
pub use mounts::{Travelling, bring_caches, note_platforms, save_caches};
pub use run::RunFailed;
pub use workshop::{Commands, Place, Tools, Workshop};

/// A stage whose steps are all done.
#[derive(Debug)]
pub struct Finished {
    /// Its layers, lowest first.
    pub layers: Vec<Arc<ImageLayer>>,
    /// Its history, the base's included.
    pub history: Vec<History>,
    /// Its config; `rootfs` and `history` as in the fields above.
    pub config: ImageConfig,
    /// Where its files are.
    pub source: Source,
    /// When the last of its steps was carried out, here or in an earlier build; RFC 3339.
    pub created: String,
    /// What results that are made of it say of it.
    pub trail: Trail,
}

/// What a stage asks of the rest of the build.
pub trait Surroundings: Sync {
    /// An earlier stage, once it is finished; waits for it.
    fn stage(&self, id: StageId) -> Result<Arc<Finished>>;
    /// A resolved image.
    fn image(&self, key: &ImageKey) -> Result<Arc<BaseImage>>;
    /// Hears of each layer as soon as it is there, the base's first.
    fn layer_ready(&self, stage: StageId, layer: &Arc<ImageLayer>);
    /// Hears of a large layer before it is complete; it is ready later, or never.
    fn layer_grows(&self, stage: StageId, growing: Growing);
    /// What earlier builds know of the stages' steps.
    fn cached(&self) -> &Cached;
    /// Hears of each step that was carried out and whose result is worth keeping.
    fn made(&self, made: Made);
}

/// Builds a stage. Errors point to the Dockerfile line that failed.
pub fn build(shop: &Workshop, stage: &Stage, around: &dyn Surroundings) -> Result<Finished> {
    let start = base(shop, stage, around)?;
    for layer in &start.layers {
        around.layer_ready(stage.id, layer);
    }
    let cached = around.cached();
    let keys = cached.keys.get(&stage.id);
    let created = created::times(stage, cached, start.created.as_deref(), &shop.created);
    let mut history = start.history;
    let mut trail = start.trail.unwrap_or_else(|| Trail::of_base(keys.and_then(|it| it.start)));
    let grows = |growing| around.layer_grows(stage.id, growing);
    let mut files = Files::new(shop, start.layers, stage.unpacked).telling(&grows);
    let total = stage.steps.len();
    for (number, step) in stage.steps.iter().enumerate() {
        shop.cancel.check()?;
        let name = format!("[{}{}/{total}] {}", stage.prefix(), number + 1, step.line);
        let key = keys.and_then(|keys| keys.steps.get(number));
        let work = Work { shop, step, around, name: &name, at: (stage.id, number) };
        let (layer, made) = match (cached.hits.get(&work.at), key) {
            (Some(hit), Some(key)) => {
                trail.over(key, hit);
                (work.take_over(&mut files, hit)?, None)
            }
            (_, key) => {
                let done = work.carry_out(&mut files, key, &mut trail, &created.of_step(number));
                done.map_err(|error| shop.place.locate(error, &step.span))?
            }
        };
        if let Some(layer) = &layer {
            around.layer_ready(stage.id, layer);
        }
        if let Some(made) = made {
            around.made(made);
        }
        history.extend(step.created_by.as_ref().map(|created_by| History {
            created: Some(created.of_step(number)),
            created_by: created_by.clone(),
            comment: "buildkit.dockerfile.v0".into(),
            empty_layer: layer.is_none(),
            ..History::default()
        }));
    }
    let (layers, source) = files.into_source()?;
    let trail = trail.ended(keys.and_then(|keys| keys.end));
    let created = created.last();
    Ok(Finished { layers, history, config: stage.config.clone(), source, created, trail })
}

struct Start {
    layers: Vec<Arc<ImageLayer>>,
    history: Vec<History>,
    /// Of the stage below, if it is one: as [`Finished`].
    created: Option<String>,
    trail: Option<Trail>,
}

impl Start {
    fn new(layers: Vec<Arc<ImageLayer>>, history: Vec<History>) -> Self {
        Self { layers, history, created: None, trail: None }
    }
}

fn base(shop: &Workshop, stage: &Stage, around: &dyn Surroundings) -> Result<Start> {
    Ok(match &stage.base {
        Base::Scratch => Start::new(Vec::new(), Vec::new()),
        Base::Stage(id) => {
            let parent = around.stage(*id)?;
            Start {
                layers: parent.layers.clone(),
                history: parent.history.clone(),
                created: Some(parent.created.clone()),
                trail: Some(parent.trail.continued()),
            }
        }
        Base::Image(key) => {
            let image = around.image(key)?;
            Start::new(image.layers.clone(), image.config.history.clone())
        }
        Base::Named(name) => {
            let layers = shop.named_layers(name);
            let layers = layers.map_err(|error| shop.place.locate(error, &stage.span))?;
            let entry = |_: &Arc<ImageLayer>| History {
                created: Some(shop.created.clone()),
                created_by: format!("local source for {name}"),
                comment: "buildkit.exporter.image.v0".into(),
                ..History::default()
            };
            let history = layers.iter().map(entry).collect();
            Start::new(layers, history)
        }
    })
}

/// One step.
struct Work<'a> {
    shop: &'a Workshop,
    step: &'a Step,
    around: &'a dyn Surroundings,
    name: &'a str,
    at: At,
}

impl Work<'_> {
    /// Takes what an earlier build has made.
    fn take_over(&self, files: &mut Files<'_>, hit: &StepHit) -> Result<Option<Arc<ImageLayer>>> {
        let task = self.shop.reporter.start(self.name);
        if let Some(layer) = &hit.layer {
            files.push(layer.clone(), None)?;
        }
        task.skipped("cached");
        Ok(hit.layer.clone())
    }

    /// Does it; the answer is its layer, and what later builds may take.
    fn carry_out(
        &self,
        files: &mut Files<'_>,
        key: Option<&StepKey>,
        trail: &mut Trail,
        created: &str,
    ) -> Result<(Option<Arc<ImageLayer>>, Option<Made>)> {
        let cached = self.around.cached();
        let known = cached.facts.get(&self.at);
        let done = carry_out(self.shop, files, self.step, self.around, self.name, known)?;
        let Some(key) = key.filter(|key| key.manner != Manner::Nothing) else {
            return Ok((done.layer, None));
        };
        let stamp = cached.stamps.get(&self.at).copied();
        if stamp.is_some() && self.shop.stamp(&self.step.action) != stamp {
            self.shop.reporter.warning(&format!(
                "files changed while they were built with, so the result is not kept: {}",
                self.step.line
            ));
            trail.lost();
            return Ok((done.layer, None));
        }
        let stages = key.sources.iter().map(|id| Ok(self.around.stage(*id)?.trail.clone()));
        let stages: Vec<Trail> = stages.collect::<Result<_>>()?;
        let layer = done.layer.clone();
        let outcome = cached::Outcome {
            layer: layer.as_deref(),
            facts: done.facts,
            created,
            now: cached.now,
        };
        let (stage, flag) = (self.at.0, key.flag);
        let made = trail.made(key, &stages, outcome);
        let made = made.map(|entry| Made { stage, entry, flag, layer: layer.clone() });
        Ok((layer, made))
    }
}

/// What a step left.
#[derive(Default)]
struct Done {
    layer: Option<Arc<ImageLayer>>,
    /// What it asked of the files below, if it is a copy.
    facts: Facts,
}

fn carry_out(
    shop: &Workshop,
    files: &mut Files<'_>,
    step: &Step,
    around: &dyn Surroundings,
    name: &str,
    known: Option<&Facts>,
) -> Result<Done> {
    // What the step waits for is prepared before its clock starts.
    let source = match &step.action {
        Action::Copy(copy) => {
            copy::prepare(shop, copy)?;
            match &copy.from {
                // Taken where it is, without a layer of it.
                FilesFrom::Named(_) => None,
                from => source_of(shop, from, around)?,
            }
        }
        _ => None,
    };
    let mut mounts = mounts::Prepared::default();
    match &step.action {
        Action::Run(run) => {
            files.prepare_run()?;
            mounts = mounts::prepare(shop, run, around)?;
        }
        action if action.looks_below() && known.is_none() => _ = files.view()?,
        _ => {}
    }
    let task = shop.reporter.start(name);
    let start = Instant::now();
    let mut facts = Facts::default();
    let layer = match &step.action {
        Action::Metadata | Action::Cached => None,
        Action::Run(run) => run::run(shop, files, run, &mounts, &task)?,
        Action::Copy(copy) => {
            let done = copy::copy(shop, files, copy, source, known)?;
            facts = done.facts;
            done.layer
        }
        Action::Workdir(workdir) => workdir::workdir(shop, files, workdir)?,
    };
    mounts.succeeded();
    match &layer {
        Some(layer) => {
            task.progress(layer.descriptor.size, Some(layer.descriptor.size));
            task.done();
        }
        None => task.done(),
    }
    shop.record_time(name, start.elapsed());
    Ok(Done { layer, facts })
}

/// The layers that a COPY takes files from, and where their files are; none for the context.
fn source_of(
    shop: &Workshop,
    from: &FilesFrom,
    around: &dyn Surroundings,
) -> Result<copy::Foreign> {
    Ok(match from {
        FilesFrom::Context => None,
        FilesFrom::Stage(id) => {
            let stage = around.stage(*id)?;
            Some((stage.layers.clone(), stage.source.clone()))
        }
        FilesFrom::Image(key) => Some((around.image(key)?.layers.clone(), Source::Blobs)),
        FilesFrom::Nothing => Some((Vec::new(), Source::Blobs)),
        FilesFrom::Named(name) => Some((shop.named_layers(name)?, Source::Blobs)),
    })
}

impl Place {
    /// Adds a place to an error, unless it has one already.
    pub fn locate(&self, error: anyhow::Error, span: &Span) -> anyhow::Error {
        let help = help_for(&error);
        self.locate_with(error, span, help)
    }

    /// The same, with what to do about it.
    pub fn locate_with(
        &self,
        error: anyhow::Error,
        span: &Span,
        help: Option<String>,
    ) -> anyhow::Error {
        if error.downcast_ref::<Located>().is_some() || Cancelled::caused(error.as_ref()) {
            return error;
        }
        let message = describe(&error);
        // Not `into()`: that would hide the error's type from `downcast_ref`.
        let cause = error.reallocate_into_boxed_dyn_error_without_backtrace();
        Located {
            path: self.path.clone(),
            text: self.text.clone(),
            span: span.clone(),
            message,
            help,
            cause: Some(cause),
        }
        .into()
    }
}

fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let part = cause.to_string();
        // thiserror's `{source}` in a message repeats its cause.
        if !text.ends_with(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
    }
    text
}

fn help_for(error: &anyhow::Error) -> Option<String> {
    if error.chain().any(|cause| cause.is::<UserError>()) {
        return Some("make the user in an earlier RUN, or give its number".into());
    }
    error.chain().find_map(|cause| {
        cause
            .downcast_ref::<crate::rootfs::copy::CopyError>()
            .and_then(|error| error.help().map(str::to_owned))
    })
}

/// Adds what was being done to an I/O error.
fn doing<T>(result: std::io::Result<T>, what: impl FnOnce() -> String) -> Result<T> {
    result.with_context(what)
}
