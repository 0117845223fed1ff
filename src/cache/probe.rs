//! Which steps have a result, found for a whole plan at once.
//!
//! A result is of use where what it was built on is what is there. That is known as long as everything
//! below has a result, too, or is a copy. Behind the first command that has to run nothing is known:
//! it may leave other files than last time.
//!
//! A stage that nobody has to build need not be known: what was taken from it is a result already. But
//! then all that was taken from it has to be from the same time ([`Attempt::agrees`]), and it must not be
//! built for somebody else after all, nor have a command that the user wants to run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::facts::Facts;
use super::graph::{StageKeys, StepKey};
use super::key::Key;
use super::record::{Entry, Record};
use super::state::{Manner, State, Token};
use crate::digest::Digest;
use crate::plan::{Base, Plan, Stage, StageId};

/// A step of a plan: its stage, and its number there from 0.
pub type At = (StageId, usize);

/// What is asked.
#[derive(Debug)]
pub struct Probe<'a> {
    /// What is to be done.
    pub plan: &'a Plan,
    /// The keys of its stages.
    pub keys: &'a BTreeMap<StageId, StageKeys>,
    /// What is known, the preferred place first.
    pub records: &'a [Record],
    /// Entries that were last used before then (seconds since 1970) do not count.
    pub oldest: u64,
    /// Why a step is not looked for, if it is not.
    pub unwanted: &'a dyn Unwanted,
}

/// Says which steps are built whatever is known of them.
pub trait Unwanted: std::fmt::Debug {
    /// Why; in a few words.
    fn unwanted(&self, stage: &Stage, step: &StepKey) -> Option<String>;
}

/// A result that is of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The result.
    pub entry: Entry,
    /// The number of the record that has it.
    pub from: usize,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// Nobody looked.
    Unwanted(String),
    /// The step has no key.
    Unknown(String),
    /// A command before it has to run, and may leave other files.
    Behind,
    /// Nothing has this key.
    New,
    /// There is one, built on other files.
    Elsewhere,
}

/// Of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It need not be carried out.
    Hit(Box<Hit>),
    /// It has to.
    Miss(Miss),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// For each step that changes files.
    pub steps: BTreeMap<At, Verdict>,
    /// What is known of the files below a copy that has to be made.
    pub facts: BTreeMap<At, Facts>,
    /// The stages that have to be there for the image: those whose layers are in it, and those from
    /// which a step takes files that has to be carried out.
    pub needed: BTreeSet<StageId>,
}

impl Findings {
    /// The result of a step, if there is one.
    pub fn hit(&self, at: At) -> Option<&Hit> {
        match self.steps.get(&at) {
            Some(Verdict::Hit(hit)) => Some(hit),
            _ => None,
        }
    }
}

impl Probe<'_> {
    /// Looks.
    pub fn run(&self) -> Findings {
        let mut fresh = BTreeSet::new();
        loop {
            let mut attempt = Attempt::new(self, &fresh);
            self.plan.stages.iter().for_each(|stage| attempt.stage(stage));
            let needed = self.needed(&attempt.findings);
            let lent = attempt.lent.keys();
            let now: BTreeSet<StageId> = lent.filter(|id| needed.contains(id)).copied().collect();
            if now.is_empty() {
                return Findings { needed, ..attempt.findings };
            }
            // They are built anew, so nothing can be taken from what they were.
            fresh.extend(now);
        }
    }

    fn needed(&self, findings: &Findings) -> BTreeSet<StageId> {
        let mut needed = BTreeSet::new();
        let mut pending = vec![self.plan.target];
        while let Some(id) = pending.pop() {
            if !needed.insert(id) {
                continue;
            }
            let (Some(stage), Some(keys)) = (self.plan.stage(id), self.keys.get(&id)) else {
                continue;
            };
            if let Base::Stage(base) = &stage.base {
                pending.push(*base);
            }
            for (number, step) in keys.steps.iter().enumerate() {
                if findings.hit((id, number)).is_none() {
                    pending.extend(&step.sources);
                }
            }
        }
        needed
    }
}

/// A finished stage, as far as it is known.
#[derive(Debug, Clone, Default)]
struct End {
    state: Option<State>,
    /// What it is made of, itself not included.
    tokens: BTreeSet<Token>,
}

/// One way through the plan.
struct Attempt<'a> {
    probe: &'a Probe<'a>,
    /// Stages that are built although nothing is known of them.
    fresh: &'a BTreeSet<StageId>,
    by_key: HashMap<Key, Vec<(usize, &'a Entry)>>,
    by_below: HashMap<Digest, Vec<&'a Entry>>,
    ends: BTreeMap<StageId, End>,
    /// Stages of which nothing is known but what was taken from them once.
    lent: BTreeMap<StageId, Token>,
    /// Stages with a command that shall run, whatever is known of it.
    unwanted: BTreeSet<StageId>,
    findings: Findings,
}

impl<'a> Attempt<'a> {
    fn new(probe: &'a Probe<'a>, fresh: &'a BTreeSet<StageId>) -> Self {
        let mut by_key: HashMap<Key, Vec<(usize, &Entry)>> = HashMap::new();
        let mut by_below: HashMap<Digest, Vec<&Entry>> = HashMap::new();
        for (number, record) in probe.records.iter().enumerate() {
            for entry in record.entries.iter().filter(|entry| entry.used >= probe.oldest) {
                by_key.entry(entry.key).or_default().push((number, entry));
                if !entry.facts.is_empty() {
                    by_below.entry(entry.below).or_default().push(entry);
                }
            }
        }
        let findings = Findings::default();
        let (ends, lent) = (BTreeMap::new(), BTreeMap::new());
        let unwanted = BTreeSet::new();
        Self { probe, fresh, by_key, by_below, ends, lent, unwanted, findings }
    }

