//! Less of what is at a place.

use std::collections::BTreeSet;
use std::time::Duration;

use super::choose::Candidate;
use super::{Kept, Limits, Thing, What, choose, look};
use crate::cache::backend::{Backend, Layout, Swept};
use crate::cache::error::CacheError;
use crate::cache::record::{self, Detail, Entry};
use crate::digest::Digest;

/// What was used since then is not removed from a directory: a build may be about to. It writes its
/// layers before the record that leads to them, and looks at what it takes before it takes it.
pub const GRACE: Duration = Duration::from_secs(3600);

/// What was, or would be, taken away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Results of steps.
    pub results: usize,
    /// Caches that travel.
    pub mounts: usize,
    /// Bytes of what these had for themselves.
    pub bytes: u64,
    /// Blobs that were deleted; a registry deletes them when it pleases.
    pub swept: Swept,
    /// Blobs that nothing leads to and that stay for now, because they were used so shortly before.
    pub kept_back: Swept,
    /// Names that a registry did not want to give up, and what it said.
    pub refused: Vec<(String, String)>,
}

/// Something that may go: one result, or a cache that travels.
struct Item<'a> {
    thing: &'a Thing,
    /// Of results.
    entry: Option<&'a Entry>,
}

/// Takes away what is not to stay: with `dry_run` it is only said what that would be.
///
/// # Errors
/// What the place says; what was taken away until then is gone.
pub fn prune(
    place: &Kept,
    tag: Option<&str>,
    limits: Limits,
    dry_run: bool,
) -> Result<Outcome, CacheError> {
    let things = look(place, tag)?;
    let (items, candidates) = items(&things);
    let (gone, bytes) = choose(&candidates, limits);
    let gone: Vec<&Item<'_>> = gone.into_iter().map(|number| &items[number]).collect();
    let results = gone.iter().filter(|item| item.entry.is_some()).count();
    let mut outcome =
        Outcome { results, mounts: gone.len() - results, bytes, ..Outcome::default() };
    if dry_run {
        return Ok(outcome);
    }
    for thing in &things {
        let of_thing = gone.iter().filter(|item| item.thing.tag == thing.tag);
        match &thing.what {
            What::Mount(_) => {
                if of_thing.count() > 0 {
                    forget(place, thing, &mut outcome)?;
                }
            }
            What::Results(record) => {
                let entries: Vec<_> = of_thing.filter_map(|item| item.entry).collect();
                let all = entries.len() == record.entries.len();
                // Of a repository the tag goes at once, if that is allowed.
                if !(all
                    && matches!(place, Kept::Registry(_))
                    && delete(place, thing, &mut outcome)?)
                {
                    shorten(place, &thing.tag, &entries)?;
                }
            }
        }
    }
    if let Kept::Layout(layout) = place
        && layout.was_written()
    {
        outcome.swept = layout.sweep(GRACE)?;
        outcome.kept_back = layout.blobs_and_loose()?.1;
    }
    Ok(outcome)
}

fn items(things: &[Thing]) -> (Vec<Item<'_>>, Vec<Candidate<Digest>>) {
    let (mut items, mut candidates) = (Vec::new(), Vec::new());
    for thing in things {
        match &thing.what {
            What::Mount(mount) => {
                items.push(Item { thing, entry: None });
                let blobs = thing.blobs();
                candidates.push(Candidate { used: mount.written, blobs });
            }
            What::Results(record) => {
                for entry in &record.entries {
                    items.push(Item { thing, entry: Some(entry) });
                    let layer = entry.layer.iter().map(|layer| &layer.descriptor);
                    let blobs = layer.map(|layer| (layer.digest, layer.size)).collect();
                    candidates.push(Candidate { used: Some(entry.used), blobs });
                }
            }
        }
    }
    (items, candidates)
}

/// Takes results out of a record, unless a build has used them in the meantime.
fn shorten(place: &Kept, tag: &str, gone: &[&Entry]) -> Result<(), CacheError> {
    if gone.is_empty() {
        return Ok(());
    }
    let backend = place.backend();
    let identity = |entry: &Entry| (entry.key, entry.below, entry.sources.clone());
    let gone: BTreeSet<_> = gone.iter().map(|entry| (identity(entry), entry.used)).collect();
    record::write(backend, tag, &mut |record| {
        record.entries.retain(|entry| !gone.contains(&(identity(entry), entry.used)));
    })?;
    match place {
        Kept::Layout(layout) => forget_empty(layout, tag),
        Kept::Registry(_) => Ok(()),
    }
}

/// A record without a result is no record.
fn forget_empty(layout: &Layout, tag: &str) -> Result<(), CacheError> {
    let Some(document) = layout.document(tag)? else { return Ok(()) };
    let record = record::of_document(layout, tag, &document, Detail::Entries)?;
    match record.entries.is_empty() {
        true => layout.forget(tag, &Digest::of(&document.bytes)),
        false => Ok(()),
    }
}

fn forget(place: &Kept, thing: &Thing, outcome: &mut Outcome) -> Result<(), CacheError> {
    match place {
        Kept::Layout(layout) => layout.forget(&thing.tag, &thing.digest),
        Kept::Registry(_) => {
            if !delete(place, thing, outcome)? {
                outcome.mounts -= 1;
                let own: u64 = thing.blobs().iter().map(|(_, bytes)| bytes).sum();
                outcome.bytes = outcome.bytes.saturating_sub(own);
            }
            Ok(())
        }
    }
}

/// Whether a repository gave up a tag. That it does not want to is no reason to stop. What a build has
/// written there since it was looked at stays; between this look and the deletion lies one request.
fn delete(place: &Kept, thing: &Thing, outcome: &mut Outcome) -> Result<bool, CacheError> {
    let Kept::Registry(registry) = place else { return Ok(false) };
    let tag = &thing.tag;
    match registry.document(tag)? {
        None => return Ok(true),
        Some(now) if Digest::of(&now.bytes) != thing.digest => return Ok(false),
        Some(_) => {}
    }
    match registry.delete(tag) {
        Ok(()) => Ok(true),
        Err(error) if error.is_cancelled() => Err(error),
        Err(error) => {
            outcome.refused.push((tag.to_owned(), error.to_string()));
            Ok(false)
        }
    }
}
