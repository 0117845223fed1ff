//! What is sent to destinations.

use std::time::Duration;

use testkit::{Action, Fault, Quirk, Registry};

use crate::common::{Kiln, bases};
use crate::traffic::{Traffic, blobs};

/// A build of three small layers, the same each time.
fn three_layers() -> Kiln {
    Kiln::build()
        .dockerfile("FROM scratch\nCOPY a /a\nCOPY b /b\nCOPY c /c\n")
        .file("a", bases::noise(1000, 3))
        .file("b", bases::noise(2000, 4))
        .file("c", bases::noise(3000, 5))
        .args(["--source-date-epoch", "1700000000"])
}

#[test]
fn a_push_asks_and_sends_no_more_than_it_must() {
    let registry = Registry::start();
    three_layers().args(["-t", &format!("{}/app:1", registry.host())]).run().ok();
    let traffic = Traffic::of(&registry);
    let mut lines = traffic.lines();
    lines.iter_mut().for_each(|line| {
        let cut = line.find("sha256:").or_else(|| line.find("uploads/").map(|at| at + 8));
        line.truncate(cut.unwrap_or(line.len()));
    });
    lines.sort();
    lines.dedup_by_key(|line| line.clone());
    let text = traffic.text();
    assert_eq!(
        lines,
        [
            "DELETE /v2/app/blobs/uploads/",
            "HEAD /v2/app/blobs/",
            "POST /v2/app/blobs/uploads/",
            "PUT /v2/app/blobs/uploads/",
            "PUT /v2/app/manifests/1",
        ],
        "{text}"
    );
    // Three layers and a config; the fifth POST, which is cancelled, asks for the permission.
    for (method, path, expected) in [
        ("GET", "/v2/", 0),
        ("HEAD", "/blobs/", 4),
        ("POST", "/blobs/uploads/", 5),
        ("DELETE", "/blobs/uploads/", 1),
        ("PUT", "/blobs/uploads/", 4),
        ("PUT", "/manifests/", 1),
    ] {
        assert_eq!(traffic.count(method, path), expected, "{method} {path}\n{text}");
    }
    assert_eq!(traffic.lines().last().expect("requests"), "PUT /v2/app/manifests/1");
    assert_eq!(registry.open_uploads(), 0);
}

#[test]
fn what_was_just_made_is_asked_about_only_where_that_can_save_much() {
    let registry = Registry::start();
    Kiln::build()
        .dockerfile("FROM scratch\nCOPY a /a\nCOPY b /b\n")
        .file("a", bases::noise(1000, 3))
        .file("b", bases::noise(100_000, 4))
        .args(["-t", &format!("{}/app:1", registry.host())])
        .run()
        .ok();
    let traffic = Traffic::of(&registry);
    let text = traffic.text();
    assert_eq!(traffic.count("HEAD", "/blobs/"), 1, "{text}");
    assert_eq!((traffic.count("POST", "/blobs/uploads/"), traffic.uploads()), (4, 3), "{text}");
    assert_eq!(registry.open_uploads(), 0);
}

#[test]
fn the_second_push_of_an_image_uploads_nothing() {
    let registry = Registry::start();
    let name = format!("{}/app:1", registry.host());
    let first = three_layers().args(["-t", &name]).run().ok();
    registry.clear_requests();
    let second = three_layers().args(["-t", &name, "--skip-push-permission-check"]).run().ok();
    assert_eq!(first.stdout, second.stdout);
    let traffic = Traffic::of(&registry);
    let text = traffic.text();
    assert_eq!((traffic.count("HEAD", "/blobs/"), traffic.count("POST", "")), (4, 0), "{text}");
    assert_eq!((traffic.uploads(), traffic.uploaded_bytes()), (0, 0), "{text}");
}

#[test]
fn tags_of_one_repository_share_their_blobs() {
    let registry = Registry::start();
    let host = registry.host();
    let names = [format!("{host}/app:1"), format!("{host}/app:2"), format!("{host}/app:1")];
    three_layers().args(names.iter().flat_map(|name| ["-t", name])).run().ok();
    let traffic = Traffic::of(&registry);
    let text = traffic.text();
    assert_eq!(traffic.count("HEAD", "/blobs/"), 4, "{text}");
    assert_eq!(traffic.uploads(), 4, "{text}");
    assert_eq!(traffic.count("POST", "/blobs/uploads/"), 5, "{text}");
    assert_eq!(traffic.count("PUT", "/manifests/"), 2, "{text}");
    assert_eq!(registry.digest("app", "1"), registry.digest("app", "2"));
}

