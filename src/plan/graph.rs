//! Which stages a target needs, and which images those start from or copy from.
//!
//! FROM sees the arguments before the first FROM only, and `COPY --from` is not expanded, so the
//! graph is known before any image is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::scope::Scope;
use super::{Base, CopyFrom, Inputs, StageId, unsupported};
use crate::dockerfile::{Dockerfile, Instruction, Located, Node, Span, StageText, closest, expand};
use crate::image::Platform;

/// An image that the build uses, and for which platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageKey {
    /// As written, after expansion.
    pub name: String,
    /// `os/architecture[/variant]`.
    pub platform: String,
}

/// What is known of an image before it is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededImage {
    /// The first place that names it.
    pub span: Span,
    /// The stage that was perhaps meant: its name is a slip away.
    pub meant_stage: Option<String>,
}

/// The needed part of a Dockerfile.
#[derive(Debug)]
pub struct Graph {
    /// The stage that becomes the image.
    pub target: StageId,
    /// Needed stages and what each starts from.
    pub bases: BTreeMap<StageId, Base>,
    /// Images to resolve.
    pub images: BTreeMap<ImageKey, NeededImage>,
    /// The stages that each needed stage starts from or takes files from.
    pub(super) uses: BTreeMap<StageId, Vec<StageId>>,
    /// Whom a stage is for that starts from no other stage.
    pub(super) platforms: BTreeMap<StageId, Platform>,
    /// Arguments before the first FROM, with their values.
    pub(super) globals: Scope,
}

/// Where errors point to.
#[derive(Debug, Clone)]
pub(super) struct Source<'a> {
    pub dockerfile: &'a Dockerfile,
    pub text: Arc<str>,
    pub path: &'a str,
}

impl<'a> Source<'a> {
    pub fn new(dockerfile: &'a Dockerfile, path: &'a str) -> Self {
        Self { dockerfile, text: Arc::from(dockerfile.text.as_str()), path }
    }

    pub fn error(&self, span: &Span, message: impl Into<String>, help: Option<String>) -> Located {
        Located {
            path: self.path.to_owned(),
            text: self.text.clone(),
            span: span.clone(),
            message: message.into(),
            help,
            cause: None,
        }
    }

    /// Expands one word; what is wrong with it points to `span`.
    pub fn word(&self, word: &str, scope: &Scope, span: &Span) -> Result<String, Located> {
        let escape = self.dockerfile.directives.escape;
        expand::word(word, escape, scope)
            .map(|expanded| expanded.text)
            .map_err(|error| self.error(span, format!("cannot expand `{word}`: {error}"), None))
    }
}

impl Graph {
    /// Finds what the target needs.
    pub fn new(dockerfile: &Dockerfile, inputs: &Inputs) -> Result<Self, Located> {
        let source = Source::new(dockerfile, &inputs.path);
        let target = find_target(&source, inputs)?;
        let globals = global_scope(&source, inputs, target)?;
        let mut graph = Self {
            target,
            bases: BTreeMap::new(),
            images: BTreeMap::new(),
            uses: BTreeMap::new(),
            platforms: BTreeMap::new(),
            globals,
        };
        let mut pending = vec![target];
        while let Some(id) = pending.pop() {
            if graph.bases.contains_key(&id) {
                continue;
            }
            let base = graph.base_of(&source, inputs, id)?;
            let uses = graph.needs(&source, inputs, id, &base)?;
            pending.extend(&uses);
            graph.uses.insert(id, uses);
            graph.bases.insert(id, base);
        }
        Ok(graph)
    }

