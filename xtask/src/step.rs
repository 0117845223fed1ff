//! Commands and steps, with what they are called and how long they take.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};

/// The repository's directory.
pub(crate) fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    workspace().join(target.unwrap_or_else(|| "target".into()))
}

/// `cargo`, the one that runs this.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = cargo_tool(cargo);
    command.args(arguments);
    command
}

/// A program that calls cargo, in the workspace, as if a user had called it: without the variables by
/// which cargo tells a program of which package it is. Build scripts watch some (ring's does), so all that
/// needs them would be compiled anew each time that cargo is called in the other way.
pub(crate) fn cargo_tool(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let is_own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_own) {
            command.env_remove(name);
        }
    }
    command.current_dir(workspace());
    command
}

/// Does a step and says how long it took.
///
/// # Errors
/// The step's own, with its name.
pub(crate) fn timed<T>(name: &str, step: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let start = Instant::now();
    let result = step();
    let outcome = if result.is_ok() { "" } else { "  FAILED" };
    println!("{:7.1} s  {name}{outcome}", start.elapsed().as_secs_f64());
    result.with_context(|| name.to_owned())
}

/// Runs a command whose output goes to the terminal.
///
/// # Errors
/// If it cannot be started or fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

/// Runs a command whose output is shown only if it fails. Returns its standard output.
///
/// # Errors
/// If it cannot be started or fails; with all that it printed.
pub(crate) fn quiet(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {name}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    ensure!(output.status.success(), "{name} ended with {}:\n{out}{err}", output.status);
    Ok(out)
}

/// Builds kiln as it is released. Returns the program's path.
///
/// # Errors
/// If the build fails.
pub(crate) fn release_binary() -> anyhow::Result<PathBuf> {
    let output = release_build().stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo build ended with {}", output.status);
    built(&String::from_utf8(output.stdout)?)
}

/// The command that builds kiln as it is released. [`built`] reads its output.
pub(crate) fn release_build() -> Command {
    let mut build = cargo(&["build", "--release", "--package", "kiln", "--bin", "kiln"]);
    build.args(["--message-format", "json-render-diagnostics"]);
    build
}

/// The program that cargo has built, from its messages: where it lies depends on the target triple
/// in .cargo/config.toml.
///
/// # Errors
/// If there is none.
pub(crate) fn built(messages: &str) -> anyhow::Result<PathBuf> {
    let mut paths = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    paths.next_back().context("cargo did not say where it put kiln")
}
