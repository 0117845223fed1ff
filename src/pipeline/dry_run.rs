//! A build that stops at its plan: the bases are resolved, nothing is built and nothing is pushed.

use anyhow::Result;

use super::Ground;
use super::prepare::{Prepared, PushCheck, Source};
use crate::plan::{Base, Plan, Stage};
use crate::registry::Client;
use crate::request::Request;
use crate::settings;

/// What [`super::build`] would do, in lines for people.
pub fn dry_run(request: &Request, ground: &Ground) -> Result<Vec<String>> {
    let source = Source::open(request, ground)?;
    let options = settings::registry_options(&request.registry);
    let client = Client::new(options, ground.cancel.clone())?;
    let prepared = Prepared::new(request, ground, &source, client, PushCheck::Skip)?;
    let Prepared { plans, names, .. } = prepared;
    let mut lines: Vec<String> = plans.iter().flat_map(plan_lines).collect();
    let pushed = names.iter().filter(|_| request.push);
    lines.extend(pushed.map(|name| format!("PUSH {}", name.familiar())));
    lines.extend(request.exports.all.iter().map(|export| format!("WRITE {export}")));
    Ok(lines)
}

fn plan_lines(plan: &Plan) -> Vec<String> {
    plan.stages.iter().flat_map(|stage| stage_lines(plan, stage)).collect()
}

fn stage_lines(plan: &Plan, stage: &Stage) -> Vec<String> {
    let base = match &stage.base {
        Base::Scratch => "scratch".to_owned(),
        Base::Stage(id) => plan.stage(*id).map_or_else(|| format!("stage {}", id.0), label),
        Base::Image(key) => key.name.clone(),
        Base::Named(name) => name.clone(),
    };
    let platform = stage.shown_platform.as_ref().map(|of| format!("--platform={of} "));
    let from = format!("FROM {}{base} AS {}", platform.unwrap_or_default(), label(stage));
    std::iter::once(from).chain(stage.steps.iter().map(|step| step.line.clone())).collect()
}

fn label(stage: &Stage) -> String {
    stage.label.clone().unwrap_or_else(|| format!("stage-{}", stage.id.0))
}
