//! -o: images as files, and the files of an image.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use testkit::Registry;
use testkit::image::{Image, assert_same_tree};
use testkit::tar::TarBytes;

use crate::common::{Kiln, tools};

/// A base of two layers, in which names come and go, and a file with two names.
fn base(registry: &Registry) {
    let lower = TarBytes::new()
        .dir("etc")
        .file("etc/gone", "gone")
        .file("etc/kept", "kept")
        .owner(7, 8)
        .file("one", "linked")
        .dir("replaced")
        .file("replaced/inner", "inner");
    let upper = TarBytes::new()
        .whiteout("etc/gone")
        .hardlink("two", "one")
        .symlink("replaced", "etc")
        .file("run", "#!/bin/sh\n")
        .mode(0o4755);
    registry.add_image("base", "1", vec![lower, upper], json!({}));
}

fn build(registry: &Registry) -> Kiln {
    base(registry);
    Kiln::build()
        .dockerfile(&format!("FROM {}/base:1\nCOPY f /etc/f\nCOPY f /one\n", registry.host()))
        .file("f", "new\n")
}

#[test]
fn a_directory_gets_the_files_of_the_image() {
    let registry = Registry::start();
    let kiln = build(&registry).args(["-o", "out"]);
    let out = kiln.dir().join("out");
    fs::create_dir_all(out.join("etc")).expect("a directory");
    fs::write(out.join("etc/gone"), "mine").expect("a file");
    fs::write(out.join("etc/kept"), "replaced").expect("a file");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o750)).expect("a mode");
    let (outcome, dir) = kiln.run_and_keep();
    outcome.ok();
    let out = dir.path().join("out");
    let read = |name: &str| fs::read_to_string(out.join(name)).expect(name);
    assert_eq!(
        (read("etc/f"), read("one"), read("two")),
        ("new\n".into(), "new\n".into(), "linked".into())
    );
    // What the image removes of its own layers is the user's if the user has it.
    assert_eq!((read("etc/gone"), read("etc/kept")), ("mine".into(), "kept".into()));
    assert_eq!(fs::read_link(out.join("replaced")).expect("a link"), Path::new("etc"));
    let meta = |name: &str| fs::symlink_metadata(out.join(name)).expect(name);
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(meta("etc/kept").uid(), own, "as with BuildKit");
    assert_eq!(meta("run").mode() & 0o7777, 0o4755);
    assert_eq!(meta("").mode() & 0o7777, 0o750, "the directory itself is the user's");
    assert!(registry.tags("app").is_empty());
}

#[test]
fn nothing_leads_out_of_the_directory() {
    let registry = Registry::start();
    let kiln = Kiln::build();
    let outside = kiln.dir().join("outside");
    fs::create_dir(&outside).expect("a directory");
    let lower = TarBytes::new().symlink("way", outside.to_string_lossy().as_bytes());
    let upper = TarBytes::new().dir("way").file("way/in", "bad").symlink("up", "..");
    let top = TarBytes::new().file("up/out", "bad");
    registry.add_image("base", "1", vec![lower, upper, top], json!({}));
    let kiln = kiln
        .dockerfile(&format!("FROM {}/base:1\n", registry.host()))
        .args(["-o", "type=local,dest=out"]);
    // A link that the user's directory has already is replaced, not followed.
    fs::create_dir(kiln.dir().join("out")).expect("a directory");
    std::os::unix::fs::symlink(&outside, kiln.dir().join("out/way")).expect("a link");
    let (outcome, dir) = kiln.run_and_keep();
    outcome.ok();
    assert_eq!(fs::read_dir(dir.path().join("outside")).expect("there").count(), 0);
    assert!(!dir.path().join("out/../out/../../out").exists());
    assert_eq!(fs::read_to_string(dir.path().join("out/way/in")).expect("there"), "bad");
    assert_eq!(fs::read_to_string(dir.path().join("out/up/out")).expect("there"), "bad");
}

