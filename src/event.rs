//! What a build reports while it runs. Modules tell an [`Observer`] facts; only `ui` renders them.
//!
//! Everything that takes time is a [`Task`]: resolving a base, a Dockerfile step, a push. A task
//! that is dropped without a word counts as failed, so an early `?` needs no bookkeeping.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Names a task within one build; ids grow in the order of starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u32);

/// Which stream of a command wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded; a few words for the user (`45.2 MB`, `mounted`), or none.
    Done(Option<String>),
    /// Nothing had to be done, and why (`already there`).
    Skipped(String),
    /// It failed; the error itself is reported once, at the top.
    Failed,
}

/// One fact.
#[derive(Debug)]
pub enum Event<'a> {
    /// A task began. `name` is one line without control characters, e.g. `[build 2/5] RUN make`.
    Started {
        /// The task.
        task: TaskId,
        /// What it does.
        name: &'a str,
    },
    /// A command of the task wrote bytes, not necessarily whole lines.
    Output {
        /// The task.
        task: TaskId,
        /// Where it wrote.
        stream: Stream,
        /// What it wrote, unfiltered: hostile until rendered.
        bytes: &'a [u8],
    },
    /// Bytes moved so far, and of how many where that is known.
    Progress {
        /// The task.
        task: TaskId,
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: Option<u64>,
    },
    /// A task ended.
    Finished {
        /// The task.
        task: TaskId,
        /// How.
        outcome: Outcome,
    },
    /// Something the user should know, one sentence.
    Note(&'a str),
    /// Something the user should change, one sentence.
    Warning(&'a str),
}

/// Hears every event, from any thread.
pub trait Observer: Send + Sync {
    /// Takes one event; must not block for long.
    fn on(&self, event: Event<'_>);
}

/// An observer that hears nothing, for tests and library users.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _: Event<'_>) {}
}

/// Where tasks are started; clones report to the same observer.
#[derive(Clone)]
pub struct Reporter {
    observer: Arc<dyn Observer>,
    next: Arc<AtomicU32>,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

impl Reporter {
    /// Reports to `observer`.
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self { observer, next: Arc::new(AtomicU32::new(1)) }
    }

    /// Reports to nobody.
    pub fn silent() -> Self {
        Self::new(Arc::new(Silent))
    }

    /// Begins a task.
    pub fn start(&self, name: &str) -> Task {
        let id = TaskId(self.next.fetch_add(1, Ordering::Relaxed));
        self.observer.on(Event::Started { task: id, name });
        Task { id, observer: self.observer.clone(), ended: false }
    }

    /// Tells the user something.
    pub fn note(&self, text: &str) {
        self.observer.on(Event::Note(text));
    }

    /// Warns the user of something.
    pub fn warning(&self, text: &str) {
        self.observer.on(Event::Warning(text));
    }
}

/// A running task.
pub struct Task {
    id: TaskId,
    observer: Arc<dyn Observer>,
    ended: bool,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Task {
    /// Passes a command's output on.
    pub fn output(&self, stream: Stream, bytes: &[u8]) {
        self.observer.on(Event::Output { task: self.id, stream, bytes });
    }

    /// Says how far it is.
    pub fn progress(&self, done: u64, total: Option<u64>) {
        self.observer.on(Event::Progress { task: self.id, done, total });
    }

    /// Ends it well.
    pub fn done(self) {
        self.end(Outcome::Done(None));
    }

    /// Ends it well, with a few words about the result.
    pub fn done_with(self, detail: impl Into<String>) {
        self.end(Outcome::Done(Some(detail.into())));
    }

    /// Ends it as not needed.
    pub fn skipped(self, why: impl Into<String>) {
        self.end(Outcome::Skipped(why.into()));
    }

    fn end(mut self, outcome: Outcome) {
        self.ended = true;
        self.observer.on(Event::Finished { task: self.id, outcome });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.ended {
            self.observer.on(Event::Finished { task: self.id, outcome: Outcome::Failed });
        }
    }
}
