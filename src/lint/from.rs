//! What FROM says, of all stages: BuildKit reads them before it knows which are needed.

use super::globals::Globals;
use super::notebook::{At, Notebook};
use super::rules;
use super::sketch::Sketch;
use crate::dockerfile::expand::{self, Expanded};
use crate::dockerfile::{StageText, closest};
use crate::image::Platform;
use crate::plan::stage_by_name;
use crate::registry::Reference;

const TARGET_PLATFORM: &str = "TARGETPLATFORM";

pub(super) fn check(sketch: &Sketch<'_>, notebook: &mut Notebook<'_>) {
    let escape = sketch.dockerfile.directives.escape;
    for (id, stage) in sketch.dockerfile.stages.iter().enumerate() {
        let at = At::from(sketch.dockerfile, id);
        let expand = |word: &str| expand::word(word, escape, &sketch.globals.values).ok();
        if let Some(expanded) = expand(&stage.from.base) {
            undeclared(sketch, &expanded, &at, notebook);
        }
        let Some(word) = &stage.from.platform else { continue };
        let Some(expanded) = expand(word) else { continue };
        undeclared(sketch, &expanded, &at, notebook);
        platform(sketch, stage, word, &expanded, &at, notebook);
    }
    defaults(sketch, notebook);
}

fn undeclared(sketch: &Sketch<'_>, expanded: &Expanded, at: &At, notebook: &mut Notebook<'_>) {
    let names = sketch.globals.names();
    for name in expanded.unmatched.iter().filter(|name| !names.contains(name.as_str())) {
        let mut message = format!("FROM argument '{name}' is not declared");
        if let Some(meant) = closest(name, names.iter().copied()) {
            message.push_str(&format!(" (did you mean {meant}?)"));
        }
        let span = notebook.variable(at, name);
        notebook.note_part(&rules::UNDEFINED_ARG_IN_FROM, at, message, span);
    }
}

fn platform(
    sketch: &Sketch<'_>,
    stage: &StageText,
    word: &str,
    expanded: &Expanded,
    at: &At,
    notebook: &mut Notebook<'_>,
) {
    let span = notebook.place(at, word);
    let alone = expanded.matched.iter().eq([TARGET_PLATFORM]) && expanded.unmatched.is_empty();
    if alone && sketch.globals.values.get(TARGET_PLATFORM) == Some(&expanded.text) {
        let message = format!(
            "Setting platform to predefined {word} in FROM is redundant as this is the default \
             behavior"
        );
        notebook.note_part(&rules::REDUNDANT_TARGET_PLATFORM, at, message, span.clone());
    }
    if !expanded.matched.is_empty() || !expanded.unmatched.is_empty() {
        return;
    }
    let Ok(platform) = expanded.text.parse::<Platform>() else { return };
    // A stage that is named for its platform is meant for it.
    let name = stage.from.name.as_deref().unwrap_or_default();
    if !name.contains(&platform.os) && !name.contains(&platform.architecture) {
        let message =
            format!("FROM --platform flag should not use constant value {:?}", expanded.text);
        notebook.note_part(&rules::FROM_PLATFORM_FLAG_CONST_DISALLOWED, at, message, span);
    }
}

/// Whether each base would be a name if no build argument were given.
fn defaults(sketch: &Sketch<'_>, notebook: &mut Notebook<'_>) {
    let globals = Globals::defaults(sketch.dockerfile, sketch.inputs);
    if !globals.complete {
        return;
    }
    for (id, stage) in sketch.dockerfile.stages.iter().enumerate() {
        let word = &stage.from.base;
        let escape = sketch.dockerfile.directives.escape;
        let Ok(expanded) = expand::word(word, escape, &globals.values) else { return };
        let name = expanded.text;
        if stage_by_name(&sketch.dockerfile.stages[..id], &name).is_some() {
            continue;
        }
        if name.parse::<Reference>().is_err() {
            let message =
                format!("Default value for ARG {word} results in empty or invalid base image name");
            let at = At::from(sketch.dockerfile, id);
            let span = notebook.place(&at, word);
            notebook.note_part(&rules::INVALID_DEFAULT_ARG_IN_FROM, &at, message, span);
        }
    }
}
