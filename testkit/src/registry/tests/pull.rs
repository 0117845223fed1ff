//! The claims on "Pull", in the specification's order.

use super::*;

/// "Pulling manifests": by tag and by digest, with its type, its digest and its very bytes.
#[test]
fn manifests_are_pulled_by_tag_and_digest() {
    let registry = Registry::start();
    let (config, layer) = (registry.put_blob("a", b"{ }"), registry.put_blob("a", b"tar"));
    let manifest = image(&config, &layer);
    let digest = registry.put_manifest("a", "latest", MANIFEST, &manifest);
    for reference in ["latest", &digest] {
        let path = format!("/v2/a/manifests/{reference}");
        let answer = send(&registry, "GET", &path, b"");
        assert_eq!((answer.status, &answer.body), (200, &manifest));
        assert_eq!(answer.header("content-type"), MANIFEST);
        assert_eq!(answer.header("docker-content-digest"), digest);
        let head = send(&registry, "HEAD", &path, b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
        for header in ["content-type", "content-length", "docker-content-digest"] {
            assert_eq!(head.header(header), answer.header(header), "{header}");
        }
    }
    let url = format!("{}/v2/a/manifests/latest", registry.url());
    let accept = |types: &str| ask("GET", &url, &[("Accept", types)], b"").status;
    assert_eq!(accept(&format!("text/plain, {MANIFEST};q=0.5")), 200);
    assert_eq!(accept("application/vnd.docker.distribution.manifest.v2+json"), 404);
}

/// "Pulling manifests": what is not there is a 404 with a code, what is no name or digest a 400.
#[test]
fn manifests_that_are_not_there_are_told_apart_from_nonsense() {
    let registry = Registry::start();
    registry.put_blob("a", b"content");
    let none = sha256(b"no such");
    for (path, status, name) in [
        ("/v2/a/manifests/none".to_owned(), 404, "MANIFEST_UNKNOWN"),
        (format!("/v2/a/manifests/{none}"), 404, "MANIFEST_UNKNOWN"),
        ("/v2/none/manifests/latest".to_owned(), 404, "MANIFEST_UNKNOWN"),
        ("/v2/a/manifests/sha256:totallywrong".to_owned(), 400, "DIGEST_INVALID"),
        ("/v2/a/manifests/.dot".to_owned(), 400, "TAG_INVALID"),
        ("/v2/A/manifests/latest".to_owned(), 400, "NAME_INVALID"),
    ] {
        let answer = send(&registry, "GET", &path, b"");
        assert_eq!((answer.status, code(&answer).as_str()), (status, name), "{path}");
        assert_eq!(send(&registry, "HEAD", &path, b"").status, status, "{path}");
    }
}

/// "Pulling blobs": whole, with length and digest.
#[test]
fn blobs_are_pulled_by_digest() {
    let registry = Registry::start();
    let digest = registry.put_blob("a", b"content");
    let path = format!("/v2/a/blobs/{digest}");
    let answer = send(&registry, "GET", &path, b"");
    assert_eq!((answer.status, answer.text().as_str()), (200, "content"));
    let head = send(&registry, "HEAD", &path, b"");
    assert_eq!((head.status, head.header("content-length")), (200, "7"));
    assert_eq!(head.header("docker-content-digest"), digest);
    let none = format!("/v2/a/blobs/{}", sha256(b"no such"));
    let missing = send(&registry, "GET", &none, b"");
    assert_eq!((missing.status, code(&missing).as_str()), (404, "BLOB_UNKNOWN"));
    assert_eq!(send(&registry, "HEAD", &none, b"").status, 404);
    let other = send(&registry, "GET", &format!("/v2/b/blobs/{digest}"), b"");
    assert_eq!(other.status, 404, "a blob belongs to its repository");
}

/// "Pulling blobs": "A registry SHOULD support the Range request header".
#[test]
fn parts_of_blobs_are_pulled() {
    let registry = Registry::start();
    let digest = registry.put_blob("a", b"0123456789");
    let url = format!("{}/v2/a/blobs/{digest}", registry.url());
    for (range, status, body, content_range) in [
        ("bytes=2-4", 206, "234", "bytes 2-4/10"),
        ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=7-99", 206, "789", "bytes 7-9/10"),
        ("bytes=-2", 206, "89", "bytes 8-9/10"),
        ("bytes=10-", 416, "", "bytes */10"),
        ("bytes=4-2", 416, "", "bytes */10"),
        ("lines=1-2", 200, "0123456789", ""),
    ] {
        let answer = ask("GET", &url, &[("Range", range)], b"");
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.header("content-range"), content_range, "{range}");
        assert!(status == 416 || answer.text() == body, "{range}: {}", answer.text());
    }
    let plain = Registry::builder().quirk(Quirk::NoRange).start();
    let digest = plain.put_blob("a", b"0123456789");
    let url = format!("{}/v2/a/blobs/{digest}", plain.url());
    assert_eq!(ask("GET", &url, &[("Range", "bytes=2-4")], b"").status, 200);
}
