//! What a target asks for: arguments, secrets, SSH agents; `--call=outline`.
//!
//! Source: BuildKit's dockerfile2llb/outline.go.

use std::collections::{BTreeMap, BTreeSet};

use super::notebook::Notebook;
use super::sketch::Sketch;
use super::stage::{AskedMount, Walked};
use super::{Which, targets, walk};
use crate::dockerfile::{Checks, Dockerfile, Span};
use crate::plan::{Bases, Inputs};

/// What a target asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// The target's name, if it has one.
    pub name: Option<String>,
    /// What the comment above it says.
    pub description: Option<String>,
    /// Arguments that it or a stage that it needs uses, in the order of the file.
    pub args: Vec<OutlineArg>,
    /// Secrets, in the order of the file.
    pub secrets: Vec<OutlineMount>,
    /// SSH agents, in the order of the file.
    pub ssh: Vec<OutlineMount>,
}

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineArg {
    /// Its name.
    pub name: String,
    /// What the comment above it says.
    pub description: Option<String>,
    /// Its value: what was given, or the default, expanded.
    pub value: Option<String>,
    /// The ARG.
    pub span: Span,
}

/// A secret or an SSH agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineMount {
    /// Its id.
    pub name: String,
    /// Whether there is no build without it.
    pub required: bool,
    /// The RUN.
    pub span: Span,
}

/// What the target asks for; nothing if there is no such stage. `bases` as for [`super::check`]: their
/// variables can be part of defaults.
pub fn outline(dockerfile: &Dockerfile, inputs: &Inputs, bases: &Bases) -> Option<Outline> {
    let sketch = Sketch::new(dockerfile, inputs);
    let target = sketch.target()?;
    let checks = Checks::default();
    let mut notebook = Notebook::new(&dockerfile.text, &checks);
    let walked = walk(&sketch, bases, None, Which::Needed, &mut notebook);
    let nearest = nearest_first(&sketch, target);
    let stages: Vec<(usize, &Walked)> =
        nearest.into_iter().filter_map(|id| Some((id, walked.get(&id)?))).collect();
    Some(Outline {
        name: dockerfile.stages[target].from.name.clone(),
        description: targets::description(dockerfile, target),
        args: args(&sketch, &stages),
        secrets: mounts(stages.iter().map(|(_, stage)| &stage.asked.secrets)),
        ssh: mounts(stages.iter().map(|(_, stage)| &stage.asked.ssh)),
    })
}

/// The target, what it starts from, then what it copies from, and so on: of two that ask for the
/// same name the nearer one is listed.
fn nearest_first(sketch: &Sketch<'_>, target: usize) -> Vec<usize> {
    let mut order = Vec::new();
    let mut pending = vec![target];
    while let Some(id) = pending.pop() {
        if order.contains(&id) {
            continue;
        }
        order.push(id);
        let needs: Vec<usize> = sketch.stages[id].needs().collect();
        pending.extend(needs.into_iter().rev());
    }
    order
}

fn args(sketch: &Sketch<'_>, stages: &[(usize, &Walked)]) -> Vec<OutlineArg> {
    let mut args: BTreeMap<String, OutlineArg> = BTreeMap::new();
    for (id, stage) in stages {
        let mut own = BTreeMap::new();
        // Those that have their value from before the first FROM are listed where they have it.
        let mut globals: BTreeSet<&String> = sketch.stages[*id].uses.iter().collect();
        for arg in &stage.asked.args {
            if arg.global {
                globals.insert(&arg.name);
                continue;
            }
            let (description, value) = (arg.description.clone(), arg.value.clone());
            let (name, span) = (arg.name.clone(), arg.span.clone());
            own.insert(name.clone(), OutlineArg { name, description, value, span });
        }
        for arg in own.into_values().chain(declared(sketch, globals)) {
            args.entry(arg.name.clone()).or_insert(arg);
        }
    }
    let mut args: Vec<OutlineArg> = args.into_values().collect();
    args.sort_by_key(|arg| arg.span.start);
    args
}

/// Arguments before the first FROM, and those that their defaults use.
fn declared(sketch: &Sketch<'_>, names: BTreeSet<&String>) -> Vec<OutlineArg> {
    let mut args: BTreeMap<&String, OutlineArg> = BTreeMap::new();
    let mut pending: Vec<&String> = names.into_iter().collect();
    while let Some(name) = pending.pop() {
        let Some(global) = sketch.globals.args.get(name).filter(|_| !args.contains_key(name))
        else {
            continue;
        };
        pending.extend(&global.uses);
        args.insert(
            name,
            OutlineArg {
                name: name.clone(),
                description: global.description.clone(),
                value: global.value.clone(),
                span: global.span.clone(),
            },
        );
    }
    args.into_values().collect()
}

fn mounts<'a>(stages: impl Iterator<Item = &'a BTreeMap<String, AskedMount>>) -> Vec<OutlineMount> {
    let mut found: BTreeMap<&String, &AskedMount> = BTreeMap::new();
    for (name, mount) in stages.flatten() {
        found.entry(name).or_insert(mount);
    }
    let mount = |(name, mount): (&String, &AskedMount)| OutlineMount {
        name: name.clone(),
        required: mount.required,
        span: mount.span.clone(),
    };
    let mut all: Vec<OutlineMount> = found.into_iter().map(mount).collect();
    all.sort_by_key(|mount| mount.span.start);
    all
}
