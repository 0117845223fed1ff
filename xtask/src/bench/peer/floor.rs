//! What no builder can be faster than: the base is fetched and unpacked, and the RUN runs. Nothing
//! is looked at, made a layer, or pushed.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Job;
use crate::bench::case::flask_command;
use crate::bench::steps::Steps;
use crate::step::quiet;

/// All layers at once, each into a directory of its own.
pub(super) fn measure(job: &Job<'_>, steps: &mut Steps<'_>) -> anyhow::Result<()> {
    let mut unpack = steps.command("bash");
    unpack.args(["-c", &fetch(job, &|index| layer(job, index))]);
    let said = steps.run_as("unpack", &mut unpack);
    said?;
    let mut run = steps.command("chroot");
    run.arg(root(job)).args(["/bin/sh", "-c", &flask_command()]).env("HOME", "/root");
    run.env("TMPDIR", "/tmp");
    run.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    steps.run_as("RUN", &mut run).map(drop)
}

/// The tree for the RUN: the base, and what the steps before it have copied.
pub(super) fn prepare(job: &Job<'_>) -> anyhow::Result<()> {
    let root = root(job);
    fs::create_dir_all(root.join("app"))?;
    for (digest, _) in job.base {
        let script = format!("set -o pipefail; {} ", one(job, digest, &root.to_string_lossy()));
        quiet(Command::new("bash").args(["-c", &script]))?;
    }
    fs::create_dir_all(root.join("app"))?;
    let context = job.context();
    fs::copy(context.join("requirements.txt"), root.join("app/requirements.txt"))?;
    quiet(Command::new("cp").arg("-r").arg(context.join("wheels")).arg(root.join("wheels")))?;
    Ok(())
}

fn root(job: &Job<'_>) -> PathBuf {
    job.place.join("root")
}

fn layer(job: &Job<'_>, index: usize) -> String {
    job.place.join(format!("layer-{index}")).display().to_string()
}

fn one(job: &Job<'_>, digest: &str, to: &str) -> String {
    let url = format!("http://{}/v2/library/python/blobs/{digest}", job.host);
    format!("mkdir -p {to}; curl --silent --fail {url} | gunzip | tar -xp -C {to}")
}

fn fetch(job: &Job<'_>, to: &dyn Fn(usize) -> String) -> String {
    let mut script = String::from("set -o pipefail; jobs=; ");
    for (index, (digest, _)) in job.base.iter().enumerate() {
        let _ = write!(script, "( {} ) & jobs=\"$jobs $!\"; ", one(job, digest, &to(index)));
    }
    script + "for job in $jobs; do wait $job || exit 1; done"
}
