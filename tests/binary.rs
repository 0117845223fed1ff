//! The release binary: one static file that needs nothing around it and little memory.
//!
//! `cargo xtask test` builds it and says where it is, in KILN_RELEASE.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[path = "binary/chroot.rs"]
mod chroot;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use common::bases::noise;
use common::built::{Bench, need_root};
use common::release;
use common::tools::in_root;

/// What the file may have.
const MAX_SIZE: u64 = 14_000_000;
/// What a build may have in memory, whatever the size of its files.
const MAX_MEMORY: u64 = 150_000_000;

#[test]
fn it_is_static() {
    let output = Command::new("ldd").arg(release()).output().expect("ldd (package libc-bin)");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let is_static = ["statically linked", "not a dynamic executable"];
    assert!(is_static.iter().any(|words| said.contains(words)), "{said}");
}

#[test]
fn it_is_small() {
    let size = fs::metadata(release()).unwrap().len();
    assert!(size < MAX_SIZE, "{size} bytes");
}

#[test]
fn it_runs_where_there_is_nothing_else() {
    need_root();
    let root = tempfile::tempdir().unwrap();
    fs::copy(release(), root.path().join("kiln")).unwrap();
    for (args, expected) in [(vec!["--version"], "kiln "), (vec!["build", "--help"], "Usage: kiln")]
    {
        let output = in_root(root.path(), "/kiln").args(&args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}

/// A file that does not get smaller when it is compressed: gzip looks back 32 KiB.
fn write_noise(path: &PathBuf, megabytes: usize) {
    let block = noise(1 << 20, 7);
    let mut file = File::create(path).unwrap();
    for _ in 0..megabytes {
        file.write_all(&block).unwrap();
    }
}

#[test]
fn layers_of_a_gigabyte_need_little_memory() {
    need_root();
    let bench = Bench::new();
    let kiln = bench.kiln(
        "FROM BASE/busybox\n\
         COPY big /copied\n\
         RUN cp /copied /made\n",
    );
    write_noise(&kiln.context().join("big"), 1024);
    let (command, _dir) = kiln.with_program(&release()).into_command();
    let (output, peak) = testkit::process::measure(command).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let image = bench.image();
    for layer in 1..3 {
        let size = fs::metadata(bench.registry.blob_path(&image.layers[layer]).unwrap()).unwrap();
        assert!(size.len() > 1_000_000_000, "layer {layer} has {} bytes", size.len());
    }
    assert!(peak < MAX_MEMORY, "{peak} bytes");
}

#[test]
fn a_base_of_a_gigabyte_needs_little_memory() {
    need_root();
    let bench = Bench::new();
    let first = bench.kiln("FROM BASE/busybox\nCOPY big /big\n");
    write_noise(&first.context().join("big"), 1024);
    first.with_program(&release()).run().ok();
    let kiln = bench.kiln("FROM BASE/app:1\nRUN wc -c < /big > /size\n");
    let (command, _dir) = kiln.with_program(&release()).into_command();
    let (output, peak) = testkit::process::measure(command).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(bench.image().text("size").unwrap(), "1073741824\n");
    assert!(peak < MAX_MEMORY, "{peak} bytes");
}
