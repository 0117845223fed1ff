//! Docker's media types and OCI's, from and to Debian's `docker-registry`.

use testkit::Registry;
use testkit::image::Image;
use testkit::process::docker_registry;
use testkit::tar::TarBytes;

use crate::common::{Kiln, bases, tools};

const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn bases_of_both_families_give_images_of_both() {
    let seed = Registry::start();
    bases::busybox(&seed, "base", "1");
    let registry = docker_registry(None).expect("docker-registry");
    let host = registry.host();
    for (family, tag) in [("v2s2", "docker"), ("oci", "oci")] {
        let from = format!("{}/base:1", seed.host());
        tools::skopeo_copy(&from, &format!("{host}/base:{tag}"), family, &[]);
    }
    for (base, format, manifest, layer) in [
        ("docker", None, DOCKER, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        ("docker", Some("oci"), OCI, "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("oci", None, OCI, "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("oci", Some("docker"), DOCKER, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    ] {
        let tag = format!("{base}-{}", format.unwrap_or("same"));
        let outcome = Kiln::build()
            .dockerfile(&format!("FROM {host}/base:{base}\nCOPY f /f\nRUN cat /f > /g\n"))
            .file("f", "content\n")
            .args(["-t", &format!("{host}/team/app:{tag}")])
            .args(format.map(|format| format!("--image-format={format}")))
            .run()
            .ok();
        let image = Image::pull(host, "team/app", &tag, None).expect("the image");
        assert_eq!(image.digest, outcome.stdout.trim());
        assert_eq!(image.manifest["mediaType"], manifest, "{tag}");
        assert_eq!(image.layers.len(), 4, "{tag}");
        for found in image.manifest["layers"].as_array().expect("layers") {
            assert_eq!(found["mediaType"], layer, "{tag}");
        }
        image.verify().expect("whole");
        assert_eq!(image.text("g").expect("the file"), "content\n", "{tag}");
    }
}

#[test]
fn an_index_of_either_family_is_a_base_by_tag_and_by_digest() {
    let seed = Registry::start();
    let images = ["linux/amd64", "linux/arm64"].map(|platform| {
        let tag = platform.replace('/', "-");
        let layer = TarBytes::new().file("platform", platform);
        let architecture = platform.trim_start_matches("linux/");
        let config = serde_json::json!({ "os": "linux", "architecture": architecture });
        (platform, seed.add_image("base", &tag, vec![layer], config))
    });
    let images: Vec<_> = images.iter().map(|(p, digest)| (*p, digest.as_str())).collect();
    seed.add_index("base", "1", &images);
    let registry = docker_registry(None).expect("docker-registry");
    let host = registry.host();
    for (family, expected) in [("v2s2", DOCKER), ("oci", OCI)] {
        let (from, to) = (format!("{}/base:1", seed.host()), format!("{host}/base:{family}"));
        tools::skopeo_copy(&from, &to, family, &["--all"]);
        let index = tools::run(
            "skopeo",
            ["inspect", "--raw", "--tls-verify=false", &format!("docker://{to}")],
        );
        let digest = testkit::digest::sha256(index.as_bytes());
        for reference in [family.to_owned(), format!("{family}@{digest}")] {
            for platform in ["linux/amd64", "linux/arm64"] {
                Kiln::build()
                    .dockerfile(&format!("FROM {host}/base:{reference}\nENV A=1\n"))
                    .args(["-t", &format!("{host}/app:1"), "--platform", platform])
                    .run()
                    .ok();
                let image = Image::pull(host, "app", "1", None).expect("the image");
                assert_eq!(image.manifest["mediaType"], expected, "{reference}");
                assert_eq!(image.text("platform").expect("the file"), platform, "{reference}");
            }
        }
    }
}

#[test]
fn an_image_goes_to_docker_registry_and_back() {
    let registry = docker_registry(None).expect("docker-registry");
    let host = registry.host();
    Kiln::build()
        .dockerfile("FROM scratch\nCOPY f /f\nENV A=1\n")
        .file("f", "content\n")
        .args(["-t", &format!("{host}/one:1")])
        .run()
        .ok();
    let outcome = Kiln::build()
        .dockerfile(&format!("FROM {host}/one:1\nCOPY --from={host}/one:1 /f /g\nENV B=$A\n"))
        .args(["-t", &format!("{host}/deep/er/two:2")])
        .run()
        .ok();
    let image = Image::pull(host, "deep/er/two", "2", None).expect("the image");
    assert_eq!(image.digest, outcome.stdout.trim());
    image.verify().expect("whole");
    assert_eq!(image.tree().expect("a tree").into_keys().collect::<Vec<_>>(), ["f", "g"]);
    assert_eq!(image.config["config"]["Env"][2], "B=1", "{}", image.config);
}

#[test]
fn zstd_layers_on_docker_bases_make_an_oci_image() {
    let seed = Registry::start();
    bases::plain(&seed, "base", "1");
    let registry = docker_registry(None).expect("docker-registry");
    let host = registry.host();
    tools::skopeo_copy(&format!("{}/base:1", seed.host()), &format!("{host}/base:1"), "v2s2", &[]);
    let build = |more: &[&str]| {
        Kiln::build()
            .dockerfile(&format!("FROM {host}/base:1\nCOPY f /f\n"))
            .file("f", "content\n")
            .args(["-t", &format!("{host}/app:1"), "--compression=zstd"])
            .args(more)
            .run()
    };
    build(&[]).ok();
    let image = Image::pull(host, "app", "1", None).expect("the image");
    let types: Vec<_> = (image.manifest["layers"].as_array().expect("layers").iter())
        .map(|layer| layer["mediaType"].as_str().expect("a type"))
        .collect();
    let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
    assert_eq!(types, [gzip, gzip, "application/vnd.oci.image.layer.v1.tar+zstd"]);
    image.verify().expect("whole");
    build(&["--image-format=docker"]).fails(2, "zstd");
}
