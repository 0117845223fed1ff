//! Which images a plan looks into. The layers of the others never have to be on this machine.

use std::collections::BTreeSet;

use super::{Action, Base, CopyStep, FilesFrom, ImageKey, Plan, Stage, StageId};
use crate::rootfs::Users;

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

    /// The stages whose layers are in the image, from the target down.
    pub fn stages_of_image(&self) -> impl Iterator<Item = &Stage> {
        let below = |stage: &&Stage| match &stage.base {
            Base::Stage(below) => self.stage(*below),
            _ => None,
        };
        std::iter::successors(self.stage(self.target), below)
    }

    /// Whether a stage's layers are in the image.
    pub fn is_in_image(&self, id: StageId) -> bool {
        self.stages_of_image().any(|stage| stage.id == id)
    }

    /// Whether no step is left that makes a layer of the image.
    pub fn is_done(&self) -> bool {
        let is_done = |action: &Action| matches!(action, Action::Metadata | Action::Cached);
        self.stages_of_image().all(|it| it.steps.iter().all(|step| is_done(&step.action)))
    }

    /// The images whose files a step reads: a RUN does, COPY and WORKDIR look at what is at their
    /// destination (unless `is_known` says of the step that its answers are there already), and
    /// `COPY --from` and `RUN --mount` take from it.
    pub fn images_looked_into(
        &self,
        is_known: &dyn Fn(StageId, usize) -> bool,
    ) -> BTreeSet<&ImageKey> {
        let mut images = BTreeSet::new();
        for stage in &self.stages {
            let mut steps = stage.steps.iter().enumerate();
            if stage.unpacked
                || steps
                    .any(|(number, step)| step.action.looks_below() && !is_known(stage.id, number))
            {
                images.extend(self.image_below(stage.id));
            }
            let froms = stage.steps.iter().flat_map(|step| match &step.action {
                Action::Copy(copy) => vec![&copy.from],
                Action::Run(run) => run.files_from().collect(),
                Action::Metadata | Action::Cached | Action::Workdir(_) => Vec::new(),
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

impl Action {
    /// Whether it looks at the files that are there already.
    pub fn looks_below(&self) -> bool {
        match self {
            Self::Metadata | Self::Cached => false,
            Self::Run(_) | Self::Workdir(_) => true,
            Self::Copy(copy) => !copy.is_independent(),
        }
    }
}

impl CopyStep {
    /// Whether it is the same on any files: with `--link`, unless a name has to be looked up there.
    pub fn is_independent(&self) -> bool {
        let is_number = |chown: &str| Users::numeric(chown).is_some();
        self.link && self.chown.as_deref().is_none_or(is_number)
    }
}
