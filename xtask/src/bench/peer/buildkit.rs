//! BuildKit without Docker: a daemon that starts with the job, and its client.
//!
//! <https://github.com/moby/buildkit/blob/master/docs/buildkitd.toml.md>

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use testkit::process::Daemon;

use super::{Cache, Job};
use crate::bench::steps::Steps;

/// The runc that lies beside buildkitd: `buildkit-runc` in the `bin` of BuildKit's release archive, `runc` in
/// others'. buildkitd looks for these names on PATH alone, where it would find Debian's:
/// <https://github.com/moby/buildkit/blob/master/executor/runcexecutor/executor.go>
pub(super) fn runc(buildkitd: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(buildkitd).ok();
    let beside = [Some(buildkitd), real.as_deref()].map(|path| path.and_then(Path::parent));
    let mut candidates = ["buildkit-runc", "runc"]
        .into_iter()
        .flat_map(|name| beside.into_iter().flatten().map(move |dir| dir.join(name)));
    candidates.find(|path| {
        let found = fs::metadata(path);
        found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

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
    fs::write(&config_file, config(job.place, job.host, runc(program), parent.as_deref()))?;
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
fn config(place: &Path, host: &str, runc: Option<PathBuf>, cgroup: Option<&str>) -> String {
    let mut config = format!(
        "root = \"{}\"\n\n[grpc]\n  address = [\"unix://{}\"]\n\n\
         [worker.containerd]\n  enabled = false\n\n\
         [worker.oci]\n  enabled = true\n  snapshotter = \"overlayfs\"\n  networkMode = \"host\"\n",
        place.join("buildkit").display(),
        socket(place).display(),
    );
    if let Some(runc) = runc {
        config += &format!("  binary = \"{}\"\n", runc.display());
    }
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
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;
    use crate::bench::case::CASES;
    use crate::bench::peer::Tools;

    #[test]
    fn the_configuration_keeps_all_on_the_disk() {
        let text =
            config(Path::new("/place"), "127.0.0.1:5000", Some("/bin/x".into()), Some("/group"));
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
            "binary = \"/bin/x\"",
            "defaultCgroupParent = \"/group\"",
            "[registry.\"127.0.0.1:5000\"]",
            "http = true",
        ];
        assert_eq!(lines, expected);
        let least = config(Path::new("/place"), "x", None, None);
        assert!(!least.contains("Cgroup") && !least.contains("binary"));
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

    /// Looks for its runc as buildkitd does, says which one it found, and listens.
    const BUILDKITD: &str = r#"#!/usr/bin/env python3
import re, shutil, socket, sys
config = open(sys.argv[sys.argv.index("--config") + 1]).read()
own = lambda key: re.findall(r'^ *%s = \[?"(.*?)"' % key, config, re.M)
runc = next(filter(None, map(shutil.which, own("binary") or ["buildkit-runc", "runc"])), "none")
print("runc is", runc, flush=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(own("address")[0].removeprefix("unix://"))
listener.listen()
while True:
    listener.accept()
"#;
    const BUILDCTL: &str = "#!/bin/sh\necho \"$@\" > \"$HOME/asked\"\n";

    fn program(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Has the stand-ins build. Returns the runc that the daemon found.
    fn found(buildkitd: &Path, buildctl: &Path) -> String {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools {
            buildkitd: Some(buildkitd.to_owned()),
            buildctl: Some(buildctl.to_owned()),
            ..Tools::default()
        };
        let (place, host) = (dir.path(), "127.0.0.1:5000");
        let (case, cache) = (&CASES[0], Cache::None);
        let job = Job { case, tools: &tools, place, host, cache, base: &[] };
        let mut steps = Steps::new(None, place).unwrap();
        let daemon = build(&job, &mut steps).unwrap();
        let asked = fs::read_to_string(place.join("home/asked")).unwrap();
        assert_eq!(asked.trim_end(), arguments(&job).join(" "));
        assert_eq!(steps.phases.keys().collect::<Vec<_>>(), ["build", "daemon"]);
        daemon.log().trim_end().strip_prefix("runc is ").unwrap().to_owned()
    }

    #[test]
    fn the_runc_of_the_archive_comes_before_that_of_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("archive/bin");
        let (daemon, client) = (bin.join("buildkitd"), bin.join("buildctl"));
        program(&daemon, BUILDKITD);
        program(&client, BUILDCTL);
        let debian = Path::new("/usr/sbin/runc");
        let machine = if debian.exists() { "/usr/sbin/runc" } else { "none" };
        assert_eq!(found(&daemon, &client), machine);
        // One that is no program is none.
        fs::write(bin.join("runc"), "").unwrap();
        assert_eq!(runc(&daemon), None);
        for own in ["runc", "buildkit-runc"] {
            program(&bin.join(own), "#!/bin/sh\n");
            assert_eq!(Path::new(&found(&daemon, &client)), bin.join(own));
        }
        let link = dir.path().join("buildkitd");
        symlink(&daemon, &link).unwrap();
        let real = fs::canonicalize(bin).unwrap();
        assert_eq!(Path::new(&found(&link, &client)), real.join("buildkit-runc"));
    }
}
