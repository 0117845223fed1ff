//! Images of several platforms become one index.

use std::fs;

use serde_json::{Value, json};
use testkit::Registry;
use testkit::image::Image;
use testkit::process::docker_registry;
use testkit::tar::TarBytes;

use crate::common::{Kiln, tools};
use crate::{changes, kiln};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// An image for one processor, `etc/arch` says which.
fn image(registry: &Registry, repo: &str, arch: &str) -> String {
    let layer = TarBytes::new().dir("etc").file("etc/arch", arch);
    registry.add_image(repo, arch, vec![layer], json!({ "architecture": arch }))
}

fn read(registry: &Registry, repo: &str, tag: &str) -> (Value, String) {
    let (bytes, media_type) = registry.manifest(repo, tag).expect("an index");
    (serde_json::from_slice(&bytes).expect("JSON"), media_type)
}

fn check(registry: &Registry, repo: &str, tag: &str, archs: &[&str]) {
    let (index, _) = read(registry, repo, tag);
    let entries = index["manifests"].as_array().expect("a list");
    let found: Vec<_> = entries.iter().map(|it| it["platform"]["architecture"].clone()).collect();
    assert_eq!(found, archs);
    for arch in archs {
        let platform = format!("linux/{arch}");
        let image = Image::for_platform(registry, repo, tag, &platform).expect("an image");
        image.verify().expect("whole");
        assert_eq!(image.text("etc/arch").expect("there"), *arch);
        // Registries such as GitLab's want it in the repository of the index.
        assert!(registry.manifest(repo, &image.digest).is_some());
    }
}

#[test]
fn images_of_one_repository_are_joined_and_nothing_is_copied() {
    let registry = Registry::start();
    let (amd64, arm64) = (image(&registry, "app", "amd64"), image(&registry, "app", "arm64"));
    let name = |rest: &str| format!("{}/app{rest}", registry.host());
    let sources = [name(":amd64"), name(&format!("@{arm64}"))];
    let args = ["-t", &name(":1"), "-t", &name(":2"), &sources[0], &sources[1]];
    let outcome = kiln("index", &args).ok();
    check(&registry, "app", "1", &["amd64", "arm64"]);
    assert_eq!(registry.digest("app", "1").as_deref(), Some(outcome.stdout.trim()));
    assert_eq!(registry.digest("app", "2"), registry.digest("app", "1"));
    assert!(outcome.stderr.contains("2 images: linux/amd64, linux/arm64; joined in"), "{outcome}");
    let puts: Vec<_> = changes(&registry).into_iter().filter(|it| it.starts_with("PUT")).collect();
    assert_eq!(puts, ["PUT /v2/app/manifests/1", "PUT /v2/app/manifests/2"]);
    // The same sources are the same index.
    registry.clear_requests();
    let again = kiln("index", &args).ok();
    assert_eq!((again.stdout.as_str(), changes(&registry).len()), (outcome.stdout.as_str(), 0));
    assert!(again.stderr.contains("the index is there already"), "{again}");
    // By two names it is one image; the index is written whole.
    let twice = format!("@{amd64}");
    kiln("index", &["-t", &name(":1"), &sources[0], &name(&twice)]).ok();
    check(&registry, "app", "1", &["amd64"]);
}

#[test]
fn images_of_other_places_are_copied() {
    let (registry, other) = (Registry::start(), Registry::start());
    image(&registry, "app", "amd64");
    image(&registry, "team/arm", "arm64");
    image(&other, "far", "s390x");
    let layout = tempfile::tempdir().expect("a directory");
    let dir = layout.path().join("layout").display().to_string();
    let kiln_build = Kiln::build()
        .dockerfile("FROM scratch\nARG TARGETARCH\nCOPY arch /etc/arch\n")
        .file("arch", "ppc64le")
        .args(["--no-push", "-t", "x:1", "--platform", "linux/ppc64le", "--oci-layout-path", &dir]);
    kiln_build.run().ok();
    let host = registry.host();
    let far = format!("{}/far:s390x", other.host());
    let sources = [
        format!("{host}/app:amd64"),
        format!("{host}/team/arm:arm64"),
        far,
        format!("oci-layout://{dir}:1"),
    ];
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let to = format!("{host}/app:1");
    registry.clear_requests();
    let outcome = kiln("index", &[&["-t", &to], &sources[..]].concat()).ok();
    check(&registry, "app", "1", &["amd64", "arm64", "s390x", "ppc64le"]);
    let requests = registry.requests();
    let mounts = requests.iter().filter(|it| it.query.contains("from=team/arm")).count();
    assert_eq!(mounts, 2, "config and layer of the same registry are mounted: {outcome}");
    registry.clear_requests();
    kiln("index", &[&["-t", &to], &sources[..]].concat()).ok();
    assert_eq!(changes(&registry), [""; 0]);
    // To a registry that has none of them, and back into one: its sources are indexes then.
    let copy = format!("{}/copy/app:1", other.host());
    kiln("index", &["-t", &copy, &to]).ok();
    check(&other, "copy/app", "1", &["amd64", "arm64", "s390x", "ppc64le"]);
    assert_eq!(other.digest("copy/app", "1"), registry.digest("app", "1"));
}

