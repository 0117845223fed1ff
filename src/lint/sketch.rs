//! A reading of the stages that goes on where [`crate::plan::Graph`] stops: what has a mistake in it
//! is left out, and the rest is looked at.

use std::collections::BTreeSet;

use super::globals::Globals;
use crate::dockerfile::{Dockerfile, Located, Span, StageText, expand};
use crate::image::Platform;
use crate::plan::{
    Base, ImageKey, Inputs, NamedContext, StageId, from_words, is_named, stage_by_name,
};

/// Which stages are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that the target needs.
    Needed,
    /// All of them: what `--check` without `--target` means.
    All,
}

/// The stages, and how they hang together.
#[derive(Debug)]
pub(super) struct Sketch<'a> {
    pub dockerfile: &'a Dockerfile,
    pub inputs: &'a Inputs,
    pub globals: Globals,
    pub stages: Vec<StageSketch>,
}

/// One stage.
#[derive(Debug)]
pub(super) struct StageSketch {
    /// What it starts from, if that can be known.
    pub base: Option<Base>,
    /// Other stages that it takes files from; all come before it.
    pub sources: BTreeSet<usize>,
    /// The arguments in its FROM.
    pub uses: BTreeSet<String>,
}

impl<'a> Sketch<'a> {
    pub fn new(dockerfile: &'a Dockerfile, inputs: &'a Inputs) -> Self {
        let globals = Globals::given(dockerfile, inputs);
        let stages = Vec::new();
        let mut sketch = Self { dockerfile, inputs, globals, stages };
        for (id, stage) in dockerfile.stages.iter().enumerate() {
            let stage = sketch.stage(id, stage);
            sketch.stages.push(stage);
        }
        sketch
    }

    /// The target's number, if there is such a stage.
    pub fn target(&self) -> Option<usize> {
        let stages = &self.dockerfile.stages;
        let Some(wanted) = &self.inputs.target else { return stages.len().checked_sub(1) };
        let number = || wanted.parse::<usize>().ok().filter(|number| *number < stages.len());
        stage_by_name(stages, wanted).map(|StageId(number)| number).or_else(number)
    }

    /// The stages to look at.
    pub fn wanted(&self, which: Which) -> BTreeSet<usize> {
        if which == Which::All {
            return (0..self.stages.len()).collect();
        }
        let mut wanted = BTreeSet::new();
        let mut pending: Vec<usize> = self.target().into_iter().collect();
        while let Some(id) = pending.pop() {
            if wanted.insert(id) {
                pending.extend(self.stages[id].needs());
            }
        }
        wanted
    }

    /// The images that stages start from, with the first FROM that names each.
    pub fn images(&self, which: Which) -> Vec<(ImageKey, Span)> {
        let mut images: Vec<(ImageKey, Span)> = Vec::new();
        for id in self.wanted(which) {
            let Some(Base::Image(key)) = &self.stages[id].base else { continue };
            if !images.iter().any(|(known, _)| known == key) {
                images.push((key.clone(), self.dockerfile.stages[id].node_span.clone()));
            }
        }
        images
    }

    fn stage(&self, id: usize, stage: &StageText) -> StageSketch {
        let escape = self.dockerfile.directives.escape;
        let expand = |word: &str| expand::word(word, escape, &self.globals.values).ok();
        let name = expand(&stage.from.base);
        let platform = stage.from.platform.as_deref().map(expand);
        let mut uses = BTreeSet::new();
        for expanded in [name.as_ref(), platform.as_ref().and_then(Option::as_ref)] {
            uses.extend(expanded.iter().flat_map(|expanded| expanded.matched.iter().cloned()));
        }
        let platform = match platform {
            None => Some(self.inputs.platform.clone()),
            Some(expanded) => expanded.and_then(|expanded| expanded.text.parse().ok()),
        };
        let earlier = &self.dockerfile.stages[..id];
        let base = name.map(|name| name.text).filter(|name| !name.trim().is_empty());
        let base = base.and_then(|name| match stage_by_name(earlier, &name) {
            _ if name == "scratch" => Some(Base::Scratch),
            Some(stage) => Some(Base::Stage(stage)),
            None => platform.map(|platform| {
                self.named(&name, &platform).unwrap_or_else(|| {
                    Base::Image(ImageKey { name, platform: platform.to_string() })
                })
            }),
        });
        let sources = stage.nodes.iter().flat_map(|node| from_words(&node.instruction));
        let sources = sources.filter_map(|name| stage_of_source(earlier, &name)).collect();
        StageSketch { base, sources, uses }
    }
}

impl Sketch<'_> {
    /// The named context that stands in for an image, if there is one.
    fn named(&self, name: &str, platform: &Platform) -> Option<Base> {
        Some(match self.inputs.named_context(name, platform)? {
            (known, NamedContext::Files) => Base::Named(known.to_owned()),
            (_, NamedContext::Image(image)) => {
                Base::Image(ImageKey { name: image.clone(), platform: platform.to_string() })
            }
        })
    }
}

impl StageSketch {
    /// The stages below it and beside it.
    pub fn needs(&self) -> impl Iterator<Item = usize> {
        let below = match &self.base {
            Some(Base::Stage(StageId(id))) => Some(*id),
            _ => None,
        };
        below.into_iter().chain(self.sources.iter().copied())
    }
}

fn stage_of_source(earlier: &[StageText], name: &str) -> Option<usize> {
    let number = || name.parse::<usize>().ok().filter(|number| *number < earlier.len());
    earlier.iter().rposition(|stage| is_named(stage, name)).or_else(number)
}

/// An error at the FROM of an image.
pub(super) fn located(
    dockerfile: &Dockerfile,
    path: &str,
    span: &Span,
    message: String,
) -> Located {
    Located {
        path: path.to_owned(),
        text: dockerfile.text.as_str().into(),
        span: span.clone(),
        message,
        help: None,
        cause: None,
    }
}
