//! Says of each step why it was, or was not, taken from a cache.

use std::collections::BTreeMap;

use super::graph::{StageKeys, StepKey};
use super::key::Input;
use super::probe::{Findings, Miss, Verdict};
use super::record::{Entry, Record};
use super::state::Manner;
use crate::plan::{Base, Plan, Stage, StageId};

/// Differences that are told by name.
const TOLD: usize = 6;

/// One line for each step that changes files, in the order of the file. `places` names the records.
pub fn explain(
    plan: &Plan,
    keys: &BTreeMap<StageId, StageKeys>,
    findings: &Findings,
    records: &[Record],
    places: &[String],
) -> Vec<String> {
    let mut lines = Vec::new();
    for stage in &plan.stages {
        let Some(keys) = keys.get(&stage.id) else { continue };
        let total = stage.steps.len();
        for (number, (step, key)) in stage.steps.iter().zip(&keys.steps).enumerate() {
            let Some(verdict) = findings.steps.get(&(stage.id, number)) else { continue };
            let is_first =
                keys.steps[..number].iter().all(|before| before.manner == Manner::Nothing);
            let why = match verdict {
                Verdict::Hit(hit) => {
                    let place = places.get(hit.from).map_or("", String::as_str);
                    format!("hit, made {} ({place})", hit.entry.created)
                }
                Verdict::Miss(miss) => Explainer { stage, key, records, is_first }.miss(miss),
            };
            let idle = if findings.needed.contains(&stage.id) { "" } else { " (not needed)" };
            lines.push(format!(
                "[{}{}/{total}] {}: {why}{idle}",
                stage.prefix(),
                number + 1,
                step.line
            ));
        }
    }
    lines
}

struct Explainer<'a> {
    stage: &'a Stage,
    key: &'a StepKey,
    records: &'a [Record],
    /// Nothing of the stage stands between the step and the base.
    is_first: bool,
}

impl Explainer<'_> {
    fn miss(&self, miss: &Miss) -> String {
        match miss {
            Miss::Unwanted(why) => format!("not looked for: {why}"),
            Miss::Unknown(why) => format!("cannot be kept: {why}"),
            Miss::Behind => {
                "miss: a command before it has to run, and may leave other files".into()
            }
            Miss::Elsewhere => {
                "miss: it is there, but was built on other files: a command before it has run anew \
                 since, or a stage that it takes files from"
                    .into()
            }
            Miss::New => self.new_key(),
        }
    }

    fn new_key(&self) -> String {
        let Some((entry, changed)) = self.closest() else {
            return "miss: nothing like it was built before".into();
        };
        if changed.is_empty() {
            return format!("miss: what was made {} was not used for too long", entry.created);
        }
        let mut told: Vec<String> = changed.iter().take(TOLD).map(|it| self.told(it)).collect();
        if changed.len() > TOLD {
            told.push(format!("{} more", changed.len() - TOLD));
        }
        format!("miss: {} (against that of {})", told.join(", "), entry.created)
    }

    fn told(&self, (name, change): &(String, Change)) -> String {
        let is_below = name == self.key.about.inputs.first().map_or("", |input| &input.name)
            && name.ends_with("a step before it");
        let name = match (&self.stage.base, is_below) {
            (Base::Image(image), true) if self.is_first => format!("the base {}", image.name),
            (_, true) if self.is_first => "what the stage starts from".to_owned(),
            (_, true) => "a step before it".to_owned(),
            _ => name.clone(),
        };
        format!("{name} {}", change.word())
    }

    /// The entry with the fewest differences, the one used last of those; and the differences. One of
    /// the same words is closer than any other of the same instruction.
    fn closest(&self) -> Option<(&Entry, Vec<(String, Change)>)> {
        let about = &self.key.about;
        let entries = self.records.iter().flat_map(|record| &record.entries);
        let instruction = |step: &str| step.split(' ').next().unwrap_or_default().to_owned();
        let own = instruction(&about.step);
        let like = entries.filter(|entry| instruction(&entry.about.step) == own);
        let compared = like.map(|entry| (entry, differences(&entry.about.inputs, &about.inputs)));
        compared
            .filter(|(entry, changed)| {
                entry.about.step == about.step || changed.len() * 2 <= about.inputs.len()
            })
            .min_by_key(|(entry, changed)| {
                (entry.about.step != about.step, changed.len(), std::cmp::Reverse(entry.used))
            })
    }
}

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Changed,
    Came,
    Gone,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Came => "is new",
            Self::Gone => "is gone",
        }
    }
}

fn differences(old: &[Input], new: &[Input]) -> Vec<(String, Change)> {
    let (old, new) = (by_name(old), by_name(new));
    let mut all: Vec<(String, Change)> = Vec::new();
    for (name, values) in &new {
        match old.get(name) {
            None => all.push(((*name).to_owned(), Change::Came)),
            Some(before) if before != values => all.push(((*name).to_owned(), Change::Changed)),
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    all.extend(gone.map(|name| ((*name).to_owned(), Change::Gone)));
    all
}

fn by_name(inputs: &[Input]) -> BTreeMap<&str, Vec<&str>> {
    let mut map: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for input in inputs {
        map.entry(&input.name).or_default().push(&input.value);
    }
    map
}
