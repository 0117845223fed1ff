//! Sends documents and blobs to repositories. What is there is not sent; the tags are set last, when
//! everything has arrived everywhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

use super::cargo::{Cargo, Course, Item};
use super::home::Home;
use crate::cancel::{Cancel, Cancelled};
use crate::digest::Digest;
use crate::event::Reporter;
use crate::image::Descriptor;
use crate::publish::{Destination, PushFailed};
use crate::registry::{Body, Chance, Client, Pushed, Reference, Repository};

/// Blobs on their way at the same time, over all destinations.
const AT_ONCE: usize = 4;

/// Sends to these destinations.
#[derive(Debug)]
pub struct Sender<'a> {
    /// Talks to all registries.
    pub client: &'a Client,
    /// Hears of every blob and tag.
    pub reporter: &'a Reporter,
    /// Stops it; set when something fails, so that the rest ends too.
    pub cancel: &'a Cancel,
    /// Where it goes.
    pub destinations: &'a [Destination],
    /// Ask for the permission to push, if it has not been asked for already.
    pub ask: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Blobs whose bytes were sent.
    pub uploaded: usize,
    /// Blobs that a registry took from another of its repositories.
    pub mounted: usize,
    /// Tags that were set, or moved.
    pub tags: usize,
}

/// What one repository lacks.
#[derive(Debug, Default)]
struct Load {
    blobs: BTreeMap<Digest, (Descriptor, Home)>,
    /// Named ones before those that name them.
    documents: Vec<Cargo>,
}

/// A blob, and the repositories of one registry that lack it.
struct Job<'a> {
    blob: &'a Descriptor,
    home: &'a Home,
    to: Vec<&'a Destination>,
}

