//! Results go to caches as soon as they exist, while later steps run. What leads to them is written
//! last, and also where the build failed: the steps that succeeded are of use to the next one.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};

use super::uploads::Uploads;
use crate::cache::graph::Flag;
use crate::cache::library::Place;
use crate::cache::record::{Record, Rivals, rehearse, write};
use crate::cache::{CacheError, Content, Entry};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::stage::{ImageLayer, Made, Origin, Reach, Workshop};

/// Layers on their way at the same time, to one place.
const AT_ONCE: usize = 4;

/// A place that results go to.
#[derive(Debug)]
pub struct Target {
    /// The place.
    pub place: Place,
    /// Whether results go there that are not in the image.
    pub between: bool,
    /// Whether the build fails if they do not arrive.
    pub must_succeed: bool,
    /// What it had before the build.
    pub known: Record,
    /// Why that could not be read: then nothing is written either.
    pub error: Option<CacheError>,
    /// Whether the user knows why.
    pub is_told: bool,
}

/// What is to be kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Results of RUN.
    pub runs: bool,
    /// Results of COPY and ADD.
    pub copies: bool,
    /// What happens to the results that are there.
    pub rivals: Rivals,
    /// Seconds without use after which a result is forgotten.
    pub ttl: u64,
    /// The present: seconds since 1970.
    pub now: u64,
}

impl Policy {
    fn keeps(&self, flag: Flag) -> bool {
        match flag {
            Flag::Runs => self.runs,
            Flag::Copies => self.copies,
        }
    }

    /// Whether an entry was not said to be of use for so long that it is worth saying so.
    fn is_fading(&self, entry: &Entry) -> bool {
        self.now.saturating_sub(entry.used) > self.ttl / 8
    }
}

/// Layers, by their diffIDs, that are not where a cache says. They are forgotten there.
#[derive(Debug, Clone)]
pub struct LostLayers(pub HashSet<Digest>);

impl std::fmt::Display for LostLayers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a layer of the cache is lost or damaged")
    }
}

/// Sends results to all targets of a build.
pub struct Keeping {
    shop: Arc<Workshop>,
    /// Stops this, and not with a build that fails.
    cancel: Cancel,
    policy: Policy,
    targets: Vec<Arc<Kept>>,
    /// The results that are a part of the image.
    in_image: Mutex<Vec<Entry>>,
    /// Layers that caches gave.
    taken: Mutex<Vec<Arc<ImageLayer>>>,
    /// Layers that were found to be lost before this one began.
    lost: HashSet<Digest>,
}

/// A result on its way.
struct Parcel {
    /// Of what is expected.
    number: usize,
    layer: Arc<ImageLayer>,
    /// Know of repositories that have it, or will.
    uploads: Option<Arc<Uploads>>,
}

/// A target, and what has arrived there.
struct Kept {
    target: Target,
    queue: Mutex<VecDeque<Parcel>>,
    running: Mutex<Vec<JoinHandle<()>>>,
    /// What is to arrive, in the order in which it was offered.
    expected: Mutex<Vec<Entry>>,
    /// What has, by its place there.
    arrived: Mutex<Vec<usize>>,
    failure: Mutex<Option<CacheError>>,
}

