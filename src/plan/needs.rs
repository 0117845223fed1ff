//! Which images a plan looks into. The layers of the others never have to be on this machine.

use std::collections::BTreeSet;

use super::{Action, Base, FilesFrom, ImageKey, Plan, StageId};

impl Plan {
    /// The image at the bottom of a stage; nothing above `scratch`.
    pub fn image_below(&self, id: StageId) -> Option<&ImageKey> {
        let mut stage = self.stage(id)?;
        while let Base::Stage(parent) = &stage.base {
            stage = self.stage(*parent)?;
        }
        match &stage.base {
            Base::Image(key) => Some(key),
            _ => None,
        }
    }

    /// The images whose files a step reads: a RUN does, COPY and WORKDIR look at what is at their
    /// destination, and `COPY --from` and `RUN --mount` take from it.
    pub fn images_looked_into(&self) -> BTreeSet<&ImageKey> {
        let mut images = BTreeSet::new();
        for stage in &self.stages {
            let reads = |action: &Action| !matches!(action, Action::Metadata);
            if stage.unpacked || stage.steps.iter().any(|step| reads(&step.action)) {
                images.extend(self.image_below(stage.id));
            }
            let froms = stage.steps.iter().flat_map(|step| match &step.action {
                Action::Copy(copy) => vec![&copy.from],
                Action::Run(run) => run.files_from().collect(),
                Action::Metadata | Action::Workdir(_) => Vec::new(),
            });
            for from in froms {
                match from {
                    FilesFrom::Context | FilesFrom::Named(_) | FilesFrom::Nothing => {}
                    FilesFrom::Stage(id) => images.extend(self.image_below(*id)),
                    FilesFrom::Image(key) => _ = images.insert(key),
                }
            }
        }
        images
    }
}
