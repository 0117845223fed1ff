//! What is fetched of base images.

use serde_json::json;
use testkit::Registry;
use testkit::image::Image;
use testkit::tar::TarBytes;

use crate::common::{Kiln, bases};
use crate::traffic::{Traffic, blobs};

#[test]
fn metadata_on_a_base_of_the_same_registry_moves_no_layer() {
    let registry = Registry::start();
    bases::plain(&registry, "base", "1");
    let (layers, config) = blobs(&registry, "base", "1");
    let host = registry.host();
    Kiln::build()
        .dockerfile(&format!("FROM {host}/base:1\nENV B=2\nCMD [\"/bin/app\"]\n"))
        .args(["-t", &format!("{host}/app:1")])
        .run()
        .ok();
    let traffic = Traffic::of(&registry);
    let text = traffic.text();
    for layer in &layers {
        assert_eq!(traffic.downloads(layer), 0, "{text}");
        assert!(registry.has_blob("app", layer));
    }
    assert_eq!(traffic.downloads(&config), 1, "{text}");
    assert_eq!((traffic.mounts(), traffic.uploads()), (2, 1), "{text}");
    let questions = traffic.lines().iter().filter(|line| *line == "GET /v2/").count();
    assert_eq!(questions, 0, "the first requests tell what the registry speaks:\n{text}");
}

#[test]
fn layers_that_the_destination_has_are_only_asked_for() {
    let (source, target) = (Registry::start(), Registry::start());
    bases::plain(&source, "base", "1");
    bases::plain(&target, "app", "old");
    let (layers, _) = blobs(&source, "base", "1");
    Kiln::build()
        .dockerfile(&format!("FROM {}/base:1\nENV B=2\n", source.host()))
        .args(["-t", &format!("{}/app:1", target.host())])
        .run()
        .ok();
    let (from, to) = (Traffic::of(&source), Traffic::of(&target));
    for layer in &layers {
        assert_eq!(from.downloads(layer), 0, "{}", from.text());
        assert_eq!(to.count("HEAD", layer), 1, "{}", to.text());
    }
    assert_eq!(to.uploads(), 1, "only the config:\n{}", to.text());
}

#[test]
fn layers_for_another_registry_pass_through_once() {
    let (source, target) = (Registry::start(), Registry::start());
    bases::plain(&source, "base", "1");
    let (layers, _) = blobs(&source, "base", "1");
    let outcome = Kiln::build()
        .file_limit(bases::BIG / 2)
        .dockerfile(&format!("FROM {}/base:1\nENV B=2\n", source.host()))
        .args(["-t", &format!("{}/app:1", target.host())])
        .run()
        .ok();
    let (from, to) = (Traffic::of(&source), Traffic::of(&target));
    for layer in &layers {
        assert_eq!(from.downloads(layer), 1, "{}", from.text());
        assert!(target.has_blob("app", layer));
    }
    assert_eq!(to.uploads(), layers.len() + 1, "{}", to.text());
    // A layer that is stored here is reported as pulled; one that passes through is not.
    assert!(!outcome.stderr.contains("pull "), "{outcome}");
}

#[test]
fn copy_without_run_fetches_each_layer_once_and_unpacks_none() {
    for same_registry in [true, false] {
        let source = Registry::start();
        let other = Registry::start();
        let target = if same_registry { &source } else { &other };
        bases::plain(&source, "base", "1");
        let (layers, _) = blobs(&source, "base", "1");
        let outcome = Kiln::build()
            .dockerfile(&format!("FROM {}/base:1\nCOPY app /etc/base/../app\n", source.host()))
            .file("app", "app\n")
            .args(["-t", &format!("{}/app:1", target.host())])
            .run()
            .ok();
        let from = Traffic::of(&source);
        for layer in &layers {
            assert_eq!(from.downloads(layer), 1, "{}", from.text());
        }
        assert!(!outcome.stderr.contains("unpack"), "{outcome}");
    }
}

#[test]
fn workdir_and_stages_on_top_fetch_each_layer_once() {
    let (source, target) = (Registry::start(), Registry::start());
    bases::plain(&source, "base", "1");
    let (layers, _) = blobs(&source, "base", "1");
    let host = source.host();
    Kiln::build()
        .dockerfile(&format!(
            "FROM {host}/base:1 AS one\nENV B=2\nFROM one AS two\nWORKDIR /etc/new\n\
             FROM two\nCOPY --from=one /etc/base /copy\n"
        ))
        .args(["-t", &format!("{}/app:1", target.host())])
        .run()
        .ok();
    let from = Traffic::of(&source);
    for layer in &layers {
        assert_eq!(from.downloads(layer), 1, "{}", from.text());
    }
}

#[test]
fn run_fetches_each_layer_once_though_it_is_unpacked_and_pushed() {
    let (source, target) = (Registry::start(), Registry::start());
    bases::busybox(&source, "base", "1");
    let (layers, _) = blobs(&source, "base", "1");
    let outcome = Kiln::build()
        .dockerfile(&format!("FROM {}/base:1\nRUN echo hello > /hello\n", source.host()))
        .args(["-t", &format!("{}/app:1", target.host())])
        .run()
        .ok();
    let from = Traffic::of(&source);
    for layer in &layers {
        assert_eq!(from.downloads(layer), 1, "{}", from.text());
        assert!(target.has_blob("app", layer));
    }
    assert!(outcome.stderr.contains("unpack 2 layers"), "{outcome}");
}

