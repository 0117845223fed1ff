//! Which stages a target needs, and which images those start from or copy from.
//!
//! FROM sees the arguments before the first FROM only, and `--from` what the Dockerfile itself says, so
//! the graph is known before any image is. Only what images store with ONBUILD comes later:
//! [`Graph::follow_triggers`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arguments::{global_scope, scope_before};
use super::files_from::files_from;
use super::mounts::NOTHING;
use super::scope::Scope;
use super::stages::{find_target, stage_by_name, stage_names};
use super::steps::Bases;
use super::{Base, FilesFrom, Inputs, NamedContext, StageId, unsupported};
use crate::dockerfile::{
    Dockerfile, Instruction, Located, Mount, Node, Span, StageText, closest, expand, parse_onbuild,
};
use crate::image::Platform;

/// An image that the build uses, and for which platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageKey {
    /// As written, after expansion; in an OCI layout, `oci-layout://DIR[:tag][@digest]`.
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
    /// Stages that a named context stands in for: what the Dockerfile says of them is not done.
    pub(super) replaced: BTreeSet<StageId>,
    /// Values of `--from` that have variables, and what they mean.
    expanded: BTreeMap<(StageId, usize, String), String>,
    /// Stages whose base's triggers have been looked at.
    triggered: BTreeSet<StageId>,
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

    /// The same, for a word whose value must be known before any image is.
    fn known_word(&self, word: &str, scope: &Scope, span: &Span) -> Result<String, Located> {
        let escape = self.dockerfile.directives.escape;
        let expanded = expand::word(word, escape, scope)
            .map_err(|error| self.error(span, format!("cannot expand `{word}`: {error}"), None))?;
        if let Some(name) = expanded.unmatched.iter().next().filter(|_| expanded.text.is_empty()) {
            let message = format!("--from={word} is empty: `{name}` has no value here");
            let help = format!(
                "declare it with a value in this stage: ARG {name}=…; what a base image sets with \
                 ENV is not known yet where stages are put in order"
            );
            return Err(self.error(span, message, Some(help)));
        }
        Ok(expanded.text)
    }
}