#[test]
fn attestations_stay_beside_their_images() {
    let registry = Registry::start();
    let (amd64, _) = (image(&registry, "app", "amd64"), image(&registry, "app", "arm64"));
    registry.add_index("app", "plain", &[("linux/amd64", &amd64)]);
    let (mut index, _) = read(&registry, "app", "plain");
    let statement = registry.put_blob("app", b"{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": statement, "size": 2 },
        "layers": [{ "mediaType": "application/vnd.in-toto+json", "digest": statement, "size": 2 }],
    })
    .to_string();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let digest = registry.put_manifest("app", "attestation", media_type, manifest.as_bytes());
    index["manifests"].as_array_mut().expect("a list").push(json!({
        "mediaType": media_type, "digest": digest, "size": manifest.len(),
        "annotations": { "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": amd64 },
        "platform": { "architecture": "unknown", "os": "unknown" },
    }));
    registry.put_manifest("app", "attested", OCI_INDEX, index.to_string().as_bytes());
    let name = |rest: &str| format!("{}/{rest}", registry.host());
    let args = ["-t", &name("other:1"), &name("app:attested"), &name("app:arm64")];
    kiln("index", &args).ok();
    let (joined, _) = read(&registry, "other", "1");
    assert_eq!(joined["manifests"][1], index["manifests"][1]);
    assert!(
        registry.manifest("other", &digest).is_some() && registry.has_blob("other", &statement)
    );
}

#[test]
fn platforms_formats_and_annotations() {
    let registry = Registry::start();
    image(&registry, "app", "amd64");
    let layer = TarBytes::new().file("f", "x");
    registry.add_image("app", "bare", vec![layer], json!({ "architecture": "", "os": "" }));
    let name = |rest: &str| format!("{}/app:{rest}", registry.host());
    let (amd64, bare, to) = (name("amd64"), name("bare"), name("1"));
    let outcome = kiln("index", &["-t", &to, &amd64, &bare]);
    outcome.fails(1, &format!("{bare} does not say its platform; write {bare}=OS/ARCH"));
    let named = format!("{bare}=linux/arm64/v8");
    kiln(
        "index",
        &[
            "-t",
            &to,
            &amd64,
            &named,
            "--annotation",
            "a=b",
            "--annotation",
            "manifest-descriptor:c=d",
            "--annotation",
            "manifest-descriptor[linux/arm64]:c=e",
        ],
    )
    .ok();
    let (index, media_type) = read(&registry, "app", "1");
    assert_eq!((media_type.as_str(), &index["annotations"]), (OCI_INDEX, &json!({"a": "b"})));
    assert_eq!(index["manifests"][0]["annotations"], json!({"c": "d"}));
    assert_eq!(index["manifests"][1]["annotations"], json!({"c": "e"}));
    assert_eq!(index["manifests"][1]["platform"]["architecture"], "arm64");
    let outcome =
        kiln("index", &["-t", &to, &amd64, "--annotation", "manifest-descriptor[linux/s390x]:c=d"]);
    outcome.fails(1, "is for linux/s390x, but the sources are for linux/amd64");
    let same = format!("{bare}=linux/amd64");
    let outcome = kiln("index", &["-t", &to, &amd64, &same]);
    outcome.fails(1, &format!("{amd64} and {bare} are both for linux/amd64"));
    // As the sources are.
    let docker = format!("{}/docker:1", registry.host());
    tools::skopeo_copy(&amd64, &docker, "v2s2", &[]);
    let joined = format!("{}/docker:joined", registry.host());
    kiln("index", &["-t", &joined, &docker]).ok();
    assert_eq!(read(&registry, "docker", "joined").1, DOCKER_LIST);
    kiln("index", &["-t", &joined, &docker, "--image-format", "oci"]).ok();
    assert_eq!(read(&registry, "docker", "joined").1, OCI_INDEX);
    kiln("index", &["-t", &joined, &docker, &named]).ok();
    assert_eq!(read(&registry, "docker", "joined").1, OCI_INDEX, "mixed");
    for (args, code, why) in [
        (&["-t", to.as_str()][..], 2, "there is nothing to join"),
        (&[&amd64], 2, "there is no name to push to"),
        (&["-t", &to, &name("gone")], 1, "does not exist"),
        (&["-t", &to, &amd64, "--annotation", "manifest:a=b"], 2, "stay as they are"),
        (&["-t", &to, &format!("{joined}=linux/arm64")], 1, "leave the platform out"),
    ] {
        kiln("index", args).fails(code, why);
    }
}

