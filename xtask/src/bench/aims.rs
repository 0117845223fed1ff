//! What kiln is to reach, and whether it did.

use std::fmt::Write as _;

use super::names::{self, CHROOT, LIMIT, NAMESPACES};
use super::ratio::{Figure, Ratio, layers, measured, memory, spread, wall};
use super::results::Results;

/// What is compared, or must not be more than so much.
enum Bound {
    /// Seconds, as a share of a peer's.
    Wall(&'static str, f64),
    /// Peak memory, as a share of a peer's.
    Memory(&'static str, f64),
    /// Bytes of layers, as a share of a peer's.
    Layers(&'static str, f64),
    /// Peak memory in bytes, whatever others need.
    Bytes(&'static str, u64),
    /// What another benchmark measures: what is to be reached, and the page that says what was.
    Elsewhere(&'static str, &'static str),
}

use Bound::{Bytes, Elsewhere, Layers, Memory, Wall};

/// The aims of each case.
const AIMS: [(&str, &[Bound]); 9] = [
    (
        "flask-cold",
        &[
            Wall("kaniko", 0.4),
            Wall("dind-classic", 0.33),
            Wall("buildkit", 0.5),
            Wall("buildah-chroot", 0.4),
            Wall("buildah-oci", 0.4),
            Wall(LIMIT, 1.0),
        ],
    ),
    (
        "flask-unchanged",
        &[
            Wall("kaniko", 0.5),
            Wall("buildkit", 0.4),
            Elsewhere("at most 6 rounds of requests that wait for one another", "cache.md"),
        ],
    ),
    ("flask-changed", &[Wall("kaniko", 0.3), Wall("buildkit", 0.5)]),
    (
        "large",
        &[Wall("kaniko", 0.3), Wall("buildkit", 0.4), Memory("kaniko", 0.1), Layers("kaniko", 1.0)],
    ),
    ("stages", &[Wall("kaniko", 0.28), Wall("buildkit", 0.8)]),
    ("copy-only", &every_peer(0.15)),
    ("deep", &[Wall("kaniko", 0.2), Wall("buildkit", 0.6)]),
    ("monorepo", &every_peer(0.5)),
    (
        "big-push",
        &[
            Wall("kaniko", 0.5),
            Wall("dind-classic", 0.5),
            Wall("dind-buildkit", 0.5),
            Wall("buildkit", 0.5),
            Wall("buildah-chroot", 0.5),
            Wall("buildah-oci", 0.5),
            Bytes(NAMESPACES, 150_000_000),
            Bytes(CHROOT, 150_000_000),
        ],
    ),
];

const fn every_peer(at_most: f64) -> [Bound; 6] {
    [
        Wall("kaniko", at_most),
        Wall("dind-classic", at_most),
        Wall("dind-buildkit", at_most),
        Wall("buildkit", at_most),
        Wall("buildah-chroot", at_most),
        Wall("buildah-oci", at_most),
    ]
}

/// Whether an aim was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Reached,
    Missed,
    NotMeasured,
}

impl Verdict {
    fn of(found: Option<f64>, at_most: f64) -> Self {
        match found {
            Some(found) if found <= at_most => Self::Reached,
            Some(_) => Self::Missed,
            None => Self::NotMeasured,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Missed => "**missed**",
            Self::NotMeasured => "not measured",
        }
    }
}

/// One line of the table.
struct Line {
    what: String,
    at_most: String,
    found: String,
    /// None of what is measured elsewhere.
    verdict: Option<Verdict>,
    /// In place of one that was not measured.
    beside: Option<String>,
}

/// Which aims a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Of all cases, also those that were not measured.
    All,
    /// Of the cases that were measured.
    Measured,
}

/// The table of aims, and how many were reached.
pub(super) fn table(results: &Results, of: Of) -> String {
    let mut text = "| case | what | at most | found | |\n|---|---|---|---|---|\n".to_owned();
    let mut counts = [0_usize; 3];
    let there = |case: &str| results.cases.iter().any(|found| found.id == case);
    for (case, bounds) in AIMS.iter().filter(|(case, _)| of == Of::All || there(case)) {
        for (index, bound) in bounds.iter().enumerate() {
            let line = line(results, case, bound);
            let title =
                if index == 0 { format!(" {}", title(results, case)) } else { String::new() };
            let Line { what, at_most, found, verdict, beside } = line;
            let said = verdict.map_or("", Verdict::text);
            let _ = writeln!(text, "|{title} | {what} | {at_most} | {found} | {said} |");
            if let Some(beside) = beside {
                text += &beside;
            }
            if let Some(verdict) = verdict {
                counts[verdict as usize] += 1;
            }
        }
    }
    let [reached, missed, not] = counts;
    let _ = writeln!(
        text,
        "\n{} aims of this run: {reached} reached, {missed} missed, {not} not measured.",
        reached + missed + not
    );
    text
}

fn title(results: &Results, case: &str) -> String {
    let found = results.cases.iter().find(|found| found.id == case);
    found.map_or(case, |found| &found.title).to_owned()
}

fn line(results: &Results, case: &str, bound: &Bound) -> Line {
    match *bound {
        Wall(peer, at_most) => Line {
            beside: stand_in(results, case, peer, at_most),
            ..share(results, case, peer, ("time", wall), at_most)
        },
        Memory(peer, at_most) => share(results, case, peer, ("peak memory", memory), at_most),
        Layers(peer, at_most) => share(results, case, peer, ("size of layers", layers), at_most),
        Bytes(kiln, at_most) => bytes(results, case, kiln, at_most),
        Elsewhere(what, page) => Line {
            what: what.to_owned(),
            at_most: String::new(),
            found: format!("see [{page}](benchmarks/{page})"),
            verdict: None,
            beside: None,
        },
    }
}

fn share(
    results: &Results,
    case: &str,
    peer: &str,
    (name, figure): (&str, Figure),
    at_most: f64,
) -> Line {
    let kiln = names::compared_with(peer);
    let what = format!("{name}: {} / {}", names::short(kiln), names::title(peer));
    let ratio = ratio(results, case, kiln, peer, figure);
    Line {
        what,
        at_most: at_most.to_string(),
        found: ratio.map_or_else(|| "–".to_owned(), |ratio| ratio.beside(at_most)),
        verdict: Some(judge(results, case, kiln, ratio.map(|ratio| ratio.medians), at_most)),
        beside: None,
    }
}

/// Who fails has missed.
fn judge(results: &Results, case: &str, kiln: &str, found: Option<f64>, at_most: f64) -> Verdict {
    let case = results.cases.iter().find(|it| it.id == case);
    let kiln = case.and_then(|case| case.peers.iter().find(|it| it.peer == kiln));
    match kiln {
        Some(kiln) if kiln.failure.is_some() => Verdict::Missed,
        _ => Verdict::of(found, at_most),
    }
}

/// Where BuildKit alone was not measured: that of docker-in-docker, which is something else.
fn stand_in(results: &Results, case: &str, peer: &str, at_most: f64) -> Option<String> {
    if peer != "buildkit" || measured(results, case, peer).is_some() {
        return None;
    }
    let ratio = ratio(results, case, NAMESPACES, "dind-buildkit", wall)?;
    let verdict = match Verdict::of(Some(ratio.medians), at_most) {
        Verdict::Reached => "would be enough",
        _ => "would not be enough",
    };
    Some(format!(
        "| | beside it, time: {} / docker-in-docker with BuildKit, dockerd's start and all | \
         ({at_most}) | {ratio} | {verdict} |\n",
        names::short(NAMESPACES)
    ))
}

fn ratio(results: &Results, case: &str, kiln: &str, peer: &str, figure: Figure) -> Option<Ratio> {
    Ratio::new(measured(results, case, kiln)?, measured(results, case, peer)?, figure)
}

/// The most of all rounds counts.
fn bytes(results: &Results, case: &str, kiln: &str, at_most: u64) -> Line {
    let found = measured(results, case, kiln).map(|found| spread(found, memory).most);
    // Nothing needs none: without a control group it is not measured.
    let found = found.filter(|bytes| *bytes > 0.0);
    let mb = |bytes: f64| format!("{:.0} MB", bytes / 1e6);
    Line {
        what: format!("peak memory: {}", names::short(kiln)),
        at_most: mb(at_most as f64),
        found: found.map_or_else(|| "–".to_owned(), mb),
        verdict: Some(judge(results, case, kiln, found, at_most as f64)),
        beside: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::made_up::{case, peer, results};
    use super::*;

    fn lines_of<'a>(table: &'a str, what: &str) -> Vec<&'a str> {
        table.lines().filter(|line| line.contains(what)).collect()
    }

    #[test]
    fn each_aim_is_judged_by_the_ratio_of_medians() {
        let table = table(&results(), Of::All);
        let dind = "| | time: kiln, chroot / docker-in-docker, classic builder | 0.33 \
                    | 0.24 (0.23–0.25) | reached |";
        assert!(table.contains(dind), "{table}");
        let buildah = "| | time: kiln, namespaces / buildah, chroot isolation | 0.4 \
                       | 0.55 (0.50–0.58) | **missed** |";
        assert!(table.contains(buildah), "{table}");
        let limit = "| | time: kiln, namespaces / the limit | 1 | 1.000 (0.83–1.17) | reached |";
        assert!(table.contains(limit), "{table}");
    }

    #[test]
    fn who_was_not_there_or_failed_is_not_measured() {
        let table = table(&results(), Of::All);
        let first = lines_of(&table, "kaniko | 0.4 ");
        assert_eq!(
            first,
            ["| flask, cold | time: kiln, chroot / kaniko | 0.4 | – | not measured |"]
        );
        assert_eq!(lines_of(&table, "buildah, OCI isolation | 0.4 | – | not measured |").len(), 1);
        // Cases that were not run are there too, if that is wanted.
        assert_eq!(lines_of(&table, "| deep | time: ").len(), 1);
        let measured = super::table(&results(), Of::Measured);
        assert_eq!(lines_of(&measured, "| deep | time: ").len(), 0);
        assert!(
            table.ends_with("aims of this run: 5 reached, 1 missed, 32 not measured.\n"),
            "{table}"
        );
    }

    #[test]
    fn docker_in_docker_stands_beside_a_buildkit_that_is_not_there() {
        let beside = "docker-in-docker with BuildKit, dockerd's start and all | (0.5) | 0.23";
        let mut results = results();
        assert_eq!(lines_of(&table(&results, Of::Measured), beside).len(), 1);
        results.cases[0].peers.push(peer("buildkit", &[4.0, 4.2, 4.1]));
        assert_eq!(lines_of(&table(&results, Of::Measured), beside).len(), 0);
        assert_eq!(
            lines_of(&table(&results, Of::Measured), "BuildKit (buildkitd) | 0.5 | 0.29").len(),
            1
        );
    }

    #[test]
    fn memory_and_layers_have_aims_of_their_own() {
        let mut results = results();
        results
            .cases
            .push(case("large", vec![peer("kiln-chroot", &[5.0]), peer("kaniko", &[16.0])]));
        let large = &mut results.cases[2].peers;
        large[1].samples[0].memory = 1 << 30;
        large[1].samples[0].layers = 4_000_000;
        let table = table(&results, Of::Measured);
        assert!(
            table.contains("peak memory: kiln, chroot / kaniko | 0.1 | 0.06 (0.06–0.06) | reached")
        );
        assert!(
            table.contains(
                "size of layers: kiln, chroot / kaniko | 1 | 1.25 (1.25–1.25) | **missed**"
            )
        );
        assert!(table.contains("| | peak memory: kiln, chroot | 150 MB | 67 MB | reached |"));
    }
}
