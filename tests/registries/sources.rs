//! Where a base comes from: tags, digests, indexes of several platforms, mirrors.

use serde_json::json;
use testkit::Registry;
use testkit::image::Image;
use testkit::tar::TarBytes;

use crate::common::{Kiln, bases};

/// An index with an image for each of these platforms, which say their platform in `/platform`.
fn index(registry: &Registry, repo: &str, tag: &str, platforms: &[&str]) -> String {
    let images: Vec<_> = platforms
        .iter()
        .map(|platform| {
            let mut parts = platform.split('/');
            let mut part = || parts.next().unwrap_or_default();
            let mut config = json!({ "os": part(), "architecture": part() });
            if let Some(variant) = Some(part()).filter(|variant| !variant.is_empty()) {
                config["variant"] = variant.into();
            }
            let layer = TarBytes::new().file("platform", platform);
            let name = platform.replace('/', "-");
            (*platform, registry.add_image(repo, &name, vec![layer], config))
        })
        .collect();
    let images: Vec<_> = images.iter().map(|(p, digest)| (*p, digest.as_str())).collect();
    registry.add_index(repo, tag, &images)
}

fn platform_of(registry: &Registry, tag: &str) -> (String, String) {
    let image = Image::from_registry(registry, "app", tag).expect("the image");
    let config = &image.config;
    let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
    let parts = [text("os"), text("architecture"), text("variant")].join("/");
    let platform = parts.trim_end_matches('/').to_owned();
    (platform, image.text("platform").expect("the base's file"))
}

#[test]
fn an_index_gives_the_image_of_the_platform() {
    let registry = Registry::start();
    let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64"];
    index(&registry, "base", "1", &platforms);
    let host = registry.host();
    let own = if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" };
    for (from, flags, expected) in [
        ("", &[][..], own),
        ("", &["--platform=linux/arm/v7"], "linux/arm/v7"),
        ("", &["--platform=linux/arm64"], "linux/arm64"),
        ("--platform=linux/arm64 ", &["--platform=linux/amd64"], "linux/arm64"),
    ] {
        let outcome = Kiln::build()
            .dockerfile(&format!("FROM {from}{host}/base:1\nCOPY f /f\n"))
            .file("f", "f\n")
            .args(["-t", &format!("{host}/app:1")])
            .args(flags)
            .run()
            .ok();
        let found = platform_of(&registry, "1");
        assert_eq!(found, (expected.to_owned(), expected.to_owned()), "{outcome}");
    }
    Kiln::build()
        .dockerfile(&format!("FROM {host}/base:1\n"))
        .args(["--no-push", "--platform=linux/s390x"])
        .run()
        .fails(1, "has no image for linux/s390x; it has linux/amd64, linux/arm64, linux/arm/v7");
}

#[test]
fn a_digest_names_an_image_or_an_index_whatever_the_tag_says() {
    let registry = Registry::start();
    let own = if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" };
    let index = index(&registry, "base", "1", &["linux/amd64", "linux/arm64"]);
    let image = registry.digest("base", &own.replace('/', "-")).expect("the image");
    bases::plain(&registry, "base", "1"); // the tag moves on
    let host = registry.host();
    for reference in [format!("base@{index}"), format!("base@{image}"), format!("base:1@{index}")] {
        Kiln::build()
            .dockerfile(&format!("FROM {host}/{reference}\nENV A=1\n"))
            .args(["-t", &format!("{host}/app:1")])
            .run()
            .ok();
        assert_eq!(platform_of(&registry, "1").0, own, "{reference}");
    }
    let missing = format!("sha256:{}", "0".repeat(64));
    Kiln::build()
        .dockerfile(&format!("FROM {host}/base@{missing}\n"))
        .args(["--no-push"])
        .run()
        .fails(1, &format!("{host}/base@{missing}` does not exist"));
}

#[test]
fn mirrors_of_docker_hub_are_asked_in_order() {
    let (first, second) = (Registry::start(), Registry::start());
    bases::plain(&first, "library/other", "1");
    bases::plain(&second, "library/base", "1");
    bases::plain(&second, "cache/team/tool", "1");
    let target = Registry::start();
    let build = |dockerfile: &str, mirrors: &[String]| {
        let flags = mirrors.iter().flat_map(|mirror| ["--registry-mirror", mirror]);
        Kiln::build()
            .dockerfile(dockerfile)
            .args(["-t", &format!("{}/app:1", target.host())])
            .args(flags)
            .run()
    };
    let mirrors = [first.host().to_owned(), second.host().to_owned()];
    let outcome = build("FROM base:1\nCOPY --from=other:1 /etc/upper /u\n", &mirrors).ok();
    let image = Image::from_registry(&target, "app", "1").expect("the image");
    assert_eq!(image.digest, outcome.stdout.trim());
    image.verify().expect("whole");
    let prefix = [format!("http://{}/cache", second.host())];
    build("FROM team/tool:1\nENV A=1\n", &prefix).ok();
}

#[test]
fn what_a_mirror_lacks_comes_from_the_registry_itself() {
    let (mirror, origin, target) = (Registry::start(), Registry::start(), Registry::start());
    bases::plain(&origin, "base", "1");
    let map = format!("{}={}", origin.host(), mirror.host());
    let build = |more: &[&str]| {
        Kiln::build()
            .dockerfile(&format!("FROM {}/base:1\nCOPY f /f\n", origin.host()))
            .file("f", "f\n")
            .args(["-t", &format!("{}/app:1", target.host()), "--registry-map", &map])
            .args(more)
            .run()
    };
    build(&[]).ok();
    assert!(mirror.requests().iter().any(|r| r.path == "/v2/base/manifests/1" && r.status == 404));
    let strict = build(&["--skip-default-registry-fallback"]);
    strict.fails(1, &format!("{}/base:1` does not exist", mirror.host()));

    // The mirror has the manifest and one layer of two.
    bases::plain(&mirror, "base", "1");
    let (manifest, _) = mirror.manifest("base", "1").expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    let layer = manifest["layers"][1]["digest"].as_str().expect("a digest").to_owned();
    let path = format!("/blobs/{layer}");
    mirror.fault(testkit::Fault::on("GET", &path, testkit::Action::status(404)).always());
    origin.clear_requests();
    build(&[]).ok();
    let asked: Vec<_> = origin.requests().iter().map(testkit::Request::line).collect();
    let asked: Vec<_> = asked.iter().filter(|line| *line != "GET /v2/").collect();
    assert_eq!(asked, [&format!("GET /v2/base/blobs/{layer}")], "the rest is the mirror's");
    Image::from_registry(&target, "app", "1").expect("the image").verify().expect("whole");
}
