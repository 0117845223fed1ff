//! `cargo xtask bench`: kiln and its peers, side by side.

use std::fs;
use std::path::Path;

use anyhow::ensure;

use super::cgroup::Hierarchy;
use super::disk::{Places, drop_page_cache};
use super::once::Bench;
use super::options::Options;
use super::peer::{Peer, Tools};
use super::results::{CaseResult, Missing, PeerResult, Results, Sample};
use super::{Spread, bases, bundle, case::Case, kiln, machine, report};
use crate::step::{target, timed, workspace};

/// Measures, prints a table, and writes the results to target/bench and, if they are whole, to
/// docs/benchmarks.
///
/// # Errors
/// If this is not root, or what everybody needs cannot be made. A peer that fails is none.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let dir = target().join("bench");
    fs::create_dir_all(dir.join("contexts"))?;
    let places = Places::take()?;
    let tools = Tools {
        kiln: kiln()?,
        kaniko: options.kaniko.clone(),
        buildkitd: options.buildkitd.clone(),
        buildctl: options.buildctl.clone(),
        ..Tools::default()
    };
    let (peers, missing) = present(options.peers(), &tools);
    ensure!(!peers.is_empty(), "none of these peers can be measured: {}", advice(&missing));
    let mut machine = machine::describe(&tools, &dir)?;
    let mut bench = prepare(tools, &dir, places, &peers)?;
    machine.control_groups = bench.hierarchy.is_some();
    machine.page_cache_dropped = drop_page_cache();
    let mut cases = Vec::new();
    for case in options.cases() {
        cases.push(measure(&mut bench, case, &peers, options.rounds(case)));
    }
    machine.load[1] = machine::load();
    let (date, commit) = (machine::date(), machine::commit());
    let results = Results { date, commit, machine, cases, missing };
    print!("\n{}", summary(&results));
    write(&results, &dir, options.is_whole())
}

/// Those that can be measured, and what the others need.
fn present(wanted: Vec<Peer>, tools: &Tools) -> (Vec<Peer>, Vec<Missing>) {
    let mut missing = Vec::new();
    let mut is_there = |peer: &Peer| {
        let advice = peer.missing(tools);
        let lacks = advice.map(|advice| Missing { peer: peer.id().to_owned(), advice });
        missing.extend(lacks.clone());
        lacks.is_none()
    };
    let peers = wanted.into_iter().filter(|peer| is_there(peer)).collect();
    (peers, missing)
}

fn advice(missing: &[Missing]) -> String {
    let each = missing.iter().map(|lacks| format!("{}: {}", lacks.peer, lacks.advice));
    each.collect::<Vec<_>>().join("; ")
}

fn prepare(mut tools: Tools, dir: &Path, places: Places, peers: &[Peer]) -> anyhow::Result<Bench> {
    if peers.iter().any(|peer| matches!(peer, Peer::KilnChroot | Peer::Kaniko)) {
        tools.container = timed("what dockerd gives a container", bundle::default_config)?;
    }
    let bases = timed("the base images", || bases::prepare(&tools.kiln, dir))?;
    let hierarchy = Hierarchy::find();
    if let Err(error) = &hierarchy {
        println!(
            "{error:#}: CPU is that of programs that have ended, daemons' not among it, and \
             memory is not measured"
        );
    }
    if !drop_page_cache() {
        println!("the page cache cannot be dropped here: what is read may be in memory");
    }
    let (dir, hierarchy) = (dir.to_owned(), hierarchy.ok());
    Ok(Bench { tools, bases, dir, places, hierarchy, count: 0 })
}

/// All peers in turn, so many times; who is first is another each time.
fn measure(bench: &mut Bench, case: &Case, peers: &[Peer], rounds: usize) -> CaseResult {
    println!("\n{}", case.title);
    let peers: Vec<Peer> = peers.iter().copied().filter(|peer| peer.does(case)).collect();
    let empty = |peer: &Peer| {
        let peer = peer.id().to_owned();
        PeerResult { peer, samples: Vec::new(), failure: None }
    };
    let mut results: Vec<PeerResult> = peers.iter().map(empty).collect();
    // One that warms caches of the processor and of programs does not count.
    let warm_up = usize::from(!case.is_long);
    for round in 0..rounds + warm_up {
        for turn in 0..peers.len() {
            let index = turn_of(turn, round, peers.len());
            let result = &mut results[index];
            if result.failure.is_some() {
                continue;
            }
            match bench.once(case, peers[index], round == 0) {
                Ok(sample) => {
                    let counts = round >= warm_up;
                    println!("  {}", progress(&result.peer, &sample, counts));
                    result.samples.extend(counts.then_some(sample));
                }
                Err(error) => {
                    println!("  {:16} FAILED: {error:#}", result.peer);
                    result.samples.clear();
                    result.failure = Some(format!("{error:#}"));
                }
            }
        }
    }
    CaseResult { id: case.id.to_owned(), title: case.title.to_owned(), peers: results }
}

