//! How much a registry takes: bytes of a body, of a chunk, requests in a time.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::api::error;
use super::http::{Head, Response};
use super::store::lock;

/// The limits; there are none unless they are set.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// Most bytes of a request's body.
    pub max_body: Option<u64>,
    /// Fewest bytes of a chunk that is not the last.
    pub min_chunk: Option<u64>,
    pub rate: Option<Rate>,
}

/// So many requests in each window of time.
#[derive(Debug)]
pub(crate) struct Rate {
    requests: usize,
    time: Duration,
    window: Mutex<Option<(Instant, usize)>>,
}

impl Rate {
    pub fn new(requests: usize, time: Duration) -> Self {
        Self { requests, time, window: Mutex::default() }
    }

    /// Counts a request. How long to wait if it is one too many.
    fn count(&self) -> Option<Duration> {
        let mut window = lock(&self.window);
        let now = Instant::now();
        let (begun, count) = match *window {
            Some((begun, count)) if now < begun + self.time => (begun, count + 1),
            _ => (now, 1),
        };
        *window = Some((begun, count));
        (count > self.requests).then(|| begun + self.time - now)
    }
}

impl Limits {
    /// The refusal of a request that goes beyond a limit.
    pub fn refuse(&self, head: &Head) -> Option<Response> {
        if let Some(wait) = self.rate.as_ref().and_then(Rate::count) {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let refusal = error(429, "TOOMANYREQUESTS", "the limit of requests is reached");
            return Some(refusal.with("Retry-After", seconds.to_string()));
        }
        let length = head.header("content-length").and_then(|text| text.parse::<u64>().ok());
        let too_much = length.zip(self.max_body).is_some_and(|(length, most)| length > most);
        // As nginx says it (client_max_body_size).
        let page = "<html><head><title>413 Request Entity Too Large</title></head></html>";
        too_much.then(|| Response::new(413).bytes("text/html", page))
    }
}
