//! OCI layouts and archives for `docker load`.

use testkit::Registry;
use testkit::image::{Image, assert_same_tree};

use crate::common::{Kiln, bases};

/// A build on a base of two layers, with a RUN.
fn build(registry: &Registry) -> Kiln {
    bases::busybox(registry, "base", "1");
    Kiln::build()
        .dockerfile(&format!("FROM {}/base:1\nCOPY f /f\nRUN cp /f /g\nUSER 7\n", registry.host()))
        .file("f", "content\n")
}

#[test]
fn a_layout_holds_the_whole_image() {
    let registry = Registry::start();
    let kiln = build(&registry).args(["--oci-layout-path", "out/layout"]);
    let (mut command, dir) = kiln.into_command();
    let output = command.output().expect("kiln starts");
    assert!(output.status.success(), "{output:?}");
    let layout = dir.path().join("out/layout");
    let image = Image::from_layout(&layout, None).expect("the image");
    assert_eq!(image.digest, String::from_utf8_lossy(&output.stdout).trim());
    image.verify().expect("whole");
    assert_eq!(image.layers.len(), 4);
    assert_eq!(image.text("g").expect("the file"), "content\n");
    assert_eq!(image.config["config"]["User"], "7");
    // Nothing of it is lost with the work directory, and nobody else's rights are in the way.
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).expect("there").count(), 0);
    assert_eq!(registry.repositories(), ["base"], "nothing was pushed");
}

#[test]
fn a_second_image_is_added_to_a_layout() {
    let registry = Registry::start();
    let dir = tempfile::tempdir().expect("a directory");
    let layout = dir.path().join("layout");
    let path = layout.to_string_lossy().into_owned();
    for tag in ["app:1", "app:2", "app:2"] {
        let (name, label) = (format!("registry.test/{tag}"), format!("tag={tag}"));
        let args = ["--no-push", "-t", &name, "--label", &label, "--oci-layout-path", &path];
        build(&registry).args(args).run().ok();
    }
    for tag in ["1", "2"] {
        let image = Image::from_layout(&layout, Some(tag)).expect("the image");
        image.verify().expect("whole");
        assert_eq!(image.config["config"]["Labels"]["tag"], format!("app:{tag}"));
    }
}

#[test]
fn an_archive_holds_the_whole_image_under_its_names() {
    let registry = Registry::start();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("image.tar");
    std::fs::write(&path, "what was there before").expect("a file");
    let path_text = path.to_string_lossy().into_owned();
    build(&registry)
        .args(["--no-push", "-t", "app:1", "-t", "registry.test:5000/team/app"])
        .args(["--tar-path", &path_text])
        .run()
        .ok();
    let image = Image::from_docker_archive(&path).expect("the image");
    image.verify().expect("whole");
    assert_eq!(image.layers.len(), 4);
    assert_eq!(image.text("g").expect("the file"), "content\n");
    let list = crate::common::tools::run("tar", ["-xOf", &path_text, "manifest.json"]);
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let names = serde_json::json!(["app:1", "registry.test:5000/team/app:latest"]);
    assert_eq!(list[0]["RepoTags"], names);
}

#[test]
fn all_outputs_of_one_build_are_the_same_image() {
    let (registry, other) = (Registry::start(), Registry::start());
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let outcome = build(&registry)
        .args(["-t", &format!("{}/app:1", registry.host())])
        .args(["-t", &format!("{}/app:1", other.host())])
        .args(["-t", &format!("{}/copy:latest", registry.host())])
        .args(["--oci-layout-path", &path("layout"), "--tar-path", &path("image.tar")])
        .run()
        .ok();
    let digest = outcome.stdout.trim();
    assert_eq!(registry.digest("app", "1").as_deref(), Some(digest));
    assert_eq!(other.digest("app", "1").as_deref(), Some(digest));
    assert_eq!(registry.digest("copy", "latest").as_deref(), Some(digest));
    let layout = Image::from_layout(&dir.path().join("layout"), Some("1")).expect("the image");
    assert_eq!(layout.digest, digest);
    let archive = Image::from_docker_archive(&dir.path().join("image.tar")).expect("the image");
    assert_eq!(archive.config, layout.config);
    assert_same_tree(&archive.tree().expect("a tree"), &layout.tree().expect("a tree"));
}

#[test]
fn no_push_asks_nothing_of_the_destination() {
    let (registry, target) = (Registry::start(), Registry::start());
    let name = format!("{}/app:1", target.host());
    let outcome = build(&registry).args(["--no-push", "-t", &name]).run().ok();
    assert!(target.requests().is_empty(), "{:?}", target.requests());
    assert!(outcome.stdout.starts_with("sha256:"), "{outcome}");
    let said = outcome.stderr.lines().any(|line| line.trim() == name);
    assert!(!said, "the summary says where the image is, and it is not there:\n{outcome}");
}

#[test]
fn a_failed_build_leaves_files_as_they_were() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    std::fs::write(dir.path().join("image.tar"), "old").expect("a file");
    std::fs::write(dir.path().join("digest"), "old").expect("a file");
    Kiln::build()
        .dockerfile(&format!("FROM {}/base:1\nRUN false\n", registry.host()))
        .args(["--tar-path", &path("image.tar"), "--digest-file", &path("digest")])
        .args(["--oci-layout-path", &path("layout")])
        .run()
        .fails(1, "exit code: 1");
    let mut names: Vec<_> = std::fs::read_dir(dir.path())
        .expect("there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["digest", "image.tar"]);
    for name in names {
        assert_eq!(std::fs::read_to_string(dir.path().join(name)).expect("a file"), "old");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let registry = Registry::start();
    for flag in ["--oci-layout-path", "--tar-path", "--digest-file"] {
        let kiln = build(&registry).file("in/the/way", "");
        let path = kiln.context().join("in/the/way/out");
        let path = path.to_string_lossy().into_owned();
        kiln.args(["--no-push", flag, &path]).run().fails(2, "in/the/way");
    }
}
