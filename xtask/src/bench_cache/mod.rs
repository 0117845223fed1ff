//! `cargo xtask bench cache`: what a build costs of which some or all is in a cache in a registry, on a
//! machine that has never seen the project.

mod index;
mod measure;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::disk::Places;
use crate::bench::registry::Registry;
use crate::bench::{self, DISK};
use crate::step::{target, timed};
use index::Index;
use measure::{Host, Machine, Once};
use table::{Aims, Row};

/// Each build is measured so often.
const ROUNDS: usize = 5;
const MARK: &str = "<!-- Written by `cargo xtask bench cache`. -->";
/// How much longer each request takes to a registry that is not on this machine.
const LATENCY: Duration = Duration::from_millis(20);
/// Times of the flask example's requests that the large graph may have.
const LARGE: usize = 4;
const STAGES: usize = 30;
/// The package that a change of requirements.txt adds: one that needs no other.
const FURTHER: &str = "tabulate";

/// The flask example, with pip's downloads in a cache mount.
const DOCKERFILE: &str = "\
FROM python:3-slim
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt
COPY . .
ENV PORT=8000
EXPOSE 8000
CMD [\"gunicorn\", \"app:app\"]
";

/// Measures, prints the tables and writes them to docs/benchmarks/cache.md.
///
/// # Errors
/// If this is not root, or a build fails or does what it should not. An aim that is missed is none.
pub(crate) fn run() -> anyhow::Result<()> {
    let places = Places::take()?;
    let kiln = bench::kiln()?;
    let dir = target().join("bench-cache");
    let wheels = dir.join("wheels");
    timed("the flask example's wheels", || bench::wheels(&wheels, &[FURTHER]))?;
    let source = bench::source(&places, &kiln, &dir)?;
    let index = Index::start(&wheels)?;
    let bench = Bench { index, source, dir, machine: Machine { kiln, places } };
    let load = [bench.load()?];
    let mut rows = rows();
    // The first round warms the caches and does not count.
    for round in 0..=ROUNDS {
        for (row, once) in rows.iter_mut().zip(bench.round(round)?) {
            if round > 0 {
                row.add(once);
            }
        }
    }
    rows.push(bench.large()?);
    let load = [load[0].clone(), bench.load()?].join(", then ");
    let mut text = table::near(&rows);
    let _ = write!(text, "\n{}", table::far(&rows));
    let _ = writeln!(text, "\nLoad of the machine ({} processors): {load}.", bench.processors());
    println!("\n{text}");
    bench::write("cache.md", MARK, &text)
}

/// What a round measures, in this order.
fn rows() -> Vec<Row> {
    let none = Aims { seconds: None, requests: None };
    let nothing = Aims { seconds: Some(0.3), requests: Some(12) };
    vec![
        Row::new("nothing is in the cache", none),
        Row::new("nothing changed", nothing),
        Row::new("app.py changed", Aims { seconds: Some(0.5), requests: None }),
        Row::far("nothing changed"),
        Row::far("app.py changed"),
        Row::new("requirements.txt changed", none),
    ]
}

struct Bench {
    index: Index,
    /// Has the base image.
    source: Registry,
    dir: PathBuf,
    // After the disks that are in its places.
    machine: Machine,
}

impl Bench {
    /// One after the other, with one registry for image and cache that is empty before.
    fn round(&self, round: usize) -> anyhow::Result<Vec<Once>> {
        let registry = self.empty()?;
        let context = self.dir.join("context");
        bench::flask(&context, DOCKERFILE)?;
        let near = || Host::Near(registry.host());
        let mut all = Vec::new();
        let mut build = |name: &str, host: Host<'_>, ran: usize, wheels: usize| {
            let once = timed(name, || self.flask(&context, &registry, &host))?;
            once.expect(ran, wheels)?;
            all.push(once);
            anyhow::Ok(())
        };
        let wheels = fs::read_dir(self.dir.join("wheels"))?.count();
        build("nothing is in the cache", near(), 1, wheels - 1)?;
        build("nothing changed", near(), 0, 0)?;
        append(&context.join("app.py"), &format!("# {round}\n"))?;
        build("app.py changed", near(), 0, 0)?;
        build("nothing changed, far", Host::far(&registry, &self.source)?, 0, 0)?;
        append(&context.join("app.py"), "# far\n")?;
        build("app.py changed, far", Host::far(&registry, &self.source)?, 0, 0)?;
        append(&context.join("requirements.txt"), &format!("{FURTHER}\n"))?;
        build("requirements.txt changed", near(), 1, 1)?;
        Ok(all)
    }

    fn flask(&self, context: &Path, to: &Registry, host: &Host<'_>) -> anyhow::Result<Once> {
        let arguments = [
            ("PIP_INDEX_URL", self.index.url()),
            ("PIP_TRUSTED_HOST", self.index.host().to_owned()),
        ];
        let arguments = arguments.map(|(name, value)| format!("--build-arg={name}={value}"));
        let mut once = self.machine.build(context, &arguments, host, [to, &self.source])?;
        once.wheels = self.index.wheels_sent().len();
        Ok(once)
    }

    /// Many stages, each of which needs the one before it.
    fn large(&self) -> anyhow::Result<Row> {
        let registry = self.empty()?;
        let context = self.dir.join("large");
        bench::flask(&context, &large())?;
        let build =
            |host: &Host<'_>| self.machine.build(&context, &[], host, [&registry, &self.source]);
        let near = Host::Near(registry.host());
        let first = timed("the large graph, nothing in the cache", || build(&near))?;
        first.expect(STAGES * 8 + 1, 0)?;
        let name = format!("{STAGES} stages × 10 steps, nothing changed");
        let mut row = Row::new(&name, Aims { seconds: None, requests: None });
        row.times_of_the_flask_example = Some(LARGE);
        for _ in 0..ROUNDS {
            let once = timed(&name, || build(&near))?;
            once.expect(0, 0)?;
            row.add(once);
        }
        Ok(row)
    }

    fn empty(&self) -> anyhow::Result<Registry> {
        Registry::start(self.machine.places.disk("r", DISK)?)
    }

    fn load(&self) -> anyhow::Result<String> {
        let load = fs::read_to_string("/proc/loadavg")?;
        Ok(load.split(' ').next().unwrap_or_default().to_owned())
    }

    fn processors(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    Ok(fs::write(path, fs::read_to_string(path)? + text)?)
}

fn large() -> String {
    let mut dockerfile = String::new();
    for stage in 0..STAGES {
        let _ = writeln!(dockerfile, "FROM python:3-slim AS s{stage}");
        for step in 0..9 {
            let _ = match stage.checked_sub(1) {
                Some(last) if step == 4 => {
                    writeln!(dockerfile, "COPY --from=s{last} /made{last} /from")
                }
                _ => writeln!(dockerfile, "RUN echo {stage}.{step} >> /made{stage}"),
            };
        }
        dockerfile += "COPY app.py /\n";
    }
    dockerfile
}
