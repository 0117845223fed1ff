//! Layouts and archives, to one or several registries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::image::Image;
use testkit::process::docker_registry;
use testkit::tar::TarBytes;
use testkit::{Action, Fault, Registry};

use crate::common::{Kiln, Outcome, tools};
use crate::{changes, kiln};

/// A directory with the same image in every form, and its digest in the layout.
struct Images {
    dir: tempfile::TempDir,
    digest: String,
}

impl Images {
    fn build(platforms: &str) -> Self {
        Self::with(platforms, &[])
    }

    /// Built with more flags.
    fn with(platforms: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        let mut kiln = Kiln::build()
            .dockerfile("FROM scratch\nARG TARGETARCH\nCOPY f /$TARGETARCH\nCOPY Dockerfile /\n")
            .file("f", "content ".repeat(1000))
            .args(["--no-push", "-t", "registry.test/app:1", "--platform", platforms])
            .arg_pair("--oci-layout-path", path("layout"))
            .arg_pair("-o", format!("type=oci,dest={}", path("oci.tar").display()));
        kiln = kiln.args(flags);
        if !platforms.contains(',') && flags.is_empty() {
            kiln = kiln.arg_pair("--tar-path", path("docker.tar"));
        }
        let digest = kiln.run().ok().stdout.trim().to_owned();
        Self { dir, digest }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}

/// Requests that send something; the question for permission sends nothing.
fn sent(registry: &Registry) -> Vec<String> {
    let sends = |line: &String| line.starts_with("PUT") || line.starts_with("PATCH");
    changes(registry).into_iter().filter(sends).collect()
}

fn lines(outcome: &Outcome) -> &str {
    outcome.stderr.lines().last().unwrap_or_default()
}

#[test]
fn every_form_is_pushed_as_it_is() {
    let images = Images::build("linux/amd64");
    tools::run("gzip", ["-k", &images.path("oci.tar")]);
    for source in
        ["layout", "layout:1", "layout:registry.test/app:1", "oci.tar", "oci.tar:1", "oci.tar.gz"]
    {
        let registry = Registry::start();
        let name = format!("{}/app:1", registry.host());
        let outcome = kiln("push", &[&images.path(source), &name]).ok();
        assert_eq!(outcome.stdout.trim(), images.digest, "{source}");
        let image = Image::from_registry(&registry, "app", "1").expect("an image");
        assert_eq!(image.digest, images.digest);
        image.verify().expect("whole");
        assert!(lines(&outcome).contains("in 2 layers, pushed in"), "{outcome}");
        assert!(lines(&outcome).contains("3 blobs sent"), "{outcome}");
        // Again, and by another tag: nothing is sent, and then nothing is changed.
        registry.clear_requests();
        let outcome = kiln("push", &[&images.path(source), &name]).ok();
        assert_eq!(sent(&registry), [""; 0], "{source}");
        // Of a layout is known at once what it is; before an archive is unpacked it is asked.
        let asked = changes(&registry).len();
        assert_eq!(asked == 0, source.starts_with("layout"), "{source}: {asked}");
        assert!(lines(&outcome).contains("it is there already"), "{outcome}");
        kiln("push", &[&images.path(source), &format!("{}/app:2", registry.host())]).ok();
        let puts: Vec<_> = changes(&registry).into_iter().filter(|it| it.contains("PUT")).collect();
        assert_eq!(puts, ["PUT /v2/app/manifests/2"], "{source}");
    }
    let registry = Registry::start();
    let name = format!("{}/app:1", registry.host());
    let wrong = format!("{}:registry.test/other:1", images.path("layout"));
    kiln("push", &[&wrong, &name]).fails(1, "the names in it: registry.test/app:1");
    let by_digest = format!("{}@{}", images.path("layout"), images.digest);
    kiln("push", &[&by_digest, "-t", &name]).ok();
    assert_eq!(registry.digest("app", "1").as_ref(), Some(&images.digest));
}

#[test]
fn skopeo_s_layouts_and_docker_registry_agree() {
    let images = Images::build("linux/amd64");
    let registry = docker_registry(None).expect("docker-registry");
    let host = registry.host();
    let (layout, archive) = (images.path("skopeo"), images.path("skopeo.tar"));
    let from = format!("oci:{}:1", images.path("layout"));
    for to in [format!("oci:{layout}:latest"), format!("oci-archive:{archive}:latest")] {
        tools::run("skopeo", ["--insecure-policy", "copy", "--quiet", &from, &to]);
    }
    for (source, repo) in [(&layout, "a"), (&archive, "b")] {
        kiln("push", &[source, &format!("{host}/{repo}:1")]).ok();
        let raw = format!("docker://{host}/{repo}:1");
        let found = tools::skopeo_inspect(&raw, &["--raw"]);
        let expected = tools::skopeo_inspect(&format!("oci:{layout}:latest"), &["--raw"]);
        assert_eq!(found, expected);
    }
}

#[test]
fn an_archive_of_docker_s_becomes_an_image_and_its_layers_are_compressed() {
    let images = Images::build("linux/amd64");
    let registry = Registry::start();
    let name = |tag: &str| format!("{}/app:{tag}", registry.host());
    // kiln's own has compressed layers, skopeo's has plain ones.
    let plain = images.path("plain.tar");
    let from = format!("docker-archive:{}", images.path("docker.tar"));
    let to = format!("docker-archive:{plain}:registry.test/app:1");
    tools::run("skopeo", ["--insecure-policy", "copy", "--quiet", &from, &to]);
    let original = Image::from_layout(Path::new(&images.path("layout")), None).expect("an image");
    let tree = original.tree().expect("a tree");
    for (source, flags, kind) in [
        ("docker.tar", &[][..], "gzip"),
        ("docker.tar:registry.test/app:1", &[], "gzip"),
        ("plain.tar", &[], "gzip"),
        ("plain.tar", &["--compression", "uncompressed"], "diff.tar"),
        ("plain.tar", &["--compression", "zstd", "--compression-level", "3"], "zstd"),
    ] {
        let (source, tag) = (images.path(source), "1");
        let outcome = kiln("push", &[&[source.as_str(), &name(tag)], flags].concat()).ok();
        let image = Image::from_registry(&registry, "app", tag).expect("an image");
        image.verify().expect("whole");
        assert_eq!(image.digest, outcome.stdout.trim());
        testkit::image::assert_same_tree(&image.tree().expect("a tree"), &tree);
        let (bytes, _) = registry.manifest("app", tag).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
        for layer in manifest["layers"].as_array().expect("layers") {
            let found = layer["mediaType"].as_str().expect("a type");
            assert!(found.ends_with(kind), "{source} {flags:?}: {found}");
        }
        // The same bytes each time.
        registry.clear_requests();
        kiln("push", &[&[source.as_str(), &name(tag)], flags].concat()).ok();
        assert_eq!(sent(&registry), [""; 0], "{source} {flags:?}");
    }
    let changes_nothing = "--compression changes nothing";
    for (source, warned) in [("layout", true), ("oci.tar", true), ("plain.tar", false)] {
        let args = [&images.path(source), &name("warned"), "--compression", "zstd"];
        let outcome = kiln("push", &args).ok();
        assert_eq!(outcome.stderr.contains(changes_nothing), warned, "{source}: {outcome}");
    }
}

/// Makes an archive of both forms of an image's layout, as containerd does.
fn both_forms(images: &Images) -> String {
    let layout = PathBuf::from(images.path("layout"));
    let blob = |digest: &Value| {
        format!(
            "blobs/sha256/{}",
            digest.as_str().unwrap_or_default().trim_start_matches("sha256:")
        )
    };
    let text = fs::read(layout.join(blob(&json!(images.digest)))).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&text).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers").iter();
    let layers: Vec<String> = layers.map(|layer| blob(&layer["digest"])).collect();
    let config = blob(&manifest["config"]["digest"]);
    let list = json!([{ "Config": config, "RepoTags": ["registry.test/app:1"], "Layers": layers }]);
    fs::write(layout.join("manifest.json"), list.to_string()).expect("written");
    let tar = images.path("both.tar");
    tools::run("tar", ["-cf", &tar, "-C", &images.path("layout"), "."]);
    tar
}

