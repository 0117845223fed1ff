//! Scripted misbehaviour: which request, what happens to it, how often.

use std::fmt;
use std::time::Duration;

use super::http::Head;

/// What happens to a request that a [`Fault`] matches.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Action {
    /// Answer so, and do nothing else. The request's body is read and dropped.
    Status {
        /// Status code.
        code: u16,
        /// Headers of the answer.
        headers: Vec<(String, String)>,
        /// Its body.
        body: String,
    },
    /// Answer with this status (429 or 503) and `Retry-After` in seconds.
    RetryAfter {
        /// Status code.
        code: u16,
        /// Value of the header.
        seconds: u64,
    },
    /// Close the connection instead of an answer. The request has no effect.
    DropConnection,
    /// Do what was asked, then close the connection instead of an answer.
    DropAnswer,
    /// Close the connection after so many bytes of the answer's body.
    CutAfter(u64),
    /// Close the connection after so many bytes of the answer's status line and headers.
    CutHead(usize),
    /// Close the connection after so many bytes of the request's body. A blob upload keeps them.
    CutUploadAfter(u64),
    /// Answer with this status after so many bytes of the request's body, or at its end if that
    /// comes first. The request has no effect, but a blob upload keeps the bytes.
    RefuseAfter {
        /// Status code.
        code: u16,
        /// Bytes of the request's body.
        bytes: u64,
    },
    /// Do what was asked, then answer with this status, as a proxy without patience does.
    LateStatus(u16),
    /// Send the answer's body in pieces with a pause before each.
    SlowBody {
        /// Bytes of a piece.
        piece: usize,
        /// The pause.
        pause: Duration,
    },
    /// Read the request's body in pieces with a pause before each.
    SlowUpload {
        /// Bytes of a piece.
        piece: u64,
        /// The pause.
        pause: Duration,
    },
    /// Wait, then go on as usual.
    Delay(Duration),
    /// Take the request and say nothing for as long as the client stays. It has no effect.
    Silence,
    /// `Docker-Content-Digest` names other content.
    WrongDigestHeader,
    /// One bit of the answer's body is flipped.
    CorruptBody,
    /// `Content-Length` is so much more or less than the body's length. All of the body is sent, and
    /// the connection closed.
    WrongLength(i64),
    /// The answer lacks this header.
    WithoutHeader(&'static str),
    /// The answer has this header, with this value.
    SetHeader(&'static str, String),
    /// Answer 307 with the same path and query at this `HOST:PORT`. The request has no effect.
    RedirectTo(String),
    /// All uploads that have begun are forgotten before this request is looked at.
    ForgetUploads,
    /// All tokens end now, before this request's own is looked at.
    ExpireTokens,
}

impl Action {
    /// A bare status with an empty body.
    pub fn status(code: u16) -> Self {
        Self::Status { code, headers: Vec::new(), body: String::new() }
    }

    /// A redirect to that address.
    pub fn redirect(location: impl Into<String>) -> Self {
        let headers = vec![("Location".to_owned(), location.into())];
        Self::Status { code: 307, headers, body: String::new() }
    }

    /// A status with a text, as what stands before a registry sends it.
    pub fn text(code: u16, body: impl Into<String>) -> Self {
        Self::Status { code, headers: Vec::new(), body: body.into() }
    }

    /// A status with an error of the registry's.
    pub fn error(code: u16, name: &str, message: &str) -> Self {
        let body = serde_json::json!({ "errors": [{ "code": name, "message": message }] });
        Self::text(code, body.to_string())
    }
}

type Predicate = Box<dyn Fn(&str) -> bool + Send>;

/// One scripted fault. Unless told otherwise it strikes the first matching request, once.
pub struct Fault {
    method: Option<String>,
    path: Predicate,
    query: String,
    action: Action,
    /// Matching requests that pass before the first one is struck.
    skip: usize,
    /// How many are struck after that; none means all.
    times: Option<usize>,
}

impl fmt::Debug for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, action) = (&self.method, &self.action);
        write!(out, "Fault({method:?}, {action:?}, skip {}, times {:?})", self.skip, self.times)
    }
}

impl Fault {
    /// A fault for requests of this method (`*` is any) whose path contains the text.
    pub fn on(method: &str, path_contains: &str, action: Action) -> Self {
        let text = path_contains.to_owned();
        Self::when(method, move |path| path.contains(&text), action)
    }

    /// A fault for requests of this method (`*` is any) whose path satisfies the predicate.
    pub fn when(
        method: &str,
        path: impl Fn(&str) -> bool + Send + 'static,
        action: Action,
    ) -> Self {
        let method = (method != "*").then(|| method.to_owned());
        let query = String::new();
        Self { method, path: Box::new(path), query, action, skip: 0, times: Some(1) }
    }

    /// Strikes only requests with this text in what stands after the question mark, as sent.
    #[must_use]
    pub fn query(mut self, contains: &str) -> Self {
        contains.clone_into(&mut self.query);
        self
    }

    /// Strikes first at the nth matching request; 1 is the first.
    #[must_use]
    pub fn nth(mut self, nth: usize) -> Self {
        self.skip = nth.saturating_sub(1);
        self
    }

    /// Strikes so many times in a row.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// Strikes every matching request from then on.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// The action if this request is to be struck; counts it.
    fn strike(&mut self, head: &Head) -> Option<Action> {
        let method = self.method.as_deref().is_none_or(|method| method == head.method);
        let fits = method && (self.path)(&head.path) && head.query.contains(&self.query);
        if !fits || self.times == Some(0) {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        if let Some(times) = &mut self.times {
            *times -= 1;
        }
        Some(self.action.clone())
    }
}

/// The script: faults in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Script(Vec<Fault>);

impl Script {
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What happens to this request. Each fault counts the requests that reach it, and the first
    /// that strikes hides the request from those behind it.
    pub fn strike(&mut self, head: &Head) -> Option<Action> {
        self.0.iter_mut().find_map(|fault| fault.strike(head))
    }
}
