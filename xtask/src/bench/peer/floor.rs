//! What no builder can be faster than: the base is fetched and unpacked, and the RUN runs. Nothing
//! is looked at, made a layer, or pushed.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::Job;
use crate::bench::case::flask_command;
use crate::bench::steps::Steps;
use crate::step::quiet;

/// All layers at once, each into a directory of its own.
pub(super) fn measure(job: &Job<'_>, steps: &mut Steps<'_>) -> anyhow::Result<()> {
    let mut unpack = steps.command("bash");
    unpack.args(["-c", &fetch(job, &|index| layer(job, index))]);
    steps.run_as("unpack", &mut unpack)?;
    let mut run = steps.command("unshare");
    run.args(["--mount", "sh", "-c", IN_OVERLAY, "sh", &layers(job)]).arg(job.place);
    run.args(["/bin/sh", "-c", &flask_command()]).env("HOME", "/root");
    run.env("TMPDIR", "/tmp");
    run.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    steps.run_as("RUN", &mut run).map(drop)
}

/// Runs a command in an overlay of layers that have just been unpacked: `LOWERS PLACE COMMAND...`.
const IN_OVERLAY: &str = "\
lowers=$1 place=$2; shift 2
mount -t overlay overlay -o lowerdir=$lowers,upperdir=$place/upper,workdir=$place/work $place/root
exec chroot $place/root \"$@\"";

/// What the steps before the RUN have copied, and room for an overlay.
pub(super) fn prepare(job: &Job<'_>) -> anyhow::Result<()> {
    let at = |name: &str| job.place.join(name);
    for dir in ["upper/app", "work", "root"] {
        fs::create_dir_all(at(dir))?;
    }
    let context = job.context();
    fs::copy(context.join("requirements.txt"), at("upper/app/requirements.txt"))?;
    quiet(Command::new("cp").arg("-r").arg(context.join("wheels")).arg(at("upper/wheels")))?;
    Ok(())
}

/// Their directories, the uppermost first.
fn layers(job: &Job<'_>) -> String {
    let all: Vec<String> = (0..job.base.len()).rev().map(|index| layer(job, index)).collect();
    all.join(":")
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
