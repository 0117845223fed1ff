//! Running tasks redrawn in place, for terminals.
//!
//! What has ended scrolls up as plain lines; below it stand the running tasks, and under a task
//! that runs a command its last lines of output. The frame is erased and written anew each time:
//! it is small, and nothing has to be known about the terminal but its size.

use std::collections::HashMap;
use std::time::Duration;

use super::clean::{truncate, width};
use super::lines::flat;
use super::paint::Paint;
use super::task::{Ending, Kind, Tail, Task, Tasks, number, output, push_line, remark};
use super::{Size, View, format};
use crate::event::{Event, TaskId};

/// Lines of output under a running task.
const OUTPUT_LINES: usize = 5;
/// Columns of a frame: on a very wide terminal the times would stand far from the names.
const MAX_COLUMNS: usize = 100;
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// Synchronised output (contour-terminal.org/vt-extensions/synchronized-output): no flicker where
/// the terminal knows it, ignored where it does not.
const BEGIN_FRAME: &str = "\x1b[?2026h";
const END_FRAME: &str = "\x1b[?2026l";

/// The live view.
#[derive(Debug)]
pub(super) struct Live {
    tasks: Tasks,
    outputs: HashMap<TaskId, Output>,
    paint: Paint,
    /// Command output scrolls up too.
    verbose: bool,
    /// Lines that are to stand above the next frame.
    scroll: String,
    /// The frame on the screen, one string for each line.
    drawn: Vec<String>,
    cursor_hidden: bool,
}

/// What a running command wrote.
#[derive(Debug, Default)]
struct Output {
    tail: Tail,
    /// When it last wrote.
    wrote: Duration,
}

impl Live {
    pub(super) fn new(colour: bool, verbose: bool) -> Self {
        Self {
            tasks: Tasks::new(colour),
            outputs: HashMap::new(),
            paint: Paint(colour),
            verbose,
            scroll: String::new(),
            drawn: Vec::new(),
            cursor_hidden: false,
        }
    }

    fn end(&mut self, id: TaskId, mut ending: Ending) {
        let mut tail = self.outputs.remove(&id).unwrap_or_default().tail;
        for line in ending.task.rest() {
            if self.verbose {
                push_line(&mut self.scroll, &output(id, self.paint, &line));
            }
            tail.push(line);
        }
        let words = ending.kind.paint(self.paint, &ending.words);
        let number = number(id, self.paint);
        push_line(&mut self.scroll, &format!("{number} {}: {words}", ending.task.name));
        if ending.kind == Kind::Failed && !self.verbose {
            tail.write(id, self.paint, &mut self.scroll);
        }
    }

    /// Takes the frame from the screen. The cursor stands below its last line.
    fn erase(&mut self, size: Size, log: &mut String) {
        let columns = size.columns.max(1);
        // A terminal made narrower since has wrapped the lines.
        let rows: usize =
            self.drawn.iter().map(|line| width(&flat(line)).div_ceil(columns).max(1)).sum();
        if rows > 0 {
            log.push_str(&format!("\r\x1b[{rows}A\x1b[J"));
        }
        self.drawn.clear();
    }

    fn frame(&self, now: Duration, size: Size) -> Vec<String> {
        let columns = size.columns.saturating_sub(1).min(MAX_COLUMNS);
        let rows = size.rows.saturating_sub(1).max(1);
        let shown = if self.tasks.len() > rows { rows - 1 } else { self.tasks.len() };
        let under = self.share(rows - shown);
        let mut frame = Vec::new();
        for (id, task) in self.tasks.iter().take(shown) {
            frame.push(self.task_line(id, task, now, columns));
            let output = self.last_lines(id, task);
            let count = under.get(&id).copied().unwrap_or(0);
            frame.extend(
                output[output.len().saturating_sub(count)..].iter().map(|line| {
                    self.paint.dim(&truncate(&format!("   | {}", flat(line)), columns))
                }),
            );
        }
        if shown < self.tasks.len() {
            let more = format!("… and {} more", self.tasks.len() - shown);
            frame.push(self.paint.dim(&truncate(&more, columns)));
        }
        frame
    }

