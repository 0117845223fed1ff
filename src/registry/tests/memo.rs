//! What was asked once is not asked again.

use std::collections::HashMap;

use super::*;

/// An image for each platform, behind the tag `i`.
fn two_platforms() -> (impl Fn(&Seen) -> Reply + Send + Sync + 'static, Digest) {
    let images = [Image::new(b"one"), Image::new(b"other")];
    let entries = images.iter().zip(["amd64", "arm64"]).map(|(image, architecture)| {
        let mut entry = descriptor(media_type::OCI_MANIFEST, &image.manifest);
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    });
    let index = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
        "manifests": entries.collect::<Vec<_>>(),
    });
    let index = index.to_string().into_bytes();
    let digest = Digest::of(&index);
    let serve = move |seen: &Seen| match seen.path() {
        "/v2/app/manifests/i" => {
            let reply = Reply::new(200, index.clone());
            reply.header("Docker-Content-Digest", Digest::of(&index).to_string())
        }
        _ => {
            let found = images.iter().map(|image| image.serve("app", seen));
            let mut replies: Vec<_> = found.collect();
            let at = replies.iter().position(|reply| reply.status == 200).unwrap_or(0);
            replies.swap_remove(at)
        }
    };
    (serve, digest)
}

#[test]
fn each_document_is_asked_for_once() {
    let (serve, digest) = two_platforms();
    let server = Server::start(serve);
    let (client, reference) = (client(options()), reference(&server, "app:i"));
    let platforms = ["linux/amd64", "linux/arm64"].map(|name| name.parse().expect("a platform"));
    std::thread::scope(|scope| {
        for at in 0..8 {
            let (client, reference, platform) = (&client, &reference, &platforms[at % 2]);
            scope.spawn(move || client.resolve(reference, platform).expect("resolved"));
        }
    });
    assert_eq!(client.peek(&reference).expect("an answer").1, digest);
    let mut counts: HashMap<String, usize> = HashMap::new();
    server.lines().into_iter().for_each(|line| *counts.entry(line).or_default() += 1);
    // An index, and a manifest and a config for each platform.
    assert_eq!(counts.len(), 5, "{counts:?}");
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}

#[test]
fn a_peek_costs_one_request_and_helps_the_next() {
    let (serve, digest) = two_platforms();
    let server = Server::start(serve);
    let (client, reference) = (client(options()), reference(&server, "app:i"));
    for _ in 0..3 {
        assert_eq!(client.peek(&reference).expect("an answer").1, digest);
    }
    assert_eq!(server.lines(), ["HEAD /v2/app/manifests/i"]);
}

#[test]
fn a_failure_is_not_remembered() {
    let (serve, _) = two_platforms();
    let requests = Counter::default();
    let server = Server::start(move |seen| match requests.next() {
        0 => Reply::new(404, ""),
        _ => serve(seen),
    });
    let (client, reference) = (client(options()), reference(&server, "app:i"));
    assert!(client.resolve(&reference, &amd64()).expect_err("missing").is_not_found());
    client.resolve(&reference, &amd64()).expect("there");
}

#[test]
fn mirrors_that_do_not_have_an_image_are_asked_once() {
    let mirror = Server::start(|_| Reply::new(404, ""));
    let (serve, _) = two_platforms();
    let origin = Server::start(serve);
    let options = Options { registry_map: vec![(origin.host(), vec![mirror.host()])], ..options() };
    let (client, reference) = (client(options), reference(&origin, "app:i"));
    for platform in ["linux/amd64", "linux/arm64"] {
        let platform = platform.parse().expect("a platform");
        client.resolve(&reference, &platform).expect("resolved");
    }
    assert_eq!(mirror.lines().len(), 1);
    assert_eq!(origin.lines().len(), 5);
}
