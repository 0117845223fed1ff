//! Emulators of object stores, which tests read from.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::packages;
use crate::step::{quiet, target, timed};

/// Azure's: <https://github.com/Azure/Azurite>. Newer ones want a newer Node than Debian's, and bring
/// 70 MB more.
const AZURITE: (&str, &str) = ("azurite", "3.26.0");
/// Google's: <https://github.com/oittaa/gcp-storage-emulator>
const GOOGLE: (&str, &str) = ("gcp-storage-emulator", "2026.7.19");

/// Installs Azurite with npm below the target directory, once. Returns the directory.
///
/// # Errors
/// If npm is not there and cannot be installed, or does not reach its registry.
pub(crate) fn azurite() -> anyhow::Result<PathBuf> {
    let (package, version) = AZURITE;
    let dir = target().join("tools/azurite");
    let description = dir.join("node_modules").join(package).join("package.json");
    let installed = fs::read(description).ok().and_then(|text| serde_json::from_slice(&text).ok());
    if installed.is_some_and(|description: Value| description["version"] == version) {
        return Ok(dir);
    }
    if Command::new("npm").arg("--version").output().is_err() {
        packages::ensure(&["npm"], "installing azurite")?;
    }
    fs::create_dir_all(&dir)?;
    let wanted = json!({ "private": true, "dependencies": { package: version } });
    fs::write(dir.join("package.json"), wanted.to_string())?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&dir);
    timed(&format!("npm install {package}@{version}"), || quiet(&mut npm).map(drop))?;
    Ok(dir)
}

/// Installs the emulator of Google's storage with pip below the target directory, once. Returns the
/// directory, for `PYTHONPATH`.
///
/// # Errors
/// If pip is not there or does not reach its index.
pub(crate) fn google() -> anyhow::Result<PathBuf> {
    let (package, version) = GOOGLE;
    let dir = target().join("tools/gcp-storage-emulator");
    let note = format!("{}-{version}.dist-info", package.replace('-', "_"));
    if !dir.join(note).is_dir() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"]).arg(&dir);
        pip.arg(format!("{package}=={version}"));
        timed(&format!("pip install {package}"), || quiet(&mut pip).map(drop))?;
    }
    Ok(dir)
}
