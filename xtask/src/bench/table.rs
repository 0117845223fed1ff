//! Tables of what each case took, and of how kiln compares.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::names::{self, CHROOT, NAMESPACES};
use super::ratio::{Ratio, measured, memory, spread, wall};
use super::results::{CaseResult, Machine, PeerResult, Results};

/// A table for each case.
pub(super) fn cases(results: &Results) -> String {
    let mut text = String::new();
    for case in &results.cases {
        let _ = writeln!(text, "## {}\n\n{}", case.title, table(case));
    }
    text
}

fn table(case: &CaseResult) -> String {
    let mut text = "| | seconds | kiln / it | CPU seconds | memory (MiB) | requests | layers (MB) \
                    | phases (seconds) |\n|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for peer in &case.peers {
        let name = names::title(&peer.peer);
        if peer.samples.is_empty() {
            let why = peer.failure.as_deref().unwrap_or("not measured");
            let _ = writeln!(text, "| {name} | {} | | | | | | |", cell(why));
            continue;
        }
        let mib = spread(peer, memory).median / f64::from(1 << 20);
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {:.2} | {mib:.0} | {:.0} | {:.2} | {} |",
            spread(peer, wall),
            compared(case, peer),
            spread(peer, |sample| sample.cpu).median,
            spread(peer, |sample| sample.requests as f64).median,
            spread(peer, |sample| sample.layers as f64).median / 1e6,
            phases(peer)
        );
    }
    text
}

fn compared(case: &CaseResult, peer: &PeerResult) -> String {
    if names::is_kiln(&peer.peer) {
        return String::new();
    }
    let kiln = names::compared_with(&peer.peer);
    let kiln = case.peers.iter().find(|found| found.peer == kiln && !found.samples.is_empty());
    let ratio = kiln.and_then(|kiln| Ratio::new(kiln, peer, wall));
    ratio.map_or_else(|| "–".to_owned(), |ratio| ratio.to_string())
}

/// Medians, with the longest first.
fn phases(peer: &PeerResult) -> String {
    let names: BTreeSet<&String> =
        peer.samples.iter().flat_map(|sample| sample.phases.keys()).collect();
    let median = |name: &String| {
        let times = peer.samples.iter().map(|sample| sample.phases.get(name).copied());
        let times: Vec<f64> = times.map(Option::unwrap_or_default).collect();
        super::Spread::of(&times).median
    };
    let mut phases: Vec<(&String, f64)> =
        names.into_iter().map(|name| (name, median(name))).collect();
    phases.sort_by(|one, other| other.1.total_cmp(&one.1));
    let phases: Vec<String> =
        phases.iter().map(|(name, time)| format!("{} {time:.2}", cell(name))).collect();
    phases.join(", ")
}

/// A few words that fit into a table: the first line, and not all of a long one.
fn cell(text: &str) -> String {
    const ROOM: usize = 100;
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let mut short: String = line.chars().take(ROOM).collect();
    if line.chars().nth(ROOM).is_some() {
        short.push('…');
    }
    short.replace('|', "\\|").replace('<', "&lt;")
}

/// kiln's seconds and its share of each peer's, a line for each case.
pub(super) fn shares(results: &Results) -> String {
    let there =
        |peer: &str| results.cases.iter().any(|case| measured(results, &case.id, peer).is_some());
    let peers: Vec<&str> = names::peers().filter(|peer| there(peer)).collect();
    let mut text = "| | kiln as root (s) | kiln in a container (s) |".to_owned();
    for peer in &peers {
        let _ = write!(text, " {} |", names::title(peer));
    }
    let _ = writeln!(text, "\n|---|---|---|{}", "---|".repeat(peers.len()));
    for case in &results.cases {
        let _ = write!(text, "| {} |", case.title);
        for kiln in [NAMESPACES, CHROOT] {
            let found = measured(results, &case.id, kiln);
            let seconds = found.map(|found| format!("{:.2}", spread(found, wall).median));
            let _ = write!(text, " {} |", seconds.unwrap_or_else(|| "–".to_owned()));
        }
        for peer in &peers {
            let share = share(results, &case.id, peer);
            let _ = write!(text, " {} |", share.unwrap_or_else(|| "–".to_owned()));
        }
        text.push('\n');
    }
    text
}

