//! moto, a server with S3's protocol that checks signatures, and the Python packages that it wants.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::step::{quiet, target, timed};

/// <https://github.com/getmoto/moto>; Flask is for its server.
const PACKAGES: [&str; 3] = ["moto[s3]==5.1.8", "flask==3.1.3", "flask-cors==6.0.5"];
/// Holds the packages that are installed.
const STAMP: &str = "kiln-packages";

/// Installs it with pip below the target directory, once. Returns the directory, for `PYTHONPATH`.
///
/// # Errors
/// If pip is not there, or does not reach its index.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    let dir = target().join("tools/moto");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(dir.join(STAMP)).is_ok_and(|installed| installed == wanted) {
        return Ok(dir);
    }
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&dir).args(PACKAGES);
    timed("pip install moto", || quiet(&mut pip))
        .context("moto is needed for the tests of objects")?;
    fs::write(dir.join(STAMP), wanted)?;
    Ok(dir)
}
