//! A registry that takes uploads as distribution does, and fails as it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::super::testserver::{Reply, Seen, Server};
use crate::digest::Digest;

/// What becomes of one request with bytes.
#[derive(Clone)]
pub(super) enum Fault {
    /// The registry keeps so many bytes of the body, and answers this.
    Keeps(usize, Reply),
    /// It takes all, and nobody hears of it.
    Unheard,
}

type Script = dyn Fn(usize, &Seen) -> Option<Fault> + Send + Sync;

/// One repository `app`.
pub(super) struct Uploads {
    pub(super) server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    blobs: HashMap<String, Vec<u8>>,
    uploads: HashMap<String, Vec<u8>>,
    /// Requests with bytes so far.
    count: usize,
}

impl Uploads {
    /// `script` is asked at each PUT and PATCH, with its number.
    pub(super) fn start(
        script: impl Fn(usize, &Seen) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        Self::with_header(script, None)
    }

    /// The same, with a header in the answer to each POST.
    pub(super) fn with_header(
        script: impl Fn(usize, &Seen) -> Option<Fault> + Send + Sync + 'static,
        header: Option<(&'static str, &'static str)>,
    ) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let own = state.clone();
        let server = Server::start(move |seen| {
            let reply = own.lock().expect("lock").answer(seen, &script);
            match header.filter(|_| seen.method == "POST") {
                Some((name, value)) => reply.header(name, value),
                None => reply,
            }
        });
        Self { server, state }
    }

    /// The blob, if it is there.
    pub(super) fn blob(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.state.lock().expect("lock").blobs.get(&digest.to_string()).cloned()
    }

    /// The methods of all requests, in order.
    pub(super) fn methods(&self) -> String {
        let methods = self.server.seen().into_iter().map(|seen| seen.method);
        methods.collect::<Vec<_>>().join(" ")
    }
}

impl State {
    fn answer(&mut self, seen: &Seen, script: &Script) -> Reply {
        if let Some(digest) = seen.path().strip_prefix("/v2/app/blobs/sha256:") {
            let there = self.blobs.contains_key(&format!("sha256:{digest}"));
            return Reply::new(if there { 200 } else { 404 }, "");
        }
        if seen.method == "POST" {
            let id = format!("/up/{}", self.uploads.len());
            self.uploads.insert(id.clone(), Vec::new());
            return at(202, &id, 0);
        }
        let path = seen.path().to_owned();
        let Some(kept) = self.uploads.get_mut(&path) else { return Reply::new(404, "") };
        match seen.method.as_str() {
            "DELETE" => {
                self.uploads.insert(path, Vec::new());
                Reply::new(204, "")
            }
            "GET" => at(204, &path, kept.len()),
            _ => {
                self.count += 1;
                match script(self.count - 1, seen) {
                    Some(Fault::Keeps(bytes, reply)) => {
                        kept.extend_from_slice(&seen.body[..bytes]);
                        reply
                    }
                    Some(Fault::Unheard) => {
                        let _ = self.take(&path, seen);
                        Reply::hang_up()
                    }
                    None => self.take(&path, seen),
                }
            }
        }
    }

    fn take(&mut self, path: &str, seen: &Seen) -> Reply {
        let kept = self.uploads.get_mut(path).expect("looked up");
        if seen.method == "PATCH" {
            let wanted = format!("{}-{}", kept.len(), kept.len() + seen.body.len() - 1);
            if seen.header("content-range") != Some(&wanted) {
                return Reply::new(416, "");
            }
            kept.extend_from_slice(&seen.body);
            return at(202, path, kept.len());
        }
        kept.extend_from_slice(&seen.body);
        let digest = Digest::of(kept);
        let (_, given) = seen.target.rsplit_once("digest=sha256%3A").expect("a digest");
        if digest.hex() != given {
            let body = r#"{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}"#;
            return Reply::new(400, body);
        }
        let bytes = std::mem::take(kept);
        self.blobs.insert(digest.to_string(), bytes);
        Reply::new(201, "").header("Location", format!("/v2/app/blobs/{digest}"))
    }
}

/// The state in the query changes with each answer.
fn at(status: u16, path: &str, length: usize) -> Reply {
    let reply = Reply::new(status, "").header("Location", format!("{path}?state=a%2Fb{length}"));
    reply.header("Range", format!("0-{}", length.saturating_sub(1)))
}
