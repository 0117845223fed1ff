//! A RUN that looks for kiln: for its environment, its memory, its credentials and its files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Bench, compiled, kiln};
use crate::common::Outcome;

const PROBE: &str = include_str!("probe.c");

/// What nobody would find by chance.
fn mark(name: &str) -> String {
    format!("mark-{name}-{:016x}", fastrand::u64(..))
}

fn has(bytes: &[u8], mark: &str) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
}

/// kiln's process and the range that is looked through: kiln, its parents and children are in it.
fn probed(kilns_directory: &Path, file: &Path) -> String {
    let (dir, file) = (kilns_directory.display(), file.display());
    // What stands for the first process has kiln as its parent.
    format!(
        "kiln=$(grep PPid /proc/1/status | cut -f 2); \
         for range in \"1 60\" \"$((kiln - 60)) $((kiln - 1))\" \"$kiln $((kiln + 4))\"; do \
             /probe {dir} {file} $range harm >> /out 2>> /done; done; \
         echo $kiln > /kiln; id > /alive"
    )
}

#[test]
fn nothing_of_kiln_is_found() {
    let bench = Bench::new();
    let (in_environment, in_config, in_work) = (mark("env"), mark("config"), mark("work"));
    let kiln = kiln(&bench, "").login("elsewhere.test", "user", &in_config);
    let auth = format!(
        "{{\"auths\":{{\"other.test\":{{\"auth\":\"\",\"password\":\"{in_environment}\",\"username\":\"u\"}}}}}}"
    );
    let kiln = kiln.env("DOCKER_AUTH_CONFIG", auth).file("probe", compiled(PROBE, &[]));
    let config = kiln.dir().join("home/.docker/config.json");
    let work = kiln.dir().join("tmp");
    fs::write(work.join("planted"), &in_work).unwrap();
    let config_line = probed(&work, &config);
    let work_line = probed(&work, &work.join("planted"));
    let dockerfile = format!(
        "FROM {}/busybox\nCOPY --chmod=755 probe /probe\nRUN {config_line}\nRUN {work_line}\n",
        bench.registry.host()
    );
    let (kiln, dir) = kiln.dockerfile(&dockerfile).into_command();

    // A parent that has the environment too.
    let mut parent = Command::new("sh");
    parent.args(["-c", "\"$@\"; exit $?", "sh"]).arg(kiln.get_program()).args(kiln.get_args());
    parent.env_clear().envs(kiln.get_envs().filter_map(|(name, value)| Some((name, value?))));
    parent.current_dir(dir.path()).stdin(Stdio::null());
    Outcome::from(parent.output().unwrap()).ok();

    let image = bench.image();
    let found = image.text("out").unwrap();
    assert_eq!(found.matches("end\n").count(), 6, "the probe did not get to its end");
    for mark in [&in_environment, &in_config, &in_work] {
        assert!(!found.contains(mark), "found {mark} in\n{found}");
    }
    assert_eq!(image.text("done").unwrap(), "");
    assert!(image.text("alive").unwrap().contains("uid=0"));
    assert!(image.text("kiln").unwrap().trim().parse::<u32>().unwrap() > 1);
}

/// The same probe finds all of it where nothing is in its way.
#[test]
fn the_probe_finds_what_is_in_reach() {
    let dir = tempfile::tempdir().unwrap();
    let (in_environment, in_file) = (mark("env"), mark("file"));
    let (probe, file) = (dir.path().join("probe"), dir.path().join("file"));
    fs::write(&probe, compiled(PROBE, &[])).unwrap();
    fs::set_permissions(&probe, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&file, &in_file).unwrap();
    let mut other = Command::new("sleep").arg("600").env("MARK", &in_environment).spawn().unwrap();
    let pid = other.id().to_string();
    let output = Command::new(&probe).arg(dir.path()).arg(&file).args([&pid, &pid]).output();
    other.kill().unwrap();
    other.wait().unwrap();
    let output = output.unwrap();
    assert!(has(&output.stdout, &in_environment) && has(&output.stdout, &in_file));
    let done = String::from_utf8(output.stderr).unwrap();
    for what in [
        "open mem",
        "process_vm_readv",
        "pidfd_open",
        "kill",
        "tkill",
        "tgkill",
        "rt_sigqueueinfo",
        "prlimit",
        "ptrace seize",
        "ptrace attach",
    ] {
        assert!(done.lines().any(|line| line == what), "{what} is not tried:\n{done}");
    }
}
