//! skopeo reads, copies and converts.

use testkit::image::{Image, assert_same_tree};

use crate::common::tools::{run, skopeo_copy, skopeo_inspect};
use crate::sample::Sample;

#[test]
fn skopeo_inspects_all_that_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let (layout, archive) = (dir.path().join("layout"), dir.path().join("image.tar"));
    let paths = [layout.to_string_lossy(), archive.to_string_lossy()];
    let sample = Sample::build(&["--oci-layout-path", &paths[0], "--tar-path", &paths[1]]);
    for (image, has_digest) in [
        (format!("docker://{}", sample.name()), true),
        (format!("oci:{}:1", paths[0]), true),
        (format!("docker-archive:{}", paths[1]), false),
    ] {
        let found = skopeo_inspect(&image, &[]);
        assert_eq!(found["Labels"]["org.example.label"], "with \"quotes\"", "{image}");
        assert_eq!(found["Layers"].as_array().expect("layers").len(), 7, "{image}");
        if has_digest {
            assert_eq!(found["Digest"], sample.digest(), "{image}");
        }
        let config = skopeo_inspect(&image, &["--config"]);
        assert_eq!(config["config"]["User"], "app", "{image}");
        assert_eq!(config["history"].as_array().expect("history").len(), 16, "{image}");
    }
}

#[test]
fn skopeo_copies_and_converts() {
    let sample = Sample::build(&[]);
    let tree = sample.image().tree().expect("a tree");
    let dir = tempfile::tempdir().expect("a directory");
    let to = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let copy = |target: &str| {
        let from = format!("docker://{}", sample.name());
        run("skopeo", ["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &from, target]);
    };
    copy(&format!("oci:{}:x", to("layout")));
    let image = Image::from_layout(&dir.path().join("layout"), Some("x")).expect("the image");
    assert_eq!(image.digest, sample.digest(), "a copy changes nothing");

    copy(&format!("docker-archive:{}:app:1", to("image.tar")));
    let image = Image::from_docker_archive(&dir.path().join("image.tar")).expect("the image");
    assert_same_tree(&image.tree().expect("a tree"), &tree);

    let host = sample.registry.host();
    skopeo_copy(&sample.name(), &format!("{host}/converted:1"), "v2s2", &[]);
    let image = Image::from_registry(&sample.registry, "converted", "1").expect("the image");
    assert_eq!(image.config, sample.image().config);
    image.verify().expect("whole");
}

#[test]
fn skopeo_copies_what_kiln_wrote_to_a_registry() {
    let dir = tempfile::tempdir().expect("a directory");
    let (layout, archive) = (dir.path().join("layout"), dir.path().join("image.tar"));
    let paths = [layout.to_string_lossy(), archive.to_string_lossy()];
    let sample = Sample::build(&["--oci-layout-path", &paths[0], "--tar-path", &paths[1]]);
    let tree = sample.image().tree().expect("a tree");
    let sources = [format!("oci:{}:1", paths[0]), format!("docker-archive:{}", paths[1])];
    for (from, repo) in sources.iter().zip(["layout", "archive"]) {
        let to = format!("docker://{}/{repo}:1", sample.registry.host());
        run("skopeo", ["--insecure-policy", "copy", "-q", "--dest-tls-verify=false", from, &to]);
        let image = Image::from_registry(&sample.registry, repo, "1").expect("the image");
        assert_same_tree(&image.tree().expect("a tree"), &tree);
        assert_eq!(image.config, sample.image().config);
    }
}
