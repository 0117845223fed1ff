//! The claims on "Push", in the specification's order.

use super::*;

fn complete(registry: &Registry, location: &str, content: &[u8], body: &[u8]) -> Answer {
    let digest = sha256(content);
    let answer = send(registry, "PUT", &format!("{location}&digest={digest}"), body);
    if answer.status == 201 {
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert!(answer.header("location").ends_with(&format!("/blobs/{digest}")));
    }
    answer
}

fn patch(location: &str, range: &str, body: &[u8]) -> Answer {
    ask("PATCH", location, &[("Content-Range", range)], body)
}

/// "Pushing a blob monolithically", "POST then PUT" and "Single POST".
#[test]
fn blobs_are_pushed_in_one_request_and_in_two() {
    let registry = Registry::start();
    let digest = sha256(b"content");
    let one = format!("/v2/one/blobs/uploads/?digest={digest}");
    assert_eq!(send(&registry, "POST", &one, b"content").status, 201);
    let location = begin(&registry, "two");
    assert_eq!(complete(&registry, &location, b"content", b"content").status, 201);
    for repo in ["one", "two"] {
        let answer = send(&registry, "GET", &format!("/v2/{repo}/blobs/{digest}"), b"");
        assert_eq!(answer.text(), "content");
    }
    assert_eq!(registry.open_uploads(), 0);
    // "Registries that do not support single request monolithic uploads SHOULD return a 202".
    let lazy = Registry::builder().quirk(Quirk::NoMonolithicPost).start();
    let begun = send(&lazy, "POST", &one, b"");
    assert_eq!(begun.status, 202);
    assert_eq!(complete(&lazy, begun.header("location"), b"content", b"content").status, 201);
}

/// Digests and sizes are checked at the end; a wrong one leaves nothing.
#[test]
fn blobs_are_what_their_digest_says() {
    let registry = Registry::start();
    let refused = complete(&registry, &begin(&registry, "a"), b"other", b"content");
    assert_eq!((refused.status, code(&refused).as_str()), (400, "DIGEST_INVALID"));
    let one = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"other"));
    assert_eq!(send(&registry, "POST", &one, b"content").status, 400);
    let nonsense = format!("{}&digest=sha256:nonsense", begin(&registry, "a"));
    assert_eq!(code(&send(&registry, "PUT", &nonsense, b"content")), "DIGEST_INVALID");
    let without = send(&registry, "PUT", &begin(&registry, "a"), b"content");
    assert_eq!((without.status, code(&without).as_str()), (400, "DIGEST_INVALID"));
    assert!(registry.blob(&sha256(b"content")).is_none());
    assert!(registry.blob(&sha256(b"other")).is_none());
}

/// "Pushing a blob in chunks": in order, each answered with a new address and how far it came.
#[test]
fn blobs_are_pushed_in_chunks() {
    let registry = Registry::start();
    let mut location = begin(&registry, "a");
    for (range, chunk, progress) in [("0-2", "con", "0-2"), ("3-5", "ten", "0-5")] {
        let answer = patch(&location, range, chunk.as_bytes());
        assert_eq!((answer.status, answer.header("range")), (202, progress));
        location = answer.header("location").to_owned();
    }
    let disorder = patch(&location, "3-5", b"ten");
    assert_eq!((disorder.status, disorder.header("range")), (416, "0-5"));
    assert_eq!(patch(&location, "9-11", b"ten").status, 416);
    let short = patch(&location, "6-9", b"t");
    assert_eq!((short.status, code(&short).as_str()), (400, "SIZE_INVALID"));
    let status = send(&registry, "GET", &location, b"");
    assert_eq!((status.status, status.header("range")), (204, "0-5"));
    assert_eq!(complete(&registry, status.header("location"), b"content", b"t").status, 201);
    assert!(registry.has_blob("a", &sha256(b"content")));
    // The whole of it as one chunk without a range, which is how a stream is pushed.
    let streamed = send(&registry, "PATCH", &begin(&registry, "b"), b"content");
    assert_eq!(complete(&registry, streamed.header("location"), b"content", b"").status, 201);
    assert_eq!(registry.open_uploads(), 0);
}

/// The first chunk out of order is refused too.
#[test]
fn chunks_begin_at_the_beginning() {
    let registry = Registry::start();
    let location = begin(&registry, "a");
    assert_eq!(patch(&location, "3-5", b"ten").status, 416);
    assert_eq!(patch(&location, "0-2", b"con").status, 202);
}

/// "OCI-Chunk-Min-Length": chunks under it are refused, but for the last.
#[test]
fn small_chunks_are_refused_where_there_is_a_least_length() {
    let registry = Registry::builder().min_chunk(4).start();
    let begun = send(&registry, "POST", "/v2/a/blobs/uploads/", b"");
    assert_eq!(begun.header("oci-chunk-min-length"), "4");
    let first = patch(begun.header("location"), "0-3", b"cont");
    let last = complete(&registry, first.header("location"), b"content", b"ent");
    assert_eq!(last.status, 201);
    let first = patch(&begin(&registry, "a"), "0-2", b"con");
    assert_eq!(first.status, 202, "it may be the last one");
    let second = patch(first.header("location"), "3-6", b"tent");
    assert_eq!((second.status, code(&second).as_str()), (400, "SIZE_INVALID"));
    let whole = patch(&begin(&registry, "a"), "0-2", b"con");
    assert_eq!(complete(&registry, whole.header("location"), b"con", b"").status, 201);
}