fn share(results: &Results, case: &str, peer: &str) -> Option<String> {
    let kiln = measured(results, case, names::compared_with(peer))?;
    let ratio = Ratio::new(kiln, measured(results, case, peer)?, wall)?;
    Some(format!("{:.2}", ratio.medians))
}

/// Where and when, in a sentence or two.
pub(super) fn machine(machine: &Machine, date: &str, commit: &str) -> String {
    let [before, after] = machine.load;
    let mut text = format!(
        "{date}, kiln {commit}; {}, {} processors, {} GiB of memory, Linux {}, {}; load {before:.2} \
         before and {after:.2} after.",
        cell(&machine.processor),
        machine.processors,
        machine.memory.div_ceil(1 << 30),
        machine.kernel,
        machine.file_system
    );
    let versions = machine.versions.iter();
    let versions: Vec<String> =
        versions.map(|(name, version)| format!("{name} {}", cell(version))).collect();
    if !versions.is_empty() {
        let _ = write!(text, " Versions: {}.", versions.join(", "));
    }
    text
}

/// What could not be measured as it should.
pub(super) fn doubts(machine: &Machine) -> String {
    let mut text = String::new();
    if !machine.control_groups {
        text += " No control group could be made: processors' time is that of programs that ended, \
                 and memory was not measured.";
    }
    if !machine.page_cache_dropped {
        text += " The page cache could not be dropped: what is read may have been in memory.";
    }
    text.push('\n');
    text
}

/// Who was not there.
pub(super) fn missing(results: &Results) -> String {
    let mut text = String::new();
    if !results.missing.is_empty() {
        text += "Not measured, because it was not there:\n\n";
    }
    for missing in &results.missing {
        let _ = writeln!(text, "- {}: {}", names::title(&missing.peer), missing.advice);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::made_up::results;
    use super::*;

    #[test]
    fn a_case_has_a_line_for_each_who_did_it() {
        let text = cases(&results());
        assert!(text.starts_with("## flask, cold\n\n| | seconds |"));
        let kiln = "| kiln, `namespaces`, as root of the machine | 1.20 (1.00–1.40) |  | 1.80 | 64 \
                    | 12 | 5.00 | RUN 0.60 |";
        assert!(text.contains(kiln), "{text}");
        let dind = "| docker-in-docker, classic builder | 6.20 (6.00–6.40) | 0.24 (0.23–0.25) |";
        assert!(text.contains(dind), "{text}");
        let failed = "| buildah, OCI isolation | buildah ended with 125: | | | | | | |";
        assert!(text.contains(failed), "{text}");
        let columns = |line: &str| line.replace("\\|", "").matches('|').count();
        assert!(text.lines().filter(|line| line.starts_with('|')).all(|line| columns(line) == 9));
    }

    #[test]
    fn shares_have_a_column_for_each_who_was_there() {
        let text = shares(&results());
        assert!(text.contains("| buildah, chroot isolation |"));
        assert!(!text.contains("kaniko") && !text.contains("OCI") && !text.contains("limit"));
        assert!(text.contains("| flask, cold | 1.20 | 1.50 | 0.24 | 0.29 | 0.55 |\n"), "{text}");
        assert!(text.contains("| big, push | 11.00 | 14.00 | 0.19 | – | – |\n"), "{text}");
    }

    #[test]
    fn where_and_when_and_who_was_not_there_is_said() {
        let results = results();
        let text = machine(&results.machine, &results.date, &results.commit);
        assert!(
            text.contains("2026-11-30, kiln 1234567; A &lt;Processor> of 2.5 GHz, 2 processors")
        );
        assert!(text.contains("load 0.10 before and 1.25 after. Versions: buildah 1.28.2, "));
        assert!(missing(&results).contains("- kaniko: give its executor: --kaniko PATH\n"));
    }
}