#[test]
fn an_archive_of_both_forms_keeps_a_manifest_that_can_be_sent() {
    for (compression, kept) in [("gzip", true), ("zstd", true), ("uncompressed", false)] {
        let images = Images::with("linux/amd64", &["--compression", compression]);
        let tar = both_forms(&images);
        let registry = Registry::start();
        let name = format!("{}/app:1", registry.host());
        for (rest, kept) in [
            ("", kept),
            (":1", kept),
            (":registry.test/app:1", kept),
            (&format!("@{}", images.digest), true),
            (&format!(":1@{}", images.digest), true),
        ] {
            let outcome = kiln("push", &[&format!("{tar}{rest}"), &name]).ok();
            let same = outcome.stdout.trim() == images.digest;
            assert_eq!(same, kept, "{compression} {rest}: {outcome}");
            Image::from_registry(&registry, "app", "1").expect("an image").verify().expect("whole");
        }
    }
}

#[test]
fn an_archive_comes_from_a_pipe() {
    let images = Images::build("linux/amd64");
    let registry = Registry::start();
    let name = format!("{}/app:1", registry.host());
    let (mut command, _dir) = Kiln::subcommand("push").args(["-", &name]).into_bare_command();
    let input = fs::File::open(images.path("oci.tar")).expect("the archive");
    let outcome = Outcome::from(command.stdin(input).output().expect("kiln starts")).ok();
    assert_eq!(outcome.stdout.trim(), images.digest);
}

