#![allow(clippy::unwrap_used)]

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::tar::TarBytes;

fn layers() -> Vec<TarBytes> {
    vec![
        TarBytes::new()
            .dir("./")
            .dir("etc")
            .file("./etc/passwd", "root")
            .mode(0o600)
            .owner(1, 2)
            .dir("gone/deep")
            .file("gone/deep/file", "x")
            .file("opaque/lower", "x")
            .file("dir/inside", "x")
            .symlink("sh", "bin/busybox"),
        TarBytes::new()
            .file("opaque/before", "kept")
            .opaque("opaque")
            .file("opaque/after", "kept")
            .whiteout("gone")
            .file("dir", "now a file")
            .file("one", "same")
            .xattr("user.a", "b")
            .hardlink("two", "one")
            .file("three", "same"),
    ]
}

fn expected() -> Vec<&'static str> {
    vec![
        "",
        "dir",
        "etc",
        "etc/passwd",
        "one",
        "opaque/after",
        "opaque/before",
        "sh",
        "three",
        "two",
    ]
}

#[test]
fn layers_make_a_tree() {
    let registry = Registry::start();
    registry.add_image("a", "1", layers(), json!({"config": {"Env": ["A=1"]}}));
    let image = Image::from_registry(&registry, "a", "1").unwrap();
    image.verify().unwrap();
    let tree = image.tree().unwrap();
    assert_eq!(tree.keys().collect::<Vec<_>>(), expected());
    let passwd = &tree["etc/passwd"];
    assert_eq!((passwd.mode, passwd.uid, passwd.gid, passwd.size), (0o600, 1, 2, 4));
    assert_eq!(passwd.sha256, sha256(b"root"));
    assert_eq!(tree["two"].same_as.as_deref(), Some("one"));
    assert_eq!(tree["two"].xattrs["user.a"], b"b");
    assert_eq!(tree["three"].same_as, None);
    assert_eq!(tree["sh"].target, "bin/busybox");
    assert_eq!(image.text("dir").unwrap(), "now a file");
    assert!(image.file("etc").is_err());
    assert_eq!(image.paths(1).unwrap()[..2], ["opaque/before", "opaque/.wh..wh..opq"]);
    assert_eq!(image.config["config"]["Env"][0], "A=1");
}

#[test]
fn the_same_tree_on_disk() {
    let registry = Registry::start();
    registry.add_image("a", "1", layers(), json!({}));
    let image = Image::pull(registry.host(), "a", "1", None).unwrap();
    let dir = TempDir::new().unwrap();
    image.unpack(dir.path()).unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("two")).unwrap(), "same");
    assert!(dir.path().join("opaque/before").exists());
    assert!(!dir.path().join("opaque/lower").exists() && !dir.path().join("gone").exists());
    assert!(dir.path().join("dir").is_file());
}

#[test]
fn platforms() {
    let registry = Registry::start();
    let amd64 = registry.add_image("a", "amd64", vec![], json!({"os": "linux"}));
    let arm = registry.add_image("a", "arm", vec![], json!({"architecture": "arm"}));
    registry.add_index("a", "all", &[("linux/amd64", &amd64), ("linux/arm/v7", &arm)]);
    let image = Image::for_platform(&registry, "a", "all", "linux/arm/v7").unwrap();
    assert_eq!(image.digest, arm);
    assert!(Image::for_platform(&registry, "a", "all", "linux/arm64").is_err());
}

#[test]
fn differences() {
    let mut left = Merger::default();
    let tree = TarBytes::new().file("a", "1").file("b", "1").file("c", "1").symlink("l", "x");
    left.apply(tree.finish().as_slice()).unwrap();
    let mut right = Merger::default();
    let tree = TarBytes::new().file("a", "1").mtime(9).file("b", "22").owner(5, 6).dir("d");
    right.apply(tree.symlink("l", "y").finish().as_slice()).unwrap();
    let lines = diff_trees(&left.finish(), &right.finish());
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[0].starts_with("~ /b: owner 0:0 -> 5:6, size 1 -> 2, content sha256:"));
    assert!(lines[1].starts_with("- /c: File 0644 0:0 1 sha256:"));
    assert_eq!(lines[2..], ["+ /d: Dir 0755 0:0", "~ /l: target x -> y"]);

    let (left, right) = (json!({"a": [1, 2], "b": {"c": 1}}), json!({"a": [1], "b": {"c": "1"}}));
    assert_eq!(diff_json(&left, &right), ["a[1]: 2 -> null", "b.c: 1 -> \"1\""]);
}

#[test]
fn layout_and_docker_archive() {
    let config = br#"{"rootfs":{"diff_ids":[]}}"#;
    let layer = TarBytes::new().file("a", "1").finish();
    let dir = TempDir::new().unwrap();
    let blobs = dir.path().join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = sha256(bytes);
        std::fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        json!({"digest": digest, "size": bytes.len()})
    };
    let zstd = zstd::encode_all(layer.as_slice(), 1).unwrap();
    let manifest = json!({"config": put(config), "layers": [put(&zstd)]});
    let mut descriptor = put(manifest.to_string().as_bytes());
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "x"});
    let index = json!({"manifests": [descriptor]});
    std::fs::write(dir.path().join("index.json"), index.to_string()).unwrap();
    let layout = Image::from_layout(dir.path(), Some("x")).unwrap();
    assert!(Image::from_layout(dir.path(), Some("y")).is_err());

    let list = json!([{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l/layer.tar"]}]);
    let archive = TarBytes::new().file("c.json", config).file("l/layer.tar", &layer);
    let archive = archive.file("manifest.json", list.to_string()).finish();
    let path = dir.path().join("archive.tar");
    std::fs::write(&path, archive).unwrap();
    let archive = Image::from_docker_archive(&path).unwrap();
    assert_same_tree(&layout.tree().unwrap(), &archive.tree().unwrap());
    assert_eq!(archive.text("a").unwrap(), "1");
}
