//! Where a build keeps its files.

use std::fs;

use crate::common::built::{Bench, need_root};
use crate::common::{Kiln, Outcome};

/// Runs a build where `overlay` in its directory is an overlay, as a container's own root is.
fn beside_an_overlay(kiln: Kiln) -> Outcome {
    let (command, dir) = kiln.into_command();
    let script = "mkdir l u w overlay && \
                  mount -t overlay -o lowerdir=l,upperdir=u,workdir=w x overlay || exit 99\n\
                  \"$@\"; code=$?; ls -A overlay tmp | grep kiln; exit $code";
    let mut shell = std::process::Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome = Outcome::from(shell.current_dir(dir.path()).output().unwrap());
    assert!(!outcome.stdout.contains("kiln-build"), "left behind: {outcome}");
    outcome
}

#[test]
fn on_an_overlay_namespaces_ask_for_another_place_and_the_rest_works() {
    need_root();
    let bench = Bench::new();
    let run = || bench.kiln("FROM BASE/busybox\nRUN touch /a\n").args(["--work-dir", "overlay"]);
    let namespaces = run().args(["--isolation", "namespaces"]);
    let outcome = beside_an_overlay(namespaces).fails(1, "--work-dir");
    assert!(outcome.stderr.contains("overlay"), "{outcome}");
    // A chroot needs no overlay, so this is how the strongest isolation is found in a container.
    beside_an_overlay(run()).ok();
    assert!(bench.image().tree().unwrap().contains_key("a"));
    let copy = bench.kiln("FROM BASE/busybox\nCOPY Dockerfile /a\n");
    beside_an_overlay(copy.args(["--work-dir", "overlay"])).ok();
}

#[test]
fn another_place_is_found_where_the_temporary_directory_is_on_an_overlay() {
    need_root();
    let bench = Bench::new();
    let kiln = bench.kiln("FROM BASE/busybox\nRUN touch /made\n").env("TMPDIR", "overlay");
    beside_an_overlay(kiln).ok();
    assert!(bench.image().tree().unwrap().contains_key("made"));
}

#[test]
fn a_place_that_is_named_is_used_and_left_empty() {
    need_root();
    let bench = Bench::new();
    let place = tempfile::tempdir().unwrap();
    let inner = place.path().join("not/yet/there");
    let kiln = bench.kiln("FROM BASE/busybox\nRUN touch /made\n");
    kiln.args(["--work-dir".as_ref(), inner.as_path()]).env("TMPDIR", "/nowhere").run().ok();
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 0);
}
