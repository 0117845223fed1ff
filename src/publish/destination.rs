//! A repository that the image goes to.

use std::fmt;
use std::thread;

use anyhow::{Context as _, Result, anyhow};

use crate::registry::{Client, Pusher, Reference, Repository};

/// What could not be pushed; stands before the reason. A type of its own, so that those above can
/// tell a push that failed from a build that did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushFailed {
    /// The registry said so before the build.
    Refused(String),
    /// On the way.
    Broken(String),
    /// When others, these names, had been set.
    Half(String),
}

impl fmt::Display for PushFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(what) | Self::Broken(what) => write!(f, "cannot push {what}"),
            Self::Half(set) => write!(f, "not all names were set: {set} has the new image"),
        }
    }
}

/// A repository, and the names that the image gets there. Blobs are sent once for all of them.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The repository.
    pub repository: Repository,
    /// References of that repository, in the order in which they were given.
    pub names: Vec<Reference>,
    /// Sends to it.
    pub pusher: Pusher,
}

impl Destination {
    /// Sorts references by repository, those of one registry beside each other.
    pub fn all(client: &Client, references: &[Reference]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for reference in references {
            let repository = reference.repository();
            match all.iter_mut().find(|known| known.repository == repository) {
                Some(known) => known.names.push(reference.clone()),
                None => all.push(Self {
                    repository,
                    names: vec![reference.clone()],
                    pusher: client.pusher(reference),
                }),
            }
        }
        let registries: Vec<_> = all.iter().map(|it| it.repository.registry.clone()).collect();
        all.sort_by_key(|it| registries.iter().position(|name| *name == it.repository.registry));
        all
    }

    /// Whether blobs can be mounted from one to the other.
    pub fn shares_registry(&self, other: &Self) -> bool {
        self.repository.registry == other.repository.registry
    }

    /// Asks all for the permission to push, side by side: each is at least one round trip, and a log-in
    /// before it.
    ///
    /// # Errors
    /// The first that says no, in their order.
    pub fn check_all(all: &[Self]) -> Result<()> {
        thread::scope(|scope| {
            let asked: Vec<_> = all.iter().map(|it| scope.spawn(|| it.check())).collect();
            let answers = asked.into_iter().map(|thread| {
                thread.join().map_err(|_| anyhow!("the push check ended abnormally"))?
            });
            // All of them, so that no upload is left open where another destination refuses.
            let answers: Vec<Result<()>> = answers.collect();
            answers.into_iter().collect()
        })
    }

    fn check(&self) -> Result<()> {
        let names: Vec<_> = self.names.iter().map(Reference::familiar).collect();
        let what = || PushFailed::Refused(format!("to {}", names.join(" and ")));
        self.pusher.check().with_context(what)
    }
}
