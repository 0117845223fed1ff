//! Looks for what earlier builds have made, and sees to it that later ones find what this one makes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::Ground;
use super::bases::Images;
use super::isolation::can_run;
use super::prepare::Source;
use crate::cache::explain::explain;
use crate::cache::graph::{Flag, Settings, StageKeys, StepKey, keys};
use crate::cache::key::{Input, Key};
use crate::cache::library::{Known, Place, name_for, read_all};
use crate::cache::mounts::Travel;
use crate::cache::probe::{At, Findings, Hit, Probe, Unwanted, Verdict};
use crate::cache::record::{Detail, Record, Rivals};
use crate::cache::{CacheError, Entry, LayerPlace, Manner, Token};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::event::Reporter;
use crate::plan::{Plan, Stage, StageId};
use crate::publish::{Keeping, Policy, Target};
use crate::registry::Client;
use crate::request::{CacheChoice, CacheReach, CacheTarget, DockerfileSource, Request};
use crate::settings;
use crate::stage::{Cached, Fingerprints, ImageLayer, Origin, Reach, StepHit, Workshop};

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
    /// Begins to read all places, while others ask registries for the bases. `interrupt` stops it, and
    /// not what stops a build that fails.
    pub(super) fn begin(
        request: &Request,
        source: &Source,
        interrupt: &Cancel,
        reporter: &Reporter,
    ) -> Result<Self> {
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
        let mut options = settings::registry_options(&request.registry);
        options.retry_budget = options.retry_budget.min(BUDGET);
        let client = Client::new(options, interrupt.clone())?;
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

/// A hit.
struct Found {
    hit: Hit,
    /// What decides whether it is kept.
    flag: Flag,
    /// Whether its layer is in the image.
    reach: Reach,
    layer: Option<Arc<ImageLayer>>,
}

/// What was found for one plan.
struct Look {
    keys: BTreeMap<StageId, StageKeys>,
    findings: Findings,
    layers: BTreeMap<At, Arc<ImageLayer>>,
}

/// What was read.
struct Read<'a> {
    request: &'a Request,
    shop: &'a Workshop,
    known: &'a [Known],
    from: &'a [usize],
    contents: &'a Fingerprints<'a>,
    /// Layers that are not where a record says.
    lost: &'a HashSet<Digest>,
    now: u64,
}

