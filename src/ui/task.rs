//! What the views remember of the tasks, and the words they share.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::clean;
use super::diagnostic::without_numbers;
use super::format;
use super::lines::Lines;
use super::paint::Paint;
use crate::event::{Event, Outcome, Stream, TaskId};

/// Lines of a failed command that are shown when its output was not.
const TAIL: usize = 50;
/// Columns of a task's name: a RUN can be a page long.
const NAME: usize = 200;

/// One task that runs.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) name: String,
    started: Duration,
    out: Lines,
    err: Lines,
    progress: Option<(u64, Option<u64>)>,
}

/// The tasks that run, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Tasks {
    running: BTreeMap<TaskId, Task>,
    keep_colour: bool,
    any_failed: bool,
}

/// How a task ended, in words.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) task: Task,
    pub(super) words: String,
    pub(super) kind: Kind,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Done,
    Skipped,
    /// The first one that failed.
    Failed,
    /// Failed after another had: as a rule it was stopped because of that.
    Stopped,
}

impl Tasks {
    /// No task; `keep_colour` lets the colours of commands pass.
    pub(super) fn new(keep_colour: bool) -> Self {
        Self { running: BTreeMap::new(), keep_colour, any_failed: false }
    }

    pub(super) fn start(&mut self, id: TaskId, name: &str, now: Duration) -> &Task {
        let task = Task {
            name: clean::truncate(&clean::line(name), NAME),
            started: now,
            out: Lines::new(self.keep_colour),
            err: Lines::new(self.keep_colour),
            progress: None,
        };
        // Ids are never used twice.
        self.running.entry(id).or_insert(task)
    }

    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        self.running.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.running.iter().map(|(id, task)| (*id, task))
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn finish(
        &mut self,
        id: TaskId,
        outcome: &Outcome,
        now: Duration,
    ) -> Option<Ending> {
        let task = self.running.remove(&id)?;
        let elapsed = format::duration(task.elapsed(now));
        let (kind, words) = match outcome {
            Outcome::Done(detail) => {
                let size = task.progress.map(|(done, _)| format::size(done));
                let words = match detail.as_deref().map(clean::line).or(size) {
                    Some(detail) => format!("done {elapsed}, {detail}"),
                    None => format!("done {elapsed}"),
                };
                (Kind::Done, words)
            }
            Outcome::Skipped(why) => (Kind::Skipped, format!("skipped: {}", clean::line(why))),
            Outcome::Failed if self.any_failed => {
                (Kind::Stopped, format!("stopped after {elapsed}"))
            }
            Outcome::Failed => (Kind::Failed, format!("failed after {elapsed}")),
        };
        self.any_failed |= *outcome == Outcome::Failed;
        Some(Ending { task, words, kind })
    }
}

impl Task {
    pub(super) fn elapsed(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started)
    }

    /// Takes what the command wrote and gives every line that it completes.
    pub(super) fn output(&mut self, stream: Stream, bytes: &[u8], emit: impl FnMut(String)) {
        match stream {
            Stream::Out => self.out.feed(bytes, emit),
            Stream::Err => self.err.feed(bytes, emit),
        }
    }

    /// The lines that were never completed.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = String> {
        [self.out.finish(), self.err.finish()].into_iter().flatten()
    }

    /// The lines that are not complete yet.
    pub(super) fn partial(&self) -> impl Iterator<Item = String> {
        [self.out.partial(), self.err.partial()].into_iter().flatten()
    }

    pub(super) fn set_progress(&mut self, done: u64, total: Option<u64>) {
        self.progress = Some((done, total));
    }

    /// How far it is, in words.
    pub(super) fn progress(&self) -> Option<String> {
        self.progress.map(|(done, total)| format::progress(done, total))
    }
}

impl Kind {
    pub(super) fn paint(self, paint: Paint, words: &str) -> String {
        match self {
            Self::Done => paint.green(words),
            Self::Skipped | Self::Stopped => paint.dim(words),
            Self::Failed => paint.red(words),
        }
    }
}

/// The last lines that a command wrote.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    /// Lines that are gone.
    gone: usize,
}

impl Tail {
    pub(super) fn push(&mut self, line: String) {
        if self.lines.len() == TAIL {
            self.lines.pop_front();
            self.gone += 1;
        }
        self.lines.push_back(line);
    }

    /// The last `count` lines.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = &str> {
        self.lines.range(self.lines.len().saturating_sub(count)..).map(String::as_str)
    }

    /// Appends all lines as output of the task.
    pub(super) fn write(&self, id: TaskId, paint: Paint, log: &mut String) {
        if self.gone > 0 {
            push_line(log, &output(id, paint, &format!("… {} lines before", self.gone)));
        }
        for line in &self.lines {
            push_line(log, &output(id, paint, line));
        }
    }
}

/// `#7`.
pub(super) fn number(id: TaskId, paint: Paint) -> String {
    paint.cyan(&format!("#{}", id.0))
}

/// `  #7 | text`.
pub(super) fn output(id: TaskId, paint: Paint, line: &str) -> String {
    let prefix = paint.dim(&format!("  #{} |", id.0));
    if line.is_empty() { prefix } else { format!("{prefix} {line}") }
}

/// A note or a warning as a line.
pub(super) fn remark(event: &Event<'_>, paint: Paint) -> Option<String> {
    match event {
        Event::Note(text) => Some(format!("{} {}", paint.bold("note:"), sentence(text))),
        Event::Warning(text) => Some(format!("{} {}", paint.yellow("warning:"), sentence(text))),
        _ => None,
    }
}

/// What is said, on one line; the system's errors in it without their numbers.
fn sentence(text: &str) -> String {
    without_numbers(&clean::line(text))
}

pub(super) fn push_line(log: &mut String, line: &str) {
    log.push_str(line);
    log.push('\n');
}
