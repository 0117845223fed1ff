//! A base image that costs the same whatever busybox is installed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use testkit::tar::TarBytes;

use crate::common::bases::noise;
use crate::common::built::Bench;

/// Bytes of the files in [`programs`].
const SIZE: usize = 4_000_000;
/// What they come to when each is compressed, about.
const COMPRESSED: usize = 2_000_000;
/// So many commands has a usual busybox.
const LINKS: usize = 300;

/// Adds the image `base`: a shell, 300 links like those that busybox comes with, and a second layer.
pub fn add(bench: &Bench) {
    let upper = TarBytes::new().dir("etc").file("etc/upper", noise(300_000, 2));
    bench.base("base", vec![programs(), upper], json!({}));
}

/// The same with a layer of so many files instead of the second one.
pub fn add_wide(bench: &Bench, files: usize) {
    let wide = (0..files).fold(TarBytes::new().dir("data"), |tar, number| {
        tar.file(format!("data/file{number}"), format!("file {number}\n"))
    });
    bench.base("base", vec![programs(), wide], json!({}));
}

/// Two more files make up for a program that is larger or smaller than another version's.
fn programs() -> TarBytes {
    let path = "/bin/busybox";
    let program = std::fs::read(path).expect("busybox; install it: apt-get install busybox-static");
    let compressed = gzipped(&program);
    assert!(program.len() < SIZE && compressed < COMPRESSED, "busybox has {compressed} bytes");
    let random = noise(COMPRESSED - compressed, 5);
    let zeros = vec![0; SIZE - program.len() - random.len()];
    let mut tar = TarBytes::new();
    for dir in ["bin", "dev", "etc", "fill", "proc", "sys", "tmp", "var"] {
        tar = tar.dir(dir);
    }
    tar = tar.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    tar = tar.file("etc/group", "root:x:0:\n");
    tar = tar.file("bin/busybox", program).mode(0o755);
    tar = tar.hardlink("bin/sh", "bin/busybox").mode(0o755);
    tar = tar.symlink("bin/cat", "busybox");
    for number in 1..LINKS {
        tar = tar.symlink(format!("bin/command{number}"), "busybox");
    }
    tar.file("fill/random", random).file("fill/zeros", zeros)
}

/// As the registry of these tests compresses.
fn gzipped(bytes: &[u8]) -> usize {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).expect("memory");
    gzip.finish().expect("memory").len()
}
