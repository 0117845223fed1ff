//! Several platforms in one run, and what is said of commands that no processor here can run.

mod common;

use serde_json::{Value, json};
use testkit::Registry;
use testkit::image::Image;
use testkit::tar::TarBytes;

use common::{Kiln, bases, tools};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const BOTH: &str = "linux/amd64,linux/arm64";

/// A base for both platforms: `etc/arch` says which.
fn base(registry: &Registry) {
    let image = |arch: &str| {
        let layer = TarBytes::new().dir("etc").file("etc/arch", arch);
        registry.add_image("base", arch, vec![layer], json!({ "architecture": arch }))
    };
    let (amd64, arm64) = (image("amd64"), image("arm64"));
    registry.add_index("base", "1", &[("linux/amd64", &amd64), ("linux/arm64", &arm64)]);
}

fn index(registry: &Registry, repo: &str, reference: &str) -> (Value, String) {
    let (bytes, media_type) = registry.manifest(repo, reference).expect("an index");
    (serde_json::from_slice(&bytes).expect("JSON"), media_type)
}

fn platforms(index: &Value) -> Vec<String> {
    let all = index["manifests"].as_array().expect("manifests").iter();
    let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
    let platform =
        |it: &Value| text(&it["platform"], "os") + "/" + &text(&it["platform"], "architecture");
    all.map(platform).collect()
}

#[test]
fn an_index_joins_the_images_under_every_tag() {
    let (registry, other) = (Registry::start(), Registry::start());
    base(&registry);
    let host = registry.host();
    let outcome = Kiln::build()
        .dockerfile(&format!(
            "FROM {host}/base:1\nARG TARGETARCH\nCOPY f-$TARGETARCH /f\nENV FOR=$TARGETARCH\n"
        ))
        .file("f-amd64", "for amd64\n")
        .file("f-arm64", "for arm64\n")
        .args(["--platform", "linux/amd64", "--platform", "linux/arm64,linux/amd64"])
        .args(["-t", &format!("{host}/app:1"), "-t", &format!("{host}/app:2")])
        .args(["-t", &format!("{}/team/app:1", other.host())])
        .args(["--digest-file", "digest", "--iidfile", "iid"])
        .run()
        .ok();
    let digest = outcome.stdout.trim();
    for (registry, repo, tag) in
        [(&registry, "app", "1"), (&registry, "app", "2"), (&other, "team/app", "1")]
    {
        assert_eq!(registry.digest(repo, tag).as_deref(), Some(digest), "{repo}:{tag}");
        let (index, media_type) = index(registry, repo, tag);
        assert_eq!(media_type, OCI_INDEX);
        assert_eq!(index["mediaType"], OCI_INDEX);
        assert_eq!(platforms(&index), ["linux/amd64", "linux/arm64"]);
        for arch in ["amd64", "arm64"] {
            let platform = format!("linux/{arch}");
            let image = Image::for_platform(registry, repo, tag, &platform).expect("an image");
            image.verify().expect("whole");
            assert_eq!(image.config["architecture"], arch);
            assert_eq!(image.text("etc/arch").expect("there"), arch);
            assert_eq!(image.text("f").expect("there"), format!("for {arch}\n"));
            assert!(image.config["config"]["Env"].to_string().contains(&format!("FOR={arch}")));
        }
    }
    assert!(outcome.stderr.contains("2 platforms"), "{}", outcome.stderr);
    let raw = tools::skopeo_inspect(&format!("docker://{host}/app:1"), &["--raw"]);
    assert_eq!(platforms(&raw), ["linux/amd64", "linux/arm64"]);
    let name = format!("docker://{host}/app:2");
    let arm =
        tools::run("skopeo", ["--override-arch", "arm64", "inspect", "--tls-verify=false", &name]);
    let arm: Value = serde_json::from_str(&arm).expect("JSON");
    assert_eq!(arm["Architecture"], "arm64");
}

