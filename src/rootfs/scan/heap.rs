//! Work that several threads do. Each goes on with what it has found itself, and gives half of it away
//! when another one has nothing to do: directories are many and small, and a lock and a wake-up for each
//! would cost as much as looking at it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What is to be done.
#[derive(Debug)]
pub(super) struct Heap<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
    /// Threads that have nothing to do.
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct State<J> {
    /// What nobody has taken yet.
    jobs: Vec<J>,
    /// Threads that may still find more.
    busy: usize,
}

impl<J> Heap<J> {
    pub(super) fn new(first: J) -> Self {
        let state = State { jobs: vec![first], busy: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new(), waiting: AtomicUsize::new(0) }
    }

    /// Does one after the other until there is nothing left. `job` adds what it finds to what it is
    /// given, and says whether it went well: if not, no more than what threads have taken is done.
    pub(super) fn work(&self, mut job: impl FnMut(J, &mut Vec<J>) -> bool) {
        let mut own = Vec::new();
        let mut state = self.lock();
        loop {
            let Some(next) = state.jobs.pop() else {
                if state.busy == 0 {
                    self.changed.notify_all();
                    return;
                }
                self.waiting.fetch_add(1, Ordering::Relaxed);
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                continue;
            };
            state.busy += 1;
            drop(state);
            own.push(next);
            let went_well = self.go_through(&mut own, &mut job);
            state = self.lock();
            state.busy -= 1;
            if !went_well {
                state.jobs.clear();
            }
        }
    }

    fn go_through(&self, own: &mut Vec<J>, job: &mut impl FnMut(J, &mut Vec<J>) -> bool) -> bool {
        while let Some(next) = own.pop() {
            if !job(next, own) {
                own.clear();
                return false;
            }
            if own.len() > 1 && self.waiting.load(Ordering::Relaxed) > 0 {
                // The oldest: there is most behind them.
                let half = own.len() / 2;
                self.lock().jobs.extend(own.drain(..half));
                self.changed.notify_all();
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each number below a thousand leads to two more, one after the other.
    fn numbers(threads: usize, fails_at: Option<usize>) -> Vec<usize> {
        let heap = Heap::new(1);
        let done = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    heap.work(|number, more| {
                        if number < 1000 {
                            more.extend([2 * number, 2 * number + 1]);
                        }
                        done.lock().expect("no panic").push(number);
                        fails_at != Some(number)
                    });
                });
            }
        });
        let mut done = done.into_inner().expect("no panic");
        done.sort_unstable();
        done
    }

    #[test]
    fn everything_is_done_once_however_many_do_it() {
        let all: Vec<usize> = (1..2000).collect();
        for threads in [1, 2, 7] {
            assert_eq!(numbers(threads, None), all, "{threads} threads");
        }
    }

    #[test]
    fn a_failure_ends_it() {
        assert_eq!(numbers(1, Some(1)), [1]);
        assert!(numbers(1, Some(7)).len() < 1999);
        assert!(numbers(3, Some(1)).len() == 1);
    }
}
