//! Caches: how much they take, and less of it.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde::Serialize;

use crate::base_cache::upkeep as base_images;
use crate::cache::backend::{Layout, Registry, Swept};
use crate::cache::upkeep::{Candidate, Kept, Limits, Outcome, Thing, What, choose, look, prune};
use crate::cancel::{Cancel, Cancelled};
use crate::event::Reporter;
use crate::registry::{Client, Reference};
use crate::request::{CacheUpkeep, Prune, UpkeepPlace};
use crate::settings;
use crate::stage::run_caches;

/// What is said of all places.
#[derive(Debug)]
pub struct Upkept {
    /// Of those that could be looked at.
    pub places: Vec<PlaceReport>,
    /// Why the first of the others could not; warnings have told of the rest.
    pub failure: Option<anyhow::Error>,
}

/// What is said of one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PlaceReport {
    /// What it has.
    Usage(PlaceUsage),
    /// What was taken away.
    Pruned(Pruned),
}

/// What a place has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceUsage {
    /// Its name.
    pub place: String,
    /// The things there.
    pub things: Vec<ThingUsage>,
    /// Blobs of a directory that nothing leads to; a registry does not tell.
    pub unreferenced: Option<Blobs>,
    /// Bytes in all; what several things share counts once.
    pub bytes: u64,
}

/// How many blobs, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct Blobs {
    /// Their number.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Used {
    /// The last use of what was used longest ago.
    pub oldest: u64,
    /// The last use of all.
    pub newest: u64,
}

impl From<Swept> for Blobs {
    fn from(Swept { blobs, bytes }: Swept) -> Self {
        Self { blobs, bytes }
    }
}

/// What a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Results of steps.
    Results,
    /// A cache of a RUN that travels.
    TravellingMount,
    /// A base image, or an index of such.
    BaseImage,
    /// A cache of a RUN on this machine.
    RunCache,
}

/// One thing of a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThingUsage {
    /// What it is.
    pub kind: Kind,
    /// Its tag, digest or id.
    pub name: String,
    /// Results, or parts; 1 of what is one.
    pub count: usize,
    /// Its bytes.
    pub bytes: u64,
    /// When what is in it was used, if that is known.
    pub used: Option<Used>,
    /// Whether somebody has it now.
    pub in_use: bool,
}

/// What was, or would be, taken away from a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Pruned {
    /// Its name.
    pub place: String,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Results of steps.
    pub results: usize,
    /// Travelling mounts, base images, caches of RUN.
    pub things: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Whether a registry has the bytes until it collects its garbage.
    pub by_registry: bool,
    /// Blobs that were deleted from a directory.
    pub deleted: Blobs,
    /// Blobs that stay there for now, because they were used within the hour.
    pub kept_back: Blobs,
    /// Things that somebody has now.
    pub in_use: usize,
    /// Tags that a registry did not want to give up.
    pub refused: Vec<Refusal>,
}

/// A tag that a registry did not want to give up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The tag.
    pub tag: String,
    /// What it said; a sentence.
    pub why: String,
}

/// Looks at caches, or takes away from them.
///
/// # Errors
/// A cancellation, and settings that cannot be used. A place that cannot be is in the answer.
pub fn look_after(request: &CacheUpkeep, reporter: &Reporter, cancel: &Cancel) -> Result<Upkept> {
    let keeper = Keeper { request, cancel, now: seconds(SystemTime::now()) };
    let mut upkept = Upkept { places: Vec::new(), failure: None };
    for place in &request.places {
        match keeper.look_after(place) {
            Ok(report) => upkept.places.push(report),
            Err(error) if Cancelled::caused(error.as_ref()) => return Err(error),
            Err(error) if upkept.failure.is_none() => upkept.failure = Some(error),
            Err(error) => reporter.warning(&format!("{error:#}")),
        }
    }
    Ok(upkept)
}

struct Keeper<'a> {
    request: &'a CacheUpkeep,
    cancel: &'a Cancel,
    /// Seconds since 1970.
    now: u64,
}