#[test]
fn repositories_of_one_registry_mount_from_each_other() {
    let (registry, other) = (Registry::start(), Registry::start());
    let (host, elsewhere) = (registry.host(), other.host());
    let names = [format!("{host}/one:1"), format!("{elsewhere}/x:1"), format!("{host}/two:1")];
    three_layers().args(names.iter().flat_map(|name| ["-t", name])).run().ok();
    let traffic = Traffic::of(&registry);
    assert_eq!((traffic.uploads(), traffic.mounts()), (4, 4), "{}", traffic.text());
    assert_eq!(registry.digest("one", "1"), registry.digest("two", "1"));
    assert_eq!(registry.digest("one", "1"), other.digest("x", "1"));
}

#[test]
fn base_layers_for_several_registries_are_fetched_once() {
    let (source, one, two) = (Registry::start(), Registry::start(), Registry::start());
    bases::plain(&source, "base", "1");
    let (layers, _) = blobs(&source, "base", "1");
    Kiln::build()
        .dockerfile(&format!("FROM {}/base:1\nENV B=2\n", source.host()))
        .args(["-t", &format!("{}/app:1", one.host()), "-t", &format!("{}/app:1", two.host())])
        .run()
        .ok();
    let from = Traffic::of(&source);
    for layer in &layers {
        assert_eq!(from.downloads(layer), 1, "{}", from.text());
        assert!(one.has_blob("app", layer) && two.has_blob("app", layer));
    }
    assert_eq!(one.digest("app", "1"), two.digest("app", "1"));
}

#[test]
fn where_mounts_are_refused_the_bytes_are_sent() {
    let registry = Registry::builder().quirk(Quirk::NoMount).start();
    bases::plain(&registry, "base", "1");
    let (layers, _) = blobs(&registry, "base", "1");
    let host = registry.host();
    Kiln::build()
        .dockerfile(&format!("FROM {host}/base:1\nENV B=2\n"))
        .args(["-t", &format!("{host}/app:1")])
        .run()
        .ok();
    let traffic = Traffic::of(&registry);
    for layer in &layers {
        assert_eq!(traffic.downloads(layer), 1, "{}", traffic.text());
        assert!(registry.has_blob("app", layer));
    }
    assert!(traffic.downloaded_bytes() > bases::BIG as u64, "{}", traffic.text());
    assert!(traffic.uploaded_bytes() > bases::BIG as u64, "{}", traffic.text());
    assert_eq!(registry.open_uploads(), 0, "the answer to a refused mount is used");
}

#[test]
fn layers_are_sent_side_by_side() {
    let (source, target) = (Registry::start(), Registry::start());
    bases::plain(&source, "base", "1");
    // Whoever sends one after the other asks for the second only after the first was sent.
    target.fault(Fault::on("HEAD", "/blobs/", Action::Delay(Duration::from_secs(2))).times(2));
    Kiln::build()
        .dockerfile(&format!("FROM {}/base:1\nENV B=2\n", source.host()))
        .args(["-t", &format!("{}/app:1", target.host()), "--skip-push-permission-check"])
        .run()
        .ok();
    let traffic = Traffic::of(&target);
    let first = traffic.lines().iter().position(|line| line.starts_with("PUT")).expect("a PUT");
    let before = &traffic.lines()[..first];
    let looks = before.iter().filter(|line| line.starts_with("HEAD")).count();
    assert_eq!(looks, 2, "{}", traffic.text());
}