/// An archive as `docker save a b` has written it before version 25, with a layer that is a link.
fn two_images(path: &Path) {
    let layer = TarBytes::new().file("f", "content\n").finish();
    let diff_id = testkit::digest::sha256(&layer);
    let config = |user: &str| {
        json!({
            "architecture": "amd64", "os": "linux", "config": { "User": user },
            "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        })
        .to_string()
    };
    let listed = |id: &str, tags: &[&str]| json!({ "Config": format!("{id}.json"), "RepoTags": tags, "Layers": [format!("{id}/layer.tar")] });
    let list = json!([listed("a", &["host.test:5000/a:1"]), listed("b", &["b:1", "b:2"])]);
    let tar = TarBytes::new()
        .file("a.json", config("a"))
        .file("b.json", config("b"))
        .dir("a")
        .file("a/layer.tar", &layer)
        .dir("b")
        .symlink("b/layer.tar", "../a/layer.tar")
        .file("manifest.json", list.to_string());
    fs::write(path, tar.finish()).expect("a file");
}

#[test]
fn one_of_several_images_is_named() {
    let images = tempfile::tempdir().expect("a directory");
    let path = images.path().join("two.tar");
    two_images(&path);
    let registry = Registry::start();
    let name = format!("{}/app:1", registry.host());
    let source = |rest: &str| format!("{}{rest}", path.display());
    for (rest, user) in
        [(":host.test:5000/a:1", "a"), (":b:2", "b"), (":docker.io/library/b:1", "b"), (":2", "b")]
    {
        kiln("push", &[&source(rest), &name]).ok();
        let image = Image::from_registry(&registry, "app", "1").expect("an image");
        assert_eq!(image.config["config"]["User"], user, "{rest}");
        assert_eq!(image.text("f").expect("there"), "content\n");
    }
    for (rest, why) in [
        ("", "more than one image of that name; it has host.test:5000/a:1, b:1 or b:2"),
        (":1", "more than one image"),
        (":c", "no image of that name"),
        ("@sha256:00", "no digests of manifests"),
    ] {
        kiln("push", &[&source(rest), &name]).fails(1, why);
    }
}

#[test]
fn an_index_is_pushed_whole_or_one_image_of_it() {
    let images = Images::build("linux/amd64,linux/arm64");
    let (one, other) = (Registry::start(), Registry::start());
    // What BuildKit puts beside an image.
    let layout = images.path("layout");
    let statement = attest(Path::new(&layout), &images.digest);
    for source in [format!("{layout}:attested"), images.path("oci.tar")] {
        let attested = source.ends_with("attested");
        let names = [format!("{}/app:1", one.host()), format!("{}/app:2", one.host())];
        let far = format!("{}/team/app:1", other.host());
        let outcome = kiln("push", &[&source, &names[0], &names[1], &far]).ok();
        for (registry, repo, tag) in
            [(&one, "app", "1"), (&one, "app", "2"), (&other, "team/app", "1")]
        {
            assert_eq!(registry.digest(repo, tag).as_deref(), Some(outcome.stdout.trim()));
            for platform in ["linux/amd64", "linux/arm64"] {
                let image = Image::for_platform(registry, repo, tag, platform).expect("an image");
                image.verify().expect("whole");
            }
            assert!(!attested || registry.has_blob(repo, &statement));
        }
        assert!(lines(&outcome).contains("for 2 platforms"), "{outcome}");
    }
    let name = format!("{}/one:1", one.host());
    let outcome = kiln("push", &[&layout, &name, "--platform", "linux/arm64"]);
    outcome.fails(1, "has no image `latest`; it has 1, attested");
    kiln("push", &[&format!("{layout}:1"), &name, "--platform", "linux/arm64"]).ok();
    let image = Image::from_registry(&one, "one", "1").expect("an image and no index");
    assert_eq!(image.config["architecture"], "arm64");
    let path =
        Path::new(&layout).join("blobs/sha256").join(image.digest.trim_start_matches("sha256:"));
    fs::remove_file(path).expect("a manifest");
    let outcome = kiln("push", &[&format!("{layout}:1"), &format!("{}/other:1", other.host())]);
    outcome.fails(1, "for linux/arm64, which is not in");
    assert_eq!(other.tags("other"), [""; 0]);
    kiln("push", &[&format!("{layout}:1"), &name, "--platform", "linux/amd64"]).ok();
    let outcome = kiln("push", &[&format!("{layout}:1"), &name, "--platform", "linux/s390x"]);
    outcome.fails(1, "has no image for linux/s390x; it has linux/amd64, linux/arm64");
}

/// Adds an index with an attestation to a layout, under the tag `attested`; the digest of its statement.
fn attest(layout: &Path, digest: &str) -> String {
    let put = |value: &Value| {
        let text = value.to_string();
        let digest = testkit::digest::sha256(text.as_bytes());
        let hex = digest.trim_start_matches("sha256:");
        fs::write(layout.join("blobs/sha256").join(hex), &text).expect("a blob");
        (digest, text.len())
    };
    let hex = digest.trim_start_matches("sha256:");
    let text = fs::read(layout.join("blobs/sha256").join(hex)).expect("the index");
    let mut index: Value = serde_json::from_slice(&text).expect("JSON");
    let about = index["manifests"][0]["digest"].clone();
    let (statement, size) = put(&json!({ "_type": "https://in-toto.io/Statement/v0.1" }));
    let (config, config_size) = put(&json!({ "architecture": "unknown", "os": "unknown" }));
    let (manifest, manifest_size) = put(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size },
        "layers": [{ "mediaType": "application/vnd.in-toto+json", "digest": statement, "size": size }],
    }));
    index["manifests"].as_array_mut().expect("a list").push(json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": manifest, "size": manifest_size,
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": about,
        },
        "platform": { "architecture": "unknown", "os": "unknown" },
    }));
    let (digest, size) = put(&index);
    let path = layout.join("index.json");
    let mut top: Value = serde_json::from_slice(&fs::read(&path).expect("there")).expect("JSON");
    top["manifests"].as_array_mut().expect("a list").push(json!({
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": size,
        "annotations": { "org.opencontainers.image.ref.name": "attested" },
    }));
    fs::write(path, top.to_string()).expect("written");
    statement
}

