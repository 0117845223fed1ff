//! Layers go to their destinations as soon as they exist, while later steps run. The tags are set
//! last, when everything has arrived everywhere.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow};

use super::arrivals::Arrivals;
use super::destination::{Destination, PushFailed};
use super::headstart::{Ahead, End, Headstart};
use super::layer::{Way, send_layer};
use super::slots::Slots;
use crate::cancel::Cancelled;
use crate::digest::Digest;
use crate::image::media_type::OCI_CONFIG;
use crate::image::{Descriptor, DocumentBytes, FinishedImage, Product};
use crate::layer::Growing;
use crate::registry::{Body, Chance, Reference, RegistryError, Repository};
use crate::stage::{ImageLayer, Origin, Workshop};

/// Background uploads to all destinations of a build.
pub struct Uploads {
    shop: Arc<Workshop>,
    destinations: Vec<Destination>,
    /// For each registry, so that a slow one does not hold up the others.
    places: Vec<Arc<Slots>>,
    /// Layers that are on their way or there: an image may have the same one twice.
    offered: Mutex<HashSet<Digest>>,
    running: Mutex<Vec<JoinHandle<Result<()>>>>,
    /// Layers that are on their way before they are complete.
    ahead: Mutex<Vec<Ahead>>,
    arrivals: Arc<Arrivals>,
    ignore_immutable_tags: bool,
    /// Of what the build makes.
    chance: Chance,
}

impl std::fmt::Debug for Uploads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploads").field("destinations", &self.destinations).finish_non_exhaustive()
    }
}

impl Uploads {
    /// Uploads to these destinations, none of which has been asked anything yet.
    pub fn new(shop: Arc<Workshop>, destinations: Vec<Destination>) -> Self {
        let registries = destinations.chunk_by(Destination::shares_registry).count();
        Self {
            shop,
            destinations,
            places: (0..registries).map(|_| Arc::default()).collect(),
            offered: Mutex::default(),
            running: Mutex::default(),
            ahead: Mutex::default(),
            arrivals: Arc::default(),
            ignore_immutable_tags: false,
            chance: Chance::Little,
        }
    }

    /// Takes a tag that exists and may not be changed for one that was set.
    pub fn ignoring_immutable_tags(self, ignore: bool) -> Self {
        Self { ignore_immutable_tags: ignore, ..self }
    }

