//! The base images: made once, kept as the storage of a registry that each run gets a copy of.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::ensure;
use serde_json::json;
use testkit::base::{self, Base};
use testkit::digest::sha256_of;
use testkit::process::DockerRegistry;
use testkit::registry::Layer;

use super::registry::{DEBIAN, PYTHON};
use crate::step::quiet;

/// What the second and the third layer of the Python image have; the first has the rest. Docker
/// Hub's python:3-slim has several layers too, of which that of Debian is the largest.
const UPPER: [&[&str]; 2] =
    [&["etc", "usr/share", "var"], &["usr/lib/python3", "usr/lib/python3.11", "usr/local"]];

/// Makes them, if they were not made before. Returns the directory of the registry's storage.
///
/// # Errors
/// If something that makes them is not installed, or a push fails.
pub(crate) fn prepare(kiln: &Path, dir: &Path) -> anyhow::Result<PathBuf> {
    let python = base::python(&base::cache_dir())?;
    let debian = base::debian(&base::cache_dir())?;
    // Another recipe is another base.
    let key = [&python, &debian].map(|base| base.diff_id[7..15].to_owned()).join("-");
    let storage = dir.join(format!("bases-{key}"));
    if storage.exists() {
        return Ok(storage);
    }
    let partial = dir.join("bases.partial");
    let _ = fs::remove_dir_all(&partial);
    let from = testkit::Registry::start();
    // gzip's layers, as any registry has them, and not kiln's.
    let layers = vec![layer(&from, "library/debian", &["cat"], &debian.rootfs, dir)?];
    from.add_layers("library/debian", "12-slim", layers, json!({ "config": debian.config }));
    let layers = split(&from, &python, dir)?;
    from.add_layers("library/python", "3-slim", layers, json!({ "config": python.config }));
    let to = DockerRegistry::builder().storage(&partial).start()?;
    for image in [DEBIAN, PYTHON] {
        push(kiln, &from, &to, image, dir)?;
    }
    drop(to);
    fs::rename(partial, &storage)?;
    Ok(storage)
}

/// The layers of the Python image: its tree, in three archives.
fn split(to: &testkit::Registry, python: &Base, dir: &Path) -> anyhow::Result<Vec<Layer>> {
    let tree = tempfile::tempdir_in(dir)?;
    quiet(Command::new("tar").arg("-xpf").arg(&python.rootfs).arg("-C").arg(tree.path()))?;
    let tar = ["tar", "--create", "--sort=name", "--numeric-owner"];
    let excluded = UPPER.concat();
    let excluded: Vec<_> = excluded.iter().map(|path| format!("--exclude=./{path}/*")).collect();
    let excluded: Vec<_> = excluded.iter().map(String::as_str).collect();
    let lowest = [tar.as_slice(), &excluded, &["."]].concat();
    let all = [lowest, [tar.as_slice(), UPPER[0]].concat(), [tar.as_slice(), UPPER[1]].concat()];
    all.iter().map(|tar| layer(to, "library/python", tar, tree.path(), dir)).collect()
}

/// What a command writes (of a file: on its standard input; of a directory: in it), gzipped.
fn layer(
    to: &testkit::Registry,
    repo: &str,
    command: &[&str],
    of: &Path,
    dir: &Path,
) -> anyhow::Result<Layer> {
    let plain = tempfile::NamedTempFile::new_in(dir)?;
    let mut program = Command::new(command[0]);
    program.args(&command[1..]).stdout(plain.reopen()?);
    match of.is_dir() {
        true => program.current_dir(of).stdin(Stdio::null()),
        false => program.stdin(File::open(of)?),
    };
    ensure!(program.status()?.success(), "{} failed", command[0]);
    let (diff_id, _) = sha256_of(plain.reopen()?)?;
    let zipped = tempfile::NamedTempFile::new_in(dir)?;
    let mut gzip = Command::new("gzip");
    gzip.args(["-6", "-n"]).stdin(plain.reopen()?).stdout(zipped.reopen()?);
    ensure!(gzip.status()?.success(), "gzip failed");
    Ok(Layer {
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        digest: to.put_blob_file(repo, zipped.path())?,
        size: fs::metadata(zipped.path())?.len(),
        diff_id,
    })
}

/// Copies an image from one registry to another.
fn push(
    kiln: &Path,
    from: &testkit::Registry,
    to: &DockerRegistry,
    image: &str,
    dir: &Path,
) -> anyhow::Result<()> {
    let context = tempfile::tempdir_in(dir)?;
    fs::write(context.path().join("Dockerfile"), format!("FROM {}/{image}\n", from.host()))?;
    let mut build = Command::new(kiln);
    build.arg("build").arg(context.path()).args(["--isolation", "none", "--tag"]);
    quiet(build.arg(format!("{}/{image}", to.host()))).map(drop)
}
