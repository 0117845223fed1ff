//! Docker-in-docker: a daemon that starts with the job, and has nothing.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::process::Daemon;

use super::{Cache, Job};
use crate::bench::steps::Steps;

/// Which builder the daemon uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builder {
    Classic,
    Buildkit,
}

pub(super) fn build(
    job: &Job<'_>,
    steps: &mut Steps<'_>,
    builder: Builder,
) -> anyhow::Result<Daemon> {
    let daemon = steps.phase("daemon", |steps| start(job, steps))?;
    let image = job.image();
    let login = ["login", "--username", "user", "--password", "password", job.host];
    steps.run_as("login", &mut docker(job, steps, builder, &login))?;
    if job.cache == Cache::Use && builder == Builder::Classic {
        steps.run_as("pull", &mut docker(job, steps, builder, &["pull", &image]))?;
    }
    let mut build = docker(job, steps, builder, &["build", "--network", "host", "--tag", &image]);
    build.args(cache(job, builder)).arg(job.context());
    steps.run_as("build", &mut build)?;
    steps.run_as("push", &mut docker(job, steps, builder, &["push", &image]))?;
    Ok(daemon)
}

/// As GitLab's documentation shows it: the classic builder takes an image that was pulled, BuildKit
/// reads what it needs of one that has the cache's description in it.
/// <https://docs.gitlab.com/ci/docker/docker_layer_caching/>
fn cache(job: &Job<'_>, builder: Builder) -> Vec<String> {
    let mut arguments = Vec::new();
    if job.is_cached() && builder == Builder::Buildkit {
        arguments.push("--build-arg=BUILDKIT_INLINE_CACHE=1".to_owned());
    }
    if job.cache == Cache::Use {
        arguments.push(format!("--cache-from={}", job.image()));
    }
    arguments
}

/// Starts the daemon and waits until it answers.
fn start(job: &Job<'_>, steps: &Steps<'_>) -> anyhow::Result<Daemon> {
    let at = |name: &str| job.place.join(name);
    std::fs::write(at("daemon.json"), "{}")?;
    let mut command = steps.unlimited("/usr/sbin/dockerd");
    command.arg("--config-file").arg(at("daemon.json"));
    command.arg("--data-root").arg(at("docker")).arg("--exec-root").arg(at("exec"));
    command.arg("--pidfile").arg(at("docker.pid"));
    command.arg("--host").arg(format!("unix://{}", socket(job).display()));
    // No bridge: its name and its packet filter rules belong to the whole machine.
    command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
    command.arg("--shutdown-timeout=5");
    if let Some(group) = steps.cgroup() {
        command.arg(format!("--cgroup-parent={}", group.parent()));
        if group.is_two() {
            command.arg("--exec-opt=native.cgroupdriver=cgroupfs");
        }
    }
    let daemon = steps.daemon(command, &at("dockerd.log"))?;
    steps.wait(&daemon, "dockerd", || answers(&socket(job)))?;
    Ok(daemon)
}

fn socket(job: &Job<'_>) -> PathBuf {
    job.place.join("docker.sock")
}

/// Whether the daemon says OK.
fn answers(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let asked = stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n");
    let mut answer = String::new();
    asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok() && answer.contains(" 200 ")
}

fn docker(job: &Job<'_>, steps: &Steps<'_>, builder: Builder, arguments: &[&str]) -> Command {
    // Debian's, whatever another Docker has put into /usr/local.
    let mut command = steps.command("/usr/bin/docker");
    command.args(arguments).env("DOCKER_HOST", format!("unix://{}", socket(job).display()));
    command.env("DOCKER_BUILDKIT", if builder == Builder::Buildkit { "1" } else { "0" });
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::case::CASES;
    use crate::bench::peer::Tools;

    #[test]
    fn the_cache_is_the_image_that_was_pushed() {
        let tools = Tools::default();
        let (place, host) = (Path::new("/place"), "127.0.0.1:5000");
        let job = |cache| Job { case: &CASES[0], tools: &tools, place, host, cache, base: &[] };
        let of = |kind, builder| cache(&job(kind), builder).join(" ");
        assert_eq!(of(Cache::None, Builder::Buildkit), "");
        assert_eq!(of(Cache::Fill, Builder::Classic), "");
        let from = "--cache-from=127.0.0.1:5000/group/app:1";
        assert_eq!(of(Cache::Use, Builder::Classic), from);
        let inline = "--build-arg=BUILDKIT_INLINE_CACHE=1";
        assert_eq!(of(Cache::Fill, Builder::Buildkit), inline);
        assert_eq!(of(Cache::Use, Builder::Buildkit), format!("{inline} {from}"));
    }
}
