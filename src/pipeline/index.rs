//! `kiln index`: images of several platforms, joined.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::prepare::references;
use super::push::client;
use crate::base_cache::{LAYOUT, layout_dir, layout_entry};
use crate::cancel::Cancel;
use crate::carry::{Home, Item, Part, Sender, Sent, join, parts_of_layout, parts_of_registry};
use crate::digest::Digest;
use crate::event::Reporter;
use crate::image::Platform;
use crate::publish::{Destination, write_result_files};
use crate::registry::{Client, Reference};
use crate::request::{Annotated, IndexRequest, IndexSource};

/// The index that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexMade {
    /// Its digest.
    pub digest: Digest,
    /// Names in registries.
    pub names: Vec<String>,
    /// Platforms of its images.
    pub platforms: Vec<Platform>,
    /// What had to be sent.
    pub sent: Sent,
    /// How long it took.
    pub time: Duration,
}

/// Looks at all sources, writes the index and sends what its repositories lack. It is written whole:
/// what a tag led to before is in it only if it is among the sources.
pub fn index(request: &IndexRequest, reporter: &Reporter, cancel: &Cancel) -> Result<IndexMade> {
    let start = Instant::now();
    let names = references(&request.to.names)?;
    let client = client(&request.to, cancel)?;
    let destinations = Destination::all(&client, &names);
    let parts = all_parts(&client, &request.sources, reporter)?;
    let annotations = request.annotations.on(Annotated::Index, None);
    let of_image = |platform: &Platform| {
        // As annotations spell it: `linux/arm64`, where a config has `v8` too.
        let normal = platform.to_string().parse().ok();
        request.annotations.on(Annotated::ManifestDescriptor, normal.as_ref().or(Some(platform)))
    };
    let joined = join(parts, request.format, annotations, &of_image)?;
    check_annotations(request, &joined.platforms)?;
    let ask = !request.to.skip_push_check;
    let sent = Sender { client: &client, reporter, cancel, destinations: &destinations, ask }
        .send(&joined.cargo)?;
    write_result_files(&request.to, &names, &joined.cargo.digest)?;
    Ok(IndexMade {
        digest: joined.cargo.digest,
        names: names.iter().map(Reference::familiar).collect(),
        platforms: joined.platforms,
        sent,
        time: start.elapsed(),
    })
}

/// All at once; in the order of the sources.
fn all_parts(client: &Client, sources: &[IndexSource], reporter: &Reporter) -> Result<Vec<Part>> {
    let found: Vec<Result<Vec<Part>>> = thread::scope(|scope| {
        let asked: Vec<_> = sources
            .iter()
            .map(|source| scope.spawn(|| parts_of(client, source, reporter)))
            .collect();
        let ended = |thread: thread::ScopedJoinHandle<'_, Result<Vec<Part>>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a source broke off")))
        };
        asked.into_iter().map(ended).collect()
    });
    Ok(found.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn parts_of(client: &Client, source: &IndexSource, reporter: &Reporter) -> Result<Vec<Part>> {
    let IndexSource { name, platform } = source;
    let task = reporter.start(&format!("resolve {name}"));
    let parts = if name.starts_with(LAYOUT) {
        let dir = layout_dir(name).to_owned();
        let descriptor = layout_entry(name)?;
        let mut item = Item { descriptor, home: Home::Layout(dir) };
        item.descriptor.annotations.clear();
        parts_of_layout(client, name, item, platform.as_ref())
    } else {
        let reference: Reference = name.parse()?;
        parts_of_registry(client, name, &reference, platform.as_ref())
    };
    let parts = parts.with_context(|| format!("cannot use {name}"))?;
    let platforms = parts.iter().filter_map(|part| part.item.descriptor.platform.as_ref());
    let platforms: Vec<String> = platforms.map(Platform::to_string).collect();
    task.done_with(platforms.join(", "));
    Ok(parts)
}

/// An annotation for a platform that no source is for is a mistake.
fn check_annotations(request: &IndexRequest, platforms: &[Platform]) -> Result<()> {
    for annotation in &request.annotations.0 {
        let Some(wanted) = &annotation.platform else { continue };
        if !platforms.iter().any(|platform| platform.satisfies(wanted)) {
            let there: Vec<_> = platforms.iter().map(Platform::to_string).collect();
            anyhow::bail!(
                "the annotation {} is for {wanted}, but the sources are for {}",
                annotation.name,
                there.join(", ")
            );
        }
    }
    Ok(())
}