/// Who is next. Each round begins with another one, and every other goes the other way round: nobody
/// always comes after the same one.
fn turn_of(turn: usize, round: usize, count: usize) -> usize {
    let turn = if round.is_multiple_of(2) { turn } else { count - 1 - turn };
    (turn + round) % count
}

fn progress(peer: &str, sample: &Sample, counts: bool) -> String {
    let phases: Vec<_> =
        sample.phases.iter().map(|(phase, seconds)| format!("{phase} {seconds:.2}")).collect();
    format!(
        "{peer:16} {:7.2} s, CPU {:6.2} s, {:5} MB, {:4} requests, {:7.1} MB of layers{}  {}",
        sample.wall,
        sample.cpu,
        sample.memory / 1_000_000,
        sample.requests,
        sample.layers as f64 / 1e6,
        if counts { "" } else { " (does not count)" },
        phases.join(", ")
    )
}

/// The medians, for a terminal.
fn summary(results: &Results) -> String {
    let mut text = String::new();
    for case in &results.cases {
        text += &format!("{}\n", case.title);
        for peer in &case.peers {
            let of = |value: fn(&Sample) -> f64| {
                Spread::of(&peer.samples.iter().map(value).collect::<Vec<_>>())
            };
            text += &match &peer.failure {
                Some(_) => format!("  {:16} failed\n", peer.peer),
                None => format!(
                    "  {:16} {} s, CPU {:.2} s, {:.0} MB\n",
                    peer.peer,
                    of(|sample| sample.wall),
                    of(|sample| sample.cpu).median,
                    of(|sample| sample.memory as f64 / 1e6).median,
                ),
            };
        }
    }
    for lacks in &results.missing {
        text += &format!("not measured: {}: {}\n", lacks.peer, lacks.advice);
    }
    text
}

fn write(results: &Results, dir: &Path, whole: bool) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(results)? + "\n";
    fs::write(dir.join("results.json"), &text)?;
    // Those that no package has need not be there: the tables say that they were not.
    let is_kept = whole && results.missing.iter().all(|lacks| Peer::is_by_path(&lacks.peer));
    if is_kept {
        fs::write(workspace().join("docs/benchmarks/results.json"), &text)?;
    } else {
        let path = dir.join("results.json");
        println!(
            "docs/ stays as it is, as not all was measured that this machine could have, or too seldom for \
             medians: see {}",
            path.display()
        );
    }
    report::write(results, is_kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Machine;

    #[test]
    fn the_summary_has_medians_failures_and_who_is_missing() {
        let sample = |wall| Sample { wall, cpu: 1.0, memory: 2_000_000, ..Sample::default() };
        let peer = |peer: &str, samples, failure: Option<&str>| PeerResult {
            peer: peer.to_owned(),
            samples,
            failure: failure.map(str::to_owned),
        };
        let peers = vec![
            peer("kiln-chroot", vec![sample(3.0), sample(1.0), sample(2.0)], None),
            peer("kaniko", Vec::new(), Some("it ended")),
        ];
        let case = CaseResult { id: "flask-cold".into(), title: "flask, cold".into(), peers };
        let machine = Machine {
            processor: String::new(),
            processors: 2,
            memory: 0,
            kernel: String::new(),
            file_system: String::new(),
            load: [0.0; 2],
            versions: [].into(),
            control_groups: true,
            page_cache_dropped: true,
        };
        let missing = vec![Missing { peer: "buildkit".into(), advice: "give it".into() }];
        let (date, commit) = (String::new(), String::new());
        let text = summary(&Results { date, commit, machine, cases: vec![case], missing });
        assert!(text.contains("kiln-chroot      2.00 (1.00–3.00) s, CPU 1.00 s, 2 MB\n"), "{text}");
        assert!(text.contains("kaniko           failed\n"), "{text}");
        assert!(text.contains("not measured: buildkit: give it\n"), "{text}");
    }
}
