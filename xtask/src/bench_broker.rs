//! `cargo xtask bench broker`: what the broker of a chroot without mounts costs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use testkit::base;

use crate::step::{cargo, quiet, target, timed, workspace};

/// Each command is measured so often, both ways in turn.
const ROUNDS: usize = 7;

/// How many files the loop looks at.
const STATS: u64 = 100_000;

/// The loop by which one notification is measured: a plain path, which is not the broker's.
const LOOP: &str = "\
#include <sys/stat.h>
int main(void) {
    struct stat known;
    for (int i = 0; i < 100000; i++)
        if (stat(\"/usr/bin/env\", &known)) return 1;
    return 0;
}
";

/// One command, and how much longer than in a plain chroot it may take.
struct Load {
    name: &'static str,
    command: &'static [&'static str],
    target: Option<f64>,
}

const LOADS: [Load; 3] = [
    Load {
        name: "pip install of the flask example",
        command: &[
            "pip",
            "install",
            "--no-cache-dir",
            "--no-index",
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            "--find-links=/bench/wheels",
            "-r",
            "/bench/requirements.txt",
        ],
        target: Some(1.15),
    },
    Load {
        name: "ls -lR /usr",
        command: &["sh", "-c", "ls -lR /usr > /dev/null"],
        target: Some(2.0),
    },
    Load { name: "100,000 × stat", command: &["/bench/loop"], target: None },
];

/// What was measured of one load: milliseconds each way, sorted, and what the broker was asked.
struct Measured {
    plain: Vec<f64>,
    kiln: Vec<f64>,
    asked: u64,
}

/// Measures, prints the table and writes it to docs/benchmarks/broker.md.
///
/// # Errors
/// If this is not root, or a command fails. A target that is missed is none.
pub(crate) fn run() -> anyhow::Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "this makes chroots and mounts: run it as root");
    let driver = timed("cargo build --bench broker", driver)?;
    let python = timed("base image with Python", || base::python(&base::cache_dir()))?;
    let bench = target().join("bench-broker");
    timed("wheels of the flask example", || prepare(&bench))?;
    let mut measured = Vec::new();
    for load in &LOADS {
        measured.push(timed(load.name, || measure(&driver, &bench, &python.rootfs, load))?);
    }
    let table = table(&measured);
    println!("\n{table}");
    let page = workspace().join("docs/benchmarks/broker.md");
    let text = fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?;
    let (before, _) = text.split_once(MARK).context("the page has no mark for the table")?;
    Ok(fs::write(page, format!("{before}{MARK}\n\n{table}"))?)
}

/// Where the table begins in the page.
const MARK: &str = "<!-- Written by `cargo xtask bench broker`. -->";

fn driver() -> anyhow::Result<PathBuf> {
    let mut build = cargo(&["bench", "--package", "kiln", "--bench", "broker", "--no-run"]);
    build.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = build.output().context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo bench ended with {}", output.status);
    let messages = String::from_utf8(output.stdout)?;
    let mut paths = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        // kiln itself is built too.
        let is_bench = message["target"]["kind"][0] == "bench";
        is_bench.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    paths.next_back().context("cargo did not say where it put the benchmark")
}

/// What goes into each root as /bench.
fn prepare(bench: &Path) -> anyhow::Result<()> {
    let inside = bench.join("inside");
    let wheels = inside.join("wheels");
    fs::create_dir_all(&wheels)?;
    let requirements = workspace().join("examples/pythonapp-flask/requirements.txt");
    fs::copy(&requirements, inside.join("requirements.txt"))?;
    if fs::read_dir(&wheels)?.next().is_none() {
        let mut pip = Command::new("python3");
        // For the Python of the image, not for the machine's.
        pip.args(["-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version"]);
        pip.args(["3.11", "--dest"]).arg(&wheels).arg("-r").arg(&requirements);
        quiet(&mut pip)?;
    }
    let source = bench.join("loop.c");
    fs::write(&source, LOOP)?;
    quiet(Command::new("gcc").args(["-O1", "-static", "-o"]).arg(inside.join("loop")).arg(source))?;
    Ok(())
}

fn measure(driver: &Path, bench: &Path, rootfs: &Path, load: &Load) -> anyhow::Result<Measured> {
    let mut measured = Measured { plain: Vec::new(), kiln: Vec::new(), asked: 0 };
    // The first round warms the caches and does not count.
    for round in 0..=ROUNDS {
        // Who comes first takes turns too.
        let ways = if round % 2 == 0 { ["plain", "kiln"] } else { ["kiln", "plain"] };
        for way in ways {
            let (time, asked) = once(driver, bench, rootfs, way, load)?;
            match way {
                _ if round == 0 => {}
                "plain" => measured.plain.push(time),
                _ => {
                    measured.kiln.push(time);
                    measured.asked = asked;
                }
            }
        }
    }
    measured.plain.sort_by(f64::total_cmp);
    measured.kiln.sort_by(f64::total_cmp);
    Ok(measured)
}

/// Milliseconds, and how many calls the broker was asked about, in a root of its own.
fn once(
    driver: &Path,
    bench: &Path,
    rootfs: &Path,
    way: &str,
    load: &Load,
) -> anyhow::Result<(f64, u64)> {
    let place = tempfile::tempdir_in(bench)?;
    let (root, aside) = (place.path().join("root"), place.path().join("aside"));
    fs::create_dir(&root)?;
    fs::create_dir(&aside)?;
    quiet(Command::new("tar").arg("-xf").arg(rootfs).arg("-C").arg(&root))?;
    quiet(Command::new("cp").arg("-r").arg(bench.join("inside")).arg(root.join("bench")))?;
    let mut command = Command::new(driver);
    let said = quiet(command.arg(way).args([&root, &aside]).args(load.command))?;
    let mut numbers = said.split_whitespace().map(str::parse::<u64>);
    let mut number = || numbers.next().context("the benchmark said nothing")?.context(said.clone());
    Ok((number()? as f64 / 1e6, number()?))
}

fn table(measured: &[Measured]) -> String {
    let mut table =
        "| | plain chroot (ms) | kiln's chroot (ms) | ratio | at most | notifications |\n\
                     |---|---|---|---|---|---|\n"
            .to_owned();
    for (load, measured) in LOADS.iter().zip(measured) {
        let (plain, kiln) = (median(&measured.plain), median(&measured.kiln));
        let target = load.target.map_or("–".to_owned(), |target| format!("{target}"));
        let _ = writeln!(
            table,
            "| {} | {} | {} | {:.2} | {target} | {} |",
            load.name,
            spread(&measured.plain),
            spread(&measured.kiln),
            kiln / plain,
            measured.asked
        );
    }
    let (plain, kiln) = (median(&measured[2].plain), median(&measured[2].kiln));
    let each = (kiln - plain) * 1000.0 / STATS as f64;
    let _ = writeln!(table, "\nA notification costs {each:.1} µs; the aim is at most 10 µs.");
    table
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Median, and the least and the most.
fn spread(sorted: &[f64]) -> String {
    let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
    format!("{:.0} ({least:.0}–{most:.0})", median(sorted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_load() {
        let measured = || Measured {
            plain: vec![90.0, 100.0, 120.0],
            kiln: vec![300.0, 500.0, 900.0],
            asked: 12,
        };
        let table = table(&[measured(), measured(), measured()]);
        assert!(table.contains("| ls -lR /usr | 100 (90–120) | 500 (300–900) | 5.00 | 2 | 12 |"));
        assert!(table.ends_with("A notification costs 4.0 µs; the aim is at most 10 µs.\n"));
    }
}