#[test]
fn a_tar_has_every_file_once() {
    let registry = Registry::start();
    let (mut command, dir) = build(&registry).args(["-o", "-"]).into_command();
    let output = command.stdout(Stdio::piped()).output().expect("kiln starts");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(log.contains("sha256:"), "the digest is in the log: {log}");
    let tar = dir.path().join("root.tar");
    fs::write(&tar, &output.stdout).expect("a file");
    let list = tools::run("tar", ["--numeric-owner", "-tvf", &tar.to_string_lossy()]);
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().nth(5)).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "{list}");
    assert_eq!(once, ["etc/", "etc/f", "etc/kept", "one", "replaced", "run", "two"], "{list}");
    assert!(list.lines().any(|line| line.contains("7/8") && line.ends_with("etc/kept")), "{list}");
    let read = |name: &str| tools::run("tar", ["-xOf", &tar.to_string_lossy(), name]);
    assert_eq!((read("two"), read("one")), ("linked".to_owned(), "new\n".to_owned()));
}

#[test]
fn an_oci_archive_is_what_a_layout_is() {
    let registry = Registry::start();
    let (outcome, dir) = build(&registry)
        .args(["-t", "app:1", "--push=false", "-o", "type=oci,dest=a/image.tar,name=other:2"])
        .args(["-o", "type=oci,tar=false,dest=layout", "-o", "type=docker,dest=docker.tar"])
        .run_and_keep();
    let digest = outcome.ok().stdout.trim().to_owned();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let archive = format!("oci-archive:{}:1", path("a/image.tar"));
    let said = tools::skopeo_inspect(&archive, &[]);
    assert_eq!(said["Digest"], digest);
    let layout = Image::from_layout(&dir.path().join("layout"), Some("1")).expect("the image");
    layout.verify().expect("whole");
    assert_eq!(layout.digest, digest);
    let docker = Image::from_docker_archive(&dir.path().join("docker.tar")).expect("the image");
    assert_same_tree(&docker.tree().expect("a tree"), &layout.tree().expect("a tree"));
    let bundle = path("bundle");
    let image = format!("{}:1", path("layout"));
    tools::run("umoci", ["unpack", "--rootless", "--image", &image, &bundle]);
    let unpacked = dir.path().join("bundle/rootfs/etc/f");
    assert_eq!(fs::read_to_string(unpacked).expect("there"), "new\n");
}

#[test]
fn an_archive_goes_to_standard_output_alone() {
    let registry = Registry::start();
    for kind in ["oci", "docker"] {
        let output = format!("type={kind},dest=-");
        let (mut command, dir) =
            build(&registry).args(["-t", "app:1", "-o", &output]).into_command();
        let output = command.stdout(Stdio::piped()).output().expect("kiln starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tar = dir.path().join("image.tar");
        fs::write(&tar, &output.stdout).expect("a file");
        let source = format!("{kind}-archive:{}", tar.display());
        let config = tools::skopeo_inspect(&source, &["--config"]);
        assert_eq!(config["os"], "linux", "{kind}");
    }
}

#[test]
fn outputs_decide_how_the_image_is_made() {
    let registry = Registry::start();
    for (attributes, kind) in [
        ("compression=zstd,compression-level=5", "application/vnd.oci.image.layer.v1.tar+zstd"),
        ("compression=uncompressed", "application/vnd.oci.image.layer.v1.tar"),
        ("oci-mediatypes=false", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        ("annotation.a=1", "application/vnd.oci.image.layer.v1.tar+gzip"),
    ] {
        let name = format!("{}/app:1", registry.host());
        Kiln::build()
            .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
            .args(["-o", &format!("type=image,name={name},push=true,{attributes}")])
            .run()
            .ok();
        let image = Image::from_registry(&registry, "app", "1").expect("the image");
        image.verify().expect("whole");
        assert_eq!(image.manifest["layers"][0]["mediaType"], kind, "{attributes}");
        let annotations =
            if attributes.starts_with("annotation") { json!({"a": "1"}) } else { Value::Null };
        assert_eq!(image.manifest["annotations"], annotations, "{attributes}");
    }
}

#[test]
fn two_builds_write_the_same_bytes() {
    let registry = Registry::start();
    let files = ["image.tar", "root.tar"];
    let build = || {
        let (outcome, dir) = build(&registry)
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .args(["-o", "type=oci,dest=image.tar", "-o", "type=tar,dest=root.tar", "--squash"])
            .run_and_keep();
        outcome.ok();
        files.map(|name| fs::read(dir.path().join(name)).expect("there"))
    };
    assert!(build() == build(), "the bytes differ");
}