#[test]
fn layers_are_sent_while_later_steps_run() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    let host = registry.host();
    // The RUN ends only when the registry has what the COPY before it made: kiln and the command
    // share the network.
    let (address, port) = host.split_once(':').expect("a port");
    let wait = format!(
        "i=0; until printf 'HEAD /v2/app/blobs/%s HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' \
         $(cat /digest) | nc {address} {port} | grep -q '200 OK'; do \
         i=$((i+1)); test $i -lt 300 || exit 9; sleep 0.1; done"
    );
    // A layer of a previous build that is the same, so that its digest is known beforehand.
    let first = format!("FROM {host}/base:1\nCOPY app /app\n");
    let build = |text: &str, name: &str| {
        Kiln::build().dockerfile(text).file("app", "app\n").file("wait.sh", &wait).args([
            "-t",
            name,
            "--source-date-epoch",
            "1700000000",
        ])
    };
    build(&first, &format!("{host}/other:1")).run().ok();
    let (layers, _) = blobs(&registry, "other", "1");
    let layer = layers.last().expect("a layer");
    assert!(!registry.has_blob("app", layer));
    let second = format!("{first}COPY digest wait.sh /\nRUN sh /wait.sh\n");
    build(&second, &format!("{host}/app:1")).file("digest", layer).run().ok();
    assert!(registry.has_blob("app", layer));
}

#[test]
fn a_failed_build_sets_no_tag() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    let host = registry.host();
    Kiln::build()
        .dockerfile(&format!("FROM {host}/base:1\nCOPY a /a\nRUN exit 7\n"))
        .file("a", "a\n")
        .args(["-t", &format!("{host}/app:1")])
        .run()
        .fails(7, "exit code: 7");
    assert_eq!(registry.tags("app"), [""; 0]);
    assert_eq!(Traffic::of(&registry).count("PUT", "/manifests/"), 0);
}

#[test]
fn one_destination_that_fails_keeps_the_tag_from_the_others() {
    let (good, bad) = (Registry::start(), Registry::start());
    bad.fault(Fault::on("PUT", "/blobs/uploads/", Action::status(403)).always());
    three_layers()
        .args(["-t", &format!("{}/app:1", good.host()), "-t", &format!("{}/app:1", bad.host())])
        .run()
        .fails(1, bad.host());
    assert_eq!((good.tags("app"), bad.tags("app")), (Vec::new(), Vec::new()));
}

#[test]
fn three_registries_get_what_one_gets_and_the_base_is_fetched_once() {
    let source = Registry::start();
    bases::plain(&source, "base", "1");
    let (layers, _) = blobs(&source, "base", "1");
    let targets = [Registry::start(), Registry::start(), Registry::start()];
    let names = targets.iter().flat_map(|it| ["-t".to_owned(), format!("{}/app:1", it.host())]);
    Kiln::build()
        .dockerfile(&format!("FROM {}/base:1\nCOPY a /a\n", source.host()))
        .file("a", bases::noise(1000, 3))
        .args(names)
        .run()
        .ok();
    let from = Traffic::of(&source);
    layers.iter().for_each(|layer| assert_eq!(from.downloads(layer), 1, "{}", from.text()));
    for target in &targets {
        let traffic = Traffic::of(target);
        // The layers and the config; the manifest by digest, then by tag.
        assert_eq!(traffic.uploads(), layers.len() + 2, "{}", traffic.text());
        assert_eq!(traffic.count("PUT", "/manifests/"), 2, "{}", traffic.text());
        assert_eq!(traffic.uploaded_bytes(), Traffic::of(&targets[0]).uploaded_bytes());
    }
}

#[test]
fn a_tag_that_is_refused_says_which_were_set() {
    let (good, bad) = (Registry::start(), Registry::start());
    bad.fault(Fault::on("PUT", "/manifests/1", Action::status(403)).always());
    let outcome = three_layers()
        .args(["-t", &format!("{}/app:1", good.host()), "-t", &format!("{}/app:1", bad.host())])
        .run();
    let outcome = outcome.fails(1, "not all names were set");
    assert!(outcome.stderr.contains(&format!("{}/app:1 has the new image", good.host())));
    assert_eq!((good.tags("app").len(), bad.tags("app").len()), (1, 0));
}

#[test]
fn a_push_that_is_not_allowed_fails_before_anything_is_built() {
    let registry = Registry::builder().basic_auth("me", "secret").start();
    let outcome = three_layers().args(["-t", &format!("{}/app:1", registry.host())]).run();
    let outcome = outcome.fails(1, "cannot push to");
    assert!(!outcome.stderr.contains("COPY"), "{outcome}");
}
