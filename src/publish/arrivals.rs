//! Who has a layer already.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::digest::Digest;
use crate::registry::Repository;

/// Which layers have arrived, or will not.
#[derive(Default)]
pub(super) struct Arrivals {
    settled: Mutex<HashMap<(Repository, Digest), bool>>,
    changed: Condvar,
}

/// One that somebody may wait for; settled when dropped, however that comes.
pub(super) struct Arrival {
    all: Arc<Arrivals>,
    what: (Repository, Digest),
    has_arrived: bool,
}

impl Arrival {
    pub(super) fn settle(mut self, has_arrived: bool) {
        self.has_arrived = has_arrived;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut settled = self.all.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert(self.what.clone(), self.has_arrived);
        self.all.changed.notify_all();
    }
}

impl Arrivals {
    pub(super) fn expect(self: &Arc<Self>, repository: &Repository, layer: Digest) -> Arrival {
        Arrival { all: self.clone(), what: (repository.clone(), layer), has_arrived: false }
    }

    pub(super) fn wait(&self, repository: &Repository, layer: &Digest) -> bool {
        let key = (repository.clone(), *layer);
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = self
            .changed
            .wait_while(settled, |settled| !settled.contains_key(&key))
            .unwrap_or_else(PoisonError::into_inner);
        settled.get(&key).copied().unwrap_or_default()
    }
}
