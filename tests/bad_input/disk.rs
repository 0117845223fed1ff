//! A work directory on a file system that is too small, or is none.

use std::process::Command;

use insta::assert_snapshot;

use crate::common::bench::Bench;
use crate::common::{Kiln, Outcome};

/// Runs a build with a work directory of so many kilobytes, on a tmpfs that only it can see.
fn on_a_small_disk(kiln: Kiln, kilobytes: u32) -> (Outcome, tempfile::TempDir) {
    let disk = kiln.dir().join("disk");
    std::fs::create_dir(&disk).expect("a directory");
    let (kiln, dir) = kiln.args(["--work-dir", "disk"]).into_command();
    let mut command = Command::new("unshare");
    // What is left on the disk is to be seen at the end.
    let script = "mount -t tmpfs -o size=$0k none disk && { \"$@\"; code=$?; ls -A disk >left; \
                  exit $code; }";
    command.args(["-m", "sh", "-c", script, &kilobytes.to_string()]);
    command.arg(kiln.get_program()).args(kiln.get_args());
    command.env_clear().envs(kiln.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(dir.path());
    let outcome = Outcome::from(command.output().expect("unshare starts"));
    let left = std::fs::read_to_string(dir.path().join("left"));
    assert_eq!(left.expect("kiln was run; this test needs root"), "", "{outcome}");
    (outcome, dir)
}

#[test]
fn a_disk_that_is_full_when_a_layer_is_unpacked() {
    let bench = Bench::new().with_busybox();
    let (outcome, dir) = on_a_small_disk(bench.kiln("FROM REGISTRY/base:1\nRUN true\n"), 1024);
    assert_snapshot!(bench.failed(&outcome, 1, dir).error, @r"
    error: the disk that holds DIR/disk/kiln-build-…/blobs is full; free some space, or use --work-dir to name a directory on a larger disk
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN true
      | ^^^^^^^^
    ");
}

#[test]
fn a_disk_that_is_full_when_files_are_copied() {
    let bench = Bench::new();
    let big: Vec<u8> =
        (0..500_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let kiln = bench.kiln("FROM scratch\nCOPY big /\n").file("big", big);
    let (outcome, dir) = on_a_small_disk(kiln, 1024);
    assert_snapshot!(bench.failed(&outcome, 1, dir).error, @r"
    error: cannot complete the layer: the disk that holds DIR/disk/kiln-build-…/blobs is full; free some space, or use --work-dir to name a directory on a larger disk
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY big /
      | ^^^^^^^^^^
    ");
}

#[test]
fn a_disk_that_is_full_during_a_command() {
    let bench = Bench::new().with_busybox();
    let text = "FROM REGISTRY/base:1\nRUN dd if=/dev/zero of=/big bs=1M count=64\n";
    let (outcome, dir) = on_a_small_disk(bench.kiln(text), 16 << 10);
    let failure = bench.failed(&outcome, 1, dir);
    assert!(failure.log.contains("No space left on device"), "{}", failure.log);
    assert_snapshot!(failure.error, @r#"
    error: process "/bin/sh -c dd if=/dev/zero of=/big bs=1M count=64" did not complete successfully: exit code: 1
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN dd if=/dev/zero of=/big bs=1M count=64
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_disk_that_is_full_when_what_a_command_wrote_is_stored() {
    let bench = Bench::new().with_busybox();
    let text = "FROM REGISTRY/base:1\nRUN dd if=/dev/urandom of=/big bs=1M count=8\n";
    let (outcome, dir) = on_a_small_disk(bench.kiln(text), 16 << 10);
    assert_snapshot!(bench.failed(&outcome, 1, dir).error, @r"
    error: cannot store what RUN changed: cannot complete the layer: the disk that holds DIR/disk/kiln-build-…/blobs is full; free some space, or use --work-dir to name a directory on a larger disk
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN dd if=/dev/urandom of=/big bs=1M count=8
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_work_directory_that_cannot_be_made() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch\n").args(["--work-dir", "context/Dockerfile"]);
    assert_snapshot!(bench.fails(kiln, 1).error, @"error: cannot make the work directory DIR/context/Dockerfile: File exists");
    let kiln = bench.kiln("FROM scratch\n").args(["--work-dir", "/proc/kiln"]);
    assert_snapshot!(bench.fails(kiln, 1).error, @"error: cannot make the work directory /proc/kiln: No such file or directory");
}
