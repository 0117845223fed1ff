//! Manifests and configs that are not what they should be.

use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::Registry;
use testkit::tar::TarBytes;

use crate::arena;
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
    assert_snapshot!(refused(|config, _| config["config"]["Env"] = json!("PATH=/")), @r#"
    error: `REGISTRY/base:1`: the image's config is not valid: invalid type: string "PATH=/", expected a sequence at line 1 column 61
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(refused(|config, _| config["config"]["Env"] = json!([1, 2])), @r"
    error: `REGISTRY/base:1`: the image's config is not valid: invalid type: integer `1`, expected a string at line 1 column 55
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused(|config, _| config["config"]["Cmd"] = json!({"a": 1})), @r"
    error: `REGISTRY/base:1`: the image's config is not valid: invalid type: map, expected a sequence at line 1 column 53
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused(|config, _| config["rootfs"] = json!("layers")), @r#"
    error: `REGISTRY/base:1`: the image's config is not valid: invalid type: string "layers", expected struct RootFs at line 1 column 66
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(refused(|config, _| config["rootfs"]["diff_ids"] = json!(["sha256:12"])), @r"
    error: `REGISTRY/base:1`: the image's config is not valid: `sha256:12` is not a digest: expected sha256: followed by 64 hexadecimal digits at line 1 column 99
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused(|config, _| *config = json!([])), @r"
    error: `REGISTRY/base:1`: the image's config is not valid: invalid type: sequence, expected struct ImageConfig at line 1 column 0
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused(|config, _| *config = json!("\u{1b}[2J")), @r#"
    error: `REGISTRY/base:1`: the image's config is not valid: invalid type: string "\u{1b}[2J", expected struct ImageConfig at line 1 column 11
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn hostile_values_in_a_config() {
    let error =
        refused(|config, _| config["config"]["OnBuild"] = json!(["RUN \u{1b}[2Jx", "FRMO"]));
    assert_snapshot!(error, @r"
    error: the base's ONBUILD `FRMO` is not valid: dockerfile parse error: unknown instruction: FRMO (did you mean FROM?)
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused(|config, _| config["config"]["OnBuild"] = json!(["FROM evil"])), @r"
    error: the base's ONBUILD `FROM evil` is not valid: dockerfile parse error: FROM isn't allowed as an ONBUILD trigger
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(
        refused(|config, _| {
            let deep = "[".repeat(100_000);
            *config = json!({ "deep": deep });
        }),
        @r"
        error: `REGISTRY/base:1`: the image's config is not valid: it names 0 layers and the manifest 1 (config type `application/vnd.oci.image.config.v1+json`)
         --> DIR/context/Dockerfile:1:1
          |
        1 | FROM REGISTRY/base:1
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "
    );
}

#[test]
fn more_or_fewer_layers_than_the_config_names() {
    assert_snapshot!(refused(|config, _| config["rootfs"]["diff_ids"] = json!([])), @r"
    error: `REGISTRY/base:1`: the image's config is not valid: it names 0 layers and the manifest 1 (config type `application/vnd.oci.image.config.v1+json`)
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused(|_, manifest| manifest["layers"] = json!([])), @r"
    error: `REGISTRY/base:1`: the image's config is not valid: it names 1 layers and the manifest 0 (config type `application/vnd.oci.image.config.v1+json`)
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(
        refused(|_, manifest| {
            let layer = manifest["layers"][0].clone();
            manifest["layers"] = Value::Array(vec![layer; 10_000]);
        }),
        @r"
        error: `REGISTRY/base:1`: the image's config is not valid: it names 1 layers and the manifest 10000 (config type `application/vnd.oci.image.config.v1+json`)
         --> DIR/context/Dockerfile:1:1
          |
        1 | FROM REGISTRY/base:1
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "
    );
}

/// Documents with so many times the same layer.
fn repeat(config: &mut Value, manifest: &mut Value, times: usize) {
    let (layer, id) = (manifest["layers"][0].clone(), config["rootfs"]["diff_ids"][0].clone());
    manifest["layers"] = Value::Array(vec![layer; times]);
    config["rootfs"]["diff_ids"] = Value::Array(vec![id; times]);
}

#[test]
fn ten_thousand_layers() {
    let bench = Bench::new();
    store(&bench.registry, |config, manifest| repeat(config, manifest, 10_000));
    let kiln = bench.kiln("FROM REGISTRY/base:1\nCOPY Dockerfile /b/\n");
    arena::run(kiln.args(["--platform", "linux/amd64"])).ok();
}

#[test]
fn more_layers_than_an_overlay_takes() {
    let bench = Bench::new();
    store(&bench.registry, |config, manifest| repeat(config, manifest, 1000));
    let kiln = bench.kiln("FROM REGISTRY/base:1\nRUN [\"/x\"]\n");
    // There is no /x in it in any case.
    let outcome = arena::run(kiln.args(["--platform", "linux/amd64"])).fails(1, "error: ");
    bench.assert_nothing_pushed(&outcome);
}

#[test]
fn sizes_whose_sum_is_too_large() {
    let bench = Bench::new();
    store(&bench.registry, |config, manifest| {
        manifest["layers"][0]["size"] = json!(1_u64 << 63);
        repeat(config, manifest, 3);
    });
    for way in ["COPY Dockerfile /b/", "RUN [\"/x\"]"] {
        let kiln = bench.kiln(&format!("FROM REGISTRY/base:1\n{way}\n"));
        let outcome = arena::run(kiln.args(["--platform", "linux/amd64"]));
        assert_eq!(outcome.code, Some(1), "{way}: {outcome}");
        bench.assert_nothing_pushed(&outcome);
    }
}

#[test]
fn sizes_that_no_layer_has() {
    for size in [json!(1_u64 << 63), json!(u64::MAX), json!(-1), json!(1.5), json!("12")] {
        let error = refused(|_, manifest| manifest["layers"][0]["size"] = size.clone());
        assert!(error.contains("REGISTRY/base"), "{size}: {error}");
    }
    assert_snapshot!(refused(|_, manifest| manifest["layers"][0]["size"] = json!(1_u64 << 63)), @r"
    error: the blob sha256:… of `REGISTRY/base` from `REGISTRY` is damaged: expected 9223372036854775808 bytes, found 102
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY Dockerfile /a/
      | ^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused(|_, manifest| manifest["layers"][0]["size"] = json!(-1)), @r"
    error: `REGISTRY/base:1`: the manifest is not valid: invalid value: integer `-1`, expected u64
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn layers_of_foreign_types_are_named() {
    let with = |kind: &'static str| {
        refused(move |_, manifest| manifest["layers"][0]["mediaType"] = json!(kind))
    };
    assert_snapshot!(with("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"), @r"
    error: `REGISTRY/base:1`: the layer sha256:… is of type `application/vnd.oci.image.layer.v1.tar+gzip+encrypted`, which kiln cannot unpack; it can be a tar, plain or compressed with gzip or zstd, and not encrypted
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(with("application/vnd.wasm.content.layer.v1+wasm"), @r"
    error: `REGISTRY/base:1`: the layer sha256:… is of type `application/vnd.wasm.content.layer.v1+wasm`, which kiln cannot unpack; it can be a tar, plain or compressed with gzip or zstd
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(with("text/plain\u{1b}[2J"), @r"
    error: `REGISTRY/base:1`: the layer sha256:… is of type `text/plain[2J`, which kiln cannot unpack; it can be a tar, plain or compressed with gzip or zstd
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn manifests_of_things_that_are_no_images() {
    assert_snapshot!(
        refused(|_, manifest| {
            manifest["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
        }),
        @r"
        error: cannot create /a: /a is not a directory
         --> DIR/context/Dockerfile:2:1
          |
        2 | COPY Dockerfile /a/
          | ^^^^^^^^^^^^^^^^^^^
        "
    );
    assert_snapshot!(refused(|_, manifest| *manifest = json!({"schemaVersion": 1})), @r"
    error: `REGISTRY/base:1`: the image has a manifest of Docker's old schema 1; push it again with a current tool
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused(|_, manifest| *manifest = json!("text")), @r"
    error: `REGISTRY/base:1`: the registry answered with a document of type `application/vnd.oci.image.manifest.v1+json`, which is no image
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused(|_, manifest| manifest["layers"] = json!({"a": "b"})), @r"
    error: `REGISTRY/base:1`: the manifest is not valid: invalid type: map, expected a sequence
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(
        refused(|_, manifest| manifest["layers"][0]["digest"] = json!("sha256:../../etc/passwd")),
        @r"
        error: `REGISTRY/base:1`: the manifest is not valid: `sha256:../../etc/passwd` is not a digest: expected sha256: followed by 64 hexadecimal digits
         --> DIR/context/Dockerfile:1:1
          |
        1 | FROM REGISTRY/base:1
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "
    );
    assert_snapshot!(
        refused(|_, manifest| manifest["layers"][0]["digest"] = json!("md5:d41d8cd98f00b204e9800998ecf8427e")),
        @r"
        error: `REGISTRY/base:1`: the manifest is not valid: digest `md5:d41d8cd98f00b204e9800998ecf8427e` uses an algorithm that kiln does not support; only sha256 is
         --> DIR/context/Dockerfile:1:1
          |
        1 | FROM REGISTRY/base:1
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "
    );
}