#[test]
fn stages_from_one_base_share_it() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    let (layers, config) = blobs(&registry, "base", "1");
    let host = registry.host();
    Kiln::build()
        .dockerfile(&format!(
            "FROM {host}/base:1 AS one\nRUN echo 1 > /one\nFROM {host}/base:1 AS two\n\
             RUN echo 2 > /two\nFROM {host}/base:1\nCOPY --from=one /one /\n\
             COPY --from=two /two /\nCOPY --from={host}/base:1 /etc/passwd /p\n"
        ))
        .args(["-t", &format!("{host}/app:1")])
        .run()
        .ok();
    let traffic = Traffic::of(&registry);
    for blob in layers.iter().chain([&config]) {
        assert_eq!(traffic.downloads(blob), 1, "{}", traffic.text());
    }
    assert_eq!(traffic.count("GET", "/manifests/"), 1, "{}", traffic.text());
}

#[test]
fn a_layer_that_two_images_share_is_fetched_once() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    bases::busybox(&registry, "base", "2");
    let (layers, _) = blobs(&registry, "base", "1");
    let host = registry.host();
    Kiln::build()
        .dockerfile(&format!(
            "FROM {host}/base:1 AS one\nRUN echo 1 > /one\nFROM {host}/base:2\n\
             RUN echo 2 > /two\nCOPY --from=one /one /\n"
        ))
        .args(["-t", &format!("{host}/app:1")])
        .run()
        .ok();
    let traffic = Traffic::of(&registry);
    for layer in &layers {
        assert_eq!(traffic.downloads(layer), 1, "{}", traffic.text());
    }
}

#[test]
fn the_base_of_a_stage_that_nobody_needs_is_not_asked_for() {
    let registry = Registry::start();
    bases::plain(&registry, "base", "1");
    let host = registry.host();
    Kiln::build()
        .dockerfile(&format!(
            "FROM {host}/missing:1 AS unused\nRUN make\nFROM {host}/base:1\nENV B=2\n\
             FROM {host}/missing:2 AS later\n"
        ))
        .args(["-t", &format!("{host}/app:1"), "--target", "1"])
        .run()
        .ok();
    let traffic = Traffic::of(&registry);
    assert_eq!(traffic.count("GET", "/missing/"), 0, "{}", traffic.text());
    assert_eq!(traffic.count("GET", "/manifests/"), 1, "{}", traffic.text());
}

#[test]
fn copy_from_an_image_takes_only_the_files() {
    let registry = Registry::start();
    bases::plain(&registry, "other", "1");
    let (layers, _) = blobs(&registry, "other", "1");
    let host = registry.host();
    let outcome = Kiln::build()
        .dockerfile(&format!("FROM scratch\nCOPY --from={host}/other:1 /etc/upper /upper\n"))
        .args(["-t", &format!("{host}/app:1")])
        .run()
        .ok();
    let traffic = Traffic::of(&registry);
    for layer in &layers {
        assert_eq!(traffic.downloads(layer), 1, "{}", traffic.text());
        assert!(!registry.has_blob("app", layer));
    }
    assert!(!outcome.stderr.contains("unpack"), "{outcome}");
    let image = Image::from_registry(&registry, "app", "1").expect("an image");
    assert_eq!(image.tree().expect("a tree").into_keys().collect::<Vec<_>>(), ["upper"]);
    assert_eq!(image.text("upper").expect("the file"), "upper\n");
}

#[test]
fn files_that_no_step_needs_are_never_written() {
    const HUGE: usize = 50_000_000;
    let registry = Registry::start();
    let layer = TarBytes::new().file("huge", vec![0; HUGE]).file("small", "small\n").dir("dir");
    registry.add_image("base", "1", vec![layer], json!({}));
    let host = registry.host();
    let build = |dockerfile: &str| {
        Kiln::build()
            .file_limit(HUGE / 2)
            .dockerfile(dockerfile)
            .file("f", "f\n")
            .args(["-t", &format!("{host}/app:1")])
    };
    for dockerfile in [
        format!("FROM {host}/base:1\nCOPY f /dir\nWORKDIR /dir/new\n"),
        format!("FROM scratch\nCOPY --from={host}/base:1 /small /dir /\n"),
        format!("FROM {host}/base:1 AS one\nCOPY f /dir\nFROM scratch\nCOPY --from=one /dir /\n"),
    ] {
        build(&dockerfile).run().ok();
        let image = Image::from_registry(&registry, "app", "1").expect("an image");
        image.verify().expect("whole");
    }
    // The limit is one: whoever needs the file meets it.
    let (mut command, _dir) =
        build(&format!("FROM scratch\nCOPY --from={host}/base:1 /huge /\n")).into_command();
    let output = command.output().expect("kiln starts");
    assert!(!output.status.success(), "{output:?}");
}

#[test]
fn a_base_without_push_is_not_fetched_where_nothing_needs_it() {
    let registry = Registry::start();
    bases::plain(&registry, "base", "1");
    Kiln::build()
        .dockerfile(&format!("FROM {}/base:1\nENV B=2\n", registry.host()))
        .args(["--no-push"])
        .run()
        .ok();
    let traffic = Traffic::of(&registry);
    assert_eq!(traffic.lines()[0], "GET /v2/base/manifests/1", "{}", traffic.text());
    assert_eq!(traffic.lines().len(), 2, "and the config:\n{}", traffic.text());
}