    fn stage(&mut self, stage: &Stage) {
        let Some(keys) = self.probe.keys.get(&stage.id) else { return };
        let mut end = match &stage.base {
            Base::Stage(id) => self.with_token(*id),
            _ => End { state: keys.start.map(State::of_base), tokens: BTreeSet::new() },
        };
        for (number, step) in keys.steps.iter().enumerate() {
            if step.manner == Manner::Nothing {
                continue;
            }
            let verdict = self.judge(stage, step, end.state);
            let tokens = match &verdict {
                Verdict::Hit(hit) => Some(hit.entry.sources.clone()),
                Verdict::Miss(_) => self.sources(step),
            };
            let direct = tokens.as_ref().and_then(|tokens| tokens.get(..step.sources.len()));
            if let (Verdict::Miss(_), Some(state), Manner::Copies) =
                (&verdict, end.state, step.manner)
            {
                self.look_up_facts((stage.id, number), state);
            }
            end.state = match (&verdict, step.key, direct) {
                (Verdict::Hit(hit), Some(key), Some(direct)) => {
                    let left = hit.entry.layer.as_ref().map(|layer| layer.diff_id);
                    end.state.map(|state| state.after(step.manner, key, left, direct))
                }
                (Verdict::Miss(_), Some(key), Some(direct)) if step.manner != Manner::Runs => {
                    end.state.map(|state| state.after(step.manner, key, None, direct))
                }
                _ => None,
            };
            end.tokens.extend(tokens.unwrap_or_default());
            self.findings.steps.insert((stage.id, number), verdict);
        }
        self.ends.insert(stage.id, end);
    }

    /// A stage as something that another one is made of.
    fn with_token(&self, id: StageId) -> End {
        let mut end = self.ends.get(&id).cloned().unwrap_or_default();
        end.tokens.extend(self.token(id));
        end
    }

    fn token(&self, id: StageId) -> Option<Token> {
        let state = self.ends.get(&id)?.state?;
        Some(Token::new(self.probe.keys.get(&id)?.end?, state))
    }

    /// The stages that a step takes files from, and what these are made of; nothing where one of them
    /// is not known.
    fn sources(&self, step: &StepKey) -> Option<Vec<Token>> {
        let direct = step.sources.iter().map(|id| self.token(*id));
        let mut tokens: Vec<Token> = direct.collect::<Option<_>>()?;
        let mut below = BTreeSet::new();
        for id in &step.sources {
            below.extend(&self.ends.get(id)?.tokens);
        }
        tokens.extend(below.into_iter().cloned());
        Some(tokens)
    }

    fn judge(&mut self, stage: &Stage, step: &StepKey, state: Option<State>) -> Verdict {
        if let Some(why) = self.probe.unwanted.unwanted(stage, step) {
            if step.manner == Manner::Runs {
                self.unwanted.insert(stage.id);
            }
            return Verdict::Miss(Miss::Unwanted(why));
        }
        let Some(key) = step.key else {
            let why = step.unknown.clone().unwrap_or_default();
            return Verdict::Miss(Miss::Unknown(why));
        };
        let below = match (step.manner, state) {
            (Manner::Links, _) => State::of_base(key).below(Manner::Links),
            (manner, Some(state)) => state.below(manner),
            (_, None) => return Verdict::Miss(Miss::Behind),
        };
        let candidates = self.by_key.get(&key).cloned().unwrap_or_default();
        let mut others = false;
        for (from, entry) in candidates {
            if entry.below == below && self.agrees(entry, step) {
                return Verdict::Hit(Box::new(Hit { entry: entry.clone(), from }));
            }
            others = true;
        }
        Verdict::Miss(if others { Miss::Elsewhere } else { Miss::New })
    }

    /// Whether the stages that an entry was made from are what they are now, or may be what they were
    /// then because nothing else is known of them.
    fn agrees(&mut self, entry: &Entry, step: &StepKey) -> bool {
        if entry.sources.len() < step.sources.len() {
            return false;
        }
        let mut lent = Vec::new();
        for token in &entry.sources {
            let keys = self.probe.keys.iter();
            let is_its = |keys: &StageKeys| keys.end.is_some_and(|end| token.is_of(end));
            for (id, _) in keys.filter(|(_, keys)| is_its(keys)) {
                let agrees = match (self.token(*id), self.lent.get(id)) {
                    (Some(known), _) => known == *token,
                    (None, Some(before)) => before == token,
                    (None, None) => !self.fresh.contains(id) && !self.unwanted.contains(id),
                };
                if !agrees {
                    return false;
                }
                if self.token(*id).is_none() {
                    lent.push((*id, token.clone()));
                }
            }
        }
        self.lent.extend(lent);
        true
    }

    fn look_up_facts(&mut self, at: At, state: State) {
        let mut facts = Facts::default();
        for entry in self.by_below.get(&state.below(Manner::Copies)).into_iter().flatten() {
            facts.extend(&entry.facts);
        }
        if !facts.is_empty() {
            self.findings.facts.insert(at, facts);
        }
    }
}
