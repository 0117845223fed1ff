//! What is legal in a Dockerfile but doubtful: BuildKit's build checks, with its names and wording.
//!
//! Those that need nothing but the text are found by the parser (`dockerfile/warnings.rs`). The others
//! are here: they need values, base images' configs or the ignore file.
//!
//! | module | job |
//! |---|---|
//! | [`rules`] | names, descriptions, pages |
//! | `notebook` | findings and their places, less those that are switched off |
//! | `globals` | the arguments before the first FROM |
//! | `sketch` | the stages and how they hang together, mistakes left out |
//! | `from` | the rules about FROM |
//! | `stage` | one stage, instruction by instruction |
//! | `secrets`, `expose`, `copy` | one rule's words each |
//! | [`outline`], [`targets`] | what a Dockerfile asks for; its stages |

mod copy;
mod expose;
mod from;
mod globals;
mod notebook;
pub mod outline;
pub mod rules;
mod secrets;
mod sketch;
mod stage;
pub mod targets;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::notebook::{At, Notebook};
use self::rules::Rule;
pub use self::sketch::Which;
use self::sketch::{Sketch, located};
use self::stage::{State, Walk, Walked};
use crate::context::ignore::Ignore;
use crate::dockerfile::{Checks, ChecksError, Dockerfile, Located, Span};
use crate::image::Platform;
use crate::plan::{Base, Bases, ImageKey, Inputs, StageId};

/// The build argument that stands for `# check=`.
const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Something legal but doubtful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked for.
    pub rule: &'static Rule,
    /// One sentence without its full stop.
    pub message: String,
    /// What to point to.
    pub span: Span,
    /// The whole instruction around it.
    pub instruction: Span,
}

/// The findings of a Dockerfile.
#[derive(Debug)]
pub struct Checked {
    /// In the order of the file.
    pub findings: Vec<Finding>,
    /// The error that they are, if the Dockerfile wants them to be one (`error=true`).
    pub violation: Option<Located>,
}

/// Checks that cannot be made, because the wish for them cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// The Dockerfile's.
    #[error(transparent)]
    Directive(Box<Located>),
    /// The build argument's.
    #[error("failed to parse {ARGUMENT}: {0}")]
    Argument(#[source] ChecksError),
}

/// Looks for all of it.
///
/// `bases` may lack images that could not be asked: then nothing is said that depends on them.
/// `ignore` is the context's list of hidden files.
///
/// # Errors
///
/// `# check=` or the build argument BUILDKIT_DOCKERFILE_CHECK cannot be read.
pub fn check(
    dockerfile: &Dockerfile,
    inputs: &Inputs,
    bases: &Bases,
    ignore: Option<&Ignore>,
    which: Which,
) -> Result<Checked, LintError> {
    let checks = wishes(dockerfile, inputs)?;
    let sketch = Sketch::new(dockerfile, inputs);
    let mut notebook = Notebook::new(&dockerfile.text, &checks);
    of_the_text(&sketch, which, &mut notebook);
    from::check(&sketch, &mut notebook);
    walk(&sketch, bases, ignore, which, &mut notebook);
    let findings = notebook.finish();
    let violation = violation(dockerfile, inputs, &checks, &findings);
    Ok(Checked { findings, violation })
}

/// The images whose configs [`check`] wants to know, each with the FROM that names it first.
pub fn images(dockerfile: &Dockerfile, inputs: &Inputs, which: Which) -> Vec<(ImageKey, Span)> {
    Sketch::new(dockerfile, inputs).images(which)
}

/// The build argument takes the directive's place.
fn wishes(dockerfile: &Dockerfile, inputs: &Inputs) -> Result<Checks, LintError> {
    if let Some(value) = inputs.args.get(ARGUMENT) {
        return Checks::parse(value).map_err(LintError::Argument);
    }
    let Some((value, span)) = &dockerfile.directives.check else { return Ok(Checks::default()) };
    Checks::parse(value).map_err(|error| {
        let message = format!("failed to parse check options: {error}");
        LintError::Directive(Box::new(located(dockerfile, &inputs.path, span, message)))
    })
}

