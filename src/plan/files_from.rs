//! What the name in `--from` means: an earlier stage, a named context, or an image.

use super::graph::Source;
use super::stages::{is_named, stage_by_name, stage_help};
use super::{FilesFrom, ImageKey, Inputs, NamedContext, StageId};
use crate::dockerfile::{Located, Span};

/// Where a name, already expanded, takes files from, seen from a stage.
pub(super) fn files_from(
    source: &Source<'_>,
    inputs: &Inputs,
    id: StageId,
    name: &str,
    span: &Span,
) -> Result<FilesFrom, Located> {
    let stages = &source.dockerfile.stages;
    if let Some(earlier) = stage_by_name(&stages[..id.0], name) {
        return Ok(FilesFrom::Stage(earlier));
    }
    if let Ok(number) = name.parse::<usize>() {
        if number < id.0 {
            return Ok(FilesFrom::Stage(StageId(number)));
        }
        let message = format!("invalid stage index {number}: no such stage comes before this one");
        return Err(source.error(span, message, stage_help(&stages[..id.0])));
    }
    if let Some(context) = inputs.named_context(name, &inputs.platform) {
        return Ok(match context {
            (known, NamedContext::Files) => FilesFrom::Named(known.to_owned()),
            (_, NamedContext::Image(name)) => FilesFrom::Image(inputs.image(name)),
        });
    }
    if name == "scratch" {
        return Ok(FilesFrom::Nothing);
    }
    if is_named(&stages[id.0], name) {
        let message = format!("circular dependency: stage `{name}` copies from itself");
        return Err(source.error(span, message, None));
    }
    if stages[id.0..].iter().any(|stage| is_named(stage, name)) {
        let message = format!("stage `{name}` needs to be defined before current stage");
        let help = "move that FROM above this one".to_owned();
        return Err(source.error(span, message, Some(help)));
    }
    Ok(FilesFrom::Image(inputs.image(name)))
}

impl Inputs {
    fn image(&self, name: &str) -> ImageKey {
        ImageKey { name: name.to_owned(), platform: self.platform.to_string() }
    }
}
