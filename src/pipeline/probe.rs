//! Looks for what earlier builds have made, and sees to it that later ones find what this one makes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};

use super::Ground;
use super::bases::Images;
use super::prepare::Source;
use crate::cache::explain::explain;
use crate::cache::graph::{Settings, StepKey, keys};
use crate::cache::key::Input;
use crate::cache::library::{Known, Place, name_for, read_all};
use crate::cache::mounts::Travel;
use crate::cache::probe::{At, Findings, Hit, Probe, Unwanted, Verdict};
use crate::cache::record::{Detail, Record, Rivals};
use crate::cache::{CacheError, LayerPlace, Manner};
use crate::cancel::Cancel;
use crate::event::Reporter;
use crate::plan::{Plan, Stage};
use crate::publish::{Keeping, Policy, Target};
use crate::registry::Client;
use crate::request::{CacheChoice, CacheReach, CacheTarget, DockerfileSource, Request};
use crate::settings;
use crate::stage::{Cached, Fingerprints, ImageLayer, Origin, Reach, StepHit, Workshop};

/// The places of a build, while they are read.
pub(super) struct Shelves {
    /// Those that are read for results, as numbers of `known`.
    from: Vec<usize>,
    to: Vec<Written>,
    places: Vec<Place>,
    reading: Option<JoinHandle<Vec<Known>>>,
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
    pub(super) fn begin(request: &Request, source: &Source, interrupt: &Cancel) -> Result<Self> {
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
        let options = settings::registry_options(&request.registry);
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
        shelves.reading = Some(thread::spawn(move || read_all(places, detail)));
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

    /// Finds what need not be done.
    pub(super) fn probe(
        self,
        request: &Request,
        ground: &Ground,
        shop: &Arc<Workshop>,
        plans: Vec<Plan>,
        images: &Images,
    ) -> Result<Probed> {
        let choice = &request.cache;
        let now = seconds_now();
        let known = match self.reading {
            Some(reading) => reading.join().map_err(|_| anyhow!("a look-up ended abnormally"))?,
            None => self.places.iter().cloned().map(Known::unread).collect(),
        };
        self.interrupt.check()?;
        warn(&known, &ground.reporter, shop.travel.as_deref());
        let (mut all_plans, mut all_cached, mut hits) = (Vec::new(), Vec::new(), Vec::new());
        let read = Read { request, shop, known: &known, from: &self.from, now };
        for plan in plans {
            if !choice.is_used() {
                all_plans.push(plan);
                continue;
            }
            let (cached, findings, found) = read.plan(&plan, images, &ground.reporter);
            let plan =
                plan.trimmed(&findings.needed, &|id, step| findings.hit((id, step)).is_some());
            hits.extend(found);
            all_plans.push(plan);
            all_cached.push(cached);
        }
        let policy = Policy {
            runs: choice.runs,
            copies: choice.copies,
            rivals: rivals(request),
            ttl: choice.ttl.as_secs(),
            now,
        };
        let targets = targets(self.to, known);
        // What cannot be made is told when something is written.
        targets.iter().for_each(|target| drop(target.place.backend.prepare()));
        let keeping = Keeping::new(shop.clone(), self.interrupt, policy, targets);
        for Found { hit, manner, reach, layer } in hits {
            keeping.confirm(&hit.entry, manner, reach, layer.as_ref());
        }
        Ok(Probed { plans: all_plans, cached: all_cached, keeping })
    }
}

/// Who asks for something to be made anew wants the new one from then on.
fn rivals(request: &Request) -> Rivals {
    let fresh = &request.freshness;
    if fresh.no_cache || !fresh.no_cache_filter.is_empty() { Rivals::Replace } else { Rivals::Keep }
}

fn targets(to: Vec<Written>, known: Vec<Known>) -> Vec<Target> {
    let mut known: Vec<Option<Known>> = known.into_iter().map(Some).collect();
    let mut targets: Vec<(usize, Target)> = Vec::new();
    for Written { at, between, must_succeed } in to {
        if let Some((_, target)) = targets.iter_mut().find(|(known, _)| *known == at) {
            target.between |= between;
            target.must_succeed |= must_succeed;
        } else if let Some(Known { place, record, .. }) = known.get_mut(at).and_then(Option::take) {
            targets.push((at, Target { place, between, must_succeed, known: record }));
        }
    }
    targets.into_iter().map(|(_, target)| target).collect()
}

/// A cache that cannot be read costs time, and nothing else.
fn warn(known: &[Known], reporter: &Reporter, travel: Option<&Travel>) {
    for Known { place, error, .. } in known {
        if let Some(error) = error {
            let place = place.shown();
            reporter.warning(&format!("nothing is taken from the cache {place}: {error}"));
        }
        // Nor is it asked again for other things.
        if let (Some(travel), Some(CacheError::Registry(_))) = (travel, error) {
            travel.leave_out(place);
        }
    }
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
    /// How its step changes files.
    manner: Manner,
    /// Whether its layer is in the image.
    reach: Reach,
    layer: Option<Arc<ImageLayer>>,
}

/// What was read.
struct Read<'a> {
    request: &'a Request,
    shop: &'a Workshop,
    known: &'a [Known],
    from: &'a [usize],
    now: u64,
}

impl Read<'_> {
    fn plan(
        &self,
        plan: &Plan,
        images: &Images,
        reporter: &Reporter,
    ) -> (Cached, Findings, Vec<Found>) {
        let choice = &self.request.cache;
        let contents = Fingerprints::new(self.shop, images);
        let keys = keys(plan, &self.settings(), &contents);
        let mut records: Vec<Record> =
            self.from.iter().map(|at| self.known[*at].record.clone()).collect();
        let oldest = self.now.saturating_sub(choice.ttl.as_secs());
        let unwanted = Wishes { choice, request: self.request };
        let (findings, layers) = loop {
            let probe = Probe { plan, keys: &keys, records: &records, oldest, unwanted: &unwanted };
            let findings = probe.run();
            match self.layers(&findings) {
                Ok(layers) => break (findings, layers),
                // It is not there any more, whatever the record says.
                Err(gone) => records[gone.from].entries.retain(|entry| *entry != gone.entry),
            }
        };
        if choice.explain {
            let places: Vec<_> = self.from.iter().map(|at| self.known[*at].place.shown()).collect();
            let lines = explain(plan, &keys, &findings, &records, &places);
            lines.iter().for_each(|line| reporter.note(&format!("cache: {line}")));
        }
        let mut cached =
            Cached { keys, facts: findings.facts.clone(), now: self.now, ..Cached::default() };
        let mut found = Vec::new();
        for (at, hit) in hits(&findings) {
            let layer = layers.get(&at).cloned();
            let step = cached.keys.get(&at.0).and_then(|keys| keys.steps.get(at.1));
            let manner = step.map_or(Manner::Nothing, |it| it.manner);
            let reach = if plan.is_in_image(at.0) { Reach::Image } else { Reach::Between };
            let mut hit = hit.clone();
            // It was not read, but it is the same: it is what the key was made of.
            if let Some(step) = step.filter(|_| hit.entry.about.step.is_empty()) {
                hit.entry.about = step.about.clone();
            }
            let (created, sources) = (hit.entry.created.clone(), hit.entry.sources.clone());
            cached.hits.insert(at, StepHit { layer: layer.clone(), created, sources });
            found.push(Found { hit, manner, reach, layer });
        }
        (cached, findings, found)
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
        let switched_off = match step.manner {
            Manner::Nothing => false,
            Manner::Runs => !self.choice.runs,
            Manner::Copies | Manner::Links => !self.choice.copies,
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