impl std::fmt::Debug for Keeping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeping").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Keeping {
    /// Nothing is sent yet.
    pub fn new(shop: Arc<Workshop>, cancel: Cancel, policy: Policy, targets: Vec<Target>) -> Self {
        let kept = |mut target: Target| {
            let failure = Mutex::new(target.error.take());
            let (queue, running, expected, arrived) = Default::default();
            Arc::new(Kept { target, queue, running, expected, arrived, failure })
        };
        let targets = targets.into_iter().map(kept).collect();
        let (in_image, taken, lost) = Default::default();
        Self { shop, cancel, policy, targets, in_image, taken, lost }
    }

    /// Forgets these layers, too.
    #[must_use]
    pub fn without(mut self, lost: HashSet<Digest>) -> Self {
        self.lost = lost;
        self
    }

    /// Begins to send the result of a step that was carried out. Where its layer goes to the same
    /// registry as a part of the image, it is sent once.
    pub fn offer(&self, made: Made, reach: Reach, uploads: &Arc<Uploads>) {
        if !self.policy.keeps(made.flag) {
            return;
        }
        self.note(&made.entry, reach);
        let wanted = |kept: &&Arc<Kept>| kept.target.between || reach == Reach::Image;
        for kept in self.targets.iter().filter(wanted) {
            let layer = made.layer.as_ref().map(|layer| (layer.clone(), Some(uploads.clone())));
            self.send(kept, made.entry.clone(), layer);
        }
    }

    /// Sees to it that a result of an earlier build is known at all targets, and stays known.
    pub fn confirm(
        &self,
        entry: &Entry,
        flag: Flag,
        reach: Reach,
        layer: Option<&Arc<ImageLayer>>,
    ) {
        if !self.policy.keeps(flag) {
            return;
        }
        self.note(entry, reach);
        if let Some(layer) = layer {
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(layer.clone());
        }
        let wanted = |kept: &&Arc<Kept>| kept.target.between || reach == Reach::Image;
        for kept in self.targets.iter().filter(wanted) {
            let known = kept.known(entry);
            let entry = Entry { used: self.policy.now, ..entry.clone() };
            match known {
                Some(known) if !self.policy.is_fading(known) => {}
                // Its own: the layer may be another one.
                Some(known) => {
                    let entry = Entry { used: self.policy.now, ..known.clone() };
                    self.send(kept, entry, None);
                }
                None => self.send(kept, entry, layer.map(|layer| (layer.clone(), None))),
            }
        }
    }

    /// Tells of the layers that caches did not have, if that may be why.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let lost = self.lost();
        if lost.is_empty() { error } else { error.context(LostLayers(lost)) }
    }

    /// The results that are a part of the image, so far.
    pub fn in_image(&self) -> Vec<Entry> {
        self.in_image.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, entry: &Entry, reach: Reach) {
        if reach == Reach::Image {
            let mut all = self.in_image.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(entry.clone());
        }
    }

    fn send(
        &self,
        kept: &Arc<Kept>,
        entry: Entry,
        layer: Option<(Arc<ImageLayer>, Option<Arc<Uploads>>)>,
    ) {
        let number = kept.expect(entry);
        let Some((layer, uploads)) = layer else { return kept.arrive(number) };
        kept.queue().push_back(Parcel { number, layer, uploads });
        let mut running = kept.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|thread| !thread.is_finished());
        if running.len() >= AT_ONCE {
            return;
        }
        let (own, shop, cancel) = (kept.clone(), self.shop.clone(), self.cancel.clone());
        let work = move || own.send_all(&shop, &cancel);
        // Without a thread it is sent at the end.
        running.extend(thread::Builder::new().spawn(work));
    }

    /// Waits for all layers, and writes what leads to them. What went wrong is a warning, unless it
    /// must succeed.
    pub fn finish(&self) -> Result<()> {
        thread::scope(|scope| {
            for kept in &self.targets {
                // While layers are on their way. What fails here fails again, and is told then.
                scope.spawn(|| self.rehearse(kept));
            }
            self.targets.iter().for_each(|kept| kept.join());
            self.targets.iter().for_each(|kept| kept.send_all(&self.shop, &self.cancel));
        });
        if self.cancel.is_cancelled() {
            return Ok(());
        }
        let mut first = Ok(());
        for kept in &self.targets {
            match self.finish_one(kept) {
                Err(error) if first.is_err() => {
                    self.shop.reporter.warning(&format!("{error:#}"));
                }
                outcome => first = first.and(outcome),
            }
        }
        first
    }

    fn finish_one(&self, kept: &Kept) -> Result<()> {
        // What has arrived is of use even where something has not.
        let written = if kept.target.is_told { Ok(()) } else { self.write(kept) };
        let failure = kept.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Err(error) = failure.map_or(written, Err) else { return Ok(()) };
        let place = kept.target.place.shown();
        if error.is_cancelled() {
            return Ok(());
        }
        if kept.target.must_succeed {
            return Err(error).with_context(|| format!("cannot write to the cache {place}"));
        }
        if kept.target.is_told {
            return Ok(());
        }
        self.shop.reporter.warning(&format!(
            "what was built is not all in the cache {place}, the next build may have to do it again: \
             {error}"
        ));
        Ok(())
    }

    /// What caches promised and did not have: the next build makes it anew.
    fn lost(&self) -> HashSet<Digest> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.iter().filter(|layer| layer.is_lost()).map(|layer| layer.diff_id).collect()
    }

    /// Does what can be done of the writing before all has arrived.
    fn rehearse(&self, kept: &Kept) {
        let coming = kept.expected.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if coming.is_empty() || kept.target.is_told || kept.has_failed() {
            return;
        }
        let place = &kept.target.place;
        let lost = self.all_lost();
        let change = &mut |record: &mut Record| self.change(kept, &coming, &lost, record);
        _ = rehearse(&*place.backend, &place.name, change);
    }

    fn write(&self, kept: &Kept) -> Result<(), CacheError> {
        let arrived = kept.take_arrived();
        let lost = self.all_lost();
        if arrived.is_empty() && lost.is_empty() {
            return Ok(());
        }
        let place = &kept.target.place;
        let task = self.shop.reporter.start(&format!("write cache {}", place.shown()));
        let count = arrived.len();
        write(&*place.backend, &place.name, &mut |record| {
            self.change(kept, &arrived, &lost, record);
        })?;
        task.done_with(format!("{count} step{}", if count == 1 { "" } else { "s" }));
        Ok(())
    }

    fn all_lost(&self) -> HashSet<Digest> {
        let mut lost = self.lost();
        lost.extend(&self.lost);
        lost
    }

    /// What becomes of a record when these results have arrived.
    fn change(&self, kept: &Kept, new: &[Entry], lost: &HashSet<Digest>, record: &mut Record) {
        let Policy { rivals, ttl, now, .. } = self.policy;
        record.drop_older(now.saturating_sub(ttl));
        record
            .entries
            .retain(|entry| !entry.layer.as_ref().is_some_and(|it| lost.contains(&it.diff_id)));
        // A result that nobody can take must not keep out the one that was made for want of it.
        record
            .entries
            .retain(|old| !new.iter().any(|new| new.is_rival_of(old)) || kept.has_layer_of(old));
        record.merge(new.to_vec(), rivals);
    }
}