impl Read<'_> {
    /// Looks for all plans. What one of them builds anew, no other takes from an earlier build: an index
    /// is of one build, too.
    fn all(&self, plans: &[Plan]) -> Vec<Look> {
        let mut fresh: BTreeSet<Key> = BTreeSet::new();
        loop {
            let looks: Vec<Look> = plans.iter().map(|plan| self.plan(plan, &fresh)).collect();
            let before = fresh.len();
            let ends = |look: &Look, id: &StageId| look.keys.get(id).and_then(|keys| keys.end);
            let mut lent: BTreeMap<Key, &Token> = BTreeMap::new();
            for look in &looks {
                for (id, token) in &look.findings.lent {
                    let Some(end) = ends(look, id) else { continue };
                    let built = |other: &Look| {
                        other.findings.built.iter().any(|id| ends(other, id) == Some(end))
                    };
                    if *lent.entry(end).or_insert(token) != token || looks.iter().any(built) {
                        fresh.insert(end);
                    }
                }
            }
            if plans.len() < 2 || fresh.len() == before {
                return looks;
            }
        }
    }

    fn plan(&self, plan: &Plan, fresh: &BTreeSet<Key>) -> Look {
        let choice = &self.request.cache;
        let keys = keys(plan, &self.settings(), self.contents);
        let is_fresh = |keys: &StageKeys| keys.end.is_some_and(|end| fresh.contains(&end));
        let of_others = keys.iter().filter(|(_, keys)| is_fresh(keys)).map(|(id, _)| *id);
        let of_others: BTreeSet<StageId> = of_others.collect();
        let mut records = self.records();
        let oldest = self.now.saturating_sub(choice.ttl.as_secs());
        let unwanted = Wishes { choice, request: self.request };
        loop {
            let (records_now, fresh) = (&records, of_others.clone());
            let probe = Probe {
                plan,
                keys: &keys,
                records: records_now,
                oldest,
                unwanted: &unwanted,
                fresh,
            };
            let findings = probe.run();
            match self.layers(&findings) {
                Ok(layers) => return Look { keys, findings, layers },
                // It is not there any more, whatever the record says.
                Err(gone) => records[gone.from].entries.retain(|entry| *entry != gone.entry),
            }
        }
    }

    fn records(&self) -> Vec<Record> {
        let is_lost = |entry: &Entry| {
            entry.layer.as_ref().is_some_and(|layer| self.lost.contains(&layer.diff_id))
        };
        let mut records: Vec<Record> =
            self.from.iter().map(|at| self.known[*at].record.clone()).collect();
        records.iter_mut().for_each(|record| record.entries.retain(|entry| !is_lost(entry)));
        records
    }

    fn explain(&self, plan: &Plan, look: &Look, reporter: &Reporter) {
        if self.from.is_empty() {
            return reporter.note("cache: no cache is read; name one with --cache-repo");
        }
        let places: Vec<_> = self.from.iter().map(|at| self.known[*at].place.shown()).collect();
        let lines = explain(plan, &look.keys, &look.findings, &self.records(), &places);
        lines.iter().for_each(|line| reporter.note(&format!("cache: {line}")));
    }

    /// The same in the words of those who build.
    fn cached(&self, plan: &Plan, look: &Look) -> (Cached, Vec<Found>) {
        let mut cached = Cached {
            keys: look.keys.clone(),
            facts: look.findings.facts.clone(),
            stamps: self.stamps(plan, &look.findings),
            now: self.now,
            ..Cached::default()
        };
        let mut found = Vec::new();
        for (at, hit) in hits(&look.findings) {
            let layer = look.layers.get(&at).cloned();
            let step = cached.keys.get(&at.0).and_then(|keys| keys.steps.get(at.1));
            let manner = step.map_or(Manner::Nothing, |it| it.manner);
            let flag = step.map_or(Flag::Runs, |it| it.flag);
            let reach = if plan.is_in_image(at.0) { Reach::Image } else { Reach::Between };
            let mut hit = hit.clone();
            // It was not read, but it is the same: it is what the key was made of.
            if let Some(step) = step.filter(|_| hit.entry.about.step.is_empty()) {
                hit.entry.about = step.about.clone();
            }
            let (created, sources) = (hit.entry.created.clone(), hit.entry.sources.clone());
            cached.hits.insert(at, StepHit { layer: layer.clone(), created, sources });
            if manner != Manner::Nothing {
                found.push(Found { hit, flag, reach, layer });
            }
        }
        (cached, found)
    }

    /// What the files looked like that the steps take which are left to do.
    fn stamps(&self, plan: &Plan, findings: &Findings) -> BTreeMap<At, Digest> {
        let mut stamps = BTreeMap::new();
        for stage in &plan.stages {
            for (number, step) in stage.steps.iter().enumerate() {
                let at = (stage.id, number);
                if findings.hit(at).is_none()
                    && let Some(stamp) = self.contents.stamp_of(&step.action)
                {
                    stamps.insert(at, stamp);
                }
            }
        }
        stamps
    }

    /// The layers of all hits; or a hit whose layer is gone.
    fn layers(&self, findings: &Findings) -> Result<BTreeMap<At, Arc<ImageLayer>>, Box<Hit>> {
        let mut layers = BTreeMap::new();
        for (at, hit) in hits(findings) {
            let Some(layer) = &hit.entry.layer else { continue };
            let backend = &self.known[self.from[hit.from]].place.backend;
            let origin = match backend.layer(&layer.descriptor) {
                Some(LayerPlace::Repository(repository)) => Origin::Base(repository),
                Some(LayerPlace::File(file)) => Origin::Kept(file),
                None => return Err(Box::new(hit.clone())),
            };
            let layer = ImageLayer::new(layer.descriptor.clone(), layer.diff_id, origin);
            layers.insert(at, Arc::new(layer));
        }
        Ok(layers)
    }

    fn settings(&self) -> Settings {
        let Request { add_hosts, shm_size, run, ignore_paths, source_date_epoch, .. } =
            self.request;
        let input = |name: &str, value: String| Input { name: name.into(), value };
        let mut commands = vec![
            input("--add-host", format!("{add_hosts:?}")),
            input("--shm-size", shm_size.to_string()),
            input("--ulimit", format!("{:?}", run.ulimits)),
            input("the build's --network", format!("{:?}", run.network)),
            input("--ignore-path", format!("{ignore_paths:?}")),
        ];
        if self.shop.sandbox.single_id() {
            commands.push(input("one user for all files", String::new()));
        }
        let compression = format!("{:?}", self.shop.layer_options.compression);
        Settings {
            secrets: run.secrets.keys().cloned().collect(),
            agents: run.agents.keys().cloned().collect(),
            layers: vec![
                input("--compression", compression),
                input("SOURCE_DATE_EPOCH", format!("{source_date_epoch:?}")),
            ],
            commands,
        }
    }
}

fn hits(findings: &Findings) -> impl Iterator<Item = (At, &Hit)> {
    findings.steps.iter().filter_map(|(at, verdict)| match verdict {
        Verdict::Hit(hit) => Some((*at, &**hit)),
        Verdict::Miss(_) => None,
    })
}

/// What the user wants to be made anew.
#[derive(Debug)]
struct Wishes<'a> {
    choice: &'a CacheChoice,
    request: &'a Request,
}

impl Unwanted for Wishes<'_> {
    fn unwanted(&self, stage: &Stage, step: &StepKey) -> Option<String> {
        let fresh = &self.request.freshness;
        let is_named = |name: &String| {
            let label = stage.label.as_deref();
            label.is_some_and(|label| label.eq_ignore_ascii_case(name))
                || stage.id.0.to_string() == *name
        };
        let switched_off = match step.flag {
            Flag::Runs => !self.choice.runs,
            Flag::Copies => !self.choice.copies,
        };
        if fresh.no_cache {
            return Some("--no-cache".into());
        }
        if fresh.no_cache_filter.iter().any(is_named) {
            return Some("--no-cache-filter".into());
        }
        switched_off.then(|| "steps of this kind are not cached".into())
    }
}
