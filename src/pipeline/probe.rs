//! Looks for what earlier builds have made, and sees to it that later ones find what this one makes.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::Ground;
use super::bases::Images;
use super::isolation::can_run;
use super::look::{Found, Read};
use super::prepare::Source;
use crate::cache::CacheError;
use crate::cache::library::{Known, Place, name_for, read_all};
use crate::cache::mounts::Travel;
use crate::cache::record::{Detail, Rivals};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::event::Reporter;
use crate::plan::Plan;
use crate::publish::{Keeping, Policy, Target};
use crate::registry::Client;
use crate::request::{CacheReach, CacheTarget, DockerfileSource, Request};
use crate::stage::{Cached, Fingerprints, Workshop};

/// How long a cache is waited for when all else is known: it can only save time.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long what failed there is tried again.
const BUDGET: Duration = Duration::from_secs(4);

/// The places of a build, while they are read.
pub(super) struct Shelves {
    /// Those that are read for results, as numbers of `known`.
    from: Vec<usize>,
    to: Vec<Written>,
    places: Vec<Place>,
    reading: Option<Receiver<(usize, Known)>>,
    interrupt: Cancel,
}

/// A place that is written.
struct Written {
    at: usize,
    between: bool,
    must_succeed: bool,
}

/// What is left to build.
pub(super) struct Probed {
    pub(super) plans: Vec<Plan>,
    pub(super) cached: Vec<Cached>,
    pub(super) keeping: Keeping,
}

impl Shelves {
    /// Begins to read all places, while others ask registries for the bases. What stops the client stops
    /// it, and not what stops a build that fails.
    pub(super) fn begin(
        request: &Request,
        source: &Source,
        client: &Client,
        reporter: &Reporter,
    ) -> Result<Self> {
        let interrupt = client.cancel();
        let choice = &request.cache;
        let mut shelves = Self {
            from: Vec::new(),
            to: Vec::new(),
            places: Vec::new(),
            reading: None,
            interrupt: interrupt.clone(),
        };
        let wanted: Vec<_> = choice
            .from
            .iter()
            .map(|place| (place, None))
            .chain(choice.to.iter().filter_map(|target| match target {
                CacheTarget::Place { place, reach, must_succeed } => {
                    Some((place, Some((*reach, *must_succeed))))
                }
                CacheTarget::Inline => None,
            }))
            .collect();
        if wanted.is_empty() {
            return Ok(shelves);
        }
        let client = client.within(BUDGET);
        let name = name_for(&dockerfile_name(request, source));
        let mut places: Vec<Place> = Vec::new();
        for (place, written) in wanted {
            let place = Place::open(place, &name, &client, interrupt)?;
            let at = places.iter().position(|known| known.is(&place)).unwrap_or_else(|| {
                places.push(place);
                places.len() - 1
            });
            match written {
                None => shelves.from.push(at),
                Some((reach, must_succeed)) => {
                    let between = reach == CacheReach::All;
                    shelves.to.push(Written { at, between, must_succeed });
                }
            }
        }
        let detail = if choice.explain { Detail::About } else { Detail::Entries };
        shelves.places.clone_from(&places);
        if request.freshness.no_cache {
            return Ok(shelves);
        }
        shelves.reading = Some(read_all(places, detail, reporter));
        Ok(shelves)
    }

    /// The places that results are taken from.
    pub(super) fn read(&self) -> impl Iterator<Item = &Place> {
        self.from.iter().map(|at| &self.places[*at])
    }

    /// The places that results go to.
    pub(super) fn written(&self) -> impl Iterator<Item = &Place> {
        self.to.iter().map(|target| &self.places[target.at])
    }

    /// What the user stops.
    pub(super) fn interrupt(&self) -> &Cancel {
        &self.interrupt
    }

