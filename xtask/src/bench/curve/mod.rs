//! `cargo xtask bench curves`: how the cost of a build grows with files, layers, steps, stages and bytes.

pub(crate) mod place;
mod shape;
mod table;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::here;
use super::report;
use super::results::{Curve, Curves, Point};
use crate::bench;
use crate::step::{quiet, target, timed, workspace};
use place::{Place, Tools};
use shape::{SHAPES, Shape};

/// Each build is measured so often, one that takes minutes once.
const ROUNDS: usize = 3;
const LONG: u64 = 1_000_000;
/// Makes files faster than any script, and says how long that took: what remains is kiln's.
const WRITER: &str = include_str!("writer.c");

/// Measures these curves, or all, and prints their tables. All are kept, in docs/benchmarks.
///
/// # Errors
/// If this is not root, if there is no such curve, or if a build fails.
pub(crate) fn run(only: &[&str]) -> anyhow::Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "this mounts file systems: run it as root");
    let shapes = chosen(only)?;
    let kiln = bench::kiln()?;
    let dir = target().join("bench-curves");
    fs::create_dir_all(&dir)?;
    let mut machine = here::machine(&kiln, &dir)?;
    let tools = Tools { kiln, writer: writer(&dir)?, dir };
    let mut curves: Vec<Curve> = shapes.iter().map(|shape| empty(shape, shape.counts)).collect();
    measure(&tools, &shapes, &mut curves)?;
    machine.load[1] = here::load();
    let curves = Curves { date: here::date(), commit: here::commit(), machine, curves };
    println!("\n{}", table::all(&curves));
    if !only.is_empty() {
        return Ok(());
    }
    let docs = workspace().join("docs/benchmarks");
    fs::write(docs.join("curves.json"), serde_json::to_string_pretty(&curves)? + "\n")?;
    report::place(&docs.join("curves.md"), " curves", &table::all(&curves))
}

/// Writes the page again from what is kept, if anything is.
///
/// # Errors
/// If the disk refuses.
pub(crate) fn again() -> anyhow::Result<()> {
    let docs = workspace().join("docs/benchmarks");
    let Ok(kept) = fs::read(docs.join("curves.json")) else { return Ok(()) };
    let curves: Curves = serde_json::from_slice(&kept).context("understand curves.json")?;
    report::place(&docs.join("curves.md"), " curves", &table::all(&curves))
}

fn chosen(only: &[&str]) -> anyhow::Result<Vec<&'static Shape>> {
    let ids: Vec<&str> = SHAPES.iter().map(|shape| shape.id).collect();
    for id in only {
        ensure!(ids.contains(id), "there is no curve {id}; there are: {}", ids.join(", "));
    }
    let wanted = |shape: &&Shape| only.is_empty() || only.contains(&shape.id);
    Ok(SHAPES.iter().filter(wanted).collect())
}

/// Builds of one curve with these numbers.
///
/// # Errors
/// If there is no such curve, or a build fails.
pub(crate) fn points(tools: &Tools, id: &str, counts: &[u64]) -> anyhow::Result<Vec<Point>> {
    let shapes = chosen(&[id])?;
    let mut curves: Vec<Curve> = shapes.iter().map(|shape| empty(shape, counts)).collect();
    measure(tools, &shapes, &mut curves)?;
    Ok(curves.pop().map(|curve| curve.points).unwrap_or_default())
}

/// One round after the other, so that what disturbs the machine for a while disturbs all alike.
fn measure(tools: &Tools, shapes: &[&Shape], curves: &mut [Curve]) -> anyhow::Result<()> {
    for round in 0..ROUNDS {
        for (shape, curve) in shapes.iter().zip(curves.iter_mut()) {
            for point in curve.points.iter_mut().filter(|point| round == 0 || point.count < LONG) {
                let name = format!("{}: {}", shape.id, point.count);
                point.samples.push(timed(&name, || {
                    let place = Place::new(tools, shape, point.count)?;
                    let project = (shape.make)(&place, point.count)?;
                    place.build(&project, shape.isolation)
                })?);
            }
        }
    }
    Ok(())
}

fn empty(shape: &Shape, counts: &[u64]) -> Curve {
    let points = counts.iter().map(|count| Point { count: *count, samples: Vec::new() });
    Curve { id: shape.id.to_owned(), title: shape.title.to_owned(), points: points.collect() }
}

/// Compiles the program that writes files.
///
/// # Errors
/// If there is no C compiler.
pub(crate) fn writer(dir: &Path) -> anyhow::Result<std::path::PathBuf> {
    let (source, program) = (dir.join("writer.c"), dir.join("writer"));
    fs::write(&source, WRITER)?;
    quiet(Command::new("gcc").args(["-O1", "-static", "-o"]).arg(&program).arg(&source))?;
    Ok(program)
}
