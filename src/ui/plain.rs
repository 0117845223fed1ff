//! Lines from top to bottom, for pipes and CI logs.
//!
//! ```text
//! #6 pull debian:12
//! #7 [build 2/5] RUN make
//!   #7 | cc -c main.c
//! #6 done 3.0s, 45.2 MB (pull debian:12)
//! #7 done 4.2s ([build 2/5] RUN make)
//! ```

use std::collections::HashMap;
use std::time::Duration;

use super::View;
use super::clean;
use super::paint::Paint;
use super::task::{Tasks, number, output, push_line, remark};
use crate::event::{Event, TaskId};

/// How often a task that moves bytes says how far it is. CI systems end jobs that are silent for
/// some minutes.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// Columns of a task's name where it is only a reminder.
const REMINDER: usize = 60;

/// The plain view.
#[derive(Debug)]
pub(super) struct Plain {
    tasks: Tasks,
    paint: Paint,
    /// The task of the last line written: the reader still knows its name.
    last: Option<TaskId>,
    /// When a task that moves bytes last said so.
    spoke: HashMap<TaskId, Duration>,
}

impl Plain {
    pub(super) fn new(colour: bool) -> Self {
        Self { tasks: Tasks::new(colour), paint: Paint(colour), last: None, spoke: HashMap::new() }
    }

    fn progress(&mut self, id: TaskId, now: Duration, log: &mut String) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let spoke = self.spoke.entry(id).or_insert_with(|| now.saturating_sub(task.elapsed(now)));
        if now.saturating_sub(*spoke) >= SIGN_OF_LIFE
            && let Some(progress) = task.progress()
        {
            *spoke = now;
            self.last = Some(id);
            push_line(log, &output(id, self.paint, &progress));
        }
    }
}

impl View for Plain {
    fn on(&mut self, event: &Event<'_>, now: Duration, log: &mut String) {
        let paint = self.paint;
        match *event {
            Event::Started { task: id, name } => {
                let task = self.tasks.start(id, name, now);
                push_line(log, &format!("{} {}", number(id, paint), paint.bold(&task.name)));
                self.last = Some(id);
            }
            Event::Output { task: id, stream, bytes } => {
                let Some(task) = self.tasks.get_mut(id) else { return };
                task.output(stream, bytes, |line| {
                    push_line(log, &output(id, paint, &line));
                    self.last = Some(id);
                });
            }
            Event::Progress { task: id, done, total } => {
                if let Some(task) = self.tasks.get_mut(id) {
                    task.set_progress(done, total);
                }
                self.progress(id, now, log);
            }
            Event::Finished { task: id, ref outcome } => {
                self.spoke.remove(&id);
                let Some(mut ending) = self.tasks.finish(id, outcome, now) else { return };
                for line in ending.task.rest() {
                    push_line(log, &output(id, paint, &line));
                }
                let words = ending.kind.paint(paint, &ending.words);
                let reminder = if self.last == Some(id) {
                    String::new()
                } else {
                    format!(" ({})", clean::truncate(&ending.task.name, REMINDER))
                };
                push_line(log, &format!("{} {words}{reminder}", number(id, paint)));
                self.last = Some(id);
            }
            Event::Note(_) | Event::Warning(_) => {
                remark(event, paint).iter().for_each(|line| push_line(log, line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, play};
    use super::*;

    #[test]
    fn a_build_from_top_to_bottom() {
        let mut script = Script::default();
        script.start(0, 1, "[base] resolve debian:12");
        script.done(300, 1, None);
        script.start(300, 2, "[build 1/2] RUN make\u{1b}[2J\nfake");
        script.output(900, 2, "cc -c ma");
        script.output(950, 2, "in.c\n\n 50%\r100%\rlinked\x1b[K\nno line break");
        script.warning(1000, "the tag of `debian` moved\u{7}");
        script.done(1500, 2, Some("45.2 MB"));
        script.start(1500, 3, "push registry.example/app:1");
        script.skipped(1600, 3, "already there");
        insta::assert_snapshot!(play(&mut Plain::new(false), &script));
    }

    #[test]
    fn parallel_tasks_stay_apart() {
        let mut script = Script::default();
        script.start(0, 1, "[a 1/1] RUN first");
        script.start(
            10,
            2,
            "[b 1/1] RUN second, with a name that is too long to be repeated at the end",
        );
        script.output(20, 1, "half of ");
        script.output(30, 2, "whole\n");
        script.output(40, 1, "a line\n");
        script.error(50, 1, "to stderr\n");
        script.done(2000, 2, None);
        script.output(2010, 1, "last\n");
        script.done(3000, 1, None);
        script.output(3010, 1, "too late\n");
        script.done(3020, 9, None);
        insta::assert_snapshot!(play(&mut Plain::new(false), &script));
    }

    #[test]
    fn long_transfers_give_signs_of_life() {
        let mut script = Script::default();
        script.start(0, 1, "pull debian:12");
        for seconds in 1..=25 {
            script.progress(seconds * 1000, 1, seconds * 2_000_000, Some(50_000_000));
        }
        script.done(25_500, 1, None);
        insta::assert_snapshot!(play(&mut Plain::new(false), &script));
    }

    #[test]
    fn the_first_failure_stands_out() {
        let mut script = Script::default();
        script.start(0, 1, "[a 1/1] RUN false");
        script.start(0, 2, "[b 1/1] RUN sleep 60");
        script.output(400, 1, "no such \x1b[31mfile\x1b[0m\n");
        script.failed(500, 1);
        script.failed(510, 2);
        insta::assert_snapshot!("failure", play(&mut Plain::new(false), &script));
        insta::assert_snapshot!("failure_in_colour", play(&mut Plain::new(true), &script));
    }
}