/// Flips a bit in the largest blob.
fn damage(layout: &Path) -> PathBuf {
    let blobs = fs::read_dir(layout.join("blobs/sha256")).expect("a directory");
    let mut blobs: Vec<_> = blobs.map(|entry| entry.expect("an entry").path()).collect();
    blobs.sort_by_key(|path| fs::metadata(path).expect("there").len());
    let path = blobs.pop().expect("a blob");
    let mut bytes = fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&path).expect("removed");
    fs::write(&path, bytes).expect("written");
    path
}

#[test]
fn what_is_damaged_never_becomes_a_tag() {
    for (source, verb) in [("layout", "is damaged"), ("oci.tar", "is damaged")] {
        let images = Images::build("linux/amd64");
        let registry = Registry::start();
        let layout = PathBuf::from(images.path("layout"));
        let path = damage(&layout);
        let tar = images.path("damaged.tar");
        tools::run("tar", ["-cf", &tar, "-C", &images.path("layout"), "."]);
        let source = if source == "layout" { images.path("layout") } else { tar };
        let outcome = kiln("push", &[&source, &format!("{}/app:1", registry.host())]);
        let outcome = outcome.fails(1, verb);
        let hex = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(outcome.stderr.contains(&hex), "{outcome}");
        assert_eq!(registry.tags("app"), [""; 0]);
        assert_eq!(registry.open_uploads(), 0);
    }
}

