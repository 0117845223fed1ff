//! Results go to caches as soon as they exist, while later steps run. What leads to them is written
//! last, and also where the build failed: the steps that succeeded are of use to the next one.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};

use super::slots::Slots;
use super::uploads::Uploads;
use crate::cache::library::Place;
use crate::cache::record::{Record, Rivals, write};
use crate::cache::{CacheError, Content, Entry, Manner};
use crate::cancel::Cancel;
use crate::stage::{ImageLayer, Made, Origin, Reach, Workshop};

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
    fn keeps(&self, manner: Manner) -> bool {
        match manner {
            Manner::Nothing => false,
            Manner::Runs => self.runs,
            Manner::Copies | Manner::Links => self.copies,
        }
    }

    /// Whether an entry was not said to be of use for so long that it is worth saying so.
    fn is_fading(&self, entry: &Entry) -> bool {
        self.now.saturating_sub(entry.used) > self.ttl / 8
    }
}

/// Sends results to all targets of a build.
pub struct Keeping {
    shop: Arc<Workshop>,
    /// Stops this, and not with a build that fails.
    cancel: Cancel,
    policy: Policy,
    targets: Vec<Arc<Kept>>,
    running: Mutex<Vec<JoinHandle<()>>>,
    /// The results that are a part of the image.
    in_image: Mutex<Vec<Entry>>,
}

/// A target, and what has arrived there.
struct Kept {
    target: Target,
    slots: Arc<Slots>,
    arrived: Mutex<Vec<Entry>>,
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
        let kept = |target| {
            let (slots, arrived, failure) = (Arc::default(), Mutex::default(), Mutex::default());
            Arc::new(Kept { target, slots, arrived, failure })
        };
        let targets = targets.into_iter().map(kept).collect();
        let (running, in_image) = (Mutex::default(), Mutex::default());
        Self { shop, cancel, policy, targets, running, in_image }
    }

    /// Begins to send the result of a step that was carried out. Where its layer goes to the same
    /// registry as a part of the image, it is sent once.
    pub fn offer(&self, made: Made, reach: Reach, uploads: &Arc<Uploads>) {
        if !self.policy.keeps(made.manner) {
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
        manner: Manner,
        reach: Reach,
        layer: Option<&Arc<ImageLayer>>,
    ) {
        if !self.policy.keeps(manner) {
            return;
        }
        self.note(entry, reach);
        let wanted = |kept: &&Arc<Kept>| kept.target.between || reach == Reach::Image;
        for kept in self.targets.iter().filter(wanted) {
            let known = kept.known(entry);
            let entry = Entry { used: self.policy.now, ..entry.clone() };
            match known {
                Some(known) if !self.policy.is_fading(known) => {}
                Some(_) => self.send(kept, entry, None),
                None => self.send(kept, entry, layer.map(|layer| (layer.clone(), None))),
            }
        }
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
        let Some((layer, uploads)) = layer else { return kept.arrive(entry) };
        let (kept, shop, cancel) = (kept.clone(), self.shop.clone(), self.cancel.clone());
        let work = move || {
            let _slot = kept.slots.take();
            if cancel.is_cancelled() || kept.has_failed() {
                return;
            }
            match kept.send_layer(&shop, &layer, uploads.as_deref()) {
                Ok(()) => kept.arrive(entry),
                Err(error) => kept.fail(error),
            }
        };
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(thread::spawn(work));
    }

    /// Waits for all layers, and writes what leads to them. What went wrong is a warning, unless it
    /// must succeed.
    pub fn finish(&self) -> Result<()> {
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        running.into_iter().for_each(|thread| _ = thread.join());
        if self.cancel.is_cancelled() {
            return Ok(());
        }
        let finished = self.targets.iter().map(|kept| self.finish_one(kept));
        finished.collect::<Vec<_>>().into_iter().collect()
    }

    fn finish_one(&self, kept: &Kept) -> Result<()> {
        let written = self.write(kept);
        let failure = kept.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Err(error) = failure.map_or(written, Err) else { return Ok(()) };
        let place = kept.target.place.shown();
        if error.is_cancelled() {
            return Ok(());
        }
        if kept.target.must_succeed {
            return Err(error).with_context(|| format!("cannot write to the cache {place}"));
        }
        self.shop.reporter.warning(&format!(
            "what was built is not all in the cache {place}, the next build may have to do it again: \
             {error}"
        ));
        Ok(())
    }

    fn write(&self, kept: &Kept) -> Result<(), CacheError> {
        let arrived =
            std::mem::take(&mut *kept.arrived.lock().unwrap_or_else(PoisonError::into_inner));
        if arrived.is_empty() {
            return Ok(());
        }
        let place = &kept.target.place;
        let task = self.shop.reporter.start(&format!("write cache {}", place.shown()));
        let count = arrived.len();
        let Policy { rivals, ttl, now, .. } = self.policy;
        write(&*place.backend, &place.name, &mut |record| {
            record.drop_older(now.saturating_sub(ttl));
            // A result that nobody can take must not keep out the one that was made for want of it.
            record.entries.retain(|old| {
                !arrived.iter().any(|new| new.is_rival_of(old)) || kept.has_layer_of(old)
            });
            record.merge(arrived.clone(), rivals);
        })?;
        task.done_with(format!("{count} step{}", if count == 1 { "" } else { "s" }));
        Ok(())
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

    fn arrive(&self, entry: Entry) {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
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