impl Sender<'_> {
    /// Sends it and sets the tags. Where a tag leads to it already, nothing is asked further.
    pub fn send(&self, cargo: &Cargo) -> Result<Sent> {
        let mut lacking = Vec::new();
        for destination in self.destinations {
            let mut names = Vec::new();
            for name in &destination.names {
                self.cancel.check()?;
                if self.leads_to(name, cargo)? {
                    let task = self.reporter.start(&format!("push {}", name.familiar()));
                    task.skipped("the tag leads to it already");
                } else {
                    names.push(name.clone());
                }
            }
            if !names.is_empty() {
                lacking.push(Destination { names, ..destination.clone() });
            }
        }
        if self.ask {
            Destination::check_all(&lacking)?;
        }
        let loads = lacking.iter().map(|to| self.load(cargo, to)).collect::<Result<Vec<_>>>()?;
        let mut sent = self.send_blobs(&lacking, &loads)?;
        for (to, load) in lacking.iter().zip(&loads) {
            load.documents.iter().try_for_each(|document| self.put_untagged(to, document))?;
        }
        if lacking.len() > 1 {
            // A registry that does not take it shall not be found out when others have the tag.
            lacking.iter().try_for_each(|to| self.put_untagged(to, cargo))?;
        }
        for to in &lacking {
            for name in &to.names {
                self.set_tag(to, name, cargo)?;
                sent.tags += 1;
            }
        }
        Ok(sent)
    }

    /// Whether a tag is as it shall be. Who may not read may be allowed to push.
    fn leads_to(&self, name: &Reference, cargo: &Cargo) -> Result<bool> {
        match self.client.pusher(name).head_manifest() {
            Ok(found) => Ok(found == Some(cargo.digest)),
            Err(error) if error.is_unauthorized() || error.is_not_found() => Ok(false),
            Err(error) => {
                Err(error).with_context(|| PushFailed::Refused(format!("to {}", name.familiar())))
            }
        }
    }

    fn load(&self, cargo: &Cargo, to: &Destination) -> Result<Load> {
        let mut load = Load::default();
        let mut course = Course::default();
        for item in &cargo.items {
            self.add(item, to, 0, &mut course, &mut load)?;
        }
        load.add_blobs(cargo);
        Ok(load)
    }

    /// What a repository has under its digest has all that is below it.
    fn add(
        &self,
        item: &Item,
        to: &Destination,
        depth: usize,
        course: &mut Course,
        load: &mut Load,
    ) -> Result<()> {
        let digest = item.descriptor.digest;
        if item.home.is(&to.repository) || !course.is_new(&item.descriptor, depth)? {
            return Ok(());
        }
        self.cancel.check()?;
        let reference = Reference {
            registry: to.repository.registry.clone(),
            repository: to.repository.name.clone(),
            tag: None,
            digest: Some(digest),
        };
        if self.client.pusher(&reference).head_manifest().ok().flatten() == Some(digest) {
            return Ok(());
        }
        let document = Cargo::named(item, self.client)?;
        for below in &document.items {
            self.add(below, to, depth + 1, course, load)?;
        }
        load.add_blobs(&document);
        load.documents.push(document);
        Ok(())
    }

    /// Several at a time; the error that came first, not the cancellations that it caused.
    fn send_blobs(&self, destinations: &[Destination], loads: &[Load]) -> Result<Sent> {
        let jobs = jobs(destinations, loads);
        let next = AtomicUsize::new(0);
        let outcome: Mutex<(Sent, Option<anyhow::Error>)> = Mutex::default();
        thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(jobs.len()) {
                scope.spawn(|| {
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = self.send_blob(job, &outcome);
                        let Err(error) = result else { continue };
                        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                        let old = outcome.1.as_ref();
                        if old.is_none_or(|old| Cancelled::caused(old.as_ref())) {
                            outcome.1 = Some(error);
                        }
                        drop(outcome);
                        self.cancel.cancel();
                        return;
                    }
                });
            }
        });
        let (sent, error) = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        error.map_or(Ok(sent), Err)
    }

    /// One after the other: the second repository of a registry can mount what the first got.
    fn send_blob(
        &self,
        job: &Job<'_>,
        outcome: &Mutex<(Sent, Option<anyhow::Error>)>,
    ) -> Result<()> {
        let Job { blob, home, to } = job;
        for (at, destination) in to.iter().enumerate() {
            self.cancel.check()?;
            let sibling = to[..at].first().map(|first| &first.repository);
            let pushed = self.send_blob_to(blob, home, destination, sibling)?;
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            match pushed {
                Pushed::Uploaded => outcome.0.uploaded += 1,
                Pushed::Mounted => outcome.0.mounted += 1,
                Pushed::Exists => {}
            }
        }
        Ok(())
    }

    fn send_blob_to(
        &self,
        blob: &Descriptor,
        home: &Home,
        destination: &Destination,
        sibling: Option<&Repository>,
    ) -> Result<Pushed> {
        let Destination { repository: to, pusher, .. } = destination;
        let what = format!("blob {} to {}", blob.digest.short(), to.familiar());
        let task = self.reporter.start(&format!("push {what}"));
        let progress = |done: u64| task.progress(done, Some(blob.size));
        let checked = || home.checked(blob);
        let (body, mount_from) = match home {
            Home::Registry(from) if from.registry == to.registry => {
                (Body::Remote(from), Some(from))
            }
            Home::Registry(from) => (Body::Remote(from), sibling),
            Home::Layout(_) | Home::Store(_) => (Body::Later(&checked), sibling),
        };
        let pushed = pusher.push_blob(blob, body, mount_from, Chance::Some, &progress);
        let pushed = pushed.with_context(|| PushFailed::Broken(what))?;
        match pushed {
            Pushed::Exists => task.skipped("already there"),
            Pushed::Mounted => task.skipped("mounted"),
            Pushed::Uploaded => task.done(),
        }
        Ok(pushed)
    }

    fn put_untagged(&self, to: &Destination, document: &Cargo) -> Result<()> {
        self.put(to, &document.digest.to_string(), document, &to.repository.familiar())
    }

    fn set_tag(&self, to: &Destination, name: &Reference, document: &Cargo) -> Result<()> {
        let task = self.reporter.start(&format!("push {}", name.familiar()));
        self.put(to, &name.version(), document, &name.familiar())?;
        task.done_with(document.digest.to_string());
        Ok(())
    }

    fn put(&self, to: &Destination, version: &str, document: &Cargo, name: &str) -> Result<()> {
        self.cancel.check()?;
        let put = to.pusher.put_manifest(Some(version), &document.bytes, &document.media_type);
        put.map(drop).with_context(|| PushFailed::Broken(format!("to {name}")))
    }
}

impl Load {
    /// A layer that may not be distributed and is not here stays where its URLs say.
    fn add_blobs(&mut self, document: &Cargo) {
        for (blob, home) in &document.blobs {
            let is_here = || home.path(&blob.digest).is_some_and(|path| path.exists());
            if blob.urls.is_empty() || is_here() {
                self.blobs.entry(blob.digest).or_insert_with(|| (blob.clone(), home.clone()));
            }
        }
    }
}

/// Every blob once for each registry.
fn jobs<'a>(destinations: &'a [Destination], loads: &'a [Load]) -> Vec<Job<'a>> {
    let mut jobs: Vec<Job<'a>> = Vec::new();
    for (to, load) in destinations.iter().zip(loads) {
        for (blob, home) in load.blobs.values() {
            let same = |job: &&mut Job<'a>| {
                job.blob.digest == blob.digest && job.to[0].shares_registry(to)
            };
            match jobs.iter_mut().find(same) {
                Some(job) => job.to.push(to),
                None => jobs.push(Job { blob, home, to: vec![to] }),
            }
        }
    }
    jobs
}