#[test]
fn a_damaged_archive_of_docker_s_never_becomes_a_tag() {
    let dir = tempfile::tempdir().expect("a directory");
    let registry = Registry::start();
    let layer = TarBytes::new().file("f", "content\n").finish();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "User": "me" },
        "rootfs": { "type": "layers", "diff_ids": [testkit::digest::sha256(&layer)] },
    })
    .to_string();
    let hex =
        |bytes: &[u8]| testkit::digest::sha256(bytes).trim_start_matches("sha256:").to_owned();
    let other_config = config.replace("\"me\"", "\"mf\"");
    let mut other_layer = layer.clone();
    let at = other_layer.windows(7).position(|it| it == b"content").expect("there");
    other_layer[at] ^= 1;
    let (good, id) = (hex(config.as_bytes()), "0123456789abcdef".repeat(4));
    let configs =
        [format!("{good}.json"), format!("sha256:{good}"), format!("blobs/sha256/{good}")];
    for (config_name, content, layer_name, layer, why) in [
        // Names of old layers' directories are no digests.
        (&configs[0], &config, format!("{id}/layer.tar"), &layer, None),
        (&configs[0], &other_config, format!("{id}/layer.tar"), &layer, Some("is damaged")),
        (&configs[1], &other_config, format!("{id}/layer.tar"), &layer, Some("is damaged")),
        (&configs[2], &other_config, format!("{id}/layer.tar"), &layer, Some("is damaged")),
        (&configs[0], &config, format!("{id}/layer.tar"), &other_layer, Some("unpacks to")),
        (
            &configs[0],
            &config,
            format!("blobs/sha256/{}", hex(&layer)),
            &other_layer,
            Some("is damaged"),
        ),
    ] {
        let list = json!([{ "Config": config_name, "RepoTags": ["a:1"], "Layers": [layer_name] }]);
        let tar = TarBytes::new()
            .file(config_name, content)
            .file(&layer_name, layer)
            .file("manifest.json", list.to_string());
        let path = dir.path().join("a.tar");
        fs::write(&path, tar.finish()).expect("written");
        let repo = if why.is_some() { "bad" } else { "good" };
        let name = format!("{}/{repo}:1", registry.host());
        let outcome = kiln("push", &[&path.display().to_string(), &name]);
        match why {
            Some(why) => _ = outcome.fails(1, why),
            None => _ = outcome.ok(),
        }
    }
    assert_eq!((registry.tags("good").len(), registry.tags("bad").len()), (1, 0));
}

