//! --label, --annotation, --target.

use testkit::Registry;
use testkit::image::Image;

use crate::common::{Kiln, bases};

#[test]
fn labels_of_flags_come_last() {
    let registry = Registry::start();
    let host = registry.host();
    Kiln::build()
        .dockerfile("FROM scratch\nLABEL a=file b=file\nCOPY Dockerfile /\n")
        .args(["--label", "b=flag", "--label", "c=with = and space", "--label", "d=1"])
        .args(["--label", "d=2", "-t", &format!("{host}/app:1")])
        .run()
        .ok();
    let image = Image::from_registry(&registry, "app", "1").expect("the image");
    let labels = &image.config["config"]["Labels"];
    let expected = serde_json::json!({"a": "file", "b": "flag", "c": "with = and space", "d": "2"});
    assert_eq!(*labels, expected);
}

#[test]
fn annotations_are_the_manifests() {
    let registry = Registry::start();
    let dir = tempfile::tempdir().expect("a directory");
    let layout = dir.path().join("layout");
    Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["--annotation", "org.example.a=1", "--annotation", "org.example.b=x=y"])
        .args(["-t", &format!("{}/app:1", registry.host())])
        .args(["--oci-layout-path", &layout.to_string_lossy()])
        .run()
        .ok();
    let expected = serde_json::json!({"org.example.a": "1", "org.example.b": "x=y"});
    let pushed = Image::from_registry(&registry, "app", "1").expect("the image");
    assert_eq!(pushed.manifest["annotations"], expected);
    assert!(pushed.config["config"]["Labels"].is_null(), "{}", pushed.config);
    let written = Image::from_layout(&layout, Some("1")).expect("the image");
    assert_eq!(written.digest, pushed.digest);
}

#[test]
fn the_target_is_the_image() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    let host = registry.host();
    let build = |target: &[&str]| {
        Kiln::build()
            .dockerfile(&format!(
                "FROM {host}/base:1 AS first\nRUN echo 1 > /one\nENV STAGE=first\n\
                 FROM first AS second\nRUN echo 2 > /two\nENV STAGE=second\n\
                 FROM {host}/base:1 AS third\nRUN exit 1\n"
            ))
            .args(["-t", &format!("{host}/app:1")])
            .args(target)
            .run()
    };
    for (target, stage, files) in [
        ("first", "first", &["one"][..]),
        ("second", "second", &["one", "two"]),
        ("SECOND", "second", &["one", "two"]),
        ("0", "first", &["one"]),
    ] {
        build(&["--target", target]).ok();
        let image = Image::from_registry(&registry, "app", "1").expect("the image");
        image.verify().expect("whole");
        let tree = image.tree().expect("a tree");
        let found: Vec<_> = ["one", "two"].into_iter().filter(|f| tree.contains_key(*f)).collect();
        assert_eq!(found, files, "{target}");
        let env = image.config["config"]["Env"].to_string();
        assert!(env.contains(&format!("STAGE={stage}")), "{target}: {env}");
    }
    build(&[]).fails(1, "exit code: 1");
    build(&["--target", "forth"]).fails(1, "forth");
}
