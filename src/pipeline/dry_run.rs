//! A build that stops at its plan: the bases are resolved, nothing is built and nothing is pushed.

use anyhow::Result;

use super::unpacked::Unpacked;
use super::{Ground, check, inputs, names, parse, questions, resolve_all};
use crate::base_cache::BaseCache;
use crate::context::{Context, read_dockerfile};
use crate::plan::{Base, Graph, Plan, Stage, plan};
use crate::registry::Client;
use crate::request::Request;
use crate::settings;
use crate::stage::Place;

/// What [`super::build`] would do, in lines for people.
pub fn dry_run(request: &Request, ground: &Ground) -> Result<Vec<String>> {
    let unpacked = Unpacked::from_archive(request, ground)?;
    let dir = unpacked.as_ref().map_or(request.context.as_path(), Unpacked::dir);
    let file = read_dockerfile(dir, request.dockerfile.path())?;
    let dockerfile = parse(&file)?;
    let context = Context::open(dir, &file.path)?;
    let names = names(request)?;
    let options = settings::registry_options(&request.registry);
    let client = Client::new(options, ground.cancel.clone())?;
    let bases = BaseCache::new(request.cache_dir.clone(), ground.reporter.clone());
    let inputs = inputs(request, file.path.display().to_string())?;
    let graph = Graph::new(&dockerfile, &inputs)?;
    let place = Place { path: inputs.path.clone(), text: dockerfile.text.as_str().into() };
    let questions = questions(&graph, &place)?;
    let images = resolve_all(&client, &bases, &questions, &place, &ground.reporter)?;
    let configs = images.iter().map(|(key, image)| (key.clone(), image.config.clone())).collect();
    let plan = plan(&dockerfile, &inputs, &graph, &configs)?;
    check::report(request, ground, (&dockerfile, &inputs), &configs, context.ignore.as_ref())?;
    plan.warnings.iter().for_each(|warning| ground.reporter.warning(warning));
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
    };
    let from = format!("FROM {base} AS {}", label(stage));
    std::iter::once(from).chain(stage.steps.iter().map(|step| step.line.clone())).collect()
}

fn label(stage: &Stage) -> String {
    stage.label.clone().unwrap_or_else(|| format!("stage-{}", stage.id.0))
}
