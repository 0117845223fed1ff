//! THE STORY: how a Dockerfile becomes an image in a registry. [`build`] tells it:
//!
//! 1. **Context**: find the Dockerfile and the files that COPY may take ([`crate::context`]).
//! 2. **Plan**: parse, find the needed stages, ask registries for the bases' manifests and configs
//!    (no layers), expand every instruction ([`crate::dockerfile`], [`crate::plan`]). Meanwhile the
//!    destinations are asked whether a push will be allowed.
//! 3. **Stages**: run side by side ([`crate::schedule`], [`crate::stage`]). A stage without RUN is
//!    never unpacked; a base layer is downloaded only when somebody needs its files.
//! 4. **Layers** go to the destinations while later steps run ([`crate::publish::Uploads`]).
//! 5. **Assemble** config and manifest ([`crate::image::assemble()`]).
//! 6. **Publish**: OCI layout and docker archive, then the tags, last and only when all succeeded.
//! 7. **Report** digest, size and times to the caller; only [`crate::ui`] prints.

mod arrived;
mod bases;
mod dry_run;
mod files;
mod furnish;
mod isolation;
mod prepare;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use self::bases::base_of;
pub use self::dry_run::dry_run;
use self::files::finish;
use self::furnish::{mark_needed, tools};
use self::isolation::{can_run, settle};
use self::prepare::{Prepared, PushCheck};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::event::Reporter;
use crate::plan::Plan;
use crate::publish::{Uploads, send_digest, write_digest_files};
use crate::registry::Reference;
use crate::remote::Source;
use crate::request::Request;
use crate::sandbox::{Entered, Sandbox};
use crate::schedule::run_stages;
pub use crate::schedule::was_cancelled;
use crate::settings;
use crate::stage::Workshop;

/// What a build stands on, made before any thread was.
#[derive(Debug)]
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
    /// Number of layers.
    pub layers: usize,
    /// How long it took.
    pub time: Duration,
    /// How long each step of the Dockerfile took, in the order in which they ended.
    pub steps: Vec<(String, Duration)>,
}

/// Builds and publishes an image.
pub fn build(request: &Request, ground: &Ground) -> Result<Built> {
    let start = Instant::now();
    // 1. Context
    let source = prepare::Source::open(request, ground)?;

    // 2. Plan
    let prepared = Prepared::new(request, ground, &source, PushCheck::Ask)?;
    let Prepared { client, bases, plan, images, names, destinations } = prepared;
    can_run(&plan, ground, &source.place)?;

    // 3. Stages, and 4. their layers on their way to the destinations
    let (sandbox, work_dir) = settle(request, ground, &plan, &source)?;
    let tools = tools(request, ground, &source, sandbox, client, bases);
    let shop = Arc::new(Workshop::open(work_dir.path(), tools)?);
    mark_needed(request, &plan, &images);
    let uploads = Uploads::new(shop.clone(), destinations)
        .ignoring_immutable_tags(request.ignore_immutable_tags);
    fetch_ahead(&shop, &plan);
    let finished = run_stages(&shop, &plan, &images, Some(&uploads));
    let outcome = shop.sandbox.give_back().map_err(Into::into).and(finished).and_then(|finished| {
        // 5. Assemble, and 6. publish
        let format = settings::image_format(request, base_of(&plan, &images));
        finish(request, &shop, &finished, format, &uploads)
    });
    // Threads that still send look into the work directory: let them end before it goes.
    let image = outcome.map_err(|error| {
        ground.cancel.cancel();
        shop.downloads.wait();
        why(error, uploads.wait())
    })?;
    write_digest_files(request, &names, &image.manifest_digest)?;
    let options = settings::registry_options(&request.registry);
    send_digest(request, &options, &ground.cancel, &image.manifest_digest)?;
    // 7. Report
    Ok(Built {
        digest: image.manifest_digest,
        size: image.size(),
        layers: image.layers.len(),
        places: places(request, &names),
        time: start.elapsed(),
        steps: shop.take_times(),
    })
}

/// Begins to fetch what steps will take from elsewhere. Where `/` becomes the image's, this
/// machine's git is not there later.
fn fetch_ahead(shop: &Workshop, plan: &Plan) {
    let named = plan.named_contexts().into_iter();
    let named: Vec<_> = named.filter_map(|name| shop.named_sources.get(name)?.remote()).collect();
    let sources: Vec<&Source> = plan.remotes().into_iter().chain(&named).collect();
    shop.downloads.begin(&sources);
    if matches!(shop.sandbox, Sandbox::Inplace(_)) {
        shop.downloads.wait();
    }
}

/// Where the image is: names in registries, then paths of files.
fn places(request: &Request, names: &[Reference]) -> Vec<String> {
    let pushed = names.iter().filter(|_| request.push).map(Reference::familiar);
    let paths = [&request.oci_layout_path, &request.tar_path];
    let paths = paths.into_iter().flatten().map(|path| path.display().to_string());
    pushed.chain(paths).collect()
}

/// Of a build's error and an upload's, the one that came first: the other was cancelled by it.
fn why(build: anyhow::Error, uploads: Result<()>) -> anyhow::Error {
    match uploads {
        Err(error) if was_cancelled(&build) && !was_cancelled(&error) => error,
        _ => build,
    }
}
