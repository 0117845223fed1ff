//! The stages of a Dockerfile, as `--call=targets` lists them.

use crate::dockerfile::{Dockerfile, Span, tree};

/// A stage that can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Whether it is the one that is built without `--target`.
    pub default: bool,
    /// What the comment above it says: `# NAME text`.
    pub description: Option<String>,
    /// What it starts from, as written.
    pub base: String,
    /// `--platform`, as written.
    pub platform: Option<String>,
    /// Its FROM.
    pub span: Span,
}

/// All stages, in the order of the file.
pub fn targets(dockerfile: &Dockerfile) -> Vec<Target> {
    let last = dockerfile.stages.len().saturating_sub(1);
    let target = |(id, stage): (usize, &crate::dockerfile::StageText)| Target {
        name: stage.from.name.clone(),
        default: id == last,
        description: description(dockerfile, id),
        base: stage.from.base.clone(),
        platform: stage.from.platform.clone(),
        span: stage.node_span.clone(),
    };
    dockerfile.stages.iter().enumerate().map(target).collect()
}

/// What the comment above a stage says.
pub(super) fn description(dockerfile: &Dockerfile, stage: usize) -> Option<String> {
    let stage = &dockerfile.stages[stage];
    let name = stage.from.name.as_deref()?;
    tree::doc_comment(&stage.comments, name).map(str::to_owned)
}
