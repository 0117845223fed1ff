//! What earlier builds know of this one's steps, and what they will know of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::layers::ImageLayer;
use crate::cache::facts::Facts;
use crate::cache::graph::{StageKeys, StepKey};
use crate::cache::probe::At;
use crate::cache::record::KeptLayer;
use crate::cache::{Entry, Key, Manner, State, Token};
use crate::digest::Digest;
use crate::plan::StageId;

/// Of one plan.
#[derive(Debug, Default)]
pub struct Cached {
    /// The keys of all stages, also of those that need not be built.
    pub keys: BTreeMap<StageId, StageKeys>,
    /// The steps that need not be carried out.
    pub hits: BTreeMap<At, StepHit>,
    /// What is known of the files below copies.
    pub facts: BTreeMap<At, Facts>,
    /// The time of entries that are made now, seconds since 1970.
    pub now: u64,
}

/// The result of a step.
#[derive(Debug)]
pub struct StepHit {
    /// Its layer; nothing if it changed no file.
    pub layer: Option<Arc<ImageLayer>>,
    /// When it was made; RFC 3339.
    pub created: String,
    /// As [`Entry::sources`].
    pub sources: Vec<Token>,
}

/// The result of a step that was carried out.
#[derive(Debug)]
pub struct Made {
    /// Its stage.
    pub stage: StageId,
    /// What is worth keeping of it.
    pub entry: Entry,
    /// How it changes files.
    pub manner: Manner,
    /// Its layer, whose blob is in the store.
    pub layer: Option<Arc<ImageLayer>>,
}

/// Whether a result is a part of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Its layer is in it.
    Image,
    /// It is of a stage that others take files from.
    Between,
}

/// What a finished stage is to those that are made of it.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// Its key.
    end: Option<Key>,
    state: Option<State>,
    /// What it is made of, itself not included; each once, for stages can use each other many times.
    tokens: BTreeSet<Token>,
}

impl Trail {
    /// A stage that starts from something that its key tells.
    pub(super) fn of_base(start: Option<Key>) -> Self {
        Self { end: None, state: start.map(State::of_base), tokens: BTreeSet::new() }
    }

    /// A stage that starts from this one.
    pub(super) fn continued(&self) -> Self {
        let mut tokens = self.tokens.clone();
        tokens.extend(self.token());
        Self { end: None, state: self.state, tokens }
    }

    /// The same, of a stage that is complete.
    pub(super) fn ended(self, end: Option<Key>) -> Self {
        Self { end, ..self }
    }

    fn token(&self) -> Option<Token> {
        Some(Token::new(self.end?, self.state?))
    }

    /// What a step is made of that takes files from these stages; nothing if one is not known.
    fn sources(stages: &[Trail]) -> Option<Vec<Token>> {
        let mut tokens: Vec<Token> = stages.iter().map(Self::token).collect::<Option<_>>()?;
        let below: BTreeSet<&Token> = stages.iter().flat_map(|stage| &stage.tokens).collect();
        tokens.extend(below.into_iter().cloned());
        Some(tokens)
    }

    /// Goes on over a step that an earlier build has done.
    pub(super) fn over(&mut self, step: &StepKey, hit: &StepHit) {
        let left = hit.layer.as_ref().map(|layer| layer.diff_id);
        self.go_on(step, left, Some(&hit.sources));
    }

    /// Goes on over a step that was carried out; the answer is what is worth keeping of it.
    pub(super) fn made(
        &mut self,
        step: &StepKey,
        stages: &[Trail],
        outcome: Outcome<'_>,
    ) -> Option<Entry> {
        let sources = Self::sources(stages);
        let below = match step.manner {
            // Nothing below matters.
            Manner::Links => Some(State(Digest::of(b"")).below(Manner::Links)),
            manner => self.state.map(|state| state.below(manner)),
        };
        let left = outcome.layer.map(|layer| layer.diff_id);
        let layer = outcome.layer.map(|layer| KeptLayer {
            descriptor: layer.descriptor.clone(),
            diff_id: layer.diff_id,
        });
        self.go_on(step, left, sources.as_deref());
        Some(Entry {
            key: step.key?,
            below: below?,
            sources: sources?,
            layer,
            facts: outcome.facts,
            created: outcome.created.to_owned(),
            used: outcome.now,
            about: step.about.clone(),
        })
    }

    fn go_on(&mut self, step: &StepKey, left: Option<Digest>, sources: Option<&[Token]>) {
        let direct = sources.and_then(|sources| sources.get(..step.sources.len()));
        self.state = match (self.state, step.key, direct) {
            (Some(state), Some(key), Some(direct)) => {
                Some(state.after(step.manner, key, left, direct))
            }
            _ => None,
        };
        self.tokens.extend(sources.unwrap_or_default().iter().cloned());
    }
}

/// What came of a step.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    pub(super) layer: Option<&'a ImageLayer>,
    pub(super) facts: Facts,
    pub(super) created: &'a str,
    pub(super) now: u64,
}