    fn base_of(
        &mut self,
        source: &Source<'_>,
        inputs: &Inputs,
        id: StageId,
    ) -> Result<Base, Located> {
        let stage = &source.dockerfile.stages[id.0];
        let span = &stage.node_span;
        let name = source.word(&stage.from.base, &self.globals, span)?;
        if name.trim().is_empty() {
            let message = format!("base name ({}) should not be blank", stage.from.base);
            let help = "give the argument a default before FROM, or pass --build-arg".to_owned();
            return Err(source.error(span, message, Some(help)));
        }
        let platform = self.platform_of(source, inputs, stage)?;
        if name != "scratch"
            && let Some(parent) = stage_by_name(&source.dockerfile.stages[..id.0], &name)
        {
            return Ok(Base::Stage(parent));
        }
        self.platforms.insert(id, platform.clone());
        if name == "scratch" {
            return Ok(Base::Scratch);
        }
        let key = ImageKey { name, platform: platform.to_string() };
        self.need(source, &key, span);
        Ok(Base::Image(key))
    }

    fn platform_of(
        &self,
        source: &Source<'_>,
        inputs: &Inputs,
        stage: &StageText,
    ) -> Result<Platform, Located> {
        let Some(word) = &stage.from.platform else { return Ok(inputs.platform.clone()) };
        let text = source.word(word, &self.globals, &stage.node_span)?;
        text.parse().map_err(|error| {
            source.error(&stage.node_span, format!("FROM --platform={word}: {error}"), None)
        })
    }

    fn needs(
        &mut self,
        source: &Source<'_>,
        inputs: &Inputs,
        id: StageId,
        base: &Base,
    ) -> Result<Vec<StageId>, Located> {
        let mut needs = Vec::new();
        if let Base::Stage(parent) = base {
            needs.push(*parent);
        }
        for node in &source.dockerfile.stages[id.0].nodes {
            unsupported::check(source, node)?;
            match copy_from(source, inputs, id, node)? {
                Some(CopyFrom::Stage(other)) => needs.push(other),
                Some(CopyFrom::Image(key)) => self.need(source, &key, &node.span),
                Some(CopyFrom::Context) | None => {}
            }
        }
        Ok(needs)
    }

    fn need(&mut self, source: &Source<'_>, key: &ImageKey, span: &Span) {
        self.images.entry(key.clone()).or_insert_with(|| NeededImage {
            span: span.clone(),
            meant_stage: closest(&key.name, stage_names(&source.dockerfile.stages))
                .map(str::to_owned),
        });
    }

    /// Stages whose files a RUN needs in a directory: those with a RUN, and all below them.
    pub(super) fn unpacked(&self, with_run: &BTreeSet<StageId>) -> BTreeSet<StageId> {
        let mut unpacked = BTreeSet::new();
        for &id in with_run {
            let mut current = Some(id);
            while let Some(id) = current.filter(|id| unpacked.insert(*id)) {
                current = match self.bases.get(&id) {
                    Some(Base::Stage(parent)) => Some(*parent),
                    _ => None,
                };
            }
        }
        unpacked
    }
}

/// Where a COPY takes its files from; nothing for other instructions.
pub(super) fn copy_from(
    source: &Source<'_>,
    inputs: &Inputs,
    id: StageId,
    node: &Node,
) -> Result<Option<CopyFrom>, Located> {
    let transfer = match &node.instruction {
        Instruction::Copy(transfer) | Instruction::Add(transfer) => transfer,
        _ => return Ok(None),
    };
    let Some(name) = &transfer.from else { return Ok(Some(CopyFrom::Context)) };
    let stages = &source.dockerfile.stages;
    if let Some(earlier) = stage_by_name(&stages[..id.0], name) {
        return Ok(Some(CopyFrom::Stage(earlier)));
    }
    if let Ok(number) = name.parse::<usize>() {
        if number < id.0 {
            return Ok(Some(CopyFrom::Stage(StageId(number))));
        }
        let message = format!("invalid stage index {number}: no such stage comes before this one");
        return Err(source.error(&node.span, message, stage_help(&stages[..id.0])));
    }
    if is_named(&stages[id.0], name) {
        let message = format!("circular dependency: stage `{name}` copies from itself");
        return Err(source.error(&node.span, message, None));
    }
    if stages[id.0..].iter().any(|stage| is_named(stage, name)) {
        let message = format!("stage `{name}` needs to be defined before current stage");
        let help = "move that FROM above this one".to_owned();
        return Err(source.error(&node.span, message, Some(help)));
    }
    if name.contains('$') {
        let message = format!("COPY --from={name}: variables are not expanded in --from");
        let help = "name the stage literally, or make a stage with FROM ${…} AS name".to_owned();
        return Err(source.error(&node.span, message, Some(help)));
    }
    let platform = inputs.platform.to_string();
    Ok(Some(CopyFrom::Image(ImageKey { name: name.clone(), platform })))
}

