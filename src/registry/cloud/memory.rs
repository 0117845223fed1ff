//! The last good answer of somebody who may fail in passing.

use std::time::{Duration, Instant, SystemTime};

/// A failure is not asked for again so soon: many threads want the same. Later it is, since metadata
/// services and token endpoints recover, and a build can last for hours.
const FAILED: Duration = Duration::from_secs(60);

/// What is good until some time.
pub(in crate::registry) trait Ends: Clone {
    /// When it ends; none for what has no end.
    fn end(&self) -> Option<SystemTime>;
}

/// The last good answer, and the failure after it.
#[derive(Debug)]
pub(in crate::registry) struct Memory<T, E> {
    good: Option<T>,
    failed: Option<(Instant, E)>,
}

impl<T, E> Default for Memory<T, E> {
    fn default() -> Self {
        Self { good: None, failed: None }
    }
}

impl<T: Ends, E: Clone> Memory<T, E> {
    /// What can be used without asking anybody: an answer with so much time left, or a fresh failure.
    pub(in crate::registry) fn recall(&self, margin: Duration) -> Option<Result<T, E>> {
        if let Some(good) = self.good_for(margin) {
            return Some(Ok(good));
        }
        let (_, why) = self.failed.as_ref().filter(|(when, _)| when.elapsed() < FAILED)?;
        Some(self.good_for(Duration::ZERO).ok_or_else(|| why.clone()))
    }

    /// Takes in a new answer. After a failure the old one is given out until it ends: it is better
    /// than nothing.
    pub(in crate::registry) fn learn(&mut self, answer: Result<T, E>) -> Result<T, E> {
        match answer {
            Ok(good) => {
                *self = Self { good: Some(good.clone()), failed: None };
                Ok(good)
            }
            Err(why) => {
                self.failed = Some((Instant::now(), why.clone()));
                self.good_for(Duration::ZERO).ok_or(why)
            }
        }
    }

    fn good_for(&self, margin: Duration) -> Option<T> {
        let lasts = |good: &&T| good.end().is_none_or(|end| end > SystemTime::now() + margin);
        self.good.as_ref().filter(lasts).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name, and seconds from the start of the test.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Answer(&'static str, Option<SystemTime>);

    impl Ends for Answer {
        fn end(&self) -> Option<SystemTime> {
            self.1
        }
    }

    fn left(name: &'static str, seconds: u64) -> Answer {
        Answer(name, Some(SystemTime::now() + Duration::from_secs(seconds)))
    }

    const MARGIN: Duration = Duration::from_secs(100);

    #[test]
    fn a_failure_in_passing_takes_nothing_away() {
        let mut memory = Memory::<Answer, &str>::default();
        assert_eq!(memory.recall(MARGIN), None);
        let (short, long) = (left("short", 50), left("long", 500));
        assert_eq!(memory.learn(Ok(short.clone())), Ok(short.clone()));
        assert_eq!(memory.recall(MARGIN), None, "it ends soon, so another is asked for");
        // The old one is still good, and nobody is asked again at once.
        assert_eq!(memory.learn(Err("busy")), Ok(short.clone()));
        assert_eq!(memory.recall(MARGIN), Some(Ok(short)));
        assert_eq!(memory.learn(Ok(long.clone())), Ok(long.clone()));
        assert_eq!(memory.recall(MARGIN), Some(Ok(long)));
        let endless = Answer("endless", None);
        assert_eq!(memory.learn(Ok(endless.clone())), Ok(endless.clone()));
        assert_eq!(memory.recall(MARGIN), Some(Ok(endless)));
    }

    #[test]
    fn a_failure_is_asked_for_again_after_a_while() {
        let mut memory = Memory::<Answer, &str>::default();
        assert_eq!(memory.learn(Ok(left("over", 0))).map(|answer| answer.0), Ok("over"));
        assert_eq!(memory.learn(Err("busy")), Err("busy"), "the old one has ended");
        assert_eq!(memory.recall(MARGIN), Some(Err("busy")));
        let long_ago = Instant::now().checked_sub(FAILED).expect("a machine that runs for a while");
        memory.failed = Some((long_ago, "busy"));
        assert_eq!(memory.recall(MARGIN), None);
    }
}
