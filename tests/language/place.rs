//! A case's context directory on disk.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, mkfifoat, utimensat};

use crate::format::{Case, Section};
use crate::listing::to_tar;

/// All files of all contexts are that old, so that images do not depend on when tests run.
const MTIME: i64 = 1_600_000_000;

/// Writes the context, the Dockerfile in it.
pub fn write(case: &Case, dir: &Path) {
    let mut made = Vec::new();
    for section in &case.sections {
        let path = |word: usize| {
            let named = section.words.get(word).expect("a path");
            // A blank would end the word.
            dir.join(named.trim_end_matches('/').replace("%20", " "))
        };
        match section.kind.as_str() {
            "Dockerfile" => fs::write(dir.join("Dockerfile"), section.bytes()).unwrap(),
            "context" => {
                parents(dir, &path(0));
                object(dir, section, &path(0));
                made.push(path(0));
            }
            "archive" => {
                parents(dir, &path(0));
                fs::write(path(0), archive(&path(0), &section.lines())).unwrap();
                made.push(path(0));
            }
            _ => {}
        }
    }
    // Directories last: what is made in them makes them younger.
    made.sort();
    for path in made.iter().rev() {
        for path in path.ancestors().take_while(|path| path.starts_with(dir)) {
            let time = Timespec { tv_sec: MTIME, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
    }
}

fn parents(dir: &Path, path: &Path) {
    let missing: Vec<_> = path.ancestors().skip(1).take_while(|path| !path.exists()).collect();
    for path in missing.into_iter().rev().filter(|path| *path != dir) {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
}

/// `PATH [MODE]`, `DIR/ [MODE]`, `PATH -> TARGET`, `PATH = OTHER`, `PATH fifo`.
fn object(dir: &Path, section: &Section, path: &Path) {
    let words: Vec<&str> = section.words.iter().map(String::as_str).collect();
    let is_dir = words[0].ends_with('/');
    let mode = |default: u32| {
        let word = words.get(1).filter(|word| **word != "escaped");
        let mode = word.map(|mode| u32::from_str_radix(mode, 8).expect("a mode"));
        fs::set_permissions(path, Permissions::from_mode(mode.unwrap_or(default))).unwrap();
    };
    match words.get(1..).unwrap_or_default() {
        ["->", target] => symlink(target, path).unwrap(),
        ["=", other] => fs::hard_link(dir.join(other), path).unwrap(),
        ["fifo"] => mkfifoat(CWD, path, Mode::from_raw_mode(0o644)).unwrap(),
        _ if is_dir => {
            if !path.exists() {
                fs::create_dir(path).unwrap();
            }
            mode(0o755);
        }
        _ => {
            fs::write(path, section.bytes()).unwrap();
            mode(0o644);
        }
    }
}

/// An archive of the lines, compressed as its name says.
fn archive(path: &Path, lines: &[String]) -> Vec<u8> {
    let tar = to_tar(lines).finish();
    let name = path.to_string_lossy().into_owned();
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("gz") => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&tar).unwrap();
            gzip.finish().unwrap()
        }
        Some("bz2") => {
            let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            bzip2.write_all(&tar).unwrap();
            bzip2.finish().unwrap()
        }
        Some("xz") => {
            let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
            xz.write_all(&tar).unwrap();
            xz.finish().unwrap()
        }
        Some("zst") => zstd::encode_all(tar.as_slice(), 1).unwrap(),
        _ => tar,
    }
}

/// Where a case's context is in its directory.
pub fn context(dir: &Path) -> PathBuf {
    dir.join("context")
}
