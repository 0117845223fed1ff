//! THE STORY: how a Dockerfile becomes an image in a registry. [`build`] tells it:
//!
//! 1. **Context**: find the Dockerfile and the files that COPY may take ([`crate::context`]).
//! 2. **Plan**: parse, find the needed stages, ask registries for the bases' manifests and configs
//!    (no layers), expand every instruction ([`crate::dockerfile`], [`crate::plan`]). Meanwhile the
//!    destinations are asked whether a push will be allowed. Each platform has a plan of its own.
//! 3. **Probe**: every step has a key before anything runs; what an earlier build has done is not done
//!    again, nor is what it needs fetched ([`crate::cache`]).
//! 4. **Stages**: run side by side ([`crate::schedule`], [`crate::stage`]). A stage without RUN is
//!    never unpacked; a base layer is downloaded only when somebody needs its files.
//! 5. **Layers** go to the destinations and to caches while later steps run, large ones while they are
//!    made ([`crate::publish::Uploads`], [`crate::publish::Keeping`]).
//! 6. **Assemble** config and manifest ([`crate::image::assemble()`]), and for several platforms the
//!    index that joins them.
//! 7. **Publish**: layouts, archives and files, then the tags, last and only when all succeeded.
//! 8. **Report** digest, size and times to the caller; only [`crate::ui`] prints.
//!
//! Shorter stories beside it: [`push`] and [`index`] send what is there already, [`log_in`] and
//! [`log_out`] keep logins, [`look_after`] looks after caches, [`check`] and [`dry_run`] stop before the stages.

mod arrived;
mod bases;
mod check;
mod dry_run;
mod exports;
mod furnish;
mod index;
mod isolation;
mod login;
mod look;
mod prepare;
mod probe;
mod product;
mod push;
mod squash;
mod travel;
mod upkeep;

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

pub use self::check::{Checkup, Looked, check, outline, targets};
pub use self::dry_run::dry_run;
use self::exports::write_exports;
use self::furnish::{fetch_ahead, fetch_for_keys, mark_needed, tools};
pub use self::index::{IndexMade, index};
use self::isolation::{make_ahead, settle};
pub use self::login::{LoggedIn, LoggedOut, log_in, log_out};
use self::prepare::{Prepared, PushCheck, Source};
use self::probe::{Probed, Shelves};
use self::product::{Part, parts, product};
pub use self::push::{PushMade, push};
use self::squash::squash_all;
use self::travel::Trip;
pub use self::upkeep::{
    Blobs, Kind, PlaceReport, PlaceUsage, Pruned, Refusal, ThingUsage, Upkept, Used, look_after,
};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::event::Reporter;
use crate::image::Product;
use crate::layer::Growing;
use crate::plan::Plan;
use crate::publish::{
    LostLayers, Uploads, send_digest, write_digest_files, write_iid_file, write_metadata_file,
};
use crate::registry::{Client, Reference};
use crate::request::{Export, Request};
use crate::sandbox::{Entered, Sandbox};
pub use crate::schedule::was_cancelled;
use crate::schedule::{Hear, run_stages};
use crate::settings;
use crate::stage::{ImageLayer, Made, Workshop, note_platforms};

/// What a build stands on, made before any thread was.
#[derive(Debug, Clone)]
pub struct Ground {
    /// What can run a RUN.
    pub sandbox: Entered,
    /// Hears of progress.
    pub reporter: Reporter,
    /// Stops the build.
    pub cancel: Cancel,
}

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// The image's digest.
    pub digest: Digest,
    /// Where it is now: names in registries, then paths of files.
    pub places: Vec<String>,
    /// Compressed bytes of layers and config.
    pub size: u64,
    /// Number of layers, those that images share counted once.
    pub layers: usize,
    /// Number of images: one for each platform.
    pub images: usize,
    /// How long it took.
    pub time: Duration,
    /// How long each step of the Dockerfile took, in the order in which they ended.
    pub steps: Vec<(String, Duration)>,
}

/// Builds and publishes an image. Where a cache has lost what it promised, begins anew without that.
pub fn build(request: &Request, ground: &Ground) -> Result<Built> {
    let start = Instant::now();
    // 1. Context
    let source = Source::open(request, ground)?;
    let options = settings::registry_options(&request.registry);
    let client = Client::new(options, ground.cancel.clone())?;
    let mut lost = HashSet::new();
    loop {
        let part = Ground { cancel: ground.cancel.child(), ..ground.clone() };
        let error = match attempt(request, &part, &client, &source, &lost) {
            Ok(built) => {
                client.settle();
                return Ok(Built { time: start.elapsed(), ..built });
            }
            Err(error) => error,
        };
        client.settle();
        let more = error.downcast_ref::<LostLayers>().map(|LostLayers(more)| more.clone());
        let before = lost.len();
        lost.extend(more.into_iter().flatten());
        if lost.len() == before || ground.cancel.is_cancelled() {
            return Err(error);
        }
        ground.reporter.warning(&format!("{error:#}; the build begins anew without it"));
    }
}

