//! `cargo xtask bench push`: what further destinations of one build cost.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::bench;
use crate::bench::disk::Places;
use crate::bench::registry::Registry;
use crate::bench::{DISK, Spread};
use crate::step::{quiet, target, timed};

/// Each number of destinations is measured so often, in turn.
const ROUNDS: usize = 5;
/// How many destinations are compared with one.
const MANY: usize = 3;
/// Times of one destination that many may take.
const AIM: f64 = 1.3;
const MARK: &str = "<!-- Written by `cargo xtask bench push`. -->";

/// The flask example, with its wheels in the context: no package index is measured.
const DOCKERFILE: &str = "\
FROM python:3-slim
WORKDIR /app
COPY requirements.txt .
COPY wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links=/wheels -r requirements.txt
COPY app.py .
ENV PORT=8000
EXPOSE 8000
CMD [\"gunicorn\", \"app:app\"]
";

/// Measures, prints the table and writes it to docs/benchmarks/push.md.
///
/// # Errors
/// If this is not root, or a build fails. An aim that is missed is none.
pub(crate) fn run() -> anyhow::Result<()> {
    let places = Places::take()?;
    let kiln = bench::kiln()?;
    let dir = target().join("bench-push");
    let context = dir.join("context");
    timed("the flask example and its wheels", || {
        bench::flask(&context, DOCKERFILE)?;
        bench::wheels(&context.join("wheels"), &[])
    })?;
    let source = bench::source(&places, &kiln, &dir)?;
    let bench = Bench { kiln, context, source, places };
    let (mut one, mut many) = (Vec::new(), Vec::new());
    // The first round warms the caches and does not count.
    for round in 0..=ROUNDS {
        for count in if round % 2 == 0 { [1, MANY] } else { [MANY, 1] } {
            let time = timed(&format!("{count} destinations"), || bench.once(count))?;
            match count {
                _ if round == 0 => {}
                1 => one.push(time),
                _ => many.push(time),
            }
        }
    }
    let table = table(&one, &many);
    println!("\n{table}");
    bench::write("push.md", MARK, &table)
}

struct Bench {
    kiln: PathBuf,
    context: PathBuf,
    /// Has the base image.
    source: Registry,
    // After the disks that are in it.
    places: Places,
}

impl Bench {
    /// One build on a file system that has never been used, to registries that are empty.
    fn once(&self, count: usize) -> anyhow::Result<f64> {
        let disk = self.places.disk("d", DISK)?;
        let empty = |number| Registry::start(self.places.disk(&format!("r{number}"), DISK)?);
        let registries = (0..count).map(empty).collect::<anyhow::Result<Vec<_>>>()?;
        let mut command = Command::new(&self.kiln);
        command.arg("build").arg(&self.context).args(["--registry-mirror", self.source.host()]);
        command.env("TMPDIR", disk.place());
        for registry in &registries {
            command.args(["-t", &format!("{}/app:1", registry.host())]);
        }
        let start = Instant::now();
        quiet(&mut command)?;
        Ok(start.elapsed().as_secs_f64())
    }
}

fn table(one: &[f64], many: &[f64]) -> String {
    let mut table =
        String::from("| destinations | seconds | ratio | at most |\n|---|---|---|---|\n");
    let (one, many) = (Spread::of(one), Spread::of(many));
    let _ = writeln!(table, "| 1 | {one} | 1 | – |");
    let ratio = many.median / one.median;
    let _ = writeln!(table, "| {MANY} | {many} | {ratio:.2} | {AIM} |");
    table
}
