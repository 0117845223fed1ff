//! The only place that prints.
//!
//! The log (what runs, warnings, errors) goes to standard error, the result (the digest) to
//! standard output, so that `digest=$(kiln build …)` works in every mode. [`Console`] hears the
//! build's events and shows them in one of five views:
//!
//! | view | for | shows |
//! |---|---|---|
//! | `plain` | pipes and CI logs | a line when a task starts and ends, every line of output |
//! | `live` | terminals | running tasks redrawn in place, finished ones scroll up |
//! | `quiet` | `--quiet` | a task that failed |
//! | `sections` | GitLab's job log | a section for each step, folded |
//! | `log` | `executor`, `warmer` | kaniko's log; what commands print goes where they print it |
//!
//! The views are pure: event and time in, text out. `clean` and `lines` make foreign text safe.

pub mod cache;
pub mod check;
mod choice;
mod clean;
mod console;
pub mod diagnostic;
pub mod doctor;
pub mod format;
mod lines;
mod live;
mod log;
mod paint;
mod plain;
mod prompt;
mod quiet;
mod report;
mod sections;
mod task;

#[cfg(test)]
mod script;

pub use choice::{
    ColorChoice, LogChoice, LogFormat, LogLevel, OutputChoice, ProgressChoice, Verbosity,
};
pub use console::{
    Console, Device, print, print_error, print_warning, stderr_colour, stdout_colour,
};
pub use log::During;
pub use prompt::{ask, ask_secretly, read_secret};
pub use report::{Report, Work};

use std::time::Duration;

use crate::event::Event;

/// Columns and rows of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    columns: usize,
    rows: usize,
}

/// A way to show a build. What is to be written is appended to `log`.
trait View: Send {
    /// Takes one event, `now` after the start of the program.
    fn on(&mut self, event: &Event<'_>, now: Duration, log: &mut String);

    /// Brings what is redrawn in place up to date.
    fn redraw(&mut self, _now: Duration, _size: Size, _log: &mut String) {}

    /// Takes away what is redrawn in place, for good; shows what was kept for later.
    fn close(&mut self, _size: Size, _log: &mut String) {}

    /// What goes to standard output, as commands wrote it there.
    fn take_output(&mut self) -> String {
        String::new()
    }
}
