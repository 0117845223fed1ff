//! The claims on "Content Discovery", in the specification's order.

use super::*;

/// "Listing Tags": all of them sorted, or `n` behind `last`, with a link to the next page.
#[test]
fn tags_are_listed_in_pages() {
    let registry = Registry::start();
    let (config, layer) = (registry.put_blob("a", b"{ }"), registry.put_blob("a", b"tar"));
    for tag in ["c", "a", "b", "d"] {
        registry.put_manifest("a", tag, MANIFEST, &image(&config, &layer));
    }
    let list = |query: &str| send(&registry, "GET", &format!("/v2/a/tags/list{query}"), b"");
    let tags = |query: &str| list(query).json()["tags"].clone();
    assert_eq!(list("").json(), json!({"name": "a", "tags": ["a", "b", "c", "d"]}));
    assert_eq!(tags("?n=2"), json!(["a", "b"]));
    assert_eq!(list("?n=2").header("link"), "</v2/a/tags/list?n=2&last=b>; rel=\"next\"");
    assert_eq!(tags("?n=2&last=b"), json!(["c", "d"]));
    assert_eq!(list("?n=2&last=b").header("link"), "");
    assert_eq!((tags("?last=bb"), tags("?n=0")), (json!(["c", "d"]), json!([])));
    let unknown = send(&registry, "GET", "/v2/none/tags/list", b"");
    assert_eq!((unknown.status, code(&unknown).as_str()), (404, "NAME_UNKNOWN"));
}

/// "Listing Referrers": an index, empty where there are none, filtered by type where asked to.
#[test]
fn referrers_are_listed_and_filtered() {
    let registry = Registry::start();
    let (config, layer) = (registry.put_blob("a", b"{ }"), registry.put_blob("a", b"tar"));
    let mut manifest: Value = serde_json::from_slice(&image(&config, &layer)).unwrap();
    let subject = registry.put_manifest("a", "v1", MANIFEST, manifest.to_string().as_bytes());
    manifest["subject"] = json!({"mediaType": MANIFEST, "digest": subject, "size": 1});
    manifest["artifactType"] = "text/sbom".into();
    manifest["annotations"] = json!({"made": "by hand"});
    let sbom = put_manifest(&registry, "/v2/a/manifests/sbom", manifest.to_string().as_bytes());
    let referrers = |of: &str, query: &str| {
        send(&registry, "GET", &format!("/v2/a/referrers/{of}{query}"), b"")
    };
    let all = referrers(&subject, "");
    assert_eq!(all.header("content-type"), "application/vnd.oci.image.index.v1+json");
    assert_eq!(all.header("oci-filters-applied"), "");
    let found = &all.json()["manifests"];
    assert_eq!(found[0]["digest"], sbom.header("docker-content-digest"));
    assert_eq!(found[0]["artifactType"], "text/sbom");
    assert_eq!(found[0]["annotations"]["made"], "by hand");
    let filtered = referrers(&subject, "?artifactType=text%2Fsbom");
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert_eq!(filtered.json()["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(referrers(&subject, "?artifactType=x").json()["manifests"], json!([]));
    let none = referrers(&sha256(b"nobody's"), "");
    assert_eq!((none.status, &none.json()["manifests"]), (200, &json!([])));
    assert_eq!(referrers("sha256:nonsense", "").status, 400);
    let old = Registry::builder().quirk(Quirk::NoReferrers).start();
    assert_eq!(send(&old, "GET", &format!("/v2/a/referrers/{subject}"), b"").status, 404);
}
