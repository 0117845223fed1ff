//! BuildKit without Docker: a daemon that starts with the job, and its client.
//!
//! <https://github.com/moby/buildkit/blob/master/docs/buildkitd.toml.md>

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use testkit::process::Daemon;

use super::{Cache, Job};
use crate::bench::steps::Steps;

pub(super) fn build(job: &Job<'_>, steps: &mut Steps<'_>) -> anyhow::Result<Daemon> {
    let daemon = steps.phase("daemon", |steps| start(job, steps))?;
    let client = job.tools.buildctl.as_deref().context("no buildctl is given")?;
    let mut build = steps.command(client);
    steps.run_as("build", build.args(arguments(job)))?;
    Ok(daemon)
}

/// Starts the daemon and waits until it accepts connections.
fn start(job: &Job<'_>, steps: &Steps<'_>) -> anyhow::Result<Daemon> {
    let program = job.tools.buildkitd.as_deref().context("no buildkitd is given")?;
    let config_file = job.place.join("buildkitd.toml");
    let parent = steps.cgroup().map(|group| group.parent());
    fs::write(&config_file, config(job.place, job.host, parent.as_deref()))?;
    let mut command = steps.unlimited(program);
    command.arg("--config").arg(&config_file);
    let daemon = steps.daemon(command, &job.place.join("buildkitd.log"))?;
    steps.wait(&daemon, "buildkitd", || UnixStream::connect(socket(job.place)).is_ok())?;
    Ok(daemon)
}

fn socket(place: &Path) -> PathBuf {
    place.join("buildkitd.sock")
}

/// What it writes is on the run's disk; RUNs have the machine's network, as with all others.
fn config(place: &Path, host: &str, cgroup: Option<&str>) -> String {
    let mut config = format!(
        "root = \"{}\"\n\n[grpc]\n  address = [\"unix://{}\"]\n\n\
         [worker.containerd]\n  enabled = false\n\n\
         [worker.oci]\n  enabled = true\n  snapshotter = \"overlayfs\"\n  networkMode = \"host\"\n",
        place.join("buildkit").display(),
        socket(place).display(),
    );
    if let Some(cgroup) = cgroup {
        config += &format!("  defaultCgroupParent = \"{cgroup}\"\n");
    }
    config + &format!("\n[registry.\"{host}\"]\n  http = true\n")
}

fn arguments(job: &Job<'_>) -> Vec<String> {
    let context = job.context();
    let context = context.display();
    let mut arguments = vec![
        format!("--addr=unix://{}", socket(job.place).display()),
        "build".to_owned(),
        "--progress=plain".to_owned(),
        "--frontend=dockerfile.v0".to_owned(),
        format!("--local=context={context}"),
        format!("--local=dockerfile={context}"),
        format!("--output=type=image,name={},push=true,registry.insecure=true", job.image()),
    ];
    let cache = format!("type=registry,ref={}:main", job.cache_repo());
    if job.is_cached() {
        arguments.push(format!("--export-cache={cache},mode=max"));
    }
    if job.cache == Cache::Use {
        arguments.push(format!("--import-cache={cache}"));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::case::CASES;
    use crate::bench::peer::Tools;

    #[test]
    fn the_configuration_keeps_all_on_the_disk() {
        let text = config(Path::new("/place"), "127.0.0.1:5000", Some("/group"));
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let expected = [
            "root = \"/place/buildkit\"",
            "[grpc]",
            "address = [\"unix:///place/buildkitd.sock\"]",
            "[worker.containerd]",
            "enabled = false",
            "[worker.oci]",
            "enabled = true",
            "snapshotter = \"overlayfs\"",
            "networkMode = \"host\"",
            "defaultCgroupParent = \"/group\"",
            "[registry.\"127.0.0.1:5000\"]",
            "http = true",
        ];
        assert_eq!(lines, expected);
        assert!(!config(Path::new("/place"), "x", None).contains("Cgroup"));
    }

    #[test]
    fn the_cache_is_exported_whole() {
        let tools = Tools::default();
        let (place, host) = (Path::new("/place"), "127.0.0.1:5000");
        let job = |cache| Job { case: &CASES[0], tools: &tools, place, host, cache, base: &[] };
        let plain = arguments(&job(Cache::None));
        let expected = "--addr=unix:///place/buildkitd.sock build --progress=plain \
            --frontend=dockerfile.v0 --local=context=/place/context \
            --local=dockerfile=/place/context \
            --output=type=image,name=127.0.0.1:5000/group/app:1,push=true,registry.insecure=true";
        assert_eq!(plain.join(" "), expected);
        let cache = "type=registry,ref=127.0.0.1:5000/group/app/cache:main";
        let export = format!("--export-cache={cache},mode=max");
        let import = format!("--import-cache={cache}");
        let filled = arguments(&job(Cache::Fill));
        assert_eq!(filled[plain.len()..].join(" "), export);
        let used = arguments(&job(Cache::Use));
        assert_eq!(used[plain.len()..], [export, import]);
    }
}
