//! A build that stops at its plan: the bases are resolved, nothing is built and nothing is pushed.

use anyhow::Result;

use super::Ground;
use super::prepare::{Prepared, PushCheck, Source};
use crate::plan::{Base, Plan, Stage};
use crate::request::Request;

/// What [`super::build`] would do, in lines for people.
pub fn dry_run(request: &Request, ground: &Ground) -> Result<Vec<String>> {
    let source = Source::open(request, ground)?;
    let Prepared { plan, names, .. } = Prepared::new(request, ground, &source, PushCheck::Skip)?;
    let mut lines: Vec<String> =
        plan.stages.iter().flat_map(|stage| stage_lines(&plan, stage)).collect();
    let pushed = names.iter().filter(|_| request.push);
    lines.extend(pushed.map(|name| format!("PUSH {}", name.familiar())));
    let files = [&request.oci_layout_path, &request.tar_path].into_iter().flatten();
    lines.extend(files.map(|path| format!("WRITE {}", path.display())));
    Ok(lines)
}

fn stage_lines(plan: &Plan, stage: &Stage) -> Vec<String> {
    let base = match &stage.base {
        Base::Scratch => "scratch".to_owned(),
        Base::Stage(id) => plan.stage(*id).map_or_else(|| format!("stage {}", id.0), label),
        Base::Image(key) => key.name.clone(),
        Base::Named(name) => name.clone(),
    };
    let from = format!("FROM {base} AS {}", label(stage));
    std::iter::once(from).chain(stage.steps.iter().map(|step| step.line.clone())).collect()
}

fn label(stage: &Stage) -> String {
    stage.label.clone().unwrap_or_else(|| format!("stage-{}", stage.id.0))
}
