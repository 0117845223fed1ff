//! Runs stages side by side: each begins at once and waits for another only where it uses it. Those of
//! several platforms too; a stage that is the same for two of them is built once.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, anyhow};

use crate::cancel::{Cancel, Cancelled};
use crate::layer::Growing;
use crate::plan::{ImageKey, Plan, Stage, StageId, Twins};
use crate::sandbox::Sandbox;
use crate::stage::{
    self, BaseImage, Cached, Finished, ImageLayer, Made, Reach, Surroundings, Workshop,
};

/// Stack of a stage's thread. COPY goes into directories by recursion, and a path of `PATH_MAX` can
/// have 2048 of them. What is not used costs no memory.
const STACK: usize = 32 << 20;

/// Who hears of what the stages make.
#[derive(Clone, Copy)]
pub struct Hear<'a> {
    /// Of each layer of a target, as soon as it is there.
    pub ready: &'a (dyn Fn(&Arc<ImageLayer>) + Sync),
    /// Of a large one, before it is complete.
    pub grows: &'a (dyn Fn(Growing) + Sync),
    /// Of each result that is worth keeping.
    pub made: &'a (dyn Fn(Made, Reach) + Sync),
}

impl std::fmt::Debug for Hear<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hear").finish_non_exhaustive()
    }
}

/// Builds all stages of the plans, one for each platform; the answer is their targets. `cached` is what
/// earlier builds know, in the order of the plans.
pub fn run_stages(
    shop: &Workshop,
    plans: &[Plan],
    cached: &[Cached],
    images: &BTreeMap<ImageKey, Arc<BaseImage>>,
    hear: Hear<'_>,
) -> Result<Vec<Arc<Finished>>> {
    let board = Board {
        plans,
        cached,
        nothing: Cached::default(),
        twins: Twins::of(plans),
        images,
        hear,
        cancel: shop.cancel.clone(),
        state: Mutex::default(),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        for (number, (at, stage)) in board.stages().enumerate() {
            let board = &board;
            if matches!(shop.sandbox, Sandbox::Inplace(_)) {
                // There is one `/`. They stand in an order in which each finds what it needs.
                board.wait_for_first(number);
            }
            let work = move || {
                let result = stage::build(shop, stage, &Seat { board, plan: at.0 });
                board.post(at, result);
            };
            if let Err(error) = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work) {
                board.post(at, Err(anyhow!("cannot start a thread for a stage: {error}")));
            }
        }
    });
    let targets: Vec<At> = board.targets().collect();
    let state = board.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = state.failure {
        return Err(error);
    }
    let target = |at: &At| state.finished.get(at).cloned().context("a target was not built");
    targets.iter().map(target).collect()
}

/// A stage of one of the plans: the plan's number, and the stage's.
type At = (usize, StageId);

/// Where stages leave their results and find those of others.
struct Board<'a> {
    plans: &'a [Plan],
    twins: Twins,
    cached: &'a [Cached],
    nothing: Cached,
    images: &'a BTreeMap<ImageKey, Arc<BaseImage>>,
    hear: Hear<'a>,
    cancel: Cancel,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    finished: BTreeMap<At, Arc<Finished>>,
    failure: Option<anyhow::Error>,
}

impl Board<'_> {
    /// The stages to build, in an order in which each comes after those that it uses.
    fn stages(&self) -> impl Iterator<Item = (At, &Stage)> {
        let all = self.plans.iter().enumerate();
        let all = all.flat_map(|(plan, it)| it.stages.iter().map(move |s| ((plan, s.id), s)));
        all.filter(|(at, _)| self.owner(*at) == *at)
    }

    /// Where the stage is built that this one is the same as.
    fn owner(&self, (plan, id): At) -> At {
        (self.twins.owner(plan, id), id)
    }

    fn targets(&self) -> impl Iterator<Item = At> {
        self.plans.iter().enumerate().map(|(plan, it)| self.owner((plan, it.target)))
    }

    /// Whether a stage's layers are in an image: it is a target, or one starts from it.
    fn is_in_image(&self, at: At) -> bool {
        self.plans.iter().enumerate().any(|(number, plan)| {
            plan.stages_of_image().any(|stage| self.owner((number, stage.id)) == at)
        })
    }

    fn post(&self, at: At, result: Result<Finished>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(finished) => {
                state.finished.insert(at, Arc::new(finished));
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

    /// Waits until so many stages have ended.
    fn wait_for_first(&self, number: usize) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |state: &mut State| state.failure.is_none() && state.finished.len() < number;
        drop(self.changed.wait_while(state, waiting));
    }
}

/// The board as a stage of one plan sees it.
struct Seat<'a> {
    board: &'a Board<'a>,
    plan: usize,
}

/// Whether an error says no more than that the build was stopped.
pub fn was_cancelled(error: &anyhow::Error) -> bool {
    Cancelled::caused(error.as_ref())
}

impl Surroundings for Seat<'_> {
    fn stage(&self, id: StageId) -> Result<Arc<Finished>> {
        let Board { state, changed, .. } = self.board;
        let at = self.board.owner((self.plan, id));
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = changed
            .wait_while(state, |state| !state.finished.contains_key(&at) && state.failure.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.finished.get(&at).cloned().ok_or_else(|| Cancelled.into())
    }

    fn image(&self, key: &ImageKey) -> Result<Arc<BaseImage>> {
        let image = self.board.images.get(key).cloned();
        image.ok_or_else(|| anyhow!("the image {} was not resolved", key.name))
    }

    fn layer_ready(&self, id: StageId, layer: &Arc<ImageLayer>) {
        if self.board.is_in_image((self.plan, id)) {
            (self.board.hear.ready)(layer);
        }
    }

    fn layer_grows(&self, id: StageId, growing: Growing) {
        if self.board.is_in_image((self.plan, id)) {
            (self.board.hear.grows)(growing);
        }
    }

    fn cached(&self) -> &Cached {
        self.board.cached.get(self.plan).unwrap_or(&self.board.nothing)
    }

    fn made(&self, made: Made) {
        let in_image = self.board.is_in_image((self.plan, made.stage));
        let reach = if in_image { Reach::Image } else { Reach::Between };
        (self.board.hear.made)(made, reach);
    }
}