/// "Cancel a blob upload": what was begun is gone.
#[test]
fn uploads_are_cancelled() {
    let registry = Registry::start();
    let location = begin(&registry, "a");
    assert_eq!(send(&registry, "DELETE", &location, b"").status, 204);
    for method in ["GET", "PATCH", "PUT", "DELETE"] {
        let answer = send(&registry, method, &location, b"");
        assert_eq!((answer.status, code(&answer).as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
    }
    assert_eq!(registry.open_uploads(), 0);
}

/// "Mounting a blob from another repository": 201, or 202 and an upload; `from` is optional.
#[test]
fn blobs_are_mounted() {
    let registry = Registry::start();
    let digest = registry.put_blob("base", b"content");
    let mount = |registry: &Registry, from: &str| {
        let path = format!("/v2/app/blobs/uploads/?mount={digest}{from}");
        send(registry, "POST", &path, b"")
    };
    let begun = mount(&registry, "&from=elsewhere");
    assert_eq!((begun.status, mount(&registry, "").status), (202, 202));
    assert!(!registry.has_blob("app", &digest));
    assert_eq!(complete(&registry, begun.header("location"), b"content", b"content").status, 201);
    let other = Registry::start();
    other.put_blob("base", b"content");
    let mounted = mount(&other, "&from=base");
    assert_eq!((mounted.status, mounted.header("docker-content-digest")), (201, &*digest));
    assert!(other.has_blob("app", &digest));

    let lazy = Registry::builder().quirk(Quirk::NoMount).start();
    lazy.put_blob("base", b"content");
    assert_eq!(mount(&lazy, "&from=base").status, 202);
    let eager = Registry::builder().quirk(Quirk::AnonymousMount).start();
    eager.put_blob("base", b"content");
    assert_eq!(mount(&eager, "").status, 201);
}

/// "Pushing Manifests": by tag and digest; all that they name must be there, as it is described.
#[test]
fn manifests_need_their_blobs() {
    let registry = Registry::start();
    let config = registry.put_blob("a", b"{ }");
    let layer = sha256(b"tar");
    let manifest = image(&config, &layer);
    let answer = put_manifest(&registry, "/v2/a/manifests/latest", &manifest);
    assert_eq!((answer.status, code(&answer).as_str()), (404, "MANIFEST_BLOB_UNKNOWN"));
    assert_eq!(answer.json()["errors"][0]["detail"]["digest"], layer.as_str());
    registry.put_blob("a", b"tar");
    let digest = sha256(&manifest);
    for reference in ["latest", "1.0", &digest] {
        let answer = put_manifest(&registry, &format!("/v2/a/manifests/{reference}"), &manifest);
        assert_eq!((answer.status, answer.header("docker-content-digest")), (201, &*digest));
        assert!(answer.header("location").ends_with(&format!("/v2/a/manifests/{digest}")));
    }
    let answer = put_manifest(&registry, &format!("/v2/a/manifests/{layer}"), &manifest);
    assert_eq!(code(&answer), "DIGEST_INVALID");
    let sized = String::from_utf8(manifest.clone()).unwrap().replace("\"size\":3", "\"size\":4");
    for wrong in ["[]", "{", &sized] {
        let answer = put_manifest(&registry, "/v2/a/manifests/wrong", wrong.as_bytes());
        assert_eq!((answer.status, code(&answer).as_str()), (400, "MANIFEST_INVALID"), "{wrong}");
    }
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    assert_eq!(put_manifest(&registry, "/v2/a/manifests/wrong", &large).status, 413);
    assert_eq!(registry.tags("a"), ["1.0", "latest"]);
    assert_eq!(registry.manifest("a", "1.0"), Some((manifest, MANIFEST.to_owned())));
}

/// "Pushing Manifests": an index needs the manifests that it names.
#[test]
fn indexes_need_their_manifests() {
    let registry = Registry::start();
    let (config, layer) = (registry.put_blob("a", b"{ }"), registry.put_blob("a", b"tar"));
    let child = registry.put_manifest("a", "v1", MANIFEST, &image(&config, &layer));
    let kind = "application/vnd.oci.image.index.v1+json";
    let put = |digest: &str| {
        let child = json!({"mediaType": MANIFEST, "digest": digest, "size": 1});
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [child]});
        let url = format!("{}/v2/a/manifests/all", registry.url());
        ask("PUT", &url, &[("Content-Type", kind)], index.to_string().as_bytes())
    };
    assert_eq!(code(&put(&sha256(b"no such"))), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(put(&child).status, 201);
}

/// "Pushing Manifests with Subject": the subject may be missing; `OCI-Subject` says it was seen.
#[test]
fn manifests_with_a_subject_are_acknowledged() {
    let registry = Registry::start();
    let (config, layer) = (registry.put_blob("a", b"{ }"), registry.put_blob("a", b"tar"));
    let mut manifest: Value = serde_json::from_slice(&image(&config, &layer)).unwrap();
    let subject = sha256(b"comes later");
    manifest["subject"] = json!({"mediaType": MANIFEST, "digest": subject, "size": 1});
    let bytes = manifest.to_string();
    let answer = put_manifest(&registry, "/v2/a/manifests/sbom", bytes.as_bytes());
    assert_eq!((answer.status, answer.header("oci-subject")), (201, subject.as_str()));
    let old = Registry::builder().quirk(Quirk::NoReferrers).start();
    old.put_blob("a", b"{ }");
    old.put_blob("a", b"tar");
    let answer = put_manifest(&old, "/v2/a/manifests/sbom", bytes.as_bytes());
    assert_eq!((answer.status, answer.header("oci-subject")), (201, ""));
}