    /// What the places have, as far as they have said it in time.
    fn known(&self) -> Vec<Known> {
        let mut known: Vec<Known> = self.places.iter().cloned().map(Known::unread).collect();
        let Some(reading) = &self.reading else { return known };
        known.iter_mut().for_each(|known| known.error = Some(CacheError::Silent));
        let deadline = Instant::now() + PATIENCE;
        for _ in 0..self.places.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((number, answer)) = reading.recv_timeout(left) else { break };
            known[number] = answer;
        }
        known
    }

    /// A cache that cannot be read costs time, and nothing else.
    fn warn(&self, known: &[Known], reporter: &Reporter, travel: Option<&Travel>) {
        for Known { place, error, .. } in known {
            // Nor is it asked again for other things.
            let failed = matches!(error, Some(CacheError::Registry(_) | CacheError::Silent));
            if let Some(travel) = travel.filter(|_| failed) {
                travel.leave_out(place);
            }
        }
        let mut told = BTreeSet::new();
        for at in self.from.iter().filter(|at| told.insert(**at)) {
            let Known { place, error, .. } = &known[*at];
            if let Some(error) = error {
                let place = place.shown();
                reporter.warning(&format!("nothing is taken from the cache {place}: {error}"));
            }
        }
    }

    /// Finds what need not be done.
    pub(super) fn probe(
        self,
        request: &Request,
        ground: &Ground,
        shop: &Arc<Workshop>,
        plans: Vec<Plan>,
        images: &Images,
        lost: &HashSet<Digest>,
    ) -> Result<Probed> {
        let choice = &request.cache;
        let now = seconds_now();
        let known = self.known();
        self.interrupt.check()?;
        self.warn(&known, &ground.reporter, shop.travel.as_deref());
        let (mut all_plans, mut all_cached, mut hits) = (Vec::new(), Vec::new(), Vec::new());
        let contents = Fingerprints::new(shop, images);
        let read =
            Read { request, shop, known: &known, from: &self.from, contents: &contents, lost, now };
        let looks = if choice.is_used() { read.all(&plans) } else { Vec::new() };
        let mut looks = looks.into_iter();
        for plan in plans {
            let Some(look) = looks.next() else {
                all_plans.push(plan);
                continue;
            };
            if choice.explain {
                read.explain(&plan, &look, &ground.reporter);
            }
            let (cached, found) = read.cached(&plan, &look);
            let findings = &look.findings;
            let is_cached = |id, step| findings.hit((id, step)).is_some();
            hits.extend(found);
            all_plans.push(plan.trimmed(&findings.needed, &is_cached));
            all_cached.push(cached);
        }
        can_run(&all_plans, ground, &shop.place)?;
        let policy = Policy {
            runs: choice.runs,
            copies: choice.copies,
            rivals: rivals(request),
            ttl: choice.ttl.as_secs(),
            now,
        };
        let targets = targets(&self.from, self.to, known);
        // What cannot be made is told when something is written.
        targets.iter().for_each(|target| drop(target.place.backend.prepare()));
        let keeping = Keeping::new(shop.clone(), self.interrupt, policy, targets);
        let keeping = keeping.without(lost.clone());
        for Found { hit, flag, reach, layer } in hits {
            keeping.confirm(&hit.entry, flag, reach, layer.as_ref());
        }
        Ok(Probed { plans: all_plans, cached: all_cached, keeping })
    }
}

/// Who asks for something to be made anew wants the new one from then on.
fn rivals(request: &Request) -> Rivals {
    let fresh = &request.freshness;
    if fresh.no_cache || !fresh.no_cache_filter.is_empty() { Rivals::Replace } else { Rivals::Keep }
}

fn targets(from: &[usize], to: Vec<Written>, known: Vec<Known>) -> Vec<Target> {
    let mut known: Vec<Option<Known>> = known.into_iter().map(Some).collect();
    let mut targets: Vec<(usize, Target)> = Vec::new();
    for Written { at, between, must_succeed } in to {
        if let Some((_, target)) = targets.iter_mut().find(|(known, _)| *known == at) {
            target.between |= between;
            target.must_succeed |= must_succeed;
        } else if let Some(found) = known.get_mut(at).and_then(Option::take) {
            let Known { place, record: known, error } = found;
            let is_told = error.is_some() && from.contains(&at);
            targets.push((at, Target { place, between, must_succeed, known, error, is_told }));
        }
    }
    targets.into_iter().map(|(_, target)| target).collect()
}

/// The Dockerfile as seen from its context, so that it is the same on every machine.
fn dockerfile_name(request: &Request, source: &Source) -> String {
    let named = match &request.dockerfile {
        DockerfileSource::Default => return "Dockerfile".into(),
        DockerfileSource::Path(path) => path.as_path(),
        DockerfileSource::Stdin | DockerfileSource::Address(_) => Path::new("-"),
    };
    let below = named.strip_prefix(&request.context).or_else(|_| named.strip_prefix(&source.dir));
    let name = below.unwrap_or_else(|_| named.file_name().map_or(named, Path::new));
    name.display().to_string()
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
