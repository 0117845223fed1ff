//! Stages that come out the same for several platforms, so that they are built once: those with
//! `FROM --platform=$BUILDPLATFORM` that look at no argument of the target's.

use std::collections::BTreeMap;

use super::{Plan, StageId};

/// For each stage of each plan, the plan that builds it for all.
#[derive(Debug, Default)]
pub struct Twins(BTreeMap<(usize, StageId), usize>);

impl Twins {
    /// Compares the plans of one Dockerfile for several platforms. Stages are the same if every word of
    /// them is, after expansion, and so is every stage that they use.
    pub fn of(plans: &[Plan]) -> Self {
        let mut owners = BTreeMap::new();
        for (number, plan) in plans.iter().enumerate() {
            for stage in &plan.stages {
                let same = |other: &usize| {
                    let owner = |number: usize, id| owners.get(&(number, id));
                    plans[*other].stage(stage.id) == Some(stage)
                        && stage
                            .uses
                            .iter()
                            .all(|used| owner(*other, *used) == owner(number, *used))
                };
                let owner = (0..number).find(same).unwrap_or(number);
                owners.insert((number, stage.id), owner);
            }
        }
        Self(owners)
    }

    /// The number of the plan that builds a stage; its own where no earlier one has the same.
    pub fn owner(&self, plan: usize, stage: StageId) -> usize {
        self.0.get(&(plan, stage)).copied().unwrap_or(plan)
    }

    /// Whether a stage is built for more than one platform.
    pub fn is_shared(&self, plan: usize, stage: StageId) -> bool {
        let owner = self.owner(plan, stage);
        let same =
            |((_, id), other): &(&(usize, StageId), &usize)| *id == stage && **other == owner;
        self.0.iter().filter(same).count() > 1
    }
}
