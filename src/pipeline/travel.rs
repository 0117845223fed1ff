//! Caches of RUN that travel, for one build: opened, brought here, saved.

use std::sync::Arc;

use anyhow::Result;

use super::Ground;
use crate::cache::Backend;
use crate::cache::backend::{Layout, Registry};
use crate::cache::mounts::{Place, Travel};
use crate::cancel::Cancel;
use crate::plan::{Plan, StageId};
use crate::registry::{Client, Reference};
use crate::request::{CachePlace, CacheTarget, Request};
use crate::schedule::was_cancelled;
use crate::settings;
use crate::stage::{Travelling, Workshop, bring_caches, save_caches};

/// The caches of a build that are on their way.
#[derive(Debug)]
pub(super) struct Trip {
    shop: Arc<Workshop>,
    coming: Travelling,
}

/// What lets them travel; nothing where they do not.
pub(super) fn open(request: &Request, ground: &Ground) -> Result<Option<Arc<Travel>>> {
    let Some(limits) = request.cache.mounts else { return Ok(None) };
    // Not the build's own, which stops when a step fails.
    let cancel = Cancel::default();
    let client = Client::new(settings::registry_options(&request.registry), cancel.clone())?;
    let open = |place: &CachePlace| place_of(place, &client, &cancel);
    let from = request.cache.from.iter().map(open).collect::<Result<_>>()?;
    let to = request.cache.to.iter().filter_map(|target| match target {
        CacheTarget::Place { place, .. } => Some(open(place)),
        CacheTarget::Inline => None,
    });
    let to = to.collect::<Result<_>>()?;
    Ok(Some(Arc::new(Travel::new(from, to, limits, ground.reporter.clone(), cancel))))
}

fn place_of(place: &CachePlace, client: &Client, cancel: &Cancel) -> Result<Place> {
    Ok(match place {
        CachePlace::Registry(typed) => {
            let reference: Reference = typed.parse()?;
            let tag = reference.tag.clone().unwrap_or_else(|| "kiln".to_owned());
            let backend = Registry::new(client.clone(), reference.repository());
            Place { backend: Arc::new(backend) as Arc<dyn Backend>, tag }
        }
        CachePlace::Layout { dir, tag } => {
            let backend = Layout::new(dir.clone(), cancel.clone());
            Place { backend: Arc::new(backend), tag: tag.clone() }
        }
    })
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
    pub(super) fn end<T>(mut self, stages: &Result<T>, ground: &Ground) -> Travelling {
        self.coming.wait();
        match stages {
            Err(error) if was_cancelled(error) => Travelling::default(),
            Err(_) => save_caches(&self.shop),
            Ok(_) => {
                if let Some(travel) = &self.shop.travel {
                    let saving = travel.cancel().clone();
                    ground.cancel.on_cancel(move || saving.cancel());
                }
                save_caches(&self.shop)
            }
        }
    }
}
