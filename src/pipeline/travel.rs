//! Caches of RUN that travel, for one build: opened, brought here, saved.

use std::sync::Arc;

use anyhow::Result;

use super::Ground;
use super::probe::Shelves;
use crate::cache::library;
use crate::cache::mounts::{Place, Travel};
use crate::plan::{Plan, StageId};
use crate::request::Request;
use crate::schedule::was_cancelled;
use crate::stage::{Travelling, Workshop, bring_caches, save_caches};

/// The caches of a build that are on their way.
#[derive(Debug)]
pub(super) struct Trip {
    shop: Arc<Workshop>,
    coming: Travelling,
}

/// What lets them travel, to and from the places of the layers; nothing where they do not.
pub(super) fn open(request: &Request, ground: &Ground, shelves: &Shelves) -> Option<Arc<Travel>> {
    let limits = request.cache.mounts?;
    let place =
        |place: &library::Place| Place { backend: place.backend.clone(), tag: place.name.clone() };
    let from = shelves.read().map(place).collect();
    let to = shelves.written().map(place).collect();
    let (reporter, interrupt) = (ground.reporter.clone(), shelves.interrupt().clone());
    Some(Arc::new(Travel::new(from, to, limits, reporter, interrupt)))
}

impl Trip {
    /// Begins to bring the caches of the steps that will run: `runs` knows them, by the number of the
    /// plan, the stage, and the step's number in there.
    pub(super) fn begin(
        shop: &Arc<Workshop>,
        plans: &[Plan],
        runs: &dyn Fn(usize, StageId, usize) -> bool,
    ) -> Self {
        Self { shop: shop.clone(), coming: bring_caches(shop, plans, runs) }
    }

    /// Begins to save them, when all stages have ended, or one has failed; but not if the user has
    /// stopped the build. What the answer holds is waited for when it is dropped.
    pub(super) fn end<T>(mut self, stages: &Result<T>) -> Travelling {
        self.coming.wait();
        let interrupted = self.shop.travel.as_ref().is_some_and(|it| it.cancel().is_cancelled());
        match stages {
            Err(error) if interrupted || was_cancelled(error) => Travelling::default(),
            _ => save_caches(&self.shop),
        }
    }
}