/// Builds once. `client` is stopped by the user, and serves also what goes on where a build has failed.
fn attempt(
    request: &Request,
    ground: &Ground,
    client: &Client,
    source: &Source,
    lost: &HashSet<Digest>,
) -> Result<Built> {
    let start = Instant::now();
    let shelves = Shelves::begin(request, source, client, &ground.reporter)?;

    // 2. Plan
    let client = client.stopped_by(ground.cancel.clone());
    let (prepared, made) = thread::scope(|scope| {
        let made = scope.spawn(|| make_ahead(request, ground, source));
        let prepared = Prepared::new(request, ground, source, client, PushCheck::Ask);
        (prepared, made.join().unwrap_or_default())
    });
    let Prepared { client, bases, plans, platforms, images, names, destinations } = prepared?;

    // 3. Probe
    let (sandbox, work_dir) = settle(request, ground, &plans, source, made)?;
    if matches!(sandbox, Sandbox::Inplace(_)) {
        // The machine's own, before `/` has the image's.
        client.read_certificates();
    }
    let travel = travel::open(request, ground, &shelves);
    let tools = tools(request, ground, source, sandbox, client, bases, travel);
    let shop = Arc::new(Workshop::open(work_dir.path(), tools)?);
    fetch_for_keys(request, &shop, &plans);
    note_platforms(&shop, &plans);
    let probed = shelves.probe(request, ground, &shop, plans, &images, lost);
    let Probed { plans, cached, keeping } = probed.inspect_err(|_| {
        ground.cancel.cancel();
        shop.downloads.wait();
    })?;

    // 4. Stages, and 5. their layers on their way to the destinations and to caches
    mark_needed(request, &plans, &cached, &images);
    let uploads = Uploads::new(shop.clone(), destinations)
        .ignoring_immutable_tags(request.ignore_immutable_tags)
        // With a fixed time the same files are the same layer; what a cache knows is not made again.
        .of_a_repeated_build(request.source_date_epoch.is_some() && !request.cache.is_used());
    let uploads = Arc::new(uploads);
    fetch_ahead(&shop, &plans);
    let trip = Trip::begin(&shop, &plans);
    let squash = request.exports.squash;
    let of_bases: HashSet<_> =
        images.values().flat_map(|it| &it.layers).map(|it| it.diff_id).collect();
    // Where nothing is made anew the image may be there, whole.
    let all_known = request.cache.is_used() && !squash && plans.iter().all(Plan::is_done);
    let ready = |layer: &Arc<ImageLayer>| {
        if !all_known && (!squash || of_bases.contains(&layer.diff_id)) {
            uploads.offer(layer);
        }
    };
    // Where layers become one, what is sent is made later.
    let grows = |growing: Growing| _ = (!squash).then(|| uploads.follow(&growing));
    let made = |made: Made, reach| keeping.offer(made, reach, &uploads);
    let hear = Hear { ready: &ready, grows: &grows, made: &made };
    let finished = run_stages(&shop, &plans, &cached, &images, hear);
    let finished = shop.sandbox.give_back().map_err(Into::into).and(finished);
    let mut saving = trip.end(&finished);
    // Caches get what there is, whatever becomes of the image.
    let (outcome, kept) = thread::scope(|scope| {
        if !work_dir.goes_with_the_container() {
            scope.spawn(|| shop.remove_unpacked());
        }
        let kept = scope.spawn(|| keeping.finish());
        let outcome = finished.and_then(|finished| {
            // 6. Assemble, and 7. publish
            let mut parts = parts(platforms, &plans, &images, finished);
            if squash {
                parts = squash_all(request, &shop, parts)?;
            }
            let product = product(request, &parts, &keeping.in_image())?;
            write_exports(request, &shop, &parts, &product)?;
            send(&uploads, &parts, &product, all_known)?;
            Ok(product)
        });
        // Threads that still send look into the work directory: let them end before it goes.
        let outcome = outcome.map_err(|error| {
            ground.cancel.cancel();
            shop.downloads.wait();
            keeping.explain(why(error, uploads.wait()))
        });
        let kept = kept.join().unwrap_or_else(|_| Err(anyhow!("the cache's writer broke off")));
        (outcome, kept)
    });
    saving.wait();
    let product = match (outcome, &kept) {
        (Err(error), Err(second)) => {
            ground.reporter.warning(&format!("{second:#}"));
            return Err(error);
        }
        (outcome, _) => outcome?,
    };
    tell(request, ground, &names, &product)?;
    kept?;
    // 8. Report
    Ok(Built {
        digest: product.document().digest,
        size: product.size(),
        layers: product.layers().len(),
        images: product.images().len(),
        places: places(request, &names),
        time: start.elapsed(),
        steps: shop.take_times(),
    })
}

/// Sends what has not been sent yet, and sets the tags.
fn send(uploads: &Uploads, parts: &[Part], product: &Product, all_known: bool) -> Result<()> {
    if all_known && uploads.are_done(product) {
        return uploads.tag(product);
    }
    parts.iter().flat_map(|part| &part.finished.layers).for_each(|it| uploads.offer(it));
    uploads.finish(product)
}

/// Writes the files by which programs learn of the image.
fn tell(request: &Request, ground: &Ground, names: &[Reference], product: &Product) -> Result<()> {
    let digest = product.document().digest;
    write_digest_files(request, names, &digest)?;
    if let Some(path) = &request.exports.iid_file {
        write_iid_file(path, product)?;
    }
    if let Some(path) = &request.exports.metadata_file {
        let full = |name: &Reference| format!("{}:{}", name.repository(), name.version());
        let names: Vec<String> = names.iter().map(full).collect();
        write_metadata_file(path, product, &names)?;
    }
    let options = settings::registry_options(&request.registry);
    send_digest(request, &options, &ground.cancel, &digest)
}

/// Where the image is: names in registries, then paths of files.
fn places(request: &Request, names: &[Reference]) -> Vec<String> {
    let pushed = names.iter().filter(|_| request.push).map(Reference::familiar);
    let paths = request.exports.all.iter().filter_map(Export::path);
    pushed.chain(paths.map(|path| path.display().to_string())).collect()
}

/// Of a build's error and an upload's, the one that came first: the other was cancelled by it.
fn why(build: anyhow::Error, uploads: Result<()>) -> anyhow::Error {
    match uploads {
        Err(error) if was_cancelled(&build) && !was_cancelled(&error) => error,
        _ => build,
    }
}
