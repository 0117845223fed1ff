//! Contexts that come as archives.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Stdio;

use testkit::image::Image;
use testkit::tar::TarBytes;

use crate::common::{Kiln, Outcome, assert_no_work_dir};

/// A build from `tar://…` with its layout.
struct Build {
    dir: tempfile::TempDir,
    outcome: Outcome,
}

/// The image of a build, which reads its layout.
struct Made {
    image: Image,
    _dir: tempfile::TempDir,
}

impl std::ops::Deref for Made {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}

impl Build {
    #[track_caller]
    fn image(self) -> Made {
        assert_eq!(self.outcome.code, Some(0), "{}", self.outcome);
        let image = Image::from_layout(&self.dir.path().join("layout"), None).expect("a layout");
        Made { image, _dir: self.dir }
    }
}

fn build(context: &str, bytes: &[u8], input: Stdio, flags: &[&str]) -> Build {
    let kiln = Kiln::build().args(["--no-push", "--oci-layout-path", "layout"]).args(flags);
    fs::write(kiln.dir().join("context.tar"), bytes).expect("written");
    let (mut command, dir) = kiln.into_bare_command();
    let output = command.arg(context).stdin(input).output().expect("kiln starts");
    let outcome = Outcome::from(output);
    assert_no_work_dir(dir.path(), &outcome);
    Build { dir, outcome }
}

fn from_file(bytes: &[u8]) -> Build {
    build("tar://context.tar", bytes, Stdio::null(), &[])
}

fn project() -> TarBytes {
    TarBytes::new()
        .file("Dockerfile", "FROM scratch\nCOPY . /\n")
        .file("other/Dockerfile", "FROM scratch\nCOPY f /other\n")
        .file(".dockerignore", "hidden\n")
        .file("hidden", "")
        .file("f", "content\n")
        .owner(1234, 1234)
        .symlink("link", "f")
}

fn compressed(format: &str, tar: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = match format {
        "gzip" => {
            flate2::write::GzEncoder::new(&mut bytes, flate2::Compression::fast()).write_all(tar)
        }
        "zstd" => zstd::stream::copy_encode(tar, &mut bytes, 3),
        "xz" => liblzma::copy_encode(tar, &mut bytes, 1),
        "bzip2" => {
            bzip2::write::BzEncoder::new(&mut bytes, bzip2::Compression::fast()).write_all(tar)
        }
        other => panic!("{other}"),
    };
    written.expect("compressed");
    bytes
}

#[test]
fn a_tar_is_a_context_however_it_is_compressed() {
    let tar = project().finish();
    let expected = from_file(&tar).image();
    assert_eq!(expected.text("f").expect("a file"), "content\n");
    let paths = expected.paths(0).expect("a layer");
    assert_eq!(paths, [".dockerignore", "Dockerfile", "f", "link", "other", "other/Dockerfile"]);
    for format in ["gzip", "zstd", "xz", "bzip2"] {
        let image = from_file(&compressed(format, &tar)).image();
        assert_eq!(image.paths(0).expect("a layer"), paths, "{format}");
        assert_eq!(image.text("f").expect("a file"), "content\n");
    }
}

#[test]
fn standard_input_is_read_once_to_its_end() {
    let bytes = compressed("gzip", &project().finish());
    let dir = tempfile::tempdir().expect("temp");
    let path = dir.path().join("context.tgz");
    fs::write(&path, &bytes).expect("written");
    let file = File::open(&path).expect("opened");
    let image = build("tar://stdin", b"", file.into(), &[]).image();
    assert_eq!(image.text("f").expect("a file"), "content\n");
    // A pipe, with more behind the tar's end than a pipe holds.
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let mut tar = project().finish();
    tar.resize(tar.len() + 300_000, 0);
    let writes = std::thread::spawn(move || writer.write_all(&tar));
    build("tar://stdin", b"", reader.into(), &[]).image();
    writes.join().expect("no panic").expect("all of it was taken");
}

#[test]
fn a_dockerfile_is_in_the_archive_or_here() {
    let tar = project().finish();
    let inside = build("tar://context.tar", &tar, Stdio::null(), &["-f", "other/Dockerfile"]);
    assert_eq!(inside.image().text("other").expect("a file"), "content\n");
    let dir = tempfile::tempdir().expect("temp");
    let path = dir.path().join("mine");
    fs::write(&path, "FROM scratch\nCOPY f /mine\n").expect("written");
    let here = ["-f", path.to_str().expect("text")];
    let image = build("tar://context.tar", &tar, Stdio::null(), &here).image();
    assert_eq!(image.text("mine").expect("a file"), "content\n");
}

#[test]
fn nothing_in_an_archive_leads_out_of_it() {
    let outside = tempfile::tempdir().expect("temp");
    fs::write(outside.path().join("secret"), "secret").expect("written");
    let path = outside.path().to_str().expect("text");
    let tar = project().symlink("out", path).file("out/planted", "x").finish();
    let build = from_file(&tar);
    assert!(!outside.path().join("planted").exists(), "{}", build.outcome);
    let tar = TarBytes::new()
        .file("Dockerfile", "FROM scratch\nCOPY out/secret /\n")
        .symlink("out", path)
        .finish();
    from_file(&tar).outcome.fails(1, "secret");
    let up = from_file(&project().file("../../planted", "x").finish());
    for dir in up.dir.path().ancestors() {
        assert!(!dir.join("planted").exists(), "{}", dir.display());
    }
}

#[test]
fn what_no_context_can_have_is_named() {
    let good = project().finish();
    let gzip = compressed("gzip", &good);
    let mut damaged = gzip.clone();
    let middle = damaged.len() - 6;
    damaged[middle] ^= 1;
    for (bytes, saying) in [
        (project().char_device("null", 1, 3).finish(), "`null` is a device, which no context has"),
        (project().file("d/.wh.f", "").finish(), "no image can have `d/.wh.f`: "),
        (project().hardlink("h", "nowhere").finish(), "`nowhere`"),
        (vec![], "there is nothing in it"),
        (TarBytes::new().finish(), "there is nothing in it"),
        (gzip[..gzip.len() / 2].to_vec(), "cannot unpack the context from "),
        (damaged, "cannot unpack the context from "),
        (b"#!/bin/sh\n".repeat(100), "cannot unpack the context from "),
    ] {
        let outcome = from_file(&bytes).outcome.fails(1, saying);
        assert!(outcome.stderr.contains("context.tar"), "{outcome}");
    }
    let nothing = build("tar://stdin", b"", Stdio::null(), &[]);
    nothing.outcome.fails(1, "from standard input: there is nothing in it");
    let missing = build("tar://missing.tar", b"", Stdio::null(), &[]).outcome;
    missing.fails(2, "missing.tar does not exist");
    let gone = TarBytes::new().file("f", "").finish();
    from_file(&gone).outcome.fails(1, "cannot find the Dockerfile");
}
