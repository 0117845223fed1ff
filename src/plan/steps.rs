//! One stage after another: every instruction expanded, the config it leads to, the step it asks for.

use std::collections::{BTreeMap, BTreeSet};

use super::arguments::arg_value;
use super::graph::{Graph, ImageKey, Source};
use super::run::{self, PROXIES};
use super::scope::Scope;
use super::text::{absolute, clean, workdir_history};
use super::unsupported;
use super::{Action, Base, Inputs, Plan, Stage, StageId, Step};
use super::{WorkdirStep, metadata, transfer};
use crate::dockerfile::{Arg, Dockerfile, Instruction, Located, Node, expand, parse_onbuild};
use crate::image::config::DEFAULT_PATH;
use crate::image::{ImageConfig, Platform};

/// The configs of the images that a [`Graph`] names.
pub type Bases = BTreeMap<ImageKey, ImageConfig>;

/// Makes the plan.
pub fn plan(
    dockerfile: &Dockerfile,
    inputs: &Inputs,
    graph: &Graph,
    bases: &Bases,
) -> Result<Plan, Located> {
    let source = Source::new(dockerfile, &inputs.path);
    let mut drafts: BTreeMap<StageId, Draft<'_>> = BTreeMap::new();
    let mut consumed: BTreeSet<String> = declared(&dockerfile.global_args);
    for (&id, base) in &graph.bases {
        let mut draft = Draft::start(&source, inputs, graph, id, base, bases, &drafts)?;
        draft.apply_triggers()?;
        let nodes = match graph.replaced.contains(&id) {
            true => &[],
            false => dockerfile.stages[id.0].nodes.as_slice(),
        };
        for node in nodes {
            draft.apply(node)?;
        }
        consumed.extend(declared(nodes));
        drafts.insert(id, draft);
    }
    if let Some(target) = drafts.get_mut(&graph.target) {
        for (name, value) in &inputs.labels {
            target.config.config.labels.insert(name.clone(), value.clone());
        }
    }
    let with_run =
        |draft: &Draft<'_>| draft.steps.iter().any(|step| matches!(step.action, Action::Run(_)));
    let running = drafts.iter().filter(|(_, draft)| with_run(draft)).map(|(id, _)| *id).collect();
    let unpacked = graph.unpacked(&running);
    Ok(Plan {
        target: graph.target,
        warnings: warnings(inputs, &consumed),
        stages: drafts
            .into_iter()
            .map(|(id, draft)| draft.finish(unpacked.contains(&id)))
            .collect(),
    })
}

fn declared(nodes: &[Node]) -> BTreeSet<String> {
    let args = |node: &Node| match &node.instruction {
        Instruction::Arg(args) => args.iter().map(|arg| arg.name.clone()).collect(),
        _ => Vec::new(),
    };
    nodes.iter().flat_map(args).collect()
}

fn is_builtin(name: &str) -> bool {
    PROXIES.iter().any(|spellings| spellings.contains(&name))
        || name == "SOURCE_DATE_EPOCH"
        || ["BUILDKIT_", "TARGET", "BUILD"].iter().any(|prefix| name.starts_with(prefix))
}

fn warnings(inputs: &Inputs, consumed: &BTreeSet<String>) -> Vec<String> {
    let unused: Vec<&str> = inputs
        .args
        .keys()
        .filter(|name| !consumed.contains(*name) && !is_builtin(name))
        .map(String::as_str)
        .collect();
    if unused.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "one or more build-args were not consumed: {}; declare them with ARG in the stage that uses \
         them",
        unused.join(", ")
    )]
}

fn with_entry((action, created_by): (Action, String)) -> (Action, Option<String>) {
    (action, Some(created_by))
}

/// A stage while its instructions are read.
pub(super) struct Draft<'a> {
    pub source: &'a Source<'a>,
    pub inputs: &'a Inputs,
    pub graph: &'a Graph,
    pub id: StageId,
    label: Option<String>,
    base: Base,
    platform: Platform,
    pub scope: Scope,
    pub config: ImageConfig,
    steps: Vec<Step>,
    /// Whether CMD was set in this stage, so that ENTRYPOINT leaves it.
    pub cmd_is_own: bool,
}

