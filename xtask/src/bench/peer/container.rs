//! kiln and kaniko in the same container: that of a CI job, without any privileges.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Job, kiln};
use crate::bench::bundle::{Container, adapt};
use crate::bench::steps::{Line, Steps};
use crate::image::root;
use crate::step::quiet;

/// Where the job's checkout is shown.
const WORKSPACE: &str = "/workspace";

/// As deploy/image/Dockerfile and kaniko's own image have it.
const ENV: [&str; 5] = [
    "HOME=/root",
    "USER=root",
    "PATH=/usr/local/bin:/kaniko:/busybox:/usr/bin:/bin",
    "DOCKER_CONFIG=/kaniko/.docker/",
    "SSL_CERT_DIR=/kaniko/ssl/certs",
];

fn bundle(job: &Job<'_>) -> PathBuf {
    job.place.join("bundle")
}

/// Lays out the container's root on the run's disk.
pub(super) fn lay_out(job: &Job<'_>, executor: &Path) -> anyhow::Result<()> {
    let bundle = bundle(job);
    fs::create_dir_all(&bundle)?;
    let rootfs = bundle.join("rootfs");
    if executor.is_dir() {
        return quiet(Command::new("cp").arg("-a").arg(executor).arg(&rootfs)).map(drop);
    }
    root::lay_out(&rootfs, executor)
}

pub(super) fn kiln(job: &Job<'_>, steps: &mut Steps<'_>) -> anyhow::Result<()> {
    let arguments = kiln::arguments(job, WORKSPACE, "chroot");
    let said = run(job, steps, [vec!["kiln".to_owned()], arguments].concat())?;
    kiln::add_phases(steps, &said);
    Ok(())
}

pub(super) fn kaniko(job: &Job<'_>, steps: &mut Steps<'_>) -> anyhow::Result<()> {
    let said = run(job, steps, kaniko_arguments(job))?;
    for (phase, seconds) in kaniko_phases(&said) {
        steps.add(phase, seconds);
    }
    Ok(())
}

/// kaniko's defaults; in the cached cases all that it can keep.
fn kaniko_arguments(job: &Job<'_>) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "/kaniko/executor",
        "--context",
        &format!("dir://{WORKSPACE}"),
        "--dockerfile",
        &format!("{WORKSPACE}/Dockerfile"),
        "--destination",
        &job.image(),
        "--insecure",
        "--insecure-pull",
        // It looks for signs of docker or Kubernetes, of which runc alone has none.
        "--force",
    ]
    .map(str::to_owned)
    .into();
    if job.is_cached() {
        let repo = format!("--cache-repo={}", job.cache_repo());
        arguments.extend(["--cache=true".to_owned(), "--cache-copy-layers=true".to_owned(), repo]);
    }
    arguments
}

/// kaniko says what it begins; a phase ends where another begins.
fn kaniko_phases(said: &[Line]) -> Vec<(&'static str, f64)> {
    let begins = |text: &str| {
        let starts = [
            ("Unpacking rootfs", "unpack"),
            ("Initializing snapshotter", "scan"),
            ("Taking snapshot", "snapshot"),
            ("Running: ", "RUN"),
            ("Pushing image to", "push"),
        ];
        let message = text.split_once("] ").filter(|(level, _)| level.contains('['));
        let (_, message) = message?;
        let known = starts.into_iter().find(|(start, _)| message.starts_with(start));
        Some(known.map_or("other", |(_, phase)| phase))
    };
    let mut phases = Vec::new();
    let mut now = None::<(&'static str, f64)>;
    let end = said.last().map(|line| (line.at, None));
    let lines = said.iter().filter_map(|line| Some((line.at, Some(begins(&line.text)?))));
    for (at, begun) in lines.chain(end) {
        if let Some((phase, since)) = now.filter(|(phase, _)| *phase != "other") {
            phases.push((phase, at - since));
        }
        now = begun.map(|phase| (phase, at));
    }
    phases
}

/// Runs a program in the container to its end.
fn run(job: &Job<'_>, steps: &mut Steps<'_>, arguments: Vec<String>) -> anyhow::Result<Vec<Line>> {
    let bundle = bundle(job);
    let etc = bundle.join("etc");
    fs::create_dir_all(&etc)?;
    for name in ["hosts", "hostname", "resolv.conf"] {
        // Somebody else's program writes there as root.
        fs::write(etc.join(name), fs::read(Path::new("/etc").join(name)).unwrap_or_default())?;
    }
    let container = Container {
        arguments,
        environment: ENV.map(str::to_owned).into(),
        directory: WORKSPACE.to_owned(),
        context: job.context(),
        etc,
        cgroup: steps.cgroup().map(|group| format!("{}/container", group.parent())),
    };
    let config = adapt(job.tools.container.clone(), &container);
    fs::write(bundle.join("config.json"), serde_json::to_vec(&config)?)?;
    let name = format!("kiln-bench-{}", std::process::id());
    let mut command = steps.command("runc");
    command.arg("--root").arg(job.place.join("runc")).args(["run", "--bundle"]).arg(&bundle);
    steps.run(command.arg(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::case::CASES;
    use crate::bench::peer::{Cache, Tools};

    #[test]
    fn kaniko_has_all_its_caches_in_the_cached_cases_only() {
        let tools = Tools::default();
        let (place, host) = (Path::new("/place"), "127.0.0.1:5000");
        let job = |cache| Job { case: &CASES[0], tools: &tools, place, host, cache, base: &[] };
        let plain = kaniko_arguments(&job(Cache::None)).join(" ");
        assert_eq!(
            plain,
            "/kaniko/executor --context dir:///workspace --dockerfile /workspace/Dockerfile \
             --destination 127.0.0.1:5000/group/app:1 --insecure --insecure-pull --force"
        );
        let cached = kaniko_arguments(&job(Cache::Use)).join(" ");
        let more = "--cache=true --cache-copy-layers=true \
                    --cache-repo=127.0.0.1:5000/group/app/cache";
        assert_eq!(cached, format!("{plain} {more}"));
    }

    #[test]
    fn phases_of_kaniko_end_where_others_begin() {
        let line = |at: f64, text: &str| Line { at, text: text.to_owned() };
        let said = [
            line(0.0, "INFO[0000] Retrieving image manifest x"),
            line(0.25, "INFO[0000] Unpacking rootfs as cmd RUN x requires it."),
            line(2.25, "INFO[0002] Initializing snapshotter ..."),
            line(2.5, "INFO[0002] Taking snapshot of full filesystem..."),
            line(3.5, "INFO[0003] Running: [/bin/sh -c x]"),
            line(3.75, "output"),
            line(4.5, "INFO[0004] Taking snapshot of full filesystem..."),
            line(5.0, "INFO[0005] Pushing image to x"),
            line(6.0, "INFO[0006] Pushed x"),
        ];
        let expected = [
            ("unpack", 2.0),
            ("scan", 0.25),
            ("snapshot", 1.0),
            ("RUN", 1.0),
            ("snapshot", 0.5),
            ("push", 1.0),
        ];
        assert_eq!(kaniko_phases(&said), expected);
    }
}
