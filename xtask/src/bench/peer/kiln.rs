//! kiln, as root on the machine.

use std::collections::BTreeMap;

use super::Job;
use crate::bench::steps::{Line, Steps};

pub(super) fn build(job: &Job<'_>, steps: &mut Steps<'_>) -> anyhow::Result<()> {
    let mut command = steps.command(&job.tools.kiln);
    command.args(arguments(job, &job.context().to_string_lossy(), "namespaces"));
    let said = steps.run(&mut command)?;
    add_phases(steps, &said);
    Ok(())
}

/// The command line.
pub(super) fn arguments(job: &Job<'_>, context: &str, isolation: &str) -> Vec<String> {
    let image = job.image();
    let mut arguments = vec!["build", context, "--tag", &image, "--progress", "plain"];
    arguments.extend(["--isolation", isolation]);
    let repo = job.cache_repo();
    if job.is_cached() {
        arguments.extend(["--cache-repo", &repo]);
    }
    arguments.into_iter().map(str::to_owned).collect()
}

pub(super) fn add_phases(steps: &mut Steps<'_>, said: &[Line]) {
    for (phase, seconds) in phases(said) {
        steps.add(&phase, seconds);
    }
}

/// From `#3 [2/6] RUN ...` to `#3 done`, by the time of these lines. Phases that ran at the same
/// time are longer together than the build.
fn phases(said: &[Line]) -> BTreeMap<String, f64> {
    let mut begun = BTreeMap::<&str, (&str, f64)>::new();
    let mut phases = BTreeMap::<String, f64>::new();
    for line in said {
        let Some((id, rest)) = line.text.split_once(' ').filter(|(id, _)| id.starts_with('#'))
        else {
            continue;
        };
        match begun.get(id) {
            None => {
                let step = rest.strip_prefix('[').and_then(|rest| rest.split_once("] "));
                let name = step.map_or(rest, |(_, step)| step);
                begun.insert(id, (name.split(' ').next().unwrap_or(name), line.at));
            }
            Some((name, at)) if rest.starts_with("done ") && counts(name) => {
                *phases.entry((*name).to_owned()).or_default() += line.at - at;
            }
            Some(_) => {}
        }
    }
    phases
}

/// Instructions that do nothing but write down a value take no time.
fn counts(name: &str) -> bool {
    ["RUN", "COPY", "ADD"].contains(&name) || name.starts_with(|first: char| first.is_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_between_the_lines_of_a_task() {
        let line = |at: f64, text: &str| Line { at, text: text.to_owned() };
        let said = [
            line(0.0, "#1 [1/3] ADD busybox /bin/busybox"),
            line(0.5, "#2 unpack 1 layer"),
            line(1.0, "#1 done 0.2s, 1.0 MB"),
            line(1.5, "#2 done 0.1s, 1.0 MB"),
            line(2.0, "#3 [build 2/3] RUN sleep 1"),
            line(2.5, "#3 done it said"),
            line(3.0, "#5 [3/3] ENV A=b"),
            line(3.0, "#5 done 0.0s"),
            line(3.0, "#4 [3/3] RUN true"),
            line(3.0, "#4 skipped: cached"),
            line(9.0, "2.1 MB in 2 layers, built in 0.5s"),
        ];
        let expected = [("ADD", 1.0), ("RUN", 0.5), ("unpack", 1.0)];
        assert_eq!(phases(&said), expected.map(|(name, time)| (name.to_owned(), time)).into());
    }
}
