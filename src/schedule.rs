//! Runs stages side by side: each begins at once and waits for another only where it uses it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, anyhow};

use crate::cancel::{Cancel, Cancelled};
use crate::plan::{ImageKey, Plan, StageId};
use crate::publish::Uploads;
use crate::sandbox::Sandbox;
use crate::stage::{self, BaseImage, Finished, ImageLayer, Surroundings, Workshop};

/// Stack of a stage's thread. COPY goes into directories by recursion, and a path of `PATH_MAX` can
/// have 2048 of them. What is not used costs no memory.
const STACK: usize = 32 << 20;

/// Builds all stages of the plan; the answer is the target.
pub fn run_stages(
    shop: &Workshop,
    plan: &Plan,
    images: &BTreeMap<ImageKey, Arc<BaseImage>>,
    uploads: Option<&Uploads>,
) -> Result<Arc<Finished>> {
    let board = Board {
        plan,
        images,
        uploads,
        cancel: shop.cancel.clone(),
        state: Mutex::default(),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        for stage in &plan.stages {
            let board = &board;
            if matches!(shop.sandbox, Sandbox::Inplace(_)) {
                // There is one `/`. They stand in an order in which each finds what it needs.
                board.wait_for_all_before(stage.id);
            }
            let work = move || {
                let result = stage::build(shop, stage, board);
                board.post(stage.id, result);
            };
            if let Err(error) = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work) {
                board.post(stage.id, Err(anyhow!("cannot start a thread for a stage: {error}")));
            }
        }
    });
    let state = board.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = state.failure {
        return Err(error);
    }
    state.finished.get(&plan.target).cloned().context("the target stage was not built")
}

/// Where stages leave their results and find those of others.
struct Board<'a> {
    plan: &'a Plan,
    images: &'a BTreeMap<ImageKey, Arc<BaseImage>>,
    uploads: Option<&'a Uploads>,
    cancel: Cancel,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    finished: BTreeMap<StageId, Arc<Finished>>,
    failure: Option<anyhow::Error>,
}

impl Board<'_> {
    fn post(&self, id: StageId, result: Result<Finished>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(finished) => {
                state.finished.insert(id, Arc::new(finished));
            }
            Err(error) => {
                // The first failure is the reason; the rest are cancelled because of it.
                let was_running = !self.cancel.is_cancelled();
                if state.failure.is_none() || (was_running && !was_cancelled(&error)) {
                    state.failure = Some(error);
                }
                self.cancel.cancel();
            }
        }
        self.changed.notify_all();
    }

    /// Waits until every stage before this one has ended.
    fn wait_for_all_before(&self, id: StageId) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.plan.stages.iter().take_while(|stage| stage.id != id);
        let before: Vec<StageId> = before.map(|stage| stage.id).collect();
        let waiting = |state: &mut State| {
            state.failure.is_none() && before.iter().any(|id| !state.finished.contains_key(id))
        };
        drop(self.changed.wait_while(state, waiting));
    }

    /// Whether a layer of this stage is one of the image's.
    fn leads_to_target(&self, id: StageId) -> bool {
        id == self.plan.target
    }
}

/// Whether an error says no more than that the build was stopped.
pub fn was_cancelled(error: &anyhow::Error) -> bool {
    Cancelled::caused(error.as_ref())
}

impl Surroundings for Board<'_> {
    fn stage(&self, id: StageId) -> Result<Arc<Finished>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self
            .changed
            .wait_while(state, |state| !state.finished.contains_key(&id) && state.failure.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.finished.get(&id).cloned().ok_or_else(|| Cancelled.into())
    }

    fn image(&self, key: &ImageKey) -> Result<Arc<BaseImage>> {
        let image = self.images.get(key).cloned();
        image.ok_or_else(|| anyhow!("the image {} was not resolved", key.name))
    }

    fn layer_ready(&self, id: StageId, layer: &Arc<ImageLayer>) {
        if let Some(uploads) = self.uploads.filter(|_| self.leads_to_target(id)) {
            uploads.offer(layer);
        }
    }
}
