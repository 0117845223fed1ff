//! What a RUN must not see or do.

use std::fs;
use std::process::Command;

use crate::common::Outcome;
use crate::common::built::{Bench, need_root};

/// Docker's default capabilities as /proc/PID/status shows them.
const DOCKER_CAPABILITIES: &str = "00000000a80425fb";

#[test]
fn namespaces_are_its_own_but_for_the_network() {
    need_root();
    let kinds = ["pid", "mnt", "ipc", "uts", "net"];
    let command = kinds.map(|kind| format!("readlink /proc/self/ns/{kind}")).join("\n");
    let inside = Bench::new().prints(&command);
    for (kind, inside) in kinds.iter().zip(inside.lines()) {
        let host = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        let same = host.to_str().unwrap() == inside;
        assert_eq!(same, *kind == "net", "{kind}: {inside}");
    }
    assert_eq!(inside.lines().count(), kinds.len());
}

#[test]
fn only_its_own_processes_are_there() {
    need_root();
    // The shell of RUN, the one in parentheses and what it starts.
    let pids = Bench::new().prints("ls /proc | grep -c '^[0-9]*$'");
    let count: u32 = pids.trim().parse().unwrap();
    assert!((2..=6).contains(&count), "{pids}");
}

#[test]
fn capabilities_are_dockers_default_set() {
    need_root();
    let bench = Bench::new();
    let image = bench.build(
        "FROM BASE/busybox\n\
         RUN grep ^Cap /proc/self/status > /root-caps\n\
         RUN mkdir -m 777 /open\n\
         USER nobody\n\
         RUN grep ^Cap /proc/self/status > /open/caps\n",
    );
    let none = "0000000000000000";
    let sets = |text: String| -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect()
    };
    // CapInh, CapPrm, CapEff, CapBnd, CapAmb.
    let full = DOCKER_CAPABILITIES;
    assert_eq!(sets(image.text("root-caps").unwrap()), [none, full, full, full, none]);
    assert_eq!(sets(image.text("open/caps").unwrap()), [none, none, none, full, none]);
}

#[test]
fn nothing_can_be_mounted_and_the_kernel_cannot_be_set() {
    need_root();
    let said = Bench::new().prints(
        "mkdir /m; mount -t tmpfs x /m 2>/dev/null && echo mounted
         echo x 2>/dev/null > /proc/sys/kernel/hostname && echo set
         touch /sys/kernel/x 2>/dev/null && echo made
         hostname other 2>/dev/null && echo named
         cat /proc/kcore 2>/dev/null | head -c 1 | wc -c
         mount -o remount,rw /proc/sys 2>/dev/null && echo remounted
         echo end",
    );
    assert_eq!(said, "0\nend\n");
}

#[test]
fn variables_of_kilns_environment_are_not_visible() {
    need_root();
    let bench = Bench::new();
    let kiln = bench.kiln(
        "FROM BASE/busybox\n\
         RUN env > /env; cat /proc/*/environ /proc/*/cmdline > /all 2> /dev/null; true\n",
    );
    kiln.env("KILN_TEST_TOKEN", "swordfish").env("LD_PRELOAD_X", "swordfish").run().ok();
    let image = bench.image();
    let env = image.text("env").unwrap();
    assert!(env.contains("PATH="), "{env}");
    for text in [env, image.text("all").unwrap()] {
        assert!(!text.contains("swordfish") && !text.contains("KILN"), "{text}");
    }
}

#[test]
fn descriptors_of_whoever_starts_kiln_are_not_inherited() {
    need_root();
    let bench = Bench::new();
    let kiln = bench.kiln(
        "FROM BASE/busybox\n\
         RUN for fd in /proc/self/fd/*; do readlink $fd; done > /fds; true\n",
    );
    let (command, _dir) = kiln.into_command();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec 7</etc/passwd 9>>/dev/null; exec \"$@\"", "sh"]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().unwrap());
    Outcome::from(shell.output().unwrap()).ok();
    let fds = bench.image().text("fds").unwrap();
    assert!(fds.contains("/fds") && fds.contains("pipe:"), "{fds}");
    assert!(!fds.contains("passwd"), "{fds}");
}

#[test]
fn the_hosts_files_are_out_of_reach() {
    need_root();
    let bench = Bench::new();
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "of the host").unwrap();
    let path = secret.path().to_str().unwrap();
    let said = bench.prints(&format!(
        "cat {path} /proc/1/root{path} /proc/self/root{path} /../..{path} 2>/dev/null
         echo end"
    ));
    assert_eq!(said, "end\n");
}
