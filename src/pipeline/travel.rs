//! Caches of RUN that travel, for one build: opened, brought here, saved.

use std::sync::Arc;

use anyhow::Result;

use super::Ground;
use super::probe::Shelves;
use crate::cache::library::Place;
use crate::cache::mounts::Travel;
use crate::plan::Plan;
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
    let (from, to) = (each_once(shelves.read()), each_once(shelves.written()));
    let (reporter, interrupt) = (ground.reporter.clone(), shelves.interrupt().clone());
    Some(Arc::new(Travel::new(from, to, limits, reporter, interrupt)))
}

/// A place may be named twice, by `--cache-repo` and `--cache-to`.
fn each_once<'a>(places: impl Iterator<Item = &'a Place>) -> Vec<Place> {
    let mut all: Vec<Place> = Vec::new();
    for place in places {
        if !all.iter().any(|known| known.is(place)) {
            all.push(place.clone());
        }
    }
    all
}

impl Trip {
    /// Begins to bring the caches of the steps that will run.
    pub(super) fn begin(shop: &Arc<Workshop>, plans: &[Plan]) -> Self {
        Self { shop: shop.clone(), coming: bring_caches(shop, plans) }
    }

    /// Begins to save them, when all stages have ended, or one has failed; but not if the user has
    /// stopped the build. What the answer holds is waited for when it is dropped.
    pub(super) fn end<T>(mut self, stages: &Result<T>) -> Travelling {
        if stages.is_ok() {
            self.coming.wait()
        } else {
            self.coming.stop()
        }
        let interrupted = self.shop.travel.as_ref().is_some_and(|it| it.cancel().is_cancelled());
        match stages {
            Err(error) if interrupted || was_cancelled(error) => Travelling::default(),
            _ => save_caches(&self.shop),
        }
    }
}
