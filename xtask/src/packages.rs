//! Debian packages that a task needs.

use std::process::Command;

use anyhow::bail;

use crate::step::{quiet, timed};

/// Whether this process may install packages.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Sees to it that packages are installed: as root by installing them.
///
/// # Errors
/// If they are not there and cannot be installed; says how to do it.
pub(crate) fn ensure(packages: &[&str], purpose: &str) -> anyhow::Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|p| !is_installed(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if Command::new("apt-get").arg("--version").output().is_err() {
        bail!("{purpose} needs these Debian packages, and there is no apt-get here: {list}");
    }
    if !is_root() {
        bail!("{purpose} needs some packages; as root: apt-get install {list}");
    }
    timed(&format!("apt-get install {list}"), || {
        install(&missing).or_else(|_| {
            // The lists may be missing, as in most images, or old.
            quiet(apt(&["update", "-qq"]).env("LC_ALL", "C"))?;
            install(&missing)
        })
    })
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    let mut command = apt(&["install", "-y", "-qq", "--no-install-recommends"]);
    quiet(command.args(packages)).map(drop)
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_installed(package: &str) -> bool {
    let query = ["-W", "-f", "${db:Status-Status}", package];
    let output = Command::new("dpkg-query").args(query).output();
    output.is_ok_and(|output| output.stdout == b"installed")
}
