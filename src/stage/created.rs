//! When the steps of a stage were carried out, for its history.
//!
//! An image of which every step is an earlier build's is the same image as then, down to its digest:
//! so a step that changes no file counts as old as the one before it, or, at the beginning, after it.

use super::cached::Cached;
use crate::plan::{Action, Stage};

/// The times of a stage's steps; RFC 3339.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Times {
    steps: Vec<String>,
    last: String,
}

impl Times {
    /// Of a step, by its number.
    pub(super) fn of_step(&self, number: usize) -> String {
        self.steps.get(number).unwrap_or(&self.last).clone()
    }

    /// Of the stage.
    pub(super) fn last(self) -> String {
        self.last
    }
}

/// `below` is the time of the stage that it starts from, if it does.
pub(super) fn times(stage: &Stage, cached: &Cached, below: Option<&str>, now: &str) -> Times {
    let mut own: Vec<Option<String>> = Vec::new();
    for (number, step) in stage.steps.iter().enumerate() {
        own.push(match (cached.hits.get(&(stage.id, number)), &step.action) {
            (Some(hit), _) => Some(hit.created.clone()),
            (None, Action::Metadata | Action::Cached) => None,
            (None, _) => Some(now.to_owned()),
        });
    }
    let first = own.iter().flatten().next().cloned();
    let mut current = below.map(str::to_owned).or(first).unwrap_or_else(|| now.to_owned());
    let mut latest = below.map(str::to_owned);
    let mut steps = Vec::new();
    for time in own {
        if let Some(time) = time {
            if latest.as_deref().is_none_or(|latest| is_later(&time, latest)) {
                latest = Some(time.clone());
            }
            current = time;
        }
        steps.push(current.clone());
    }
    Times { steps, last: latest.unwrap_or_else(|| now.to_owned()) }
}

fn is_later(time: &str, than: &str) -> bool {
    match (time.parse::<jiff::Timestamp>(), than.parse::<jiff::Timestamp>()) {
        (Ok(time), Ok(than)) => time > than,
        _ => time > than,
    }
}
