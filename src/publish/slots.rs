//! Limits how many blobs are on their way to one place at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Blobs on their way at the same time, to one place.
const AT_ONCE: usize = 4;

/// The places in the queue.
#[derive(Debug, Default)]
pub(super) struct Slots {
    taken: Mutex<usize>,
    freed: Condvar,
}

impl Slots {
    /// Waits for one; it is held as long as the answer lives.
    pub(super) fn take(self: &Arc<Self>) -> Slot {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self
            .freed
            .wait_while(taken, |taken| *taken >= AT_ONCE)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Slot(self.clone())
    }
}

/// One of them, held.
#[derive(Debug)]
pub(super) struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}
