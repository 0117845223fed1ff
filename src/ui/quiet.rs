//! Nothing, unless a task fails: then its name and the last lines of its output.

use std::collections::HashMap;
use std::time::Duration;

use super::View;
use super::paint::Paint;
use super::task::{Kind, Tail, Tasks, number, push_line};
use crate::event::{Event, TaskId};

/// The quiet view.
#[derive(Debug)]
pub(super) struct Quiet {
    tasks: Tasks,
    tails: HashMap<TaskId, Tail>,
    paint: Paint,
}

impl Quiet {
    pub(super) fn new(colour: bool) -> Self {
        Self { tasks: Tasks::new(colour), tails: HashMap::new(), paint: Paint(colour) }
    }
}

impl View for Quiet {
    fn on(&mut self, event: &Event<'_>, now: Duration, log: &mut String) {
        match *event {
            Event::Started { task: id, name } => {
                self.tasks.start(id, name, now);
            }
            Event::Output { task: id, stream, bytes } => {
                let Some(task) = self.tasks.get_mut(id) else { return };
                let tail = self.tails.entry(id).or_default();
                task.output(stream, bytes, |line| tail.push(line));
            }
            Event::Finished { task: id, ref outcome } => {
                let mut tail = self.tails.remove(&id).unwrap_or_default();
                let Some(mut ending) = self.tasks.finish(id, outcome, now) else { return };
                if ending.kind == Kind::Failed {
                    ending.task.rest().for_each(|line| tail.push(line));
                    let words = ending.kind.paint(self.paint, &ending.words);
                    let number = number(id, self.paint);
                    push_line(log, &format!("{number} {}: {words}", ending.task.name));
                    tail.write(id, self.paint, log);
                }
            }
            Event::Progress { .. } | Event::Note(_) | Event::Warning(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, play};
    use super::*;

    #[test]
    fn only_the_failure_is_shown() {
        let mut script = Script::default();
        script.start(0, 1, "[a 1/2] RUN true");
        script.output(10, 1, "not shown\n");
        script.done(20, 1, None);
        script.warning(30, "not shown");
        script.start(40, 2, "[a 2/2] RUN false");
        for line in 1..=53 {
            script.output(50, 2, &format!("line {line}\n"));
        }
        script.output(60, 2, "no line break");
        script.failed(1000, 2);
        let log = play(&mut Quiet::new(false), &script);
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 52, "{log}");
        assert_eq!(
            lines[..3],
            ["#2 [a 2/2] RUN false: failed after 1.0s", "  #2 | … 4 lines before", "  #2 | line 5",]
        );
        assert_eq!(lines[51], "  #2 | no line break");
    }
}
