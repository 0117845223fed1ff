//! Scripted events with a made-up clock, for the views' tests.

use std::time::Duration;

use super::{Size, View};
use crate::event::{Event, Outcome, Stream, TaskId};

/// Events and when they happen.
#[derive(Default)]
pub(super) struct Script(Vec<(Duration, Line)>);

enum Line {
    Start(u32, String),
    Output(u32, Stream, String),
    Progress(u32, u64, Option<u64>),
    Finish(u32, Outcome),
    Note(String),
    Warning(String),
}

impl Script {
    pub(super) fn start(&mut self, at: u64, task: u32, name: &str) {
        self.push(at, Line::Start(task, name.to_owned()));
    }

    pub(super) fn output(&mut self, at: u64, task: u32, text: &str) {
        self.push(at, Line::Output(task, Stream::Out, text.to_owned()));
    }

    pub(super) fn error(&mut self, at: u64, task: u32, text: &str) {
        self.push(at, Line::Output(task, Stream::Err, text.to_owned()));
    }

    pub(super) fn progress(&mut self, at: u64, task: u32, done: u64, total: Option<u64>) {
        self.push(at, Line::Progress(task, done, total));
    }

    pub(super) fn done(&mut self, at: u64, task: u32, detail: Option<&str>) {
        self.push(at, Line::Finish(task, Outcome::Done(detail.map(str::to_owned))));
    }

    pub(super) fn skipped(&mut self, at: u64, task: u32, why: &str) {
        self.push(at, Line::Finish(task, Outcome::Skipped(why.to_owned())));
    }

    pub(super) fn failed(&mut self, at: u64, task: u32) {
        self.push(at, Line::Finish(task, Outcome::Failed));
    }

    pub(super) fn note(&mut self, at: u64, text: &str) {
        self.push(at, Line::Note(text.to_owned()));
    }

    pub(super) fn warning(&mut self, at: u64, text: &str) {
        self.push(at, Line::Warning(text.to_owned()));
    }

    fn push(&mut self, at: u64, line: Line) {
        self.0.push((Duration::from_millis(at), line));
    }
}

/// Plays the script and gives what the view wrote.
pub(super) fn play(view: &mut dyn View, script: &Script) -> String {
    let mut log = String::new();
    for (at, line) in &script.0 {
        view.on(&line.event(), *at, &mut log);
    }
    log
}

/// Plays the script with a redraw after each event.
pub(super) fn play_frames(view: &mut dyn View, script: &Script, size: Size) -> String {
    let mut log = String::new();
    for (at, line) in &script.0 {
        view.on(&line.event(), *at, &mut log);
        view.redraw(*at, size, &mut log);
    }
    log
}

impl Line {
    fn event(&self) -> Event<'_> {
        match self {
            Self::Start(task, name) => Event::Started { task: TaskId(*task), name },
            Self::Output(task, stream, text) => {
                Event::Output { task: TaskId(*task), stream: *stream, bytes: text.as_bytes() }
            }
            Self::Progress(task, done, total) => {
                Event::Progress { task: TaskId(*task), done: *done, total: *total }
            }
            Self::Finish(task, outcome) => {
                Event::Finished { task: TaskId(*task), outcome: outcome.clone() }
            }
            Self::Note(text) => Event::Note(text),
            Self::Warning(text) => Event::Warning(text),
        }
    }
}
