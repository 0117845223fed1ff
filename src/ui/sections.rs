//! A job log of GitLab's: each step is a section that can be folded.
//!
//! Sections of parallel stages must not mix, so one is open at a time and shows what its command
//! prints at once; the lines of the others wait until it is closed. Sections begin folded, and GitLab
//! cannot unfold one later (gitlab-org/gitlab#290225), so the last lines of a step that failed are
//! repeated below all sections.
//!
//! Source of the marks: docs.gitlab.com/ci/jobs/job_logs, "Custom collapsible sections".

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::clean;
use super::paint::Paint;
use super::task::{Kind, Tail, Tasks, push_line, remark};
use super::{Size, View};
use crate::event::{Event, TaskId};

/// Bytes of a waiting step's output that are kept: as much as GitLab's runner takes of a whole job
/// (`output_limit`).
const HELD: usize = 4 << 20;
/// Lines that are repeated after a failure.
const REPEATED: usize = 30;

/// The view.
#[derive(Debug)]
pub(super) struct Sections {
    tasks: Tasks,
    paint: Paint,
    /// Seconds from 1970 to the start of the program.
    start: u64,
    now: Duration,
    open: Option<TaskId>,
    /// Steps that are not shown to their end yet, in the order in which they began.
    steps: BTreeMap<TaskId, Step>,
    /// Lines of no section, which wait while one is open.
    between: String,
    /// What is repeated at the end.
    failure: Option<(String, Tail)>,
}

/// A step whose section is open or waits.
#[derive(Debug)]
struct Step {
    name: String,
    began: Duration,
    ended: Option<Duration>,
    held: Held,
    tail: Tail,
}

/// Lines of a step that waits.
#[derive(Debug, Default)]
struct Held {
    lines: VecDeque<String>,
    bytes: usize,
    gone: usize,
}

impl Held {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > HELD
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
            self.gone += 1;
        }
    }

    fn write(&mut self, log: &mut String) {
        if self.gone > 0 {
            push_line(log, &format!("… {} lines before", self.gone));
        }
        self.lines.drain(..).for_each(|line| push_line(log, &line));
        *self = Self::default();
    }
}

impl Sections {
    /// `start` is in seconds since 1970.
    pub(super) fn new(colour: bool, start: u64) -> Self {
        Self {
            tasks: Tasks::new(colour),
            paint: Paint(colour),
            start,
            now: Duration::ZERO,
            open: None,
            steps: BTreeMap::new(),
            between: String::new(),
            failure: None,
        }
    }

    fn begin(&mut self, id: TaskId, name: &str) {
        let name = name.to_owned();
        let (held, tail) = (Held::default(), Tail::default());
        self.steps.insert(id, Step { name, began: self.now, ended: None, held, tail });
    }

    /// A line of a step: shown if its section is open, else kept.
    fn line(&mut self, id: TaskId, line: String, log: &mut String) {
        let Some(step) = self.steps.get_mut(&id) else { return };
        if self.open == Some(id) {
            push_line(log, &line);
        } else {
            step.held.push(line);
        }
    }

    /// A line of no step.
    fn between(&mut self, line: &str, log: &mut String) {
        push_line(if self.open.is_some() { &mut self.between } else { log }, line);
    }

    /// Unique in the job, which may call kiln again.
    fn mark(&self, id: TaskId) -> String {
        format!("kiln_{}_{}", self.start, id.0)
    }

    fn open(&mut self, id: TaskId, log: &mut String) {
        let (mark, start, paint) = (self.mark(id), self.start, self.paint);
        let Some(step) = self.steps.get_mut(&id) else { return };
        let (time, name) = (start + step.began.as_secs(), paint.bold(&step.name));
        push_line(
            log,
            &format!("\x1b[0Ksection_start:{time}:{mark}[collapsed=true]\r\x1b[0K{name}"),
        );
        step.held.write(log);
        self.open = Some(id);
    }

    fn close_open(&mut self, log: &mut String) {
        let Some(id) = self.open.take() else { return };
        let ended = self.steps.remove(&id).and_then(|step| step.ended).unwrap_or(self.now);
        let time = self.start + ended.as_secs();
        push_line(log, &format!("\x1b[0Ksection_end:{time}:{}\r\x1b[0K", self.mark(id)));
        log.push_str(&std::mem::take(&mut self.between));
    }

    /// Shows what waited: steps that have ended, then the first of those that run.
    fn advance(&mut self, log: &mut String) {
        let ended = |(id, step): (&TaskId, &Step)| step.ended.map(|_| *id);
        while self.open.is_none()
            && let Some(id) = self.steps.iter().find_map(ended)
        {
            self.open(id, log);
            self.close_open(log);
        }
        if self.open.is_none()
            && let Some(id) = self.steps.keys().next().copied()
        {
            self.open(id, log);
        }
    }
}

/// Whether a task is a step of the Dockerfile; others have no output and are one line.
fn is_step(name: &str) -> bool {
    name.starts_with('[')
}

impl View for Sections {
    fn on(&mut self, event: &Event<'_>, now: Duration, log: &mut String) {
        self.now = now;
        match *event {
            Event::Started { task: id, name } => {
                let name = self.tasks.start(id, name, now).name.clone();
                if is_step(&name) {
                    self.begin(id, &name);
                    self.advance(log);
                }
            }
            Event::Output { task: id, stream, bytes } => {
                let Some(task) = self.tasks.get_mut(id) else { return };
                let mut lines = Vec::new();
                task.output(stream, bytes, |line| lines.push(clean::harmless(line)));
                for line in lines {
                    if let Some(step) = self.steps.get_mut(&id) {
                        step.tail.push(line.clone());
                    }
                    self.line(id, line, log);
                }
            }
            Event::Progress { task, done, total } => {
                if let Some(task) = self.tasks.get_mut(task) {
                    task.set_progress(done, total);
                }
            }
            Event::Finished { task: id, ref outcome } => {
                let Some(mut ending) = self.tasks.finish(id, outcome, now) else { return };
                let words = ending.kind.paint(self.paint, &ending.words);
                let Some(step) = self.steps.get_mut(&id) else {
                    self.between(&format!("{}: {words}", ending.task.name), log);
                    return;
                };
                step.ended = Some(now);
                let rest: Vec<String> = ending.task.rest().map(clean::harmless).collect();
                rest.iter().for_each(|line| step.tail.push(line.clone()));
                if ending.kind == Kind::Failed {
                    let title = format!("{}: {}", ending.task.name, ending.words);
                    self.failure = Some((title, std::mem::take(&mut step.tail)));
                }
                for line in rest.into_iter().chain([words]) {
                    self.line(id, line, log);
                }
                if self.open == Some(id) {
                    self.close_open(log);
                    self.advance(log);
                }
            }
            Event::Note(_) | Event::Warning(_) => {
                if let Some(line) = remark(event, self.paint) {
                    self.between(&line, log);
                }
            }
        }
    }

    fn close(&mut self, _size: Size, log: &mut String) {
        self.close_open(log);
        while let Some(id) = self.steps.keys().next().copied() {
            self.open(id, log);
            self.close_open(log);
        }
        let Some((title, tail)) = self.failure.take() else { return };
        push_line(log, &self.paint.red(&title));
        tail.last(REPEATED).for_each(|line| push_line(log, line));
    }
}

#[cfg(test)]
#[path = "sections_tests.rs"]
mod tests;
