//! buildah, as root on the machine.

use std::fs;
use std::process::Command;

use super::{Cache, Job};
use crate::bench::steps::Steps;

/// Its record of which registry has which layer, which no flag moves, is on the run's disk too.
const SCRIPT: &str = "mount --bind \"$1\" /var/lib/containers && shift && exec \"$@\"";

pub(super) fn build(job: &Job<'_>, steps: &mut Steps<'_>, isolation: &str) -> anyhow::Result<()> {
    fs::create_dir_all(job.place.join("containers"))?;
    fs::create_dir_all("/var/lib/containers")?;
    let mut build = buildah(job, steps);
    build.args(arguments(job, isolation)).arg(job.context());
    steps.run_as("build", &mut build)?;
    let mut push = buildah(job, steps);
    push.args(["push", "--tls-verify=false", &job.image()]);
    steps.run_as("push", &mut push).map(drop)
}

fn buildah(job: &Job<'_>, steps: &Steps<'_>) -> Command {
    let at = |name: &str| job.place.join(name);
    let mut command = steps.command("unshare");
    command.args(["--mount", "--propagation", "slave", "sh", "-c", SCRIPT, "buildah"]);
    command.arg(at("containers")).arg("buildah").args(["--storage-driver", "overlay"]);
    command.arg("--root").arg(at("storage")).arg("--runroot").arg(at("run"));
    command
}

fn arguments(job: &Job<'_>, isolation: &str) -> Vec<String> {
    let mut arguments = vec!["build", "--isolation", isolation, "--network", "host"];
    arguments.push("--tls-verify=false");
    // Stages that do not need one another, at the same time.
    if job.case.stages > 1 {
        arguments.extend(["--jobs", "3"]);
    }
    let repo = job.cache_repo();
    if job.is_cached() {
        // Without a layer for each step there is nothing to keep.
        arguments.extend(["--layers", "--cache-to", &repo]);
        if job.cache == Cache::Use {
            arguments.extend(["--cache-from", &repo]);
        }
    } else {
        arguments.push("--layers=false");
    }
    let image = job.image();
    arguments.extend(["--tag", &image]);
    arguments.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::bench::case::CASES;
    use crate::bench::peer::Tools;

    #[test]
    fn layers_are_kept_in_the_cached_cases_only() {
        let tools = Tools::default();
        let (place, host) = (Path::new("/place"), "127.0.0.1:5000");
        let job = |cache| Job { case: &CASES[0], tools: &tools, place, host, cache, base: &[] };
        let of = |cache| arguments(&job(cache), "oci").join(" ");
        let start = "build --isolation oci --network host --tls-verify=false";
        let tag = "--tag 127.0.0.1:5000/group/app:1";
        let repo = "127.0.0.1:5000/group/app/cache";
        assert_eq!(of(Cache::None), format!("{start} --layers=false {tag}"));
        assert_eq!(of(Cache::Fill), format!("{start} --layers --cache-to {repo} {tag}"));
        assert_eq!(
            of(Cache::Use),
            format!("{start} --layers --cache-to {repo} --cache-from {repo} {tag}")
        );
    }
}
