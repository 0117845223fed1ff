//! What the records say of the steps of all plans.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::cache::explain::explain;
use crate::cache::graph::{Flag, Settings, StageKeys, StepKey, keys};
use crate::cache::key::{Input, Key};
use crate::cache::library::Known;
use crate::cache::probe::{At, Findings, Hit, Probe, Unwanted, Verdict};
use crate::cache::record::Record;
use crate::cache::{Entry, LayerPlace, Manner, Token};
use crate::digest::Digest;
use crate::event::Reporter;
use crate::plan::{Plan, Stage, StageId};
use crate::request::{CacheChoice, Request};
use crate::stage::{Cached, Fingerprints, ImageLayer, Origin, Reach, StepHit, Workshop};

/// A hit.
pub(super) struct Found {
    pub(super) hit: Hit,
    /// What decides whether it is kept.
    pub(super) flag: Flag,
    /// Whether its layer is in the image.
    pub(super) reach: Reach,
    pub(super) layer: Option<Arc<ImageLayer>>,
}

/// What was found for one plan.
pub(super) struct Look {
    keys: BTreeMap<StageId, StageKeys>,
    pub(super) findings: Findings,
    layers: BTreeMap<At, Arc<ImageLayer>>,
}

/// What was read.
pub(super) struct Read<'a> {
    pub(super) request: &'a Request,
    pub(super) shop: &'a Workshop,
    pub(super) known: &'a [Known],
    pub(super) from: &'a [usize],
    pub(super) contents: &'a Fingerprints<'a>,
    /// Layers that are not where a record says.
    pub(super) lost: &'a HashSet<Digest>,
    pub(super) now: u64,
}

impl Read<'_> {
    /// Looks for all plans. What one of them builds anew, no other takes from an earlier build: an index
    /// is of one build, too.
    pub(super) fn all(&self, plans: &[Plan]) -> Vec<Look> {
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
            let probe = Probe {
                plan,
                keys: &keys,
                records: &records,
                oldest,
                unwanted: &unwanted,
                fresh: of_others.clone(),
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

    pub(super) fn explain(&self, plan: &Plan, look: &Look, reporter: &Reporter) {
        if self.from.is_empty() {
            return reporter.note("cache: no cache is read; name one with --cache-repo");
        }
        let places: Vec<_> = self.from.iter().map(|at| self.known[*at].place.shown()).collect();
        let lines = explain(plan, &look.keys, &look.findings, &self.records(), &places);
        lines.iter().for_each(|line| reporter.note(&format!("cache: {line}")));
    }

    /// The same in the words of those who build.
    pub(super) fn cached(&self, plan: &Plan, look: &Look) -> (Cached, Vec<Found>) {
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
