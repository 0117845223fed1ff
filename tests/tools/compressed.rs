//! Layers in zstd, with what Debian 12 has: skopeo 1.9 and buildah 1.28 read them. umoci 0.4.7 and
//! Docker 20.10 cannot.

use testkit::image::{Image, assert_same_tree};

use crate::common::tools::run;
use crate::sample::Sample;
use crate::unpack::Buildah;

#[test]
fn skopeo_and_buildah_read_zstd() {
    let sample = Sample::build(&["--compression=zstd"]);
    let image = sample.image();
    let types: Vec<_> = (image.manifest["layers"].as_array().expect("layers").iter())
        .map(|layer| layer["mediaType"].as_str().expect("a type"))
        .collect();
    let zstd = types.iter().filter(|kind| kind.ends_with("+zstd")).count();
    assert_eq!((zstd, types.len()), (5, 7), "{types:?}");

    let dir = tempfile::tempdir().expect("a directory");
    let layout = dir.path().join("layout");
    let (from, to) = (format!("docker://{}", sample.name()), format!("oci:{}:1", layout.display()));
    // Into gzip, so that skopeo has to unpack them.
    let compress = ["--dest-compress", "--dest-compress-format=gzip", "--src-tls-verify=false"];
    run(
        "skopeo",
        ["--insecure-policy", "copy", "-q"].into_iter().chain(compress).chain([&*from, &to]),
    );
    let copied = Image::from_layout(&layout, Some("1")).expect("the image");
    let kinds = copied.manifest["layers"].to_string();
    assert!(!kinds.contains("+zstd"), "{kinds}");
    assert_same_tree(&copied.tree().expect("a tree"), &image.tree().expect("a tree"));

    Buildah::new().compare(&sample);
}

#[test]
fn the_levels_of_both_kinds_give_the_same_files() {
    let usual = Sample::build(&[]);
    let tree = usual.image().tree().expect("a tree");
    for args in [
        ["--compression=gzip", "--compression-level=1"],
        ["--compression=gzip", "--compression-level=9"],
        ["--compression=zstd", "--compression-level=1"],
        ["--compression=zstd", "--compression-level=12"],
    ] {
        let sample = Sample::build(&args);
        let found = sample.image().tree().expect("a tree");
        assert_same_tree(&found, &tree);
    }
}
