//! `cargo xtask bench push`: what further destinations of one build cost.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use testkit::base;
use testkit::process::{DockerRegistry, docker_registry};

use crate::step::{quiet, release_binary, target, timed, workspace};

/// Each number of destinations is measured so often, in turn.
const ROUNDS: usize = 5;
/// How many destinations are compared with one.
const MANY: usize = 3;
/// Times of one destination that many may take.
const AIM: f64 = 1.3;
const MARK: &str = "<!-- Written by `cargo xtask bench push`. -->";
/// What one run writes has room here, several times.
const DISK: u64 = 4 << 30;

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
    ensure!(rustix::process::geteuid().is_root(), "this mounts file systems: run it as root");
    let kiln = timed("cargo build --release: kiln", release_binary)?;
    let dir = target().join("bench-push");
    let context = dir.join("context");
    timed("the flask example and its wheels", || make_context(&context))?;
    let source = docker_registry(None)?;
    let bench = Bench { kiln, disk: dir.join("disk"), place: dir.join("mounted"), context, source };
    timed("the base image in a registry", || bench.push_base(&dir))?;
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
    let table = table(&mut one, &mut many);
    println!("\n{table}");
    let page = workspace().join("docs/benchmarks/push.md");
    let text = fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?;
    let (before, _) = text.split_once(MARK).context("the page has no mark for the table")?;
    Ok(fs::write(page, format!("{before}{MARK}\n\n{table}"))?)
}

fn make_context(context: &Path) -> anyhow::Result<()> {
    let example = workspace().join("examples/pythonapp-flask");
    let wheels = context.join("wheels");
    fs::create_dir_all(&wheels)?;
    for name in ["requirements.txt", "app.py"] {
        fs::copy(example.join(name), context.join(name))?;
    }
    fs::write(context.join("Dockerfile"), DOCKERFILE)?;
    if fs::read_dir(&wheels)?.next().is_none() {
        let mut pip = Command::new("python3");
        // For the Python of the image, not for the machine's.
        pip.args(["-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version"]);
        pip.args(["3.11", "--dest"]).arg(&wheels).arg("-r").arg(example.join("requirements.txt"));
        quiet(&mut pip)?;
    }
    Ok(())
}

struct Bench {
    kiln: PathBuf,
    /// The file that holds each run's file system.
    disk: PathBuf,
    /// Where it is mounted.
    place: PathBuf,
    context: PathBuf,
    /// Has the base image.
    source: DockerRegistry,
}

impl Bench {
    fn push_base(&self, dir: &Path) -> anyhow::Result<()> {
        let python = base::python(&base::cache_dir())?;
        let context = dir.join("base");
        fs::create_dir_all(&context)?;
        let _ = fs::remove_file(context.join("rootfs.tar"));
        fs::hard_link(&python.rootfs, context.join("rootfs.tar"))
            .or_else(|_| fs::copy(&python.rootfs, context.join("rootfs.tar")).map(drop))?;
        fs::write(context.join("Dockerfile"), "FROM scratch\nADD rootfs.tar /\n")?;
        let name = format!("{}/library/python:3-slim", self.source.host());
        quiet(Command::new(&self.kiln).arg("build").arg(&context).args(["-t", &name])).map(drop)
    }

    /// One build on a file system that has never been used, to registries that are empty.
    fn once(&self, count: usize) -> anyhow::Result<f64> {
        let mounted = Mounted::new(&self.disk, &self.place)?;
        let registries = (0..count).map(|_| docker_registry(None));
        let registries = registries.collect::<anyhow::Result<Vec<_>>>()?;
        let mut command = Command::new(&self.kiln);
        command.arg("build").arg(&self.context).args(["--registry-mirror", self.source.host()]);
        command.env("TMPDIR", &mounted.place);
        for registry in &registries {
            command.args(["-t", &format!("{}/app:1", registry.host())]);
        }
        let start = Instant::now();
        quiet(&mut command)?;
        Ok(start.elapsed().as_secs_f64())
    }
}

/// A new ext4 file system; gone when dropped. On one that was used before, ext4 looks for room past
/// what was deleted just now, which takes longer the more that is.
struct Mounted {
    place: PathBuf,
}

impl Mounted {
    fn new(disk: &Path, place: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(place)?;
        let _ = fs::remove_file(disk);
        fs::File::create(disk)?.set_len(DISK)?;
        quiet(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(disk))?;
        quiet(Command::new("mount").args(["-o", "loop"]).arg(disk).arg(place))?;
        Ok(Self { place: place.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Nothing is left in it that anybody needs.
        let _ = quiet(Command::new("umount").arg(&self.place));
    }
}

fn table(one: &mut [f64], many: &mut [f64]) -> String {
    let mut table =
        String::from("| destinations | seconds | ratio | at most |\n|---|---|---|---|\n");
    let row = |times: &mut [f64]| {
        times.sort_by(f64::total_cmp);
        let (least, most) = (times[0], times[times.len() - 1]);
        (times[times.len() / 2], format!("{least:.2}–{most:.2}"))
    };
    let ((single, single_range), (several, several_range)) = (row(one), row(many));
    let _ = writeln!(table, "| 1 | {single:.2} ({single_range}) | 1 | – |");
    let ratio = several / single;
    let _ = writeln!(table, "| {MANY} | {several:.2} ({several_range}) | {ratio:.2} | {AIM} |");
    table
}