#[test]
fn a_tag_is_set_only_when_every_manifest_is_there() {
    let registry = Registry::start();
    Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["--platform", BOTH, "-t", &format!("{}/app:1", registry.host())])
        .run()
        .ok();
    let puts: Vec<String> = registry
        .requests()
        .iter()
        .filter(|request| request.method == "PUT" && request.path.contains("/manifests/"))
        .map(|request| request.path.clone())
        .collect();
    assert_eq!(puts.len(), 3, "{puts:?}");
    assert!(puts[..2].iter().all(|path| path.contains("/manifests/sha256:")), "{puts:?}");
    assert!(puts[2].ends_with("/manifests/1"), "{puts:?}");
}

#[test]
fn a_stage_of_the_build_platform_is_built_once() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    let host = registry.host();
    let outcome = Kiln::build()
        .dockerfile(&format!(
            "FROM --platform=$BUILDPLATFORM {host}/base:1 AS tools\n\
             RUN cat /proc/sys/kernel/random/uuid > /id\n\
             FROM --platform=$BUILDPLATFORM tools AS cross\nARG TARGETARCH\n\
             RUN echo $TARGETARCH > /arch\n\
             FROM scratch\nCOPY --from=tools /id /\nCOPY --from=cross /arch /\n"
        ))
        .args(["--platform", BOTH, "-t", &format!("{host}/app:1"), "--progress", "plain"])
        .run()
        .ok();
    let own = kiln::image::Platform::host().to_string();
    let target = if own == "linux/arm64" { "amd64" } else { "arm64" };
    for step in [
        format!("[{own} tools 1/1] RUN cat"),
        format!("[{own}->{target} cross 2/2] RUN echo"),
        format!("[{own} cross 2/2] RUN echo"),
        "[linux/arm64 stage-2 1/2] COPY".to_owned(),
        "[linux/amd64 stage-2 1/2] COPY".to_owned(),
    ] {
        assert!(outcome.stderr.contains(&step), "{step} is not in\n{outcome}");
    }
    let image = |arch: &str| {
        let platform = format!("linux/{arch}");
        let image = Image::for_platform(&registry, "app", "1", &platform).expect("an image");
        assert_eq!(image.text("arch").expect("there"), format!("{arch}\n"));
        assert_eq!(image.config["architecture"], arch);
        image.text("id").expect("there")
    };
    assert_eq!(image("amd64"), image("arm64"), "the stage was built twice");
}

#[test]
fn dockers_format_has_a_manifest_list() {
    let registry = Registry::start();
    Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["--platform", BOTH, "--image-format", "docker"])
        .args(["-t", &format!("{}/app:1", registry.host())])
        .run()
        .ok();
    let (index, media_type) = index(&registry, "app", "1");
    assert_eq!((media_type.as_str(), &index["mediaType"]), (DOCKER_LIST, &json!(DOCKER_LIST)));
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(index["manifests"][0]["mediaType"], kind);
}

#[test]
fn annotations_stand_where_they_are_meant() {
    let registry = Registry::start();
    let (outcome, dir) = Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["--platform", BOTH, "-t", &format!("{}/app:1", registry.host())])
        .args(["--annotation", "all=1", "--annotation", "manifest[linux/arm64]:arm=2"])
        .args(["--annotation", "index,manifest-descriptor:both=3"])
        .args(["--annotation", "index-descriptor:outside=4", "--oci-layout-path", "layout"])
        .run_and_keep();
    outcome.ok();
    let (index, _) = index(&registry, "app", "1");
    assert_eq!(index["annotations"], json!({"both": "3"}));
    for (number, own) in [json!({"all": "1"}), json!({"all": "1", "arm": "2"})].iter().enumerate() {
        let entry = &index["manifests"][number];
        assert_eq!(entry["annotations"], json!({"both": "3"}));
        let digest = entry["digest"].as_str().expect("a digest");
        let image = Image::from_registry(&registry, "app", digest).expect("an image");
        assert_eq!(image.manifest["annotations"], *own);
    }
    let outer = std::fs::read(dir.path().join("layout/index.json")).expect("there");
    let outer: Value = serde_json::from_slice(&outer).expect("JSON");
    assert_eq!(outer["manifests"][0]["annotations"]["outside"], "4");
    assert_eq!(outer["manifests"][0]["mediaType"], OCI_INDEX);
}

