//! What helpers said, for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{FRESH, HelperAnswer, helper};
use crate::cancel::Cancel;

/// One helper's answer for one server, and when it came. Locked during a call: one can take seconds,
/// and all threads want the same; those that want another do not wait for it.
type Slot = Arc<Mutex<Option<(Instant, HelperAnswer)>>>;

/// Answers by program and server.
#[derive(Debug, Default)]
pub(super) struct Helped(Mutex<HashMap<(String, String), Slot>>);

impl Helped {
    /// A helper's answer, from memory if it is fresh.
    pub(super) fn ask(&self, program: &str, server: &str, cancel: &Cancel) -> HelperAnswer {
        let slot = self.slot(program, server);
        let mut known = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match known.as_ref() {
            Some((when, answer)) if when.elapsed() < FRESH => answer.clone(),
            _ => {
                let answer = helper::get(program, server, cancel);
                *known = Some((Instant::now(), answer.clone()));
                answer
            }
        }
    }

    fn slot(&self, program: &str, server: &str) -> Slot {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((program.to_owned(), server.to_owned())).or_default().clone()
    }

    /// Remembers an answer as if it had just come.
    #[cfg(test)]
    pub(super) fn remember(&self, program: &str, server: &str, answer: HelperAnswer) {
        *self.slot(program, server).lock().expect("lock") = Some((Instant::now(), answer));
    }
}