/// What the parser found.
fn of_the_text(sketch: &Sketch<'_>, which: Which, notebook: &mut Notebook<'_>) {
    let dockerfile = sketch.dockerfile;
    let wanted = sketch.wanted(which);
    let instructions = At::all(dockerfile);
    for warning in &dockerfile.warnings {
        let Some(rule) = Rule::named(warning.rule) else { continue };
        let start = warning.span.start;
        let stages = dockerfile.stages.partition_point(|stage| stage.node_span.start <= start);
        let stage = stages.checked_sub(1);
        if !rule.everywhere && !stage.is_some_and(|stage| wanted.contains(&stage)) {
            continue;
        }
        let elsewhere = At { span: warning.span.clone(), checks: Checks::default() };
        let at = At::holding(&instructions, start).unwrap_or(&elsewhere);
        notebook.note_part(rule, at, warning.message.clone(), warning.span.clone());
    }
}

/// Walks through the stages, those that others start from first.
fn walk(
    sketch: &Sketch<'_>,
    bases: &Bases,
    ignore: Option<&Ignore>,
    which: Which,
    notebook: &mut Notebook<'_>,
) -> BTreeMap<usize, Walked> {
    let mut walked: BTreeMap<usize, Walked> = BTreeMap::new();
    for id in sketch.wanted(which) {
        let (state, triggers) = match &sketch.stages[id].base {
            Some(Base::Scratch | Base::Named(_)) => (State::scratch(), Vec::new()),
            Some(Base::Stage(StageId(below))) => match walked.get(below) {
                Some(below) => (below.state.clone(), below.on_build.clone()),
                None => (State::of_image(None), Vec::new()),
            },
            Some(Base::Image(key)) => {
                let config = bases.get(key);
                platform(sketch, id, key, bases, notebook);
                let triggers = config.map(|config| config.config.on_build.clone());
                (State::of_image(config), triggers.unwrap_or_default())
            }
            None => (State::of_image(None), Vec::new()),
        };
        let stage = Walk::new(sketch, ignore, notebook, state).stage(id, &triggers);
        walked.insert(id, stage);
    }
    walked
}

/// Whether the image is one for the platform. One without any layer is for all of them.
fn platform(
    sketch: &Sketch<'_>,
    id: usize,
    key: &ImageKey,
    bases: &Bases,
    notebook: &mut Notebook<'_>,
) {
    let Some(config) = bases.get(key).filter(|config| !config.rootfs.diff_ids.is_empty()) else {
        return;
    };
    // In its normal form, if it has one: an image need not say what it is for.
    let Ok(actual) = config.platform().to_string().parse::<Platform>() else { return };
    let Ok(expected) = key.platform.parse::<Platform>() else { return };
    if actual.os == expected.os && actual.architecture == expected.architecture {
        return;
    }
    let message = format!(
        "Base image {} was pulled with platform \"{actual}\", expected \"{expected}\" for current \
         build",
        key.name
    );
    let at = At::from(sketch.dockerfile, id);
    let span = notebook.place(&at, &sketch.dockerfile.stages[id].from.base);
    notebook.note_part(&rules::INVALID_BASE_IMAGE_PLATFORM, &at, message, span);
}

/// BuildKit's words for findings that fail the build.
fn violation(
    dockerfile: &Dockerfile,
    inputs: &Inputs,
    checks: &Checks,
    findings: &[Finding],
) -> Option<Located> {
    let mut names: Vec<&str> = Vec::new();
    for finding in findings.iter().filter(|_| checks.error) {
        if !names.contains(&finding.rule.name) {
            names.push(finding.rule.name);
        }
    }
    let first = findings.first().filter(|_| !names.is_empty())?;
    let message = format!("lint violation found for rules: {}", names.join(", "));
    let wish = dockerfile.directives.check.as_ref().map(|(_, span)| span);
    let wish = wish.filter(|_| !inputs.args.contains_key(ARGUMENT));
    Some(located(dockerfile, &inputs.path, wish.unwrap_or(&first.span), message))
}