#[test]
fn one_image_for_several_platforms_and_what_platforms_say() {
    let registry = Registry::start();
    let amd64 = image(&registry, "app", "amd64");
    let name = |rest: &str| format!("{}/app:{rest}", registry.host());
    let both = [format!("{}=linux/amd64", name("amd64")), format!("{}=linux/arm64", name("amd64"))];
    kiln("index", &["-t", &name("1"), &both[0], &both[1]]).ok();
    let (index, _) = read(&registry, "app", "1");
    let archs = |index: &Value| {
        let entries = index["manifests"].as_array().expect("a list").iter();
        let found =
            entries.map(|it| (it["platform"]["architecture"].clone(), it["digest"].clone()));
        found.collect::<Vec<_>>()
    };
    assert_eq!(archs(&index), [(json!("amd64"), json!(amd64)), (json!("arm64"), json!(amd64))]);
    // The same of a source that is such an index; with fields that kiln does not know.
    let mut source = index;
    source["manifests"][1]["platform"]["os.features"] = json!(["win32k"]);
    source["manifests"][1]["platform"]["features"] = json!(["sse4"]);
    registry.put_manifest("app", "source", OCI_INDEX, source.to_string().as_bytes());
    kiln("index", &["-t", &name("2"), &name("source")]).ok();
    let (joined, _) = read(&registry, "app", "2");
    assert_eq!(joined["manifests"], source["manifests"]);
}

#[test]
fn what_a_layout_says_of_its_images_is_checked() {
    let dir = tempfile::tempdir().expect("a directory");
    let blobs = dir.path().join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a directory");
    let put = |value: Value| {
        let text = value.to_string();
        let digest = testkit::digest::sha256(text.as_bytes());
        fs::write(blobs.join(digest.trim_start_matches("sha256:")), &text).expect("a blob");
        (digest, text.len())
    };
    let (config, size) = put(json!({ "architecture": "amd64", "os": "linux" }));
    let kind = "application/vnd.oci.image.config.v1+json";
    let (manifest, size) = put(json!({
        "schemaVersion": 2, "layers": [],
        "config": { "mediaType": kind, "digest": config, "size": size },
    }));
    let registry = Registry::start();
    let to = format!("{}/app:1", registry.host());
    let layout = format!("oci-layout://{}", dir.path().display());
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    for (entries, rest, fails) in [
        (json!([]), format!("@{manifest}"), false),
        (json!([{ "mediaType": "", "digest": manifest, "size": size }]), String::new(), false),
        (json!([{ "mediaType": media_type, "digest": manifest, "size": 7 }]), String::new(), true),
    ] {
        let index = json!({ "schemaVersion": 2, "manifests": entries });
        fs::write(dir.path().join("index.json"), index.to_string()).expect("written");
        let outcome = kiln("index", &["-t", &to, &format!("{layout}{rest}")]);
        if fails {
            outcome.fails(1, "but what leads to it says 7");
            continue;
        }
        outcome.ok();
        let (index, _) = read(&registry, "app", "1");
        let entry = &index["manifests"][0];
        assert_eq!((&entry["mediaType"], &entry["size"]), (&json!(media_type), &json!(size)));
    }
}

#[test]
fn docker_registry_takes_it_and_skopeo_reads_it() {
    let registry = docker_registry(None).expect("docker-registry");
    let host = registry.host();
    for arch in ["amd64", "arm64"] {
        let build = Kiln::build()
            .dockerfile("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n")
            .args(["--platform", &format!("linux/{arch}"), "-t", &format!("{host}/app:1-{arch}")]);
        build.run().ok();
    }
    let sources = [format!("{host}/app:1-amd64"), format!("{host}/app:1-arm64")];
    for repo in ["app", "other/place"] {
        let to = format!("{host}/{repo}:1");
        let outcome = kiln("index", &["-t", &to, &sources[0], &sources[1]]).ok();
        let name = format!("docker://{to}");
        let raw = tools::skopeo_inspect(&name, &["--raw"]);
        assert_eq!(raw["manifests"].as_array().map(Vec::len), Some(2));
        let arm = tools::run(
            "skopeo",
            ["--override-arch", "arm64", "inspect", "--tls-verify=false", &name],
        );
        assert!(arm.contains("\"Architecture\": \"arm64\""), "{arm}\n{outcome}");
    }
}
