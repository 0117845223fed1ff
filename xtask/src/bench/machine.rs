//! Where it is measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::peer::Tools;
use super::results::Machine;
use super::steps::PATH;
use crate::step::{quiet, workspace};

/// All but the load after it.
///
/// # Errors
/// If /proc is not there.
pub(crate) fn describe(tools: &Tools, dir: &Path) -> anyhow::Result<Machine> {
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib: Option<u64> = field(&memory, "MemTotal")
        .and_then(|size| size.split(' ').next().and_then(|number| number.parse().ok()));
    Ok(Machine {
        processor: field(&processor, "model name").unwrap_or("unknown").to_owned(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory: kib.unwrap_or(0) * 1024,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        file_system: file_system(dir),
        load: [load(), 0.0],
        versions: versions(tools),
        control_groups: false,
        page_cache_dropped: false,
    })
}

/// The value of the first line `KEY: VALUE`.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
}

/// The machine's load of the last minute.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

fn file_system(dir: &Path) -> String {
    let mut stat = Command::new("findmnt");
    let found = quiet(stat.args(["-n", "-o", "FSTYPE", "--target"]).arg(dir));
    found.map_or_else(|_| "unknown".to_owned(), |kind| kind.trim().to_owned())
}

fn versions(tools: &Tools) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let mut add = |name: &str, program: &Path, flag: &str| {
        let said = quiet(Command::new(program).arg(flag).env("PATH", PATH));
        if let Some(version) = said.ok().as_deref().and_then(version) {
            versions.insert(name.to_owned(), version);
        }
    };
    add("kiln", &tools.kiln, "--version");
    for name in ["dockerd", "docker", "containerd", "runc", "buildah", "curl"] {
        add(name, Path::new(name), "--version");
    }
    add("docker-registry", Path::new("docker-registry"), "--version");
    if let Some(program) = &tools.buildkitd {
        add("buildkitd", program, "--version");
    }
    if let Some(program) = tools.runc_of_buildkitd() {
        add("buildkitd's runc", &program, "--version");
    }
    if let Some(path) = &tools.kaniko {
        let inside = path.join("kaniko/executor");
        add("kaniko", if path.is_dir() { &inside } else { path }, "version");
    }
    versions
}

/// The first word with a digit and a dot: `Docker version 20.10.24+dfsg1, build 5d6db84`.
fn version(said: &str) -> Option<String> {
    let words = said.split_whitespace().map(|word| word.trim_matches([',', 'v', '(', ')', ':']));
    let numbers = words.filter(|word| {
        word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.')
    });
    numbers.map(str::to_owned).next()
}

/// kiln's commit, shortened, with `+` behind it if files were changed.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| {
        let said = quiet(Command::new("git").args(arguments).current_dir(workspace()));
        said.map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    if std::env::var_os("KILN_RELEASE").is_some() {
        return "of a program that was given by path".to_owned();
    }
    // Not what benchmarks write themselves.
    let of_it = ["src", "xtask", "testkit", "Cargo.toml", "Cargo.lock", ".cargo"];
    let status = ["status", "--porcelain", "--untracked-files=no", "--"];
    let changed = git(&[&status[..], &of_it].concat());
    git(&["rev-parse", "--short", "HEAD"]) + if changed.is_empty() { "" } else { "+" }
}

/// Today, as `2026-11-30`.
pub(crate) fn date() -> String {
    let date = quiet(Command::new("date").args(["-u", "+%Y-%m-%d"]));
    date.map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let of = |said| version(said).unwrap_or_default();
        assert_eq!(of("Docker version 20.10.24+dfsg1, build 5d6db84"), "20.10.24+dfsg1");
        assert_eq!(of("buildah version 1.28.2 (image-spec 1.1.0-rc2)"), "1.28.2");
        assert_eq!(of("Kaniko version :  v1.23.2"), "1.23.2");
        assert_eq!(of("docker-registry github.com/docker/distribution 2.8.2+ds1"), "2.8.2+ds1");
        assert_eq!(of("none"), "");
    }

    #[test]
    fn fields_are_found() {
        let text = "processor\t: 0\nmodel name\t: Some CPU\nmodel name\t: Other\n";
        assert_eq!(field(text, "model name"), Some("Some CPU"));
        assert_eq!(field(text, "cache size"), None);
    }
}
