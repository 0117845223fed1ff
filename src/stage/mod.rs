//! Carries out one stage: its steps in order, each leaving at most one layer.

mod copy;
mod directory;
mod downloads;
mod files;
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

use crate::cancel::Cancelled;
use crate::dockerfile::{Located, Span};
use crate::image::{History, ImageConfig};
use crate::plan::{Action, Base, FilesFrom, ImageKey, Stage, StageId, Step};
use crate::rootfs::UserError;

pub use downloads::Downloads;
pub use files::{Files, Source};
pub use layers::{BaseImage, ImageLayer, Origin, SharedLayers};
pub use mounts::{Travelling, bring_caches, save_caches};
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
}

/// What a stage asks of the rest of the build.
pub trait Surroundings: Sync {
    /// An earlier stage, once it is finished; waits for it.
    fn stage(&self, id: StageId) -> Result<Arc<Finished>>;
    /// A resolved image.
    fn image(&self, key: &ImageKey) -> Result<Arc<BaseImage>>;
    /// Hears of each layer as soon as it is there, the base's first.
    fn layer_ready(&self, stage: StageId, layer: &Arc<ImageLayer>);
}

/// Builds a stage. Errors point to the Dockerfile line that failed.
pub fn build(shop: &Workshop, stage: &Stage, around: &dyn Surroundings) -> Result<Finished> {
    let start = base(shop, stage, around)?;
    for layer in &start.layers {
        around.layer_ready(stage.id, layer);
    }
    let mut history = start.history;
    let mut files = Files::new(shop, start.layers, stage.unpacked);
    let total = stage.steps.len();
    for (number, step) in stage.steps.iter().enumerate() {
        shop.cancel.check()?;
        let name = format!("[{}{}/{total}] {}", stage.prefix(), number + 1, step.line);
        let layer = carry_out(shop, &mut files, step, around, &name)
            .map_err(|error| shop.place.locate(error, &step.span))?;
        if let Some(layer) = &layer {
            around.layer_ready(stage.id, layer);
        }
        history.extend(step.created_by.as_ref().map(|created_by| History {
            created: Some(shop.created.clone()),
            created_by: created_by.clone(),
            comment: "buildkit.dockerfile.v0".into(),
            empty_layer: layer.is_none(),
            ..History::default()
        }));
    }
    let (layers, source) = files.into_source()?;
    Ok(Finished { layers, history, config: stage.config.clone(), source })
}

struct Start {
    layers: Vec<Arc<ImageLayer>>,
    history: Vec<History>,
}

fn base(shop: &Workshop, stage: &Stage, around: &dyn Surroundings) -> Result<Start> {
    Ok(match &stage.base {
        Base::Scratch => Start { layers: Vec::new(), history: Vec::new() },
        Base::Stage(id) => {
            let parent = around.stage(*id)?;
            Start { layers: parent.layers.clone(), history: parent.history.clone() }
        }
        Base::Image(key) => {
            let image = around.image(key)?;
            Start { layers: image.layers.clone(), history: image.config.history.clone() }
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
            Start { history: layers.iter().map(entry).collect(), layers }
        }
    })
}

fn carry_out(
    shop: &Workshop,
    files: &mut Files<'_>,
    step: &Step,
    around: &dyn Surroundings,
    name: &str,
) -> Result<Option<Arc<ImageLayer>>> {
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
        Action::Copy(_) | Action::Workdir(_) => _ = files.view()?,
        Action::Metadata => {}
    }
    let task = shop.reporter.start(name);
    let start = Instant::now();
    let layer = match &step.action {
        Action::Metadata => None,
        Action::Run(run) => run::run(shop, files, run, &mounts, &task)?,
        Action::Copy(copy) => copy::copy(shop, files, copy, source)?,
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
    Ok(layer)
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
