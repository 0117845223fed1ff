//! What the stages work with.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Ground;
use super::bases::Images;
use super::prepare::Source;
use crate::base_cache::BaseCache;
use crate::cache::mounts::Travel;
use crate::layer::{LayerOptions, Timestamp};
use crate::plan::Plan;
use crate::registry::Client;
use crate::remote;
use crate::request::{Request, Secret};
use crate::sandbox::Sandbox;
use crate::settings::{self, NamedBy};
use crate::stage::{Cached, Tools, Workshop};

/// Puts together what a request says and what was made for it so far.
pub(super) fn tools(
    request: &Request,
    ground: &Ground,
    source: &Source,
    sandbox: Sandbox,
    client: Client,
    bases: BaseCache,
    travel: Option<Arc<Travel>>,
) -> Tools {
    let epoch = request.source_date_epoch.map(Timestamp::from_secs);
    let now = epoch.unwrap_or_else(Timestamp::now);
    let mut commands = settings::commands(&request.run);
    if matches!(sandbox, Sandbox::Inplace(_)) {
        // Their files are moved aside before a command wants them. What cannot be read is an error
        // there, where it is wanted.
        for secret in commands.secrets.values_mut() {
            if let Ok(value) = secret.read() {
                *secret = Secret::Value(value.into());
            }
        }
    }
    Tools {
        bases,
        layer_options: LayerOptions {
            compression: settings::compression(request),
            clamp: epoch,
            threads: request.jobs,
        },
        sandbox,
        fetcher: settings::fetcher(
            request,
            &client,
            NamedBy::Dockerfile,
            &ground.reporter,
            &ground.cancel,
        ),
        client,
        named_sources: request.named_contexts.clone(),
        context: source.context.clone(),
        reporter: ground.reporter.clone(),
        cancel: ground.cancel.clone(),
        place: source.place.clone(),
        now,
        created: rfc3339(now),
        hosts: request.add_hosts.clone(),
        ignore_paths: request.ignore_paths.clone(),
        shm_size: request.shm_size,
        commands,
        travel,
    }
}

fn rfc3339(time: Timestamp) -> String {
    let nanos = i32::try_from(time.nanos).unwrap_or(0);
    jiff::Timestamp::new(time.secs, nanos).unwrap_or_default().to_string()
}

/// Says of each base layer whether its bytes will be on this machine anyway, so that an upload does
/// not fetch them a second time.
pub(super) fn mark_needed(request: &Request, plans: &[Plan], cached: &[Cached], images: &Images) {
    let mut needed = BTreeSet::new();
    for (number, plan) in plans.iter().enumerate() {
        let facts = cached.get(number).map(|cached| &cached.facts);
        let is_known = |id, step| facts.is_some_and(|facts| facts.contains_key(&(id, step)));
        needed.extend(plan.images_looked_into(&is_known));
    }
    if !request.exports.all.is_empty() {
        needed.extend(plans.iter().filter_map(|plan| plan.image_below(plan.target)));
    }
    let layers = needed.into_iter().filter_map(|key| images.get(key)).flat_map(|i| &i.layers);
    layers.for_each(|layer| layer.need_here());
}

/// Fetches what a key depends on: what is elsewhere, and may be something else today.
pub(super) fn fetch_for_keys(request: &Request, shop: &Workshop, plans: &[Plan]) {
    if !request.cache.is_used() {
        return;
    }
    let sources: Vec<&remote::Source> = plans.iter().flat_map(Plan::remotes).collect();
    shop.downloads.begin(&shop.unpinned(&sources));
}

/// Begins to fetch what steps will take from elsewhere. Where `/` becomes the image's, this
/// machine's git is not there later.
pub(super) fn fetch_ahead(shop: &Workshop, plans: &[Plan]) {
    let named = plans.iter().flat_map(Plan::named_contexts);
    let named: Vec<_> = named.filter_map(|name| shop.named_sources.get(name)?.remote()).collect();
    let sources: Vec<&remote::Source> =
        plans.iter().flat_map(Plan::remotes).chain(&named).collect();
    shop.downloads.begin(&sources);
    if matches!(shop.sandbox, Sandbox::Inplace(_)) {
        shop.downloads.wait();
    }
}
