//! Manifests and configs that are not what they should be.

use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::Registry;
use testkit::tar::TarBytes;

use crate::common::bench::Bench;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A good config and a good manifest, changed before they are stored.
fn store(registry: &Registry, change: impl FnOnce(&mut Value, &mut Value)) {
    let layer = registry.put_layer("base", &TarBytes::new().file("a", "a"));
    let mut config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
    });
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": { "mediaType": OCI_CONFIG },
        "layers": [{ "mediaType": OCI_LAYER, "digest": layer.digest, "size": layer.size }],
    });
    change(&mut config, &mut manifest);
    let config = config.to_string();
    if manifest["config"].is_object() {
        manifest["config"]["digest"] = registry.put_blob("base", config.as_bytes()).into();
        manifest["config"]["size"] = config.len().into();
    }
    registry.put_manifest("base", "1", OCI_MANIFEST, manifest.to_string().as_bytes());
}

/// What is said of a base image with these documents.
fn refused(change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let bench = Bench::new();
    store(&bench.registry, change);
    let kiln = bench.kiln("FROM REGISTRY/base:1\nCOPY Dockerfile /a/\n");
    bench.fails(kiln.args(["--platform", "linux/amd64"]), 1).error
}

#[test]
fn configs_with_wrong_types() {
    assert_snapshot!(refused(|config, _| config["config"]["Env"] = json!("PATH=/")), @"");
    assert_snapshot!(refused(|config, _| config["config"]["Env"] = json!([1, 2])), @"");
    assert_snapshot!(refused(|config, _| config["config"]["Cmd"] = json!({"a": 1})), @"");
    assert_snapshot!(refused(|config, _| config["rootfs"] = json!("layers")), @"");
    assert_snapshot!(refused(|config, _| config["rootfs"]["diff_ids"] = json!(["sha256:12"])), @"");
    assert_snapshot!(refused(|config, _| *config = json!([])), @"");
    assert_snapshot!(refused(|config, _| *config = json!("\u{1b}[2J")), @"");
}

#[test]
fn hostile_values_in_a_config() {
    let error =
        refused(|config, _| config["config"]["OnBuild"] = json!(["RUN \u{1b}[2Jx", "FRMO"]));
    assert_snapshot!(error, @"");
    assert_snapshot!(refused(|config, _| config["config"]["OnBuild"] = json!(["FROM evil"])), @"");
    assert_snapshot!(
        refused(|config, _| {
            let deep = "[".repeat(100_000);
            *config = json!({ "deep": deep });
        }),
        @""
    );
}

#[test]
fn more_or_fewer_layers_than_the_config_names() {
    assert_snapshot!(refused(|config, _| config["rootfs"]["diff_ids"] = json!([])), @"");
    assert_snapshot!(refused(|_, manifest| manifest["layers"] = json!([])), @"");
    assert_snapshot!(
        refused(|_, manifest| {
            let layer = manifest["layers"][0].clone();
            manifest["layers"] = Value::Array(vec![layer; 10_000]);
        }),
        @""
    );
}

#[test]
fn ten_thousand_layers() {
    let error = refused(|config, manifest| {
        let (layer, id) = (manifest["layers"][0].clone(), config["rootfs"]["diff_ids"][0].clone());
        manifest["layers"] = Value::Array(vec![layer; 10_000]);
        config["rootfs"]["diff_ids"] = Value::Array(vec![id; 10_000]);
    });
    assert_snapshot!(error, @"");
}

#[test]
fn sizes_that_no_layer_has() {
    for size in [json!(1_u64 << 63), json!(u64::MAX), json!(-1), json!(1.5), json!("12")] {
        let error = refused(|_, manifest| manifest["layers"][0]["size"] = size.clone());
        assert!(error.contains("REGISTRY/base"), "{size}: {error}");
    }
    assert_snapshot!(refused(|_, manifest| manifest["layers"][0]["size"] = json!(1_u64 << 63)), @"");
    assert_snapshot!(refused(|_, manifest| manifest["layers"][0]["size"] = json!(-1)), @"");
}

#[test]
fn layers_of_foreign_types_are_named() {
    let with = |kind: &'static str| {
        refused(move |_, manifest| manifest["layers"][0]["mediaType"] = json!(kind))
    };
    assert_snapshot!(with("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"), @"");
    assert_snapshot!(with("application/vnd.wasm.content.layer.v1+wasm"), @"");
    assert_snapshot!(with("text/plain\u{1b}[2J"), @"");
}

#[test]
fn manifests_of_things_that_are_no_images() {
    assert_snapshot!(
        refused(|_, manifest| {
            manifest["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
        }),
        @""
    );
    assert_snapshot!(refused(|_, manifest| *manifest = json!({"schemaVersion": 1})), @"");
    assert_snapshot!(refused(|_, manifest| *manifest = json!("text")), @"");
    assert_snapshot!(refused(|_, manifest| manifest["layers"] = json!({"a": "b"})), @"");
    assert_snapshot!(
        refused(|_, manifest| manifest["layers"][0]["digest"] = json!("sha256:../../etc/passwd")),
        @""
    );
    assert_snapshot!(
        refused(|_, manifest| manifest["layers"][0]["digest"] = json!("md5:d41d8cd98f00b204e9800998ecf8427e")),
        @""
    );
}