impl<'a> Draft<'a> {
    fn start(
        source: &'a Source<'a>,
        inputs: &'a Inputs,
        graph: &'a Graph,
        id: StageId,
        base: &Base,
        bases: &Bases,
        drafts: &BTreeMap<StageId, Draft<'_>>,
    ) -> Result<Self, Located> {
        let stage = &source.dockerfile.stages[id.0];
        let missing = || source.error(&stage.node_span, "the base was not resolved", None);
        let mut parent_scope = Scope::default();
        let mut platform = graph.platforms.get(&id).unwrap_or(&inputs.platform).clone();
        let mut config = match base {
            Base::Scratch | Base::Named(_) => ImageConfig::scratch(&platform),
            Base::Image(key) => bases.get(key).ok_or_else(missing)?.clone(),
            Base::Stage(parent) => {
                let parent = drafts.get(parent).ok_or_else(missing)?;
                parent_scope.clone_from(&parent.scope);
                platform.clone_from(&parent.platform);
                parent.config.clone()
            }
        };
        config.history.clear();
        config.rootfs.diff_ids.clear();
        if config.config.env("PATH").is_none() {
            config.config.env.push(format!("PATH={DEFAULT_PATH}"));
        }
        let mut scope = Scope::with_env(&config.config.env);
        scope.inherit_args(&parent_scope);
        let several = source.dockerfile.stages.len() > 1;
        let number = || several.then(|| format!("stage-{}", id.0));
        let label = stage.from.name.clone().or_else(number);
        Ok(Self {
            source,
            inputs,
            graph,
            id,
            label,
            base: base.clone(),
            platform,
            scope,
            config,
            steps: Vec::new(),
            cmd_is_own: false,
        })
    }

    /// Carries out what the base stored with ONBUILD, once.
    fn apply_triggers(&mut self) -> Result<(), Located> {
        let span = &self.source.dockerfile.stages[self.id.0].node_span;
        for text in std::mem::take(&mut self.config.config.on_build) {
            let node = parse_onbuild(&text).map_err(|error| {
                let message = format!("the base's ONBUILD `{text}` is not valid: {error}");
                self.source.error(span, message, error.help.clone())
            })?;
            let node = Node { span: span.clone(), ..node };
            self.apply(&node).map_err(|mut error| {
                error.message = format!("in the base's ONBUILD `{text}`: {}", error.message);
                error
            })?;
        }
        Ok(())
    }

    fn apply(&mut self, node: &Node) -> Result<(), Located> {
        unsupported::check(self.source, node)?;
        let (action, created_by) = match &node.instruction {
            Instruction::Arg(args) => (Action::Metadata, Some(self.arg(args, node)?)),
            Instruction::Run(run) => with_entry(run::run(self, run, node)?),
            Instruction::Copy(copy) => with_entry(transfer::transfer(self, copy, node, false)?),
            Instruction::Add(add) => with_entry(transfer::transfer(self, add, node, true)?),
            Instruction::Workdir(path) => with_entry(self.workdir(path, node)?),
            _ => (Action::Metadata, metadata::apply(self, node)?),
        };
        self.steps.push(Step {
            span: node.span.clone(),
            line: node.line.clone(),
            created_by,
            action,
        });
        Ok(())
    }

    /// Expands one word of an instruction.
    pub fn word(&self, word: &str, node: &Node) -> Result<String, Located> {
        self.source.word(word, &self.scope, &node.span)
    }

    /// Expands a word that may become several.
    pub fn words(&self, word: &str, node: &Node) -> Result<Vec<String>, Located> {
        let escape = self.source.dockerfile.directives.escape;
        expand::words(word, escape, &self.scope).map_err(|error| {
            self.source.error(&node.span, format!("cannot expand `{word}`: {error}"), None)
        })
    }

    /// An error at an instruction.
    pub fn error(&self, node: &Node, message: impl Into<String>) -> Located {
        self.source.error(&node.span, message, None)
    }

    fn arg(&mut self, args: &[Arg], node: &Node) -> Result<String, Located> {
        let mut shown = Vec::new();
        for arg in args {
            // Unlike ENV's, these words see what those before them have declared.
            let Self { source, inputs, graph, scope, .. } = &*self;
            let value = arg_value(source, inputs, &graph.globals, scope, arg, node)?;
            shown.push(match &value {
                Some(value) => format!("{}={value}", arg.name),
                None => arg.name.clone(),
            });
            match value {
                Some(value) => self.scope.set_arg(&arg.name, &value),
                None => self.scope.declare(&arg.name),
            }
        }
        Ok(format!("ARG {}", shown.join(" ")))
    }

    /// The working directory, absolute.
    pub fn workdir_now(&self) -> String {
        absolute("/", &self.config.config.working_dir)
    }

    fn workdir(&mut self, path: &str, node: &Node) -> Result<(Action, String), Located> {
        // One that expands to nothing is where it was, as in BuildKit.
        let path = self.word(path, node)?;
        let path = clean(&absolute(&self.workdir_now(), &path));
        self.config.config.working_dir.clone_from(&path);
        let created_by = workdir_history(&path);
        if path == "/" {
            return Ok((Action::Metadata, created_by));
        }
        let user = self.config.config.user.clone();
        Ok((Action::Workdir(WorkdirStep { path, user }), created_by))
    }

    fn finish(self, unpacked: bool) -> Stage {
        Stage {
            platform: self.platform,
            shown_platform: None,
            uses: self.graph.uses.get(&self.id).cloned().unwrap_or_default(),
            span: self.source.dockerfile.stages[self.id.0].node_span.clone(),
            id: self.id,
            label: self.label,
            base: self.base,
            steps: self.steps,
            config: self.config,
            unpacked,
        }
    }
}
