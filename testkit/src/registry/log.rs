//! What clients asked for.

use std::sync::Mutex;

use super::http::Head;
use super::store::lock;

/// A request as the registry saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path, percent-decoded.
    pub path: String,
    /// What stood after the question mark, as sent.
    pub query: String,
    /// Its headers. Of `Authorization` only the scheme is kept.
    pub headers: Vec<(String, String)>,
    /// Status of the answer; 0 if there was none.
    pub status: u16,
    /// Bytes of the request's body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were sent.
    pub bytes_out: u64,
    /// Whether the request carried an `Authorization` header.
    pub had_auth: bool,
}

impl Request {
    /// Method and path, as in `GET /v2/`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// The requests so far, in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    entries: Vec<(u64, Request)>,
}

impl Log {
    /// Notes a request and returns the number under which the rest is filled in.
    pub fn begin(&self, head: &Head) -> u64 {
        let headers = head.headers.iter().map(|(name, value)| {
            let secret = name.eq_ignore_ascii_case("authorization");
            let shown = if secret { value.split(' ').next().unwrap_or_default() } else { value };
            (name.clone(), shown.to_owned())
        });
        let request = Request {
            method: head.method.clone(),
            path: head.path.clone(),
            query: head.query.clone(),
            headers: headers.collect(),
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            had_auth: head.header("authorization").is_some(),
        };
        let mut log = lock(&self.0);
        let number = log.next;
        log.next += 1;
        log.entries.push((number, request));
        number
    }

    /// Fills in how the request went.
    pub fn update(&self, number: u64, status: u16, bytes_in: u64, bytes_out: u64) {
        let mut log = lock(&self.0);
        // The log may have been cleared since.
        if let Some((_, request)) = log.entries.iter_mut().rev().find(|(n, _)| *n == number) {
            (request.status, request.bytes_in, request.bytes_out) = (status, bytes_in, bytes_out);
        }
    }

    pub fn requests(&self) -> Vec<Request> {
        lock(&self.0).entries.iter().map(|(_, request)| request.clone()).collect()
    }

    pub fn clear(&self) {
        lock(&self.0).entries.clear();
    }
}
