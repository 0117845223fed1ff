//! What benchmarks of builds share: the flask example, its base image, disks and registries that have never been used.

mod aims;
mod bases;
mod bundle;
mod case;
mod cgroup;
mod chart;
pub(crate) mod compare;
pub(crate) mod curve;
pub(crate) mod disk;
pub(crate) mod limit;
mod machine;
#[cfg(test)]
mod made_up;
mod names;
mod once;
pub(crate) mod options;
mod peer;
mod processors;
mod ratio;
pub(crate) mod registry;
pub(crate) mod report;
mod results;
mod steps;
mod svg;
mod table;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use testkit::base;

use disk::Places;
use registry::Registry;

use crate::step::{quiet, release_binary, timed, workspace};

/// What one run writes has room here, several times.
pub(crate) const DISK: u64 = 4 << 30;

/// The kiln to measure: the one that `KILN_RELEASE` names, or one that is built as a release is.
///
/// # Errors
/// If the build fails.
pub(crate) fn kiln() -> anyhow::Result<PathBuf> {
    match std::env::var_os("KILN_RELEASE") {
        Some(path) => Ok(path.into()),
        None => timed("cargo build --release: kiln", release_binary),
    }
}

/// The flask example with this Dockerfile as a context.
///
/// # Errors
/// If the disk refuses.
pub(crate) fn flask(context: &Path, dockerfile: &str) -> anyhow::Result<()> {
    let example = workspace().join("examples/pythonapp-flask");
    fs::create_dir_all(context)?;
    for name in ["requirements.txt", "app.py"] {
        fs::copy(example.join(name), context.join(name))?;
    }
    Ok(fs::write(context.join("Dockerfile"), dockerfile)?)
}

/// Downloads the wheels of the flask example and of further packages, once.
///
/// # Errors
/// If pip fails.
pub(crate) fn wheels(dir: &Path, further: &[&str]) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    if fs::read_dir(dir)?.next().is_none() {
        let mut pip = Command::new("python3");
        // For the Python of the image, not for the machine's.
        pip.args(["-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version"]);
        let requirements = workspace().join("examples/pythonapp-flask/requirements.txt");
        pip.args(["3.11", "--dest"]).arg(dir).arg("-r").arg(requirements).args(further);
        quiet(&mut pip)?;
    }
    Ok(())
}

/// A registry with what stands in for `python:3-slim`, on a disk of its own.
///
/// # Errors
/// If it cannot be made or pushed.
pub(crate) fn source(places: &Places, kiln: &Path, dir: &Path) -> anyhow::Result<Registry> {
    timed("the base image in a registry", || {
        let registry = Registry::start(places.disk("s", DISK)?)?;
        push_base(kiln, dir, &registry)?;
        Ok(registry)
    })
}

fn push_base(kiln: &Path, dir: &Path, to: &Registry) -> anyhow::Result<()> {
    let python = base::python(&base::cache_dir())?;
    let context = dir.join("base");
    fs::create_dir_all(&context)?;
    let _ = fs::remove_file(context.join("rootfs.tar"));
    fs::hard_link(&python.rootfs, context.join("rootfs.tar"))
        .or_else(|_| fs::copy(&python.rootfs, context.join("rootfs.tar")).map(drop))?;
    fs::write(context.join("Dockerfile"), "FROM scratch\nADD rootfs.tar /\n")?;
    let name = format!("{}/library/python:3-slim", to.host());
    quiet(Command::new(kiln).arg("build").arg(&context).args(["-t", &name])).map(drop)
}

/// The median of some times, and the least and the most.
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// Of at least one.
    pub(crate) fn of(times: &[f64]) -> Self {
        let mut times = times.to_owned();
        times.sort_by(f64::total_cmp);
        let (lower, upper) = (times[(times.len() - 1) / 2], times[times.len() / 2]);
        Self { median: f64::midpoint(lower, upper), least: times[0], most: times[times.len() - 1] }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:.2} ({:.2}–{:.2})", self.median, self.least, self.most)
    }
}

/// Writes a table, and what else there is, behind its mark in a page of docs/benchmarks.
///
/// # Errors
/// If the page has no mark.
pub(crate) fn write(page: &str, mark: &str, table: &str) -> anyhow::Result<()> {
    let page = workspace().join("docs/benchmarks").join(page);
    let text = fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?;
    let (before, _) = text.split_once(mark).context("the page has no mark for the table")?;
    Ok(fs::write(page, format!("{before}{mark}\n\n{table}"))?)
}
