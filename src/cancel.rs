//! One flag that stops a build: set by a signal or by the first error, seen by every part that waits.

use std::error::Error;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A build that was told to stop.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("the build was cancelled")]
pub struct Cancelled;

impl Cancelled {
    /// Whether an error, or one of its causes, says no more than that the build was stopped.
    pub fn caused(error: &(dyn Error + 'static)) -> bool {
        std::iter::successors(Some(error), |&error| error.source()).any(|cause| cause.is::<Self>())
    }
}

/// A shared flag; clones are the same flag.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    hooks: Vec<Box<dyn Fn() + Send>>,
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

impl Cancel {
    /// Tells every holder to stop. Hooks run in the caller's thread, once.
    pub fn cancel(&self) {
        let hooks = {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.cancelled = true;
            self.0.changed.notify_all();
            std::mem::take(&mut state.hooks)
        };
        hooks.iter().for_each(|hook| hook());
    }

    /// A flag that is set with this one, but can be set alone: a part of the work that may fail.
    pub fn child(&self) -> Self {
        let child = Self::default();
        let own = child.clone();
        self.on_cancel(move || own.cancel());
        child
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    /// `Err` once cancelled; for use with `?` between steps.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Runs `hook` when cancelled (at once if that has already happened): wakes what waits on
    /// something else than this flag, such as an async task or a child process.
    pub fn on_cancel(&self, hook: impl Fn() + Send + 'static) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cancelled {
            drop(state);
            hook();
        } else {
            state.hooks.push(Box::new(hook));
        }
    }

    /// Sleeps, but not past a cancellation.
    pub fn sleep(&self, duration: Duration) -> Result<(), Cancelled> {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) = self
            .0
            .changed
            .wait_timeout_while(state, duration, |state| !state.cancelled)
            .unwrap_or_else(PoisonError::into_inner);
        if state.cancelled { Err(Cancelled) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_part_stops_alone_or_with_the_whole() {
        let whole = Cancel::default();
        let (one, other) = (whole.child(), whole.child());
        one.cancel();
        assert!(one.is_cancelled() && !other.is_cancelled() && !whole.is_cancelled());
        whole.cancel();
        assert!(other.is_cancelled() && whole.child().is_cancelled());
    }

    #[test]
    fn a_sleeper_wakes_and_hooks_run_once() {
        let cancel = Cancel::default();
        let count = Arc::new(AtomicUsize::new(0));
        let hook = {
            let count = count.clone();
            move || {
                count.fetch_add(1, Ordering::SeqCst);
            }
        };
        cancel.on_cancel(hook.clone());
        let other = cancel.clone();
        let sleeper = std::thread::spawn(move || other.sleep(Duration::from_secs(60)));
        cancel.cancel();
        cancel.cancel();
        assert_eq!(sleeper.join().expect("no panic"), Err(Cancelled));
        cancel.on_cancel(hook);
        assert_eq!(count.load(Ordering::SeqCst), 2);
        assert!(cancel.check().is_err());
    }
}
