//! Stages by name and by number.

use super::graph::Source;
use super::{Inputs, StageId};
use crate::dockerfile::{Located, StageText, closest};

pub(super) fn stage_names(stages: &[StageText]) -> impl Iterator<Item = &str> {
    stages.iter().filter_map(|stage| stage.from.name.as_deref())
}

pub(super) fn stage_help(stages: &[StageText]) -> Option<String> {
    let names: Vec<&str> = stage_names(stages).collect();
    (!names.is_empty()).then(|| format!("stages before this one: {}", names.join(", ")))
}

/// The last of the file's first stages that has the name.
pub(crate) fn stage_by_name(first_stages: &[StageText], name: &str) -> Option<StageId> {
    first_stages.iter().rposition(|stage| is_named(stage, name)).map(StageId)
}

/// Stage names compare without case.
pub(crate) fn is_named(stage: &StageText, name: &str) -> bool {
    stage.from.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
}

pub(super) fn find_target(source: &Source<'_>, inputs: &Inputs) -> Result<StageId, Located> {
    let stages = &source.dockerfile.stages;
    let Some(wanted) = &inputs.target else { return Ok(StageId(stages.len() - 1)) };
    let number = || wanted.parse::<usize>().ok().filter(|n| *n < stages.len()).map(StageId);
    stage_by_name(stages, wanted).or_else(number).ok_or_else(|| {
        let first = stages.first().map_or(0..0, |stage| stage.node_span.clone());
        let message = format!("target stage {wanted:?} could not be found");
        let names: Vec<&str> = stage_names(stages).collect();
        let help = match closest(wanted, names.iter().copied()) {
            Some(name) => Some(format!("did you mean `{name}`?")),
            None if names.is_empty() => Some("no stage has a name: write FROM … AS name".into()),
            None => Some(format!("the stages are: {}", names.join(", "))),
        };
        source.error(&first, message, help)
    })
}
