//! kaniko's log, for whatever reads that: a line for each event on standard error, in the formats of
//! its library (sirupsen/logrus), and what commands print as it is.
//!
//! ```text
//! INFO[0004] [build 2/5] RUN make                  color, with ANSI colours
//! time="2026-01-02T03:04:05Z" level=info msg="[build 2/5] RUN make"     text
//! {"level":"info","msg":"[build 2/5] RUN make","time":"2026-01-02T03:04:05Z"}
//! ```
//!
//! `text` is not `color` without colours: kaniko switches colours off in a formatter that then writes
//! keys and values (GoogleContainerTools/kaniko pkg/logging, logrus TextFormatter).

use std::time::{Duration, SystemTime};

use super::View;
use super::choice::{LogChoice, LogFormat, LogLevel};
use super::clean;
use super::diagnostic;
use super::report::Report;
use super::task::{Kind, Tasks, push_line};
use crate::event::{Event, Stream};

/// Writes lines of a log.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogLines {
    choice: LogChoice,
    /// When the program started.
    start: SystemTime,
}

impl LogLines {
    pub(super) fn new(choice: LogChoice, start: SystemTime) -> Self {
        Self { choice, start }
    }

    /// Appends a line, `now` after the start, if the level is wanted.
    fn push(&self, log: &mut String, level: LogLevel, now: Duration, message: &str) {
        if level < self.choice.level {
            return;
        }
        let message = clean::line(message);
        let line = match self.choice.format {
            LogFormat::Color if self.choice.timestamp => {
                self.coloured(level, &self.time(now), &message)
            }
            LogFormat::Color => self.coloured(level, &format!("{:04}", now.as_secs()), &message),
            LogFormat::Text => {
                format!("time=\"{}\" level={} msg={}", self.time(now), name(level), quote(&message))
            }
            LogFormat::Json => {
                let fields =
                    [("level", name(level)), ("msg", message.as_str()), ("time", &self.time(now))];
                let fields = fields.map(|(key, value)| format!("\"{key}\":{}", json(value)));
                format!("{{{}}}", fields.join(","))
            }
        };
        push_line(log, &line);
    }

    fn coloured(&self, level: LogLevel, time: &str, message: &str) -> String {
        let colour = match level {
            LogLevel::Trace | LogLevel::Debug => 37,
            LogLevel::Info => 36,
            LogLevel::Warn => 33,
            LogLevel::Error | LogLevel::Fatal => 31,
        };
        let word: String = name(level).to_uppercase().chars().take(4).collect();
        format!("\x1b[{colour}m{word}\x1b[0m[{time}] {message}")
    }

    fn time(&self, now: Duration) -> String {
        let time = jiff::Timestamp::try_from(self.start + now).unwrap_or_default();
        time.round(jiff::Unit::Second).unwrap_or(time).to_string()
    }

    /// What the build made.
    pub(super) fn report(&self, report: &Report, now: Duration) -> String {
        let mut log = String::new();
        for name in &report.names {
            // kaniko names the repository, the digest being the version.
            let message = if name.starts_with('/') {
                format!("Wrote {name} ({})", report.digest)
            } else {
                format!("Pushed {}@{}", repository(name), report.digest)
            };
            self.push(&mut log, LogLevel::Info, now, &message);
        }
        if report.names.is_empty() {
            let message = format!("Built {}", report.digest);
            self.push(&mut log, LogLevel::Info, now, &message);
        }
        log
    }

    /// Why the build failed. kaniko prints that as it is, whatever the format; here it stays JSON.
    pub(super) fn error(
        &self,
        during: During,
        error: &(dyn std::error::Error + 'static),
        now: Duration,
    ) -> String {
        let text = diagnostic::render_error(error, false);
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let text = format!("{}{text}", during.words());
        if self.choice.format != LogFormat::Json {
            return text;
        }
        let time = json(&self.time(now));
        format!("{{\"level\":\"fatal\",\"msg\":{},\"time\":{time}}}\n", json(text.trim_end()))
    }
}

/// `host/name` of `host/name:tag`.
fn repository(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// What was being done when an error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum During {
    /// Everything up to a finished image.
    Build,
    /// The question whether a push will be allowed.
    PushCheck,
    /// The push.
    Push,
    /// Fetching base images.
    Warm,
    /// Being told to stop: the error says all.
    Stopping,
}

impl During {
    /// As kaniko's errors begin.
    fn words(self) -> &'static str {
        match self {
            Self::Build => "error building image: ",
            Self::PushCheck => "error checking push permissions: ",
            Self::Push => "error pushing image: ",
            Self::Warm => "Failed warming cache: ",
            Self::Stopping => "error: ",
        }
    }
}

fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warning",
        LogLevel::Error => "error",
        LogLevel::Fatal => "fatal",
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// As logrus does: bare where nothing in it needs quotes.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { json(text) }
}

/// The view.
#[derive(Debug)]
pub(super) struct Log {
    lines: LogLines,
    tasks: Tasks,
    /// What commands wrote to standard output.
    output: String,
}

impl Log {
    pub(super) fn new(lines: LogLines) -> Self {
        Self { lines, tasks: Tasks::new(true), output: String::new() }
    }
}

impl View for Log {
    fn on(&mut self, event: &Event<'_>, now: Duration, log: &mut String) {
        let lines = self.lines;
        match *event {
            Event::Started { task, name } => {
                let task = self.tasks.start(task, name, now);
                lines.push(log, LogLevel::Info, now, &task.name);
            }
            Event::Output { task, stream, bytes } => {
                let Some(task) = self.tasks.get_mut(task) else { return };
                let to = if stream == Stream::Out { &mut self.output } else { log };
                task.output(stream, bytes, |line| push_line(to, &clean::harmless(line)));
            }
            Event::Progress { task, done, total } => {
                if let Some(task) = self.tasks.get_mut(task) {
                    task.set_progress(done, total);
                }
            }
            Event::Finished { task, ref outcome } => {
                let Some(mut ending) = self.tasks.finish(task, outcome, now) else { return };
                for line in ending.task.rest() {
                    push_line(&mut self.output, &clean::harmless(line));
                }
                let level = match ending.kind {
                    Kind::Done | Kind::Skipped | Kind::Stopped => LogLevel::Debug,
                    Kind::Failed => LogLevel::Error,
                };
                lines.push(log, level, now, &format!("{}: {}", ending.task.name, ending.words));
            }
            Event::Note(text) => lines.push(log, LogLevel::Info, now, text),
            Event::Warning(text) => lines.push(log, LogLevel::Warn, now, text),
        }
    }

    fn take_output(&mut self) -> String {
        std::mem::take(&mut self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, play};
    use super::*;

    fn log(format: LogFormat, level: LogLevel, timestamp: bool) -> (String, String) {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let choice = LogChoice { format, level, timestamp };
        let mut script = Script::default();
        script.start(0, 1, "resolve debian:12");
        script.done(300, 1, None);
        script.warning(4200, "--cleanup has no effect: \"x\"\u{1b}[2J");
        script.start(4200, 2, "[1/1] RUN make");
        script.output(4300, 2, "made\n{\"command_exit_code\":0}\n");
        script.error(4300, 2, "\x1b[31mbad\x1b[0m\n");
        script.failed(5000, 2);
        let mut view = Log::new(LogLines::new(choice, start));
        let text = play(&mut view, &script);
        (text, view.take_output())
    }

    #[test]
    fn kaniko_s_three_formats() {
        let all = [
            ("color", LogFormat::Color, false),
            ("color_timestamp", LogFormat::Color, true),
            ("text", LogFormat::Text, false),
            ("json", LogFormat::Json, false),
        ];
        for (name, format, timestamp) in all {
            let (text, output) = log(format, LogLevel::Info, timestamp);
            insta::assert_snapshot!(name, text.replace('\x1b', "^["));
            assert_eq!(output, "made\n| {\"command_exit_code\":0}\n");
        }
    }

    #[test]
    fn the_level_hides_lines_but_not_what_commands_print() {
        for (level, lines) in [
            (LogLevel::Trace, 5),
            (LogLevel::Debug, 5),
            (LogLevel::Info, 4),
            (LogLevel::Warn, 2),
            (LogLevel::Error, 1),
            (LogLevel::Fatal, 0),
        ] {
            let (text, output) = log(LogFormat::Text, level, false);
            let count = text.lines().filter(|line| line.starts_with("time=")).count();
            assert_eq!(count, lines, "{level:?}: {text}");
            assert!(text.contains("bad") && output.contains("made"), "{level:?}");
        }
    }

    #[test]
    fn a_pushed_name_stands_with_its_digest() {
        for (name, bare) in [
            ("r.test:5000/a/b:1", "r.test:5000/a/b"),
            ("r.test:5000/a", "r.test:5000/a"),
            ("a:latest", "a"),
        ] {
            assert_eq!(repository(name), bare);
        }
    }
}