#[test]
fn a_layout_and_an_archive_hold_all_platforms() {
    let (outcome, dir) = Kiln::build()
        .dockerfile("FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /f\n")
        .file("amd64", "a")
        .file("arm64", "b")
        .args(["--platform", BOTH, "-t", "app:1", "--oci-layout-path", "layout"])
        .args(["-o", "type=oci,dest=image.tar", "-o", "files", "-o", "type=tar,dest=files.tar"])
        .run_and_keep();
    let outcome = outcome.ok();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for source in
        [format!("oci:{}:1", path("layout")), format!("oci-archive:{}:1", path("image.tar"))]
    {
        let index = tools::skopeo_inspect(&source, &["--raw"]);
        assert_eq!(platforms(&index), ["linux/amd64", "linux/arm64"], "{source}");
        let copy = path(&format!("copy-{}", source.split(':').next().expect("a word")));
        let to = format!("dir:{copy}");
        tools::run("skopeo", ["--insecure-policy", "copy", "--quiet", "--all", &source, &to]);
    }
    for (arch, content) in [("amd64", "a"), ("arm64", "b")] {
        let file = dir.path().join(format!("files/linux_{arch}/f"));
        assert_eq!(std::fs::read_to_string(file).expect("there"), content);
        let member = format!("linux_{arch}/f");
        assert_eq!(tools::run("tar", ["-xOf", &path("files.tar"), &member]), content);
    }
    assert!(outcome.stdout.starts_with("sha256:"), "{outcome}");
}

#[test]
fn files_name_the_index() {
    let registry = Registry::start();
    let (outcome, dir) = Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["--platform", BOTH, "-t", &format!("{}/app:1", registry.host())])
        .args(["--digest-file", "digest", "--iidfile", "iid", "--metadata-file", "meta.json"])
        .run_and_keep();
    let digest = outcome.ok().stdout.trim().to_owned();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("there");
    assert_eq!(read("digest"), digest);
    assert_eq!(read("iid"), digest);
    let meta: Value = serde_json::from_str(&read("meta.json")).expect("JSON");
    assert_eq!(meta["containerimage.digest"], digest);
    assert_eq!(meta["containerimage.descriptor"]["mediaType"], OCI_INDEX);
    assert_eq!(meta["image.name"], format!("{}/app:1", registry.host()));
    assert!(meta["containerimage.config.digest"].is_null(), "{meta}");
}

#[test]
fn one_platform_of_several_that_fails_sets_no_tag() {
    let registry = Registry::start();
    Kiln::build()
        .dockerfile("FROM scratch\nARG TARGETARCH\nCOPY f-$TARGETARCH /f\n")
        .file("f-amd64", "")
        .args(["--platform", BOTH, "-t", &format!("{}/app:1", registry.host())])
        .run()
        .fails(1, "f-arm64");
    assert!(registry.tags("app").is_empty());
}

/// Where binfmt_misc can be seen and has nothing for it, a RUN of another processor is refused at its
/// line, before anything is fetched; else the command's own start says it.
#[test]
fn a_command_of_another_processor_is_refused_with_what_to_do() {
    let registry = Registry::start();
    let layer = TarBytes::new().dir("bin").file("bin/sh", foreign_program()).mode(0o755);
    registry.add_image("base", "1", vec![layer], json!({ "architecture": "s390x" }));
    let outcome = Kiln::build()
        .dockerfile(&format!(
            "FROM {}/base:1\nCOPY Dockerfile /\nRUN echo hello\n",
            registry.host()
        ))
        .args(["--platform", "linux/s390x", "-t", &format!("{}/app:1", registry.host())])
        .run()
        .fails(1, "RUN echo hello");
    assert!(outcome.stderr.contains("tonistiigi/binfmt"), "{outcome}");
    assert!(outcome.stderr.contains("--platform=$BUILDPLATFORM"), "{outcome}");
    assert!(outcome.stderr.contains("Dockerfile:3"), "{outcome}");
    assert!(registry.tags("app").is_empty());
}

/// The head of a program for s390x, in which nothing is.
fn foreign_program() -> Vec<u8> {
    let mut elf = vec![0; 64];
    elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 2, 1]);
    elf[16..20].copy_from_slice(&[0, 2, 0, 22]);
    elf
}