/// The values of `--from`, and of `from=` in mounts, of an instruction.
pub(crate) fn from_words(instruction: &Instruction) -> Vec<String> {
    match instruction {
        Instruction::Copy(transfer) => transfer.from.iter().cloned().collect(),
        Instruction::Run(run) => {
            let froms = run.mounts.iter().filter_map(|mount| Mount::from_word(mount));
            froms.filter(|from| from != NOTHING).collect()
        }
        _ => Vec::new(),
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
            replaced: BTreeSet::new(),
            expanded: BTreeMap::new(),
            triggered: BTreeSet::new(),
        };
        graph.add(&source, inputs, vec![target])?;
        Ok(graph)
    }

    /// Finds what the triggers (ONBUILD) of the bases need, once their configs are known; tells
    /// whether there are images now whose configs are not. To be called until there are none.
    pub fn follow_triggers(
        &mut self,
        dockerfile: &Dockerfile,
        inputs: &Inputs,
        configs: &Bases,
    ) -> Result<bool, Located> {
        let source = Source::new(dockerfile, &inputs.path);
        let bases: Vec<(StageId, ImageKey)> = self.image_bases().collect();
        for (id, key) in bases {
            let Some(config) = configs.get(&key).filter(|_| self.triggered.insert(id)) else {
                continue;
            };
            let span = &dockerfile.stages[id.0].node_span;
            // One that is not valid is an error where it is carried out.
            let triggers =
                config.config.on_build.iter().filter_map(|text| parse_onbuild(text).ok());
            for node in triggers {
                let node = Node { span: span.clone(), ..node };
                let needs = self.needs_of(&source, inputs, (id, 0), &node)?;
                self.uses.entry(id).or_default().extend(&needs);
                self.add(&source, inputs, needs)?;
            }
        }
        Ok(self.images.keys().any(|key| !configs.contains_key(key)))
    }

    fn image_bases(&self) -> impl Iterator<Item = (StageId, ImageKey)> {
        self.bases.iter().filter_map(|(id, base)| match base {
            Base::Image(key) => Some((*id, key.clone())),
            _ => None,
        })
    }

    /// What a value of `--from` means at a place of a stage.
    pub(super) fn name_in_from<'a>(&'a self, id: StageId, span: &Span, word: &'a str) -> &'a str {
        let key = (id, span.start, word.to_owned());
        self.expanded.get(&key).map_or(word, String::as_str)
    }

    /// Adds stages and all that they need.
    fn add(
        &mut self,
        source: &Source<'_>,
        inputs: &Inputs,
        mut pending: Vec<StageId>,
    ) -> Result<(), Located> {
        while let Some(id) = pending.pop() {
            if self.bases.contains_key(&id) {
                continue;
            }
            let base = self.base_of(source, inputs, id)?;
            let uses = self.needs(source, inputs, id, &base)?;
            pending.extend(&uses);
            self.uses.insert(id, uses);
            self.bases.insert(id, base);
        }
        Ok(())
    }

    fn base_of(
        &mut self,
        source: &Source<'_>,
        inputs: &Inputs,
        id: StageId,
    ) -> Result<Base, Located> {
        let stage = &source.dockerfile.stages[id.0];
        let span = &stage.node_span;
        let own = stage.from.name.as_deref();
        if let Some(name) = own
            && let Some(base) = self.named_base(source, inputs, name, &inputs.platform, span)
        {
            self.replaced.insert(id);
            return Ok(base);
        }
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
        if let Some(base) = self.named_base(source, inputs, &name, &platform, span) {
            return Ok(base);
        }
        let key = ImageKey { name, platform: platform.to_string() };
        self.need(source, &key, span);
        Ok(Base::Image(key))
    }

    /// The named context that stands in for a base, if there is one.
    fn named_base(
        &mut self,
        source: &Source<'_>,
        inputs: &Inputs,
        name: &str,
        platform: &Platform,
        span: &Span,
    ) -> Option<Base> {
        Some(match inputs.named_context(name, platform)? {
            (known, NamedContext::Files) => Base::Named(known.to_owned()),
            (_, NamedContext::Image(name)) => {
                let key = ImageKey { name: name.clone(), platform: platform.to_string() };
                self.need(source, &key, span);
                Base::Image(key)
            }
        })
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
        if self.replaced.contains(&id) {
            return Ok(needs);
        }
        for (at, node) in source.dockerfile.stages[id.0].nodes.iter().enumerate() {
            needs.extend(self.needs_of(source, inputs, (id, at), node)?);
        }
        // What the parent stores for its children is done here.
        let parent = match base {
            Base::Stage(parent) if !self.replaced.contains(parent) => *parent,
            _ => return Ok(needs),
        };
        let span = &source.dockerfile.stages[id.0].node_span;
        for node in &source.dockerfile.stages[parent.0].nodes {
            let Instruction::OnBuild(trigger) = &node.instruction else { continue };
            let instruction = trigger.instruction.as_ref().clone();
            let line = trigger.text.clone();
            let node = Node { span: span.clone(), line, instruction, comments: Vec::new() };
            needs.extend(self.needs_of(source, inputs, (id, 0), &node)?);
        }
        Ok(needs)
    }

    /// The stages that an instruction takes files from; images are noted. `at` is its stage and how
    /// many instructions stand before it there.
    fn needs_of(
        &mut self,
        source: &Source<'_>,
        inputs: &Inputs,
        at: (StageId, usize),
        node: &Node,
    ) -> Result<Vec<StageId>, Located> {
        unsupported::check(source, node)?;
        let mut needs = Vec::new();
        for word in from_words(&node.instruction) {
            if word.contains('$') {
                let scope = scope_before(source, inputs, &self.globals, at)?;
                let name = source.known_word(&word, &scope, &node.span)?;
                self.expanded.insert((at.0, node.span.start, word.clone()), name);
            }
            let name = self.name_in_from(at.0, &node.span, &word).to_owned();
            match files_from(source, inputs, at.0, &name, &node.span)? {
                FilesFrom::Stage(other) => needs.push(other),
                FilesFrom::Image(key) => self.need(source, &key, &node.span),
                FilesFrom::Context | FilesFrom::Named(_) | FilesFrom::Nothing => {}
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
