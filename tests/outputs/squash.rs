//! --squash: one layer for all that the build adds.

use serde_json::Value;
use testkit::image::{Image, assert_same_tree};

use crate::common::built::Bench;

const DOCKERFILE: &str = "FROM BASE/busybox\n\
    ENV A=1\n\
    RUN mkdir /d && echo one > /d/one && echo two > /d/two && ln /d/one /d/again && touch /gone\n\
    RUN rm /gone /d/one && rm -r /usr && mkdir /usr && echo new > /usr/new\n\
    WORKDIR /made/by/workdir\n\
    LABEL l=1\n";

fn images() -> (Bench, Image, Image) {
    let bench = Bench::new();
    let whole = bench.build(DOCKERFILE);
    bench.kiln(DOCKERFILE).args(["--squash"]).run().ok();
    let squashed = bench.image();
    (bench, whole, squashed)
}

#[test]
fn the_files_are_the_same_in_one_layer_above_the_base() {
    let (bench, whole, squashed) = images();
    let base = Image::from_registry(&bench.registry, "busybox", "latest").expect("the base");
    squashed.verify().expect("whole");
    assert_eq!(whole.layers.len(), base.layers.len() + 3);
    assert_eq!(squashed.layers.len(), base.layers.len() + 1);
    assert_eq!(squashed.layers[0], base.layers[0], "the base's layer is as it was");
    assert_same_tree(&squashed.tree().expect("a tree"), &whole.tree().expect("a tree"));
    let paths = squashed.paths(1).expect("paths");
    assert!(!paths.iter().any(|path| path == "gone" || path == "d/one"), "{paths:?}");
    for key in ["config", "architecture", "os"] {
        assert_eq!(squashed.config[key], whole.config[key], "{key}");
    }
}

#[test]
fn the_history_is_as_dockers() {
    let (bench, whole, squashed) = images();
    let base = Image::from_registry(&bench.registry, "busybox", "latest").expect("the base");
    let told = |image: &Image| image.config["history"].as_array().expect("a history").clone();
    let (before, after) = (told(&whole), told(&squashed));
    assert_eq!(after.len(), before.len() + 1);
    let below = before.len() - 5;
    assert_eq!(after[..below], before[..below], "the base's own entries");
    for (old, new) in before[below..].iter().zip(&after[below..]) {
        assert_eq!(new["created_by"], old["created_by"]);
        assert_eq!(new["empty_layer"], true);
    }
    let last = after.last().expect("an entry");
    let comment = last["comment"].as_str().expect("a comment");
    let (merged, parent) =
        comment.strip_prefix("merge ").and_then(|rest| rest.split_once(" to ")).expect(comment);
    assert!(merged.starts_with("sha256:"), "{comment}");
    assert_eq!(parent, base.manifest["config"]["digest"].as_str().expect("a digest"));
    assert_eq!((&last["empty_layer"], &last["created_by"]), (&Value::Null, &Value::Null));
}

#[test]
fn only_the_squashed_layer_is_pushed() {
    let bench = Bench::new();
    bench.kiln(DOCKERFILE).args(["--squash"]).run().ok();
    let uploads = bench.registry.requests().into_iter().filter(|request| {
        request.method == "PUT" && request.path.starts_with("/v2/app/blobs/uploads/")
    });
    let base = Image::from_registry(&bench.registry, "busybox", "latest").expect("the base");
    let mounted = bench.registry.has_blob("app", &base.layers[0]);
    assert!(mounted);
    assert!(uploads.count() <= 2, "the layer and the config, and nothing else");
}

#[test]
fn without_a_base_there_is_one_layer() {
    let bench = Bench::new();
    let text = "FROM scratch\nCOPY Dockerfile /a\nCOPY Dockerfile /b\n";
    bench.kiln(text).args(["--squash"]).run().ok();
    let image = bench.image();
    image.verify().expect("whole");
    assert_eq!(image.layers.len(), 1);
    assert_eq!(image.paths(0).expect("paths"), ["a", "b"]);
    let history = image.config["history"].as_array().expect("a history");
    let comment = history.last().expect("an entry")["comment"].as_str().unwrap_or_default();
    assert!(comment.starts_with("create new from sha256:"), "{comment}");
}
