//! `cargo xtask bench limits`: kiln against what the machine can do.

mod reference;
mod start;
mod table;
mod tree;

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::curve;
use super::curve::place::{Checkout, Tools};
use super::disk::Places;
use super::peer;
use super::report;
use super::results::{Machine, Point};
use super::{machine, processors};
use crate::bench;
use crate::step::{quiet, target, timed, workspace};
use reference::Hashes;
use start::Who;

const ROUNDS: usize = 5;
/// A start takes milliseconds, and varies by as much.
const STARTS: usize = 21;
/// Megabytes of the layers whose memory is compared.
const LAYERS: [u64; 2] = [100, 2_000];

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Limits {
    date: String,
    commit: String,
    machine: Machine,
    layer: Layer,
    starts: Vec<Start>,
    /// By megabytes of a layer.
    memory: Vec<Point>,
}

/// The same tree as a layer, written by each in turn: seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Layer {
    /// Of the tree's files.
    bytes: u64,
    files: usize,
    kiln: Written,
    /// tar(1), and libdeflate on all cores.
    bare: Written,
    /// The same, and both of a layer's digests.
    hashed: Written,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Written {
    seconds: Vec<f64>,
    /// Seconds of all processors.
    processors: Vec<f64>,
    /// Of what was written, in bytes.
    size: u64,
}

/// Milliseconds until the first request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Start {
    who: String,
    milliseconds: Vec<f64>,
}

/// Measures, prints the tables and writes them to docs/benchmarks/limits.md.
///
/// # Errors
/// If this is not root, or a program fails. A limit that is missed is none.
pub(crate) fn run() -> anyhow::Result<()> {
    let places = Places::take()?;
    let kiln = bench::kiln()?;
    let dir = target().join("bench-limits");
    fs::create_dir_all(&dir)?;
    let mut machine = machine::describe(&peer::Tools::of(&kiln), &dir)?;
    let tools = Tools { writer: curve::writer(&dir)?, kiln, places };
    let starts = timed("the first request", || starts(&tools.kiln))?;
    // Before this process needs much itself: see `place::Place::build`.
    let memory = curve::points(&tools, "megabytes", &LAYERS)?;
    let layer = layer(&tools)?;
    machine.load[1] = machine::load();
    let (date, commit) = (machine::date(), machine::commit());
    let limits = Limits { date, commit, machine, layer, starts, memory };
    println!("\n{}", table::all(&limits));
    let docs = workspace().join("docs/benchmarks");
    fs::write(docs.join("limits.json"), serde_json::to_string_pretty(&limits)? + "\n")?;
    report::place(&docs.join("limits.md"), " limits", &table::all(&limits))
}

/// Writes the page again from what is kept, if anything is.
///
/// # Errors
/// If the disk refuses.
pub(crate) fn again() -> anyhow::Result<()> {
    let docs = workspace().join("docs/benchmarks");
    let Ok(kept) = fs::read(docs.join("limits.json")) else { return Ok(()) };
    let limits: Limits = serde_json::from_slice(&kept).context("understand limits.json")?;
    report::place(&docs.join("limits.md"), " limits", &table::all(&limits))
}

fn starts(kiln: &Path) -> anyhow::Result<Vec<Start>> {
    let mut starts =
        Who::ALL.map(|who| Start { who: who.title().to_owned(), milliseconds: Vec::new() });
    let stage = start::Stage::new(kiln)?;
    // The first round does not count.
    for round in 0..=STARTS {
        for (who, start) in Who::ALL.into_iter().zip(&mut starts) {
            let milliseconds = stage.once(who)?;
            if round > 0 {
                start.milliseconds.push(milliseconds);
            }
        }
    }
    Ok(starts.into())
}

/// One round after the other, each on a disk of its own, and each in another order. The tree is in the page
/// cache: what is measured is not the disk.
fn layer(tools: &Tools) -> anyhow::Result<Layer> {
    let nothing = Written::default;
    let (kiln, bare, hashed) = (nothing(), nothing(), nothing());
    let mut layer = Layer { bytes: 0, files: tree::FILES, kiln, bare, hashed };
    for round in 0..=ROUNDS {
        let place = Checkout::new(tools, 8 << 30, 100_000)?;
        layer.bytes = tree::write(&place.context().join("tree"))?;
        fs::write(place.context().join("Dockerfile"), "FROM scratch\nCOPY tree /\n")?;
        rustix::fs::sync();
        for turn in 0..3 {
            let before = processors::used();
            let (written, (seconds, size)) = match (turn + round) % 3 {
                0 => (&mut layer.kiln, timed("a layer by kiln", || by_kiln(&place, round > 0))?),
                1 => (
                    &mut layer.bare,
                    timed("by tar and libdeflate", || by_tar(&place, Hashes::None))?,
                ),
                _ => (&mut layer.hashed, timed("with digests", || by_tar(&place, Hashes::Both))?),
            };
            if round > 0 {
                written.seconds.push(seconds);
                written.processors.push(processors::used() - before);
            }
            written.size = size.unwrap_or(written.size);
        }
    }
    Ok(layer)
}

fn by_tar(place: &Checkout<'_>, hashes: Hashes) -> anyhow::Result<(f64, Option<u64>)> {
    let out = place.tmp().join("layer.tar.gz");
    let (seconds, size) = reference::write(&place.context().join("tree"), &out, hashes)?;
    fs::remove_file(out)?;
    rustix::fs::sync();
    Ok((seconds, Some(size)))
}

/// All of kiln, from its start to its end. Only a layout shows how large the layer is, and waits until it is
/// on the disk, which the others do not: it is written in the round that does not count.
fn by_kiln(place: &Checkout<'_>, counts: bool) -> anyhow::Result<(f64, Option<u64>)> {
    let out = place.tmp().join("layout");
    let mut command = place.kiln();
    command.arg("build").arg(place.context()).arg("--no-push");
    if !counts {
        command.arg("--oci-layout-path").arg(&out);
    }
    let start = Instant::now();
    quiet(&mut command)?;
    let seconds = start.elapsed().as_secs_f64();
    let mut size = None;
    if !counts {
        let blobs = fs::read_dir(out.join("blobs/sha256"))?;
        let sizes = blobs.map(|blob| anyhow::Ok(blob?.metadata()?.len()));
        size = sizes.collect::<anyhow::Result<Vec<_>>>()?.into_iter().max();
        fs::remove_dir_all(&out)?;
    }
    rustix::fs::sync();
    Ok((seconds, size))
}
