#![allow(clippy::unwrap_used)]

use std::io::Read as _;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::client;

const SOON: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn waits_and_stops() {
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("log");
    let ready = Ready::Log("ready".to_owned());
    let script = "trap 'echo ended; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut daemon = Daemon::start(shell(script), &log, &ready, SOON).unwrap();
    let (pid, watcher) = (daemon.pid(), daemon.watcher.id());
    assert_eq!(daemon.stop().unwrap().code(), Some(3));
    assert!(daemon.log().starts_with("ready\n") && daemon.log().ends_with("ended\n"));
    drop(daemon);
    assert!(!exists(pid) && !exists(watcher));
}

#[test]
fn what_does_not_end_is_killed_with_its_children() {
    let dir = TempDir::new().unwrap();
    let ready = Ready::Log("child".to_owned());
    let script = "trap '' TERM; sleep 1000 & echo child $!; while :; do sleep 1000; done";
    let daemon = Daemon::start(shell(script), &dir.path().join("log"), &ready, SOON).unwrap();
    let log = daemon.log();
    let child: u32 = log.trim().strip_prefix("child ").unwrap().parse().unwrap();
    assert!(exists(child));
    drop(daemon.grace(Duration::ZERO));
    let end = Instant::now() + SOON;
    // Init reaps it, in its own time.
    while fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|s| !s.contains(") Z")) {
        assert!(Instant::now() < end, "{child} still runs");
        thread::sleep(POLL);
    }
}

#[test]
fn an_early_end_is_an_error_with_the_output() {
    let dir = TempDir::new().unwrap();
    let ready = Ready::File(dir.path().join("never"));
    let error = Daemon::start(shell("echo broken; exit 7"), &dir.path().join("log"), &ready, SOON);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("status: 7") && error.contains("broken"), "{error}");
}

#[test]
fn the_end_of_this_process_ends_the_program() {
    let mut command = shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    let mut child = command.stdout(Stdio::piped()).process_group(0).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    let mut watcher = watch(&child).unwrap();
    drop(watcher.stdin.take()); // as the kernel does it for a process that dies
    assert_eq!(child.wait().unwrap().code(), Some(0));
    watcher.kill().unwrap();
    watcher.wait().unwrap();
}

#[test]
fn docker_registry_with_and_without_a_password() {
    if installed(&["/usr/bin/docker-registry"], "docker-registry").is_err() {
        eprintln!("skipped: docker-registry is not installed");
        return;
    }
    let open = docker_registry(None).unwrap();
    assert_eq!(client::get(&format!("http://{}/v2/", open.host())).unwrap().status, 200);
    let closed = docker_registry(Some(("me", "secret"))).unwrap();
    let url = format!("http://{}/v2/", closed.host());
    let with = |header: &str| {
        client::request("GET", &url, &[("Authorization", header)], b"").unwrap().status
    };
    assert_eq!(client::get(&url).unwrap().status, 401);
    assert_eq!(with("Basic bWU6c2VjcmV0"), 200, "{}", closed.log());
    assert_eq!(with("Basic bWU6d3Jvbmc="), 401);
}
