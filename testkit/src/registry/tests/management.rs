//! The claims on "Content Management", in the specification's order.

use super::*;

/// "Deleting tags" and "Deleting Manifests".
#[test]
fn tags_and_manifests_are_deleted() {
    let registry = Registry::start();
    let (config, layer) = (registry.put_blob("a", b"{ }"), registry.put_blob("a", b"tar"));
    for tag in ["1", "2", "3"] {
        registry.put_manifest("a", tag, MANIFEST, &image(&config, &layer));
    }
    let digest = registry.digest("a", "1").unwrap();
    let delete =
        |path: &str| send(&registry, "DELETE", &format!("/v2/a/manifests/{path}"), b"").status;
    let get = |path: &str| send(&registry, "GET", &format!("/v2/a/manifests/{path}"), b"").status;
    assert_eq!((delete("1"), get("1"), get("2"), get(&digest)), (202, 404, 200, 200));
    assert_eq!(registry.tags("a"), ["2", "3"]);
    assert_eq!((delete(&digest), get("2"), get(&digest)), (202, 404, 404));
    assert_eq!((delete("1"), delete(&digest)), (404, 404));
    let list = send(&registry, "GET", "/v2/a/tags/list", b"");
    assert_eq!((list.status, &list.json()["tags"]), (200, &json!([])));
}

/// "Deleting Blobs": from this repository only.
#[test]
fn blobs_are_deleted() {
    let registry = Registry::start();
    let digest = registry.put_blob("a", b"content");
    registry.put_blob("b", b"content");
    let path = format!("/v2/a/blobs/{digest}");
    assert_eq!(send(&registry, "DELETE", &path, b"").status, 202);
    assert_eq!(send(&registry, "GET", &path, b"").status, 404);
    let again = send(&registry, "DELETE", &path, b"");
    assert_eq!((again.status, code(&again).as_str()), (404, "BLOB_UNKNOWN"));
    assert_eq!(send(&registry, "GET", &format!("/v2/b/blobs/{digest}"), b"").status, 200);
}
