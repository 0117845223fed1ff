//! A plan without what an earlier build has done.

use std::collections::BTreeSet;

use super::{Action, Base, Plan, StageId};

impl Plan {
    /// Keeps only these stages; of their steps, those for which `is_cached` says so need not be carried
    /// out.
    #[must_use]
    pub fn trimmed(
        mut self,
        needed: &BTreeSet<StageId>,
        is_cached: &dyn Fn(StageId, usize) -> bool,
    ) -> Self {
        self.stages.retain(|stage| needed.contains(&stage.id));
        for stage in &mut self.stages {
            for (number, step) in stage.steps.iter_mut().enumerate() {
                if is_cached(stage.id, number) {
                    step.action = Action::Cached;
                }
            }
        }
        // From the last one up: a stage is unpacked for those that start from it, too.
        let mut wanted = BTreeSet::new();
        for stage in self.stages.iter_mut().rev() {
            let runs = stage.steps.iter().any(|step| matches!(step.action, Action::Run(_)));
            stage.unpacked = runs || wanted.contains(&stage.id);
            if let (true, Base::Stage(parent)) = (stage.unpacked, &stage.base) {
                wanted.insert(*parent);
            }
        }
        self
    }
}