    /// Begins to send a layer that is still being made. Once it is complete it is offered, or never.
    /// What may be there already is asked about when it has a digest.
    pub fn follow(&self, growing: &Growing) {
        let sends_whole = self.destinations.iter().all(|it| it.pusher.sends_whole());
        if self.chance == Chance::Some || !sends_whole {
            return;
        }
        let groups = self.destinations.chunk_by(Destination::shares_registry);
        let start = |(group, places): (&[Destination], &Arc<Slots>)| {
            Headstart::begin(&group[0].pusher, growing, places)
        };
        let ahead = Ahead {
            growing: growing.clone(),
            groups: groups.zip(&self.places).map(start).collect(),
        };
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner).push(ahead);
    }

    /// What was begun for a layer before it was complete; one for each registry.
    fn headstarts(&self, layer: &Digest) -> Vec<Headstart> {
        let mut all = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |ahead: &Ahead| ahead.growing.digest() == Some(*layer);
        let found = all.iter().position(is_it).map(|at| all.swap_remove(at).groups);
        found.unwrap_or_default()
    }

    /// What the build makes may be there, as an earlier build made the same.
    pub fn of_a_repeated_build(self, is_one: bool) -> Self {
        let chance = if is_one { Chance::Some } else { Chance::Little };
        Self { chance, ..self }
    }

    /// Begins to send a layer everywhere.
    pub fn offer(&self, layer: &Arc<ImageLayer>) {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        if !offered.insert(layer.descriptor.digest) {
            drop(offered);
            // Made twice, and on its way twice: once is enough.
            self.headstarts(&layer.descriptor.digest).into_iter().for_each(Headstart::stop);
            return;
        }
        drop(offered);
        // Those of one registry one after the other: the second can mount what the first got.
        let groups = self.destinations.chunk_by(Destination::shares_registry);
        let mut headstarts = self.headstarts(&layer.descriptor.digest).into_iter();
        for (group, places) in groups.zip(&self.places) {
            let headstart = headstarts.next();
            let arrivals = self.arrivals.clone();
            let (shop, layer, group) = (self.shop.clone(), layer.clone(), group.to_vec());
            let (places, several) = (places.clone(), self.destinations.len() > 1);
            // What comes from elsewhere was often pushed before.
            let is_new = layer.origin == Origin::Built;
            let chance = if is_new { self.chance } else { Chance::Some };
            let upload = thread::spawn(move || {
                let arrival = arrivals.expect(&group[0].repository, layer.descriptor.digest);
                let mut ahead = headstart.map(|it| it.finish(&shop, &layer, &group[0]));
                let _place = places.take();
                let result = (0..group.len()).try_for_each(|at| {
                    let (begun, task) = match ahead.take() {
                        Some(End::Arrived) => return Ok(()),
                        Some(End::Broken(begun, task)) => (begun, task),
                        None => (None, None),
                    };
                    let sibling = group[..at].first().map(|first| &first.repository);
                    let way = Way { sibling, several, chance, begun, task };
                    send_layer(&shop, &layer, &group[at], way)
                });
                arrival.settle(result.is_ok());
                if result.is_err() {
                    // No use in building on: the image cannot arrive.
                    shop.cancel.cancel();
                }
                result
            });
            self.running.lock().unwrap_or_else(PoisonError::into_inner).push(upload);
        }
    }

    /// A repository of this registry that has the layer; waits where it is on its way there.
    pub fn repository_with(&self, registry: &str, layer: &Digest) -> Option<Repository> {
        let offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        if !offered.contains(layer) {
            return None;
        }
        drop(offered);
        let mut ours = self.destinations.iter().map(|it| &it.repository);
        let ours = ours.find(|repository| repository.registry == registry)?;
        self.arrivals.wait(ours, layer).then(|| ours.clone())
    }

    /// Waits for all uploads; the error that came first, not the cancellations that it caused.
    pub fn wait(&self) -> Result<()> {
        let ahead = std::mem::take(&mut *self.ahead.lock().unwrap_or_else(PoisonError::into_inner));
        // Of layers that were never complete.
        drop(ahead);
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let mut failure: Option<anyhow::Error> = None;
        for upload in running {
            let result = upload.join().unwrap_or_else(|_| Err(anyhow!("an upload broke off")));
            if let Err(error) = result {
                let replaces = failure.as_ref().is_none_or(|old| Cancelled::caused(old.as_ref()));
                if replaces {
                    failure = Some(error);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Sends the configs while the last layers are on their way, then sets every tag.
    pub fn finish(&self, product: &Product) -> Result<()> {
        thread::scope(|scope| {
            let configs = scope.spawn(|| self.send_configs(product));
            let layers = self.wait();
            let configs =
                configs.join().unwrap_or_else(|_| Err(anyhow!("a push ended abnormally")));
            // Where both fail, people know what a layer is.
            layers.and(configs)
        })?;
        // A registry that does not take a document shall not be found out when others have the tag.
        let untagged = (self.destinations.len() > 1).then(|| product.document());
        self.everywhere(|group| {
            let below = product.manifests_below().iter().map(FinishedImage::document);
            below.chain(untagged).try_for_each(|document| self.put_untagged(group, document))
        })?;
        self.tag(product)
    }

    /// Whether every destination has the image already, under whatever name.
    pub fn are_done(&self, product: &Product) -> bool {
        let digest = product.document().digest;
        let all = self.everywhere(|group| {
            let there = |it: &Destination| it.pusher.has_manifest(&digest).unwrap_or(false);
            if group.iter().all(there) { Ok(()) } else { Err(anyhow!("it is not there")) }
        });
        all.is_ok()
    }

    /// Sets every tag to an image that is there.
    pub fn tag(&self, product: &Product) -> Result<()> {
        let mut set: Vec<String> = Vec::new();
        for destination in &self.destinations {
            for name in &destination.names {
                match self.set_tag(destination, name, product.document()) {
                    Ok(TagState::Set) => set.push(name.familiar()),
                    Ok(TagState::Kept) => {}
                    Err(error) if set.is_empty() => return Err(error),
                    Err(error) => return Err(error.context(PushFailed::Half(set.join(" and ")))),
                }
            }
        }
        Ok(())
    }

    /// Does the same at each registry, at all of them at once.
    fn everywhere(&self, work: impl Fn(&[Destination]) -> Result<()> + Sync) -> Result<()> {
        thread::scope(|scope| {
            let groups = self.destinations.chunk_by(Destination::shares_registry);
            let work = &work;
            let threads: Vec<_> = groups.map(|group| scope.spawn(move || work(group))).collect();
            let outcomes = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(anyhow!("a push ended abnormally")))
            });
            outcomes.collect::<Vec<_>>().into_iter().collect()
        })
    }

    fn send_configs(&self, product: &Product) -> Result<()> {
        self.everywhere(|group| {
            product.images().iter().try_for_each(|image| self.send_config(group, image))
        })
    }

    fn send_config(&self, group: &[Destination], image: &FinishedImage) -> Result<()> {
        let config = Descriptor::new(OCI_CONFIG, image.config_digest, image.config.len() as u64);
        for (at, Destination { repository, pusher, .. }) in group.iter().enumerate() {
            let sibling = group[..at].first().map(|first| &first.repository);
            let body = Body::Bytes(&image.config);
            pusher.push_blob(&config, body, sibling, self.chance, &|_| {}).with_context(|| {
                PushFailed::Broken(format!("the config to {}", repository.familiar()))
            })?;
        }
        Ok(())
    }

    /// Puts a manifest or index without a tag.
    fn put_untagged(&self, group: &[Destination], document: DocumentBytes<'_>) -> Result<()> {
        let version = document.digest.to_string();
        for Destination { repository, pusher, .. } in group {
            self.shop.cancel.check()?;
            let name = repository.familiar();
            let put = pusher.put_manifest(Some(&version), document.bytes, document.media_type);
            let digest = put.with_context(|| PushFailed::Broken(format!("to {name}")))?;
            check_digest(&name, &digest, &document.digest)?;
        }
        Ok(())
    }

    fn set_tag(
        &self,
        destination: &Destination,
        name: &Reference,
        document: DocumentBytes<'_>,
    ) -> Result<TagState> {
        self.shop.cancel.check()?;
        let (tag, name) = (name.version(), name.familiar());
        let task = self.shop.reporter.start(&format!("push {name}"));
        let put = destination.pusher.put_manifest(Some(&tag), document.bytes, document.media_type);
        if self.ignore_immutable_tags && matches!(put, Err(RegistryError::ImmutableTag { .. })) {
            // Whoever is told the digest finds the image by it.
            self.put_untagged(std::slice::from_ref(destination), document)?;
            task.skipped("the tag exists and may not be changed");
            self.shop.reporter.warning(&format!(
                "{name} names another image and may not be changed; the new one is there as {}@{}",
                destination.repository.familiar(),
                document.digest
            ));
            return Ok(TagState::Kept);
        }
        let digest = put.with_context(|| PushFailed::Broken(name.clone()))?;
        check_digest(&name, &digest, &document.digest)?;
        task.done_with(digest.to_string());
        Ok(TagState::Set)
    }
}

/// What a tag names after it was to be set.
enum TagState {
    /// The new image.
    Set,
    /// What it named before: it may not be changed, and that is no error here.
    Kept,
}

fn check_digest(name: &str, answered: &Digest, sent: &Digest) -> Result<()> {
    if answered == sent {
        return Ok(());
    }
    Err(anyhow!("{name}: the registry stored {answered}, but {sent} was sent"))
}