fn stage_names(stages: &[StageText]) -> impl Iterator<Item = &str> {
    stages.iter().filter_map(|stage| stage.from.name.as_deref())
}

fn stage_help(stages: &[StageText]) -> Option<String> {
    let names: Vec<&str> = stage_names(stages).collect();
    (!names.is_empty()).then(|| format!("stages before this one: {}", names.join(", ")))
}

/// The last of the file's first stages that has the name.
fn stage_by_name(first_stages: &[StageText], name: &str) -> Option<StageId> {
    first_stages.iter().rposition(|stage| is_named(stage, name)).map(StageId)
}

/// Stage names compare without case.
fn is_named(stage: &StageText, name: &str) -> bool {
    stage.from.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
}

fn find_target(source: &Source<'_>, inputs: &Inputs) -> Result<StageId, Located> {
    let stages = &source.dockerfile.stages;
    let Some(wanted) = &inputs.target else { return Ok(StageId(stages.len() - 1)) };
    let number = || wanted.parse::<usize>().ok().filter(|n| *n < stages.len()).map(StageId);
    stage_by_name(stages, wanted).or_else(number).ok_or_else(|| {
        let first = stages.first().map_or(0..0, |stage| stage.node_span.clone());
        let message = format!("target stage `{wanted}` could not be found");
        let names: Vec<&str> = stage_names(stages).collect();
        let help = match closest(wanted, names.iter().copied()) {
            Some(name) => Some(format!("did you mean `{name}`?")),
            None if names.is_empty() => Some("no stage has a name: write FROM … AS name".into()),
            None => Some(format!("the stages are: {}", names.join(", "))),
        };
        source.error(&first, message, help)
    })
}

fn global_scope(source: &Source<'_>, inputs: &Inputs, target: StageId) -> Result<Scope, Located> {
    let mut scope = Scope::default();
    let stage = &source.dockerfile.stages[target.0];
    let label = stage.from.name.clone().unwrap_or_else(|| "default".to_owned());
    let target_name = if inputs.target.is_some() { label } else { "default".to_owned() };
    for (name, value) in automatic(&inputs.platform, target_name) {
        let value = inputs.args.get(&name).cloned().unwrap_or(value);
        scope.set_arg(&name, &value);
    }
    for node in &source.dockerfile.global_args {
        let Instruction::Arg(args) = &node.instruction else { continue };
        for arg in args {
            let default = match &arg.default {
                Some(word) => Some(source.word(word, &scope, &node.span)?),
                None => None,
            };
            let value = inputs.args.get(&arg.name).cloned().or(default);
            if let Some(value) = value {
                scope.set_arg(&arg.name, &value);
            }
        }
    }
    Ok(scope)
}

/// The platform arguments that exist without being declared.
fn automatic(platform: &Platform, target: String) -> Vec<(String, String)> {
    let mut all = vec![("TARGETSTAGE".to_owned(), target)];
    for (prefix, platform) in [("TARGET", platform), ("BUILD", &Platform::host())] {
        all.push((format!("{prefix}PLATFORM"), platform.to_string()));
        all.push((format!("{prefix}OS"), platform.os.clone()));
        all.push((format!("{prefix}ARCH"), platform.architecture.clone()));
        all.push((format!("{prefix}VARIANT"), platform.variant.clone().unwrap_or_default()));
        all.push((format!("{prefix}OSVERSION"), platform.os_version.clone().unwrap_or_default()));
    }
    all
}