    /// How many lines of output each task may show, of `rows` in all: who wrote last comes first.
    fn share(&self, mut rows: usize) -> HashMap<TaskId, usize> {
        let mut writers: Vec<(Duration, TaskId, usize)> = self
            .tasks
            .iter()
            .filter_map(|(id, task)| {
                let wrote = self.outputs.get(&id)?.wrote;
                Some((wrote, id, self.last_lines(id, task).len()))
            })
            .collect();
        writers.sort_by(|left, right| right.cmp(left));
        writers
            .into_iter()
            .map(|(_, id, lines)| {
                let given = lines.min(rows);
                rows -= given;
                (id, given)
            })
            .collect()
    }

    fn last_lines(&self, id: TaskId, task: &Task) -> Vec<String> {
        let Some(output) = self.outputs.get(&id) else { return Vec::new() };
        let partial: Vec<String> = task.partial().collect();
        let complete = OUTPUT_LINES.saturating_sub(partial.len());
        output.tail.last(complete).map(str::to_owned).chain(partial).collect()
    }

    /// `#7 [build 2/5] RUN make            12.0 MB of 45.2 MB  3.1s`.
    fn task_line(&self, id: TaskId, task: &Task, now: Duration, columns: usize) -> String {
        let elapsed = format::duration(task.elapsed(now));
        let right = match task.progress() {
            Some(progress) => format!("{progress}  {elapsed}"),
            None => elapsed,
        };
        let prefix = format!("#{} ", id.0);
        let room = columns.saturating_sub(prefix.len() + right.len() + 2);
        if room < 8 {
            return truncate(&format!("{prefix}{}", task.name), columns);
        }
        let name = truncate(&task.name, room);
        let gap = " ".repeat(room - width(&name) + 2);
        format!("{} {}{gap}{right}", number(id, self.paint), self.paint.bold(&name))
    }
}

impl View for Live {
    /// Only remembers; [`View::redraw`] shows.
    fn on(&mut self, event: &Event<'_>, now: Duration, _log: &mut String) {
        match *event {
            Event::Started { task: id, name } => {
                self.tasks.start(id, name, now);
            }
            Event::Output { task: id, stream, bytes } => {
                let Some(task) = self.tasks.get_mut(id) else { return };
                let shown = self.outputs.entry(id).or_default();
                shown.wrote = now;
                task.output(stream, bytes, |line| {
                    if self.verbose {
                        push_line(&mut self.scroll, &output(id, self.paint, &line));
                    }
                    shown.tail.push(line);
                });
            }
            Event::Progress { task: id, done, total } => {
                if let Some(task) = self.tasks.get_mut(id) {
                    task.set_progress(done, total);
                }
            }
            Event::Finished { task: id, ref outcome } => {
                if let Some(ending) = self.tasks.finish(id, outcome, now) {
                    self.end(id, ending);
                }
            }
            Event::Note(_) | Event::Warning(_) => {
                remark(event, self.paint).iter().for_each(|line| push_line(&mut self.scroll, line));
            }
        }
    }

    fn redraw(&mut self, now: Duration, size: Size, log: &mut String) {
        let frame = self.frame(now, size);
        if self.scroll.is_empty() && frame == self.drawn {
            return;
        }
        log.push_str(BEGIN_FRAME);
        if !std::mem::replace(&mut self.cursor_hidden, true) {
            log.push_str(HIDE_CURSOR);
        }
        self.erase(size, log);
        log.push_str(&std::mem::take(&mut self.scroll));
        frame.iter().for_each(|line| push_line(log, line));
        log.push_str(END_FRAME);
        self.drawn = frame;
    }

    fn close(&mut self, size: Size, log: &mut String) {
        self.erase(size, log);
        log.push_str(&std::mem::take(&mut self.scroll));
        if std::mem::take(&mut self.cursor_hidden) {
            log.push_str(SHOW_CURSOR);
        }
    }
}

#[cfg(test)]
mod tests;
