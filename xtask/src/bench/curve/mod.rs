//! `cargo xtask bench curves`: how the cost of a build grows with files, layers, steps, stages and bytes.

pub(crate) mod place;
mod shape;
mod table;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::disk::Places;
use super::machine;
use super::peer;
use super::report;
use super::results::{Curve, Curves, Point};
use crate::bench;
use crate::step::{quiet, target, timed, workspace};
use place::{Place, Tools};
use shape::{SHAPES, Shape};

/// Each build is measured so often, one that takes minutes once.
const ROUNDS: usize = 3;
const LONG: u64 = 1_000_000;
/// Curves that end earlier say too little.
const KEPT_FROM: u64 = 10_000;
/// Makes files faster than any script, and says how long that took: what remains is kiln's.
const WRITER: &str = include_str!("writer.c");

/// What is wanted of all that can be measured.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    /// Of these curves; of all if there are none.
    only: Vec<&'a str>,
    /// Nothing with a larger count.
    most: u64,
    rounds: usize,
}

impl<'a> Wanted<'a> {
    const ALL: Self = Self { only: Vec::new(), most: u64::MAX, rounds: ROUNDS };

    fn parse(arguments: &[&'a str]) -> anyhow::Result<Self> {
        let mut wanted = Self::ALL;
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
                value
                    .filter(|value| *value > 0)
                    .with_context(|| format!("{argument} needs a number"))
            };
            match *argument {
                "--most" => wanted.most = number()?,
                "--rounds" => wanted.rounds = usize::try_from(number()?)?,
                id => {
                    let ids = SHAPES.map(|shape| shape.id);
                    ensure!(
                        ids.contains(&id),
                        "there is no curve {id}; there are: {}",
                        ids.join(", ")
                    );
                    wanted.only.push(id);
                }
            }
        }
        Ok(wanted)
    }

    /// Whether it says how costs grow, of everything.
    fn is_kept(&self) -> bool {
        self.only.is_empty() && self.most >= KEPT_FROM
    }

    fn shapes(&self) -> Vec<&'static Shape> {
        let wanted = |shape: &&Shape| self.only.is_empty() || self.only.contains(&shape.id);
        SHAPES.iter().filter(wanted).collect()
    }
}

/// Measures: `[--most COUNT] [--rounds N] [CURVE...]`. Tables are printed, and kept in docs/benchmarks if they
/// are of all curves and go far enough.
///
/// # Errors
/// If this is not root, if there is no such curve, or if a build fails.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let wanted = Wanted::parse(arguments)?;
    let shapes = wanted.shapes();
    let places = Places::take()?;
    let kiln = bench::kiln()?;
    let dir = target().join("bench-curves");
    fs::create_dir_all(&dir)?;
    let mut machine = machine::describe(&peer::Tools::of(&kiln), &dir)?;
    let tools = Tools { kiln, writer: writer(&dir)?, places };
    let counts = |shape: &Shape| {
        shape.counts.iter().copied().filter(|count| *count <= wanted.most).collect::<Vec<_>>()
    };
    let mut curves: Vec<Curve> = shapes.iter().map(|shape| empty(shape, &counts(shape))).collect();
    measure(&tools, wanted.rounds, &shapes, &mut curves)?;
    machine.load[1] = machine::load();
    let curves = Curves { date: machine::date(), commit: machine::commit(), machine, curves };
    println!("\n{}", table::all(&curves));
    if !wanted.is_kept() {
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

/// Builds of one curve with these numbers.
///
/// # Errors
/// If there is no such curve, or a build fails.
pub(crate) fn points(tools: &Tools, id: &str, counts: &[u64]) -> anyhow::Result<Vec<Point>> {
    let shapes = Wanted::parse(&[id])?.shapes();
    let mut curves: Vec<Curve> = shapes.iter().map(|shape| empty(shape, counts)).collect();
    measure(tools, ROUNDS, &shapes, &mut curves)?;
    Ok(curves.pop().map(|curve| curve.points).unwrap_or_default())
}

/// One round after the other, so that what disturbs the machine for a while disturbs all alike.
fn measure(
    tools: &Tools,
    rounds: usize,
    shapes: &[&Shape],
    curves: &mut [Curve],
) -> anyhow::Result<()> {
    for round in 0..rounds {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_wanted_is_understood_or_refused() {
        assert_eq!(Wanted::parse(&[]).unwrap(), Wanted::ALL);
        let wanted = Wanted::parse(&["--most", "1000", "runs", "--rounds", "1"]).unwrap();
        assert_eq!(wanted, Wanted { only: vec!["runs"], most: 1000, rounds: 1 });
        assert_eq!(wanted.shapes().len(), 1);
        for wrong in [&["--most"][..], &["--rounds", "0"], &["--rounds", "x"], &["walks"]] {
            assert!(Wanted::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