impl Keeper<'_> {
    fn look_after(&self, place: &UpkeepPlace) -> Result<PlaceReport> {
        match place {
            UpkeepPlace::Registry { name, tag } => {
                let reference: Reference = name.parse()?;
                let options = settings::registry_options(&self.request.registry);
                let client = Client::new(options, self.cancel.clone())?;
                let kept = Kept::Registry(Registry::new(client, reference.repository()));
                self.records(&kept, tag.as_deref())
            }
            UpkeepPlace::Layout { dir, tag } => {
                let kept = Kept::Layout(Layout::new(dir.clone(), self.cancel.clone()));
                self.records(&kept, tag.as_deref())
            }
            UpkeepPlace::BaseImages(dir) => self.base_images(dir),
            UpkeepPlace::RunCaches(dir) => self.run_caches(dir),
        }
    }

    fn limits(&self, prune: &Prune) -> Limits {
        let since = |age: Duration| self.now.saturating_sub(age.as_secs()).saturating_add(1);
        Limits { used_since: prune.older_than.map(since), bytes: prune.keep }
    }

    fn records(&self, kept: &Kept, tag: Option<&str>) -> Result<PlaceReport> {
        let place = kept.backend().name();
        if let Some(choice) = &self.request.prune {
            let outcome = prune(kept, tag, self.limits(choice), choice.dry_run)?;
            let by_registry = matches!(kept, Kept::Registry(_));
            return Ok(PlaceReport::Pruned(of_outcome(place, choice, by_registry, outcome)));
        }
        let things = look(kept, tag)?;
        let mut blobs: Vec<_> = things.iter().flat_map(Thing::blobs).collect();
        blobs.sort();
        blobs.dedup();
        let mut bytes = blobs.iter().map(|(_, bytes)| bytes).sum();
        let mut unreferenced = None;
        if let (Kept::Layout(layout), None) = (kept, tag) {
            let (_, loose) = layout.blobs_and_loose()?;
            unreferenced = Some(loose.into());
            bytes += loose.bytes;
        }
        let things = things.iter().map(of_thing).collect();
        Ok(PlaceReport::Usage(PlaceUsage { place, things, unreferenced, bytes }))
    }

    fn base_images(&self, dir: &Path) -> Result<PlaceReport> {
        let all = base_images::kept(dir)?;
        let Some(choice) = &self.request.prune else {
            let things = all.iter().map(|image| {
                let used = seconds(image.used);
                let name = image.digest.to_string();
                one(Kind::BaseImage, name, image.bytes, used, false)
            });
            return Ok(usage(dir, things.collect()));
        };
        let mut pruned = Pruned::begin(dir, choice);
        let sizes = all.iter().map(|image| (image.used, image.bytes));
        for number in self.chosen(choice, sizes) {
            self.cancel.check()?;
            let image = &all[number];
            if choice.dry_run || base_images::remove(dir, image)? {
                pruned.add(image.bytes);
            } else {
                pruned.in_use += 1;
            }
        }
        if !choice.dry_run {
            base_images::remove_leftovers(dir)?;
        }
        Ok(PlaceReport::Pruned(pruned))
    }

    fn run_caches(&self, dir: &Path) -> Result<PlaceReport> {
        let all = run_caches::kept(dir)?;
        let Some(choice) = &self.request.prune else {
            let things = all.iter().map(|cache| {
                let used = seconds(cache.used);
                one(Kind::RunCache, cache.id.clone(), cache.bytes, used, cache.in_use)
            });
            return Ok(usage(dir, things.collect()));
        };
        let mut pruned = Pruned::begin(dir, choice);
        let sizes = all.iter().map(|cache| (cache.used, cache.bytes));
        for number in self.chosen(choice, sizes) {
            self.cancel.check()?;
            let cache = &all[number];
            let removed = match choice.dry_run {
                true => !cache.in_use,
                false => run_caches::remove(cache)?,
            };
            match removed {
                true => pruned.add(cache.bytes),
                false => pruned.in_use += 1,
            }
        }
        Ok(PlaceReport::Pruned(pruned))
    }

    /// The numbers of those that go, by their last use and bytes.
    fn chosen(&self, choice: &Prune, all: impl Iterator<Item = (SystemTime, u64)>) -> Vec<usize> {
        let candidates = all.enumerate().map(|(number, (used, bytes))| Candidate {
            used: Some(seconds(used)),
            blobs: vec![(number, bytes)],
        });
        choose(&candidates.collect::<Vec<_>>(), self.limits(choice)).0
    }
}

impl Pruned {
    fn begin(dir: &Path, choice: &Prune) -> Self {
        let place = dir.display().to_string();
        Self { place, dry_run: choice.dry_run, ..Self::default() }
    }

    fn add(&mut self, bytes: u64) {
        self.things += 1;
        self.bytes += bytes;
    }
}

fn of_outcome(place: String, choice: &Prune, by_registry: bool, outcome: Outcome) -> Pruned {
    let refused = outcome.refused.into_iter().map(|(tag, why)| Refusal { tag, why });
    Pruned {
        place,
        dry_run: choice.dry_run,
        results: outcome.results,
        things: outcome.mounts,
        bytes: outcome.bytes,
        by_registry,
        deleted: outcome.swept.into(),
        kept_back: outcome.kept_back.into(),
        in_use: 0,
        refused: refused.collect(),
    }
}

fn of_thing(thing: &Thing) -> ThingUsage {
    let (kind, count) = match &thing.what {
        What::Results(record) => (Kind::Results, record.entries.len()),
        What::Mount(mount) => (Kind::TravellingMount, mount.parts.len()),
    };
    let bytes = thing.blobs().iter().map(|(_, bytes)| bytes).sum();
    let name = thing.tag.clone();
    let used = thing.times().map(|(oldest, newest)| Used { oldest, newest });
    ThingUsage { kind, name, count, bytes, used, in_use: false }
}

fn one(kind: Kind, name: String, bytes: u64, used: u64, in_use: bool) -> ThingUsage {
    ThingUsage {
        kind,
        name,
        count: 1,
        bytes,
        used: Some(Used { oldest: used, newest: used }),
        in_use,
    }
}

fn usage(dir: &Path, things: Vec<ThingUsage>) -> PlaceReport {
    let bytes = things.iter().map(|thing| thing.bytes).sum();
    let place = dir.display().to_string();
    PlaceReport::Usage(PlaceUsage { place, things, unreferenced: None, bytes })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