#[test]
fn permission_is_asked_first_and_files_get_the_digest() {
    let images = Images::build("linux/amd64");
    let refuses = Registry::builder().basic_auth("u", "p").start();
    let takes = Registry::start();
    let names = [format!("{}/app:1", takes.host()), format!("{}/app:1", refuses.host())];
    let outcome = kiln("push", &[&images.path("layout"), &names[0], &names[1]]);
    outcome.fails(1, "status 401");
    assert_eq!(takes.tags("app"), [""; 0], "nothing was sent before all had said yes");
    assert!(!takes.has_blob("app", &images.digest));
    // Nothing is unpacked before: what is no archive at all is not found out.
    let text = images.path("text");
    fs::write(&text, "no archive").expect("written");
    kiln("push", &[&text, &names[0], &names[1]]).fails(1, "status 401");
    kiln("push", &[&text, &names[0]]).fails(1, "cannot read");
    assert_eq!(takes.open_uploads(), 0);

    let file = |name: &str| images.path(name);
    let args = [
        "--digest-file",
        &file("digest"),
        "--image-name-with-digest-file",
        &file("names"),
        "--image-name-tag-with-digest-file",
        &file("tags"),
        "--quiet",
    ];
    let outcome = kiln("push", &[&[images.path("layout").as_str(), &names[0]], &args[..]].concat());
    assert_eq!(outcome.ok().stderr, "");
    let read = |name: &str| fs::read_to_string(file(name)).expect("a file");
    assert_eq!(read("digest"), images.digest);
    assert_eq!(read("names"), format!("{}/app@{}\n", takes.host(), images.digest));
    assert_eq!(read("tags"), format!("{}@{}\n", names[0], images.digest));
}

#[test]
fn a_registry_that_breaks_off_is_asked_again_and_one_that_fails_gets_no_tag() {
    let images = Images::build("linux/amd64");
    let (one, other) = (Registry::start(), Registry::start());
    one.fault(Fault::on("PUT", "/blobs/uploads/", Action::status(503)).times(2));
    other.fault(Fault::on("PUT", "/manifests/", Action::status(400)).always());
    let names = [format!("{}/app:1", one.host()), format!("{}/app:1", other.host())];
    kiln("push", &[&images.path("layout"), &names[0], &names[1]]).fails(1, "answered 400");
    assert_eq!(one.tags("app"), [""; 0], "no tag before everybody has everything");
    kiln("push", &[&images.path("layout"), &names[0]]).ok();
}

#[test]
fn kaniko_s_executor_push_is_the_same() {
    let images = Images::build("linux/amd64");
    let registry = Registry::start();
    let name = format!("{}/app:1", registry.host());
    let args = ["push", &images.path("docker.tar"), "--destination", &name, "--insecure"];
    let outcome = kiln("executor", &[&args[..], &["--skip-push-permission-check"]].concat()).ok();
    assert_eq!(registry.digest("app", "1").as_deref(), Some(outcome.stdout.trim()));
    kiln("executor", &["push", &images.path("docker.tar")]).fails(1, "no name to push to");
}

#[test]
fn what_is_no_image_is_said() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("text"), "no archive at all, and longer than one block\n".repeat(30))
        .expect("a file");
    fs::write(path("other.tar"), TarBytes::new().file("f", "x").finish()).expect("a file");
    fs::create_dir(path("empty")).expect("a directory");
    let registry = Registry::start();
    let name = format!("{}/a:1", registry.host());
    for (args, code, why) in [
        (&[][..], 2, "there is no image to push"),
        (&["nowhere.tar", "r.test/a:1"], 2, "there is no file or directory `nowhere.tar`"),
        (&[&path("other.tar")], 2, "there is no name to push to"),
        (&[&path("other.tar"), "r.test/A"], 2, "lower case"),
        (&[&path("other.tar"), &name], 1, "is no image"),
        (&[&path("text"), &name], 1, "cannot read"),
        (
            &[&path("empty"), &format!("r.test/a@sha256:{}", "0".repeat(64))],
            2,
            "the digest is that of what is pushed",
        ),
        (&[&path("empty"), "127.0.0.1:1/a:1"], 1, "is no OCI layout: it has no index.json"),
        (&[&path("empty"), "-t", "127.0.0.1:1/a:1", "--platform", "a/b,c/d"], 2, "picks one image"),
    ] {
        kiln("push", args).fails(code, why);
    }
    let outcome = kiln("push", &["--foo"]).fails(2, "there is no flag `--foo`");
    assert!(outcome.stderr.contains("`kiln push --help` explains"), "{outcome}");
    let mut command = Command::new(crate::common::program());
    let output = command.args(["push", "--help"]).stdin(Stdio::null()).output().expect("starts");
    assert!(String::from_utf8_lossy(&output.stdout).contains("kiln push [FLAGS] SOURCE NAME"));
}
