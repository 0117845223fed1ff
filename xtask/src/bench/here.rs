//! What is said of the place and the time of curves and limits.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::results::Machine;
use crate::step::{quiet, workspace};

/// This machine, with kiln's version; the load is that of before, and what is to become that of after.
///
/// # Errors
/// If /proc cannot be read.
pub(super) fn machine(kiln: &Path, dir: &Path) -> anyhow::Result<Machine> {
    let read = |path: &str| fs::read_to_string(path);
    let kib = value(&read("/proc/meminfo")?, "MemTotal");
    let kib = kib.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
    let mut find = Command::new("findmnt");
    let file_system = quiet(find.args(["-n", "-o", "FSTYPE", "--target"]).arg(dir));
    let version = quiet(Command::new(kiln).arg("--version"))?;
    let version = version.split_whitespace().last().unwrap_or_default().to_owned();
    Ok(Machine {
        processor: value(&read("/proc/cpuinfo")?, "model name"),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory: kib * 1024,
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        file_system: file_system.unwrap_or_default().trim().to_owned(),
        load: [load(), 0.0],
        versions: [("kiln".to_owned(), version)].into(),
    })
}

/// Behind the first `KEY:`, or nothing.
fn value(text: &str, key: &str) -> String {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let line = lines.find(|(name, _)| name.trim() == key);
    line.map_or("", |(_, value)| value.trim()).to_owned()
}

/// Of the last minute.
pub(super) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// Seconds of processors that this process had, and its children that have ended, and theirs; see
/// proc_pid_stat(5), `utime` to `cstime`.
pub(super) fn processors() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    // The 14th to the 17th of all; the first two are before the bracket.
    let ticks = fields.skip(11).take(4).filter_map(|field| field.parse::<f64>().ok());
    // A tick is a hundredth on every architecture that Linux shows to programs.
    ticks.sum::<f64>() / 100.0
}

/// kiln's commit, shortened, with `+` behind it if files were changed.
pub(super) fn commit() -> String {
    let git = |arguments: &[&str]| {
        let said = quiet(Command::new("git").args(arguments).current_dir(workspace()));
        said.unwrap_or_default().trim().to_owned()
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    git(&["rev-parse", "--short", "HEAD"]) + if changed.is_empty() { "" } else { "+" }
}

/// As `2026-11-30`.
pub(super) fn date() -> String {
    let date = quiet(Command::new("date").args(["-u", "+%Y-%m-%d"]));
    date.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_children_count() {
        let before = processors();
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(quiet(Command::new("sh").args(["-c", busy])).is_ok());
        assert!(processors() > before);
    }
}