impl Kept {
    /// What the place had that could stand for a result, if that is still of use.
    fn known(&self, entry: &Entry) -> Option<&Entry> {
        let known = self.target.known.entries.iter().find(|known| known.is_rival_of(entry));
        known.filter(|known| self.has_layer_of(known))
    }

    /// Whether the place has what its record leads to, as far as that can be told without asking
    /// anybody.
    fn has_layer_of(&self, entry: &Entry) -> bool {
        let backend = &self.target.place.backend;
        entry.layer.as_ref().is_none_or(|layer| backend.layer(&layer.descriptor).is_some())
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Parcel>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for those who send.
    fn join(&self) {
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        running.into_iter().for_each(|thread| _ = thread.join());
    }

    /// Sends what waits, until nothing does.
    fn send_all(&self, shop: &Workshop, cancel: &Cancel) {
        loop {
            // The lock is not held while something is sent.
            let next = self.queue().pop_front();
            let Some(Parcel { number, layer, uploads }) = next else { return };
            if cancel.is_cancelled() || self.has_failed() {
                continue;
            }
            match self.send_layer(shop, &layer, uploads.as_deref()) {
                Ok(()) => self.arrive(number),
                // The build has failed, and with it the fetching of what was not here. That says
                // nothing of this place.
                Err(_) if shop.cancel.is_cancelled() && layer.origin != Origin::Built => {}
                Err(error) => self.fail(error),
            }
        }
    }

    /// A result is to come; its number.
    fn expect(&self, entry: Entry) -> usize {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.push(entry);
        expected.len() - 1
    }

    fn arrive(&self, number: usize) {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(number);
    }

    /// What has arrived, in the order in which it was offered.
    fn take_arrived(&self) -> Vec<Entry> {
        let mut arrived =
            std::mem::take(&mut *self.arrived.lock().unwrap_or_else(PoisonError::into_inner));
        arrived.sort_unstable();
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.into_iter().filter_map(|number| expected.get(number).cloned()).collect()
    }

    /// The first failure is told; after it nothing more is sent.
    fn fail(&self, error: CacheError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn has_failed(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn send_layer(
        &self,
        shop: &Workshop,
        layer: &ImageLayer,
        uploads: Option<&Uploads>,
    ) -> Result<(), CacheError> {
        let backend = &self.target.place.backend;
        let descriptor = &layer.descriptor;
        let from = match &layer.origin {
            Origin::Base(repository) => Some(repository.clone()),
            Origin::Built | Origin::File(_) | Origin::Kept(_) => {
                backend.registry().zip(uploads).and_then(|(registry, uploads)| {
                    uploads.repository_with(registry, &descriptor.digest)
                })
            }
        };
        let fetch = || shop.fetch(layer).map_err(std::io::Error::other);
        let short = descriptor.digest.short();
        let name = format!("cache layer {short} in {}", backend.name());
        let task = shop.reporter.start(&name);
        let progress = |done: u64| task.progress(done, Some(descriptor.size));
        let path = shop.blobs.path(&descriptor.digest);
        let content = match layer.origin {
            Origin::Built => Content::File(&path),
            Origin::Base(_) | Origin::File(_) | Origin::Kept(_) => Content::Later(&fetch),
        };
        backend.keep(descriptor, content, from.as_ref(), &progress)?;
        task.done();
        Ok(())
    }
}

/// Who sends looks into the work directory, which goes after this.
impl Drop for Keeping {
    fn drop(&mut self) {
        self.targets.iter().for_each(|kept| kept.join());
    }
}
