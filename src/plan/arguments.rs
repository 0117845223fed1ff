//! The arguments that are known before any image is: those before the first FROM, and what the
//! stages themselves say.

use super::graph::Source;
use super::scope::Scope;
use super::stages::stage_by_name;
use super::{Inputs, StageId};
use crate::dockerfile::{Arg, Instruction, Located, Node};
use crate::image::Platform;

/// The arguments before the first FROM, and the automatic ones.
pub(super) fn global_scope(
    source: &Source<'_>,
    inputs: &Inputs,
    target: StageId,
) -> Result<Scope, Located> {
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

/// What a stage itself says of variables before its instruction number `at.1`, and the stages that it
/// starts from: ARG and ENV, without the ENV of any image.
pub(super) fn scope_before(
    source: &Source<'_>,
    inputs: &Inputs,
    globals: &Scope,
    at: (StageId, usize),
) -> Result<Scope, Located> {
    let stages = &source.dockerfile.stages;
    let mut line = vec![at];
    let mut first = at.0;
    loop {
        let stage = &stages[first.0];
        let name = source.word(&stage.from.base, globals, &stage.node_span)?;
        match stage_by_name(&stages[..first.0], &name) {
            Some(parent) => first = parent,
            None => break,
        }
        line.push((first, stages[first.0].nodes.len()));
    }
    let mut scope = Scope::default();
    for (id, count) in line.into_iter().rev() {
        for node in &stages[id.0].nodes[..count] {
            note(source, inputs, globals, &mut scope, node)?;
        }
    }
    Ok(scope)
}

fn note(
    source: &Source<'_>,
    inputs: &Inputs,
    globals: &Scope,
    scope: &mut Scope,
    node: &Node,
) -> Result<(), Located> {
    match &node.instruction {
        Instruction::Arg(args) => {
            for arg in args {
                if let Some(value) = arg_value(source, inputs, globals, scope, arg, node)? {
                    scope.set_arg(&arg.name, &value);
                }
            }
        }
        Instruction::Env(pairs) => {
            let value = |word: &String| source.word(word, scope, &node.span);
            let pairs: Vec<_> = pairs
                .iter()
                .map(|pair| Ok((value(&pair.key)?, value(&pair.value)?)))
                .collect::<Result<_, _>>()?;
            pairs.iter().for_each(|(name, value)| scope.set_env(name, value));
        }
        _ => {}
    }
    Ok(())
}

/// What an ARG of a stage is worth: the value that was given, else its default, else that of the
/// argument of the same name before the first FROM.
pub(super) fn arg_value(
    source: &Source<'_>,
    inputs: &Inputs,
    globals: &Scope,
    scope: &Scope,
    arg: &Arg,
    node: &Node,
) -> Result<Option<String>, Located> {
    let default = match &arg.default {
        Some(word) => Some(source.word(word, scope, &node.span)?),
        None => globals.arg(&arg.name).map(str::to_owned),
    };
    Ok(inputs.args.get(&arg.name).cloned().or(default))
}

/// The platform arguments that exist without being declared.
pub(crate) fn automatic(platform: &Platform, target: String) -> Vec<(String, String)> {
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
