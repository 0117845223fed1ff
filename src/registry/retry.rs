//! Trying again what failed for a passing reason.

use std::time::Duration;

use super::error::{RegistryError, Retry};
use super::options::Options;

/// Longest pause of our own choice.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How often, and how long to pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    retries: u32,
    delay: Duration,
    budget: Duration,
    /// Whether the budget is the one that people know, so that an error may speak of it.
    budget_is_known: bool,
}

/// The state of one operation.
#[derive(Debug)]
pub(super) struct Attempts {
    policy: Policy,
    failed: u32,
    paused: Duration,
}

impl Policy {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            retries: options.retries,
            delay: options.retry_delay,
            budget: options.retry_budget,
            budget_is_known: true,
        }
    }

    /// For a place that another one stands behind: one more try, no long pauses.
    pub(super) fn impatient(self) -> Self {
        Self {
            retries: self.retries.min(1),
            budget: self.budget.min(Duration::from_secs(5)),
            budget_is_known: false,
            ..self
        }
    }

    /// With pauses that come to no more than so much.
    pub(super) fn within(self, budget: Duration) -> Self {
        Self { budget: self.budget.min(budget), ..self }
    }

    pub(super) fn start(self) -> Attempts {
        Attempts { policy: self, failed: 0, paused: Duration::ZERO }
    }

    /// Runs an operation until it succeeds, fails for good, or patience ends.
    pub(super) async fn run<T>(
        self,
        mut operation: impl AsyncFnMut() -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut attempts = self.start();
        loop {
            match operation().await {
                Ok(value) => return Ok(value),
                Err(error) => tokio::time::sleep(attempts.pause_after(error)?).await,
            }
        }
    }
}

impl Attempts {
    /// The pause before the next attempt; the error itself if there is none.
    pub(super) fn pause_after(&mut self, error: RegistryError) -> Result<Duration, RegistryError> {
        let retry = error.retry();
        self.pause(error, retry)
    }

    /// The same, for an error that is known to pass whatever its kind.
    pub(super) fn pause_anyway(&mut self, error: RegistryError) -> Result<Duration, RegistryError> {
        self.pause_or_end().ok_or(error)
    }

    /// The same, where the error is not a registry's; `None` when patience ends.
    pub(super) fn pause_or_end(&mut self) -> Option<Duration> {
        let (left, pause) = (self.left(), self.backoff());
        (self.counts(pause) && pause <= left).then_some(pause)
    }

    /// What is left of the budget.
    fn left(&self) -> Duration {
        self.policy.budget.saturating_sub(self.paused)
    }

    /// Counts a failure and the pause after it. Whether there may be so many.
    fn counts(&mut self, pause: Duration) -> bool {
        self.failed = self.failed.saturating_add(1);
        self.paused = self.paused.saturating_add(pause);
        self.failed <= self.policy.retries
    }

    fn pause(&mut self, error: RegistryError, retry: Retry) -> Result<Duration, RegistryError> {
        let left = self.left();
        let pause = match retry {
            Retry::Never => return Err(error),
            Retry::Backoff => return self.pause_anyway(error),
            // Who is asked next says more than how long a mirror wanted kiln to wait.
            Retry::After(wait) if wait > left && !self.policy.budget_is_known => return Err(error),
            Retry::After(wait) if wait > left => {
                let (budget, answer) = (self.policy.budget, Box::new(error));
                return Err(RegistryError::Impatient { left, budget, answer });
            }
            // Never sooner than asked, not at once where no wait is asked for, and not all clients
            // at the same moment.
            Retry::After(wait) => {
                let delay = self.policy.delay;
                wait.max(delay).saturating_add(delay.mul_f64(fastrand::f64()))
            }
        };
        // The bit that is added may exceed the budget, but not one that is spent.
        if self.counts(pause) && !left.is_zero() { Ok(pause) } else { Err(error) }
    }

    /// Forgets the failures so far, after progress.
    pub(super) fn reset(&mut self) {
        self.failed = 0;
        self.paused = Duration::ZERO;
    }

    fn backoff(&self) -> Duration {
        let doubled = self.policy.delay.saturating_mul(1 << self.failed.min(16));
        doubled.min(PAUSE_MAX).mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, wait: Option<u64>) -> RegistryError {
        RegistryError::Status {
            host: "r.io".into(),
            action: "test".into(),
            status,
            retry_after: wait.map(Duration::from_secs),
            said: String::new(),
        }
    }

    fn policy() -> Policy {
        Policy::new(&Options::default())
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut attempts = policy().start();
        for step in 0..5 {
            let full = Duration::from_millis(500 << step);
            let pause = attempts.pause_after(status(503, None)).expect("patient");
            assert!(pause >= full / 2 && pause <= full, "{step}: {pause:?}");
        }
        assert!(attempts.pause_after(status(503, None)).is_err());
        attempts.reset();
        assert!(attempts.pause_after(status(503, None)).is_ok());
    }

    #[test]
    fn the_registrys_pause_is_kept_up_to_the_budget() {
        let mut attempts = policy().start();
        let pause = attempts.pause_after(status(503, Some(100))).expect("within the budget");
        assert!(pause >= Duration::from_secs(100));
        assert!(attempts.pause_after(status(503, Some(100))).is_err());
        assert!(policy().start().pause_after(status(429, Some(u64::MAX))).is_err());
    }

    /// `Retry-After: 0` is a pause too: a budget without a limit of attempts ends.
    #[test]
    fn no_wait_that_is_asked_for_ends_as_well() {
        for (budget, most) in [(0, 0), (1, 2)] {
            let options = Options {
                retries: u32::MAX,
                retry_budget: Duration::from_secs(budget),
                ..Options::default()
            };
            let mut attempts = Policy::new(&options).start();
            let mut pauses = 0;
            while let Ok(pause) = attempts.pause_after(status(503, Some(0))) {
                assert!(pause >= options.retry_delay, "{pause:?}");
                pauses += 1;
                assert!(pauses <= most, "a budget of {budget} s");
            }
            assert_eq!(pauses > 0, budget > 0);
        }
    }

    #[test]
    fn a_mirrors_patience_is_not_called_the_users() {
        let mut attempts = policy().impatient().start();
        let error = attempts.pause_after(status(503, Some(60))).expect_err("too long");
        assert!(matches!(error, RegistryError::Status { .. }), "{error:?}");
    }

    #[test]
    fn only_passing_failures_are_tried_again() {
        for code in [408, 500, 502, 503, 504] {
            assert!(policy().start().pause_after(status(code, None)).is_ok(), "{code}");
        }
        for code in [400, 405, 409, 413, 501] {
            assert!(policy().start().pause_after(status(code, None)).is_err(), "{code}");
        }
    }
}
