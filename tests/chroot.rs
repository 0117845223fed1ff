//! A RUN in a chroot whose /proc, /sys and /dev the broker serves: the programs that must not notice,
//! and those that would like to find kiln. As root of the machine.
//!
//! Needs gcc, and binutils for 32-bit programs.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[path = "chroot/ends.rs"]
mod ends;
#[path = "chroot/executions.rs"]
mod executions;
#[path = "chroot/layers.rs"]
mod layers;
#[path = "chroot/paths.rs"]
mod paths;
#[path = "chroot/processes.rs"]
mod processes;
#[path = "chroot/python.rs"]
mod python;
#[path = "chroot/secrets.rs"]
mod secrets;

use std::fs;

use common::Kiln;
use common::built::{Bench, need_root};
use common::tools::run;

/// A build of this Dockerfile in a chroot.
fn kiln(bench: &Bench, dockerfile: &str) -> Kiln {
    need_root();
    bench.kiln(dockerfile).args(["--isolation", "chroot"])
}

/// What a shell command in a RUN prints to standard output, and to standard error after it.
#[track_caller]
fn prints(command: &str) -> String {
    let bench = Bench::new();
    let command = command.trim().replace('\n', "; ");
    let dockerfile =
        format!("FROM BASE/busybox\nRUN ({command}) > /out 2> /err || echo failed >> /err\n");
    kiln(&bench, &dockerfile).run().ok();
    let image = bench.image();
    image.text("out").unwrap() + &image.text("err").unwrap()
}

/// The bytes of a static program made of this C.
fn compiled(source: &str, flags: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("program.c"), dir.path().join("program"));
    fs::write(&from, source).unwrap();
    let paths = ["-static", "-O1", "-w", "-o", to.to_str().unwrap(), from.to_str().unwrap()];
    run("gcc", paths.iter().chain(flags));
    fs::read(to).unwrap()
}

/// What a C program prints in a RUN that runs it as `/program`.
#[track_caller]
fn program_prints(source: &str, flags: &[&str], command: &str) -> String {
    let bench = Bench::new();
    let dockerfile = format!(
        "FROM BASE/busybox\n\
         COPY --chmod=755 program /program\n\
         RUN ({command}) > /out 2>&1 || echo failed >> /out\n"
    );
    kiln(&bench, &dockerfile).file("program", compiled(source, flags)).run().ok();
    bench.image().text("out").unwrap()
}
