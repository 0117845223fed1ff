#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::client::{self, Answer};
use crate::digest::sha256;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    client::request(method, url, headers, body).unwrap()
}

/// Asks for a path or a whole address.
fn send(registry: &Registry, method: &str, path: &str, body: &[u8]) -> Answer {
    let url = match path.starts_with("http") {
        true => path.to_owned(),
        false => format!("{}{path}", registry.url()),
    };
    ask(method, &url, &[], body)
}

fn code(answer: &Answer) -> String {
    answer.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
}

fn begin(registry: &Registry, repo: &str) -> String {
    let answer = send(registry, "POST", &format!("/v2/{repo}/blobs/uploads/"), b"");
    assert_eq!(answer.status, 202);
    answer.header("location").to_owned()
}

fn image(config: &str, layer: &str) -> Vec<u8> {
    let descriptor =
        |kind: &str, digest: &str| json!({"mediaType": kind, "digest": digest, "size": 3});
    let config = descriptor("application/vnd.oci.image.config.v1+json", config);
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", layer);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
    });
    manifest.to_string().into_bytes()
}

fn put_manifest(registry: &Registry, path: &str, bytes: &[u8]) -> Answer {
    ask("PUT", &format!("{}{path}", registry.url()), &[("Content-Type", MANIFEST)], bytes)
}

#[test]
fn blob_in_one_two_and_many_requests() {
    let registry = Registry::start();
    let digest = sha256(b"content");
    let complete = |location: &str, body: &[u8]| {
        let answer = send(&registry, "PUT", &format!("{location}&digest={digest}"), body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.header("docker-content-digest"), digest);
    };
    let one = format!("/v2/one/blobs/uploads/?digest={digest}");
    assert_eq!(send(&registry, "POST", &one, b"content").status, 201);
    complete(&begin(&registry, "two"), b"content");
    let mut location = begin(&registry, "many");
    for (range, chunk) in [("0-2", "con"), ("3-5", "ten")] {
        let headers = [("Content-Range", range)];
        let answer = ask("PATCH", &location, &headers, chunk.as_bytes());
        assert_eq!(answer.status, 202);
        location = answer.header("location").to_owned();
    }
    assert_eq!(send(&registry, "GET", &location, b"").header("range"), "0-5");
    let disorder = ask("PATCH", &location, &[("Content-Range", "3-5")], b"ten");
    assert_eq!((disorder.status, disorder.header("range")), (416, "0-5"));
    complete(&location, b"t");
    for repo in ["one", "two", "many"] {
        let answer = send(&registry, "GET", &format!("/v2/{repo}/blobs/{digest}"), b"");
        assert_eq!(answer.text(), "content");
    }
    assert_eq!(send(&registry, "HEAD", &format!("/v2/else/blobs/{digest}"), b"").status, 404);
    assert_eq!(registry.open_uploads(), 0);
}

#[test]
fn wrong_digest_and_cancel() {
    let registry = Registry::start();
    let wrong = sha256(b"other");
    let answer =
        send(&registry, "PUT", &format!("{}&digest={wrong}", begin(&registry, "a")), b"content");
    assert_eq!((answer.status, code(&answer).as_str()), (400, "DIGEST_INVALID"));
    let location = begin(&registry, "a");
    assert_eq!(send(&registry, "DELETE", &location, b"").status, 204);
    let answer = send(&registry, "PATCH", &location, b"content");
    assert_eq!((answer.status, code(&answer).as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
    assert!(registry.blob(&sha256(b"content")).is_none());
}

#[test]
fn chunked_transfer_and_keep_alive() {
    let registry = Registry::start();
    let digest = sha256(b"content");
    let mut stream = TcpStream::connect(registry.host()).unwrap();
    let post = format!("POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: h\r\n");
    let rest = "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    let body = "3\r\ncon\r\n4;x=y\r\ntent\r\n0\r\nTrailer: 1\r\n\r\n";
    let get = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nConnection: close\r\n\r\n");
    stream.write_all(format!("{post}{rest}{body}{get}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n"));
    assert!(answer.ends_with("\r\n\r\ncontent"), "{answer}");
}

#[test]
fn mounts() {
    let registry = Registry::start();
    let digest = registry.put_blob("base", b"content");
    let mount = |registry: &Registry, from: &str| {
        let path = format!("/v2/app/blobs/uploads/?mount={digest}{from}");
        send(registry, "POST", &path, b"").status
    };
    assert_eq!(mount(&registry, "&from=elsewhere"), 202);
    assert_eq!(mount(&registry, ""), 202);
    assert!(!registry.has_blob("app", &digest));
    assert_eq!(mount(&registry, "&from=base"), 201);
    assert!(registry.has_blob("app", &digest));

    let lazy = Registry::builder().quirk(Quirk::NoMount).start();
    lazy.put_blob("base", b"content");
    assert_eq!(mount(&lazy, "&from=base"), 202);
    let eager = Registry::builder().quirk(Quirk::AnonymousMount).start();
    eager.put_blob("base", b"content");
    assert_eq!(mount(&eager, ""), 201);
}

#[test]
fn ranges() {
    let registry = Registry::start();
    let digest = registry.put_blob("a", b"0123456789");
    let url = format!("{}/v2/a/blobs/{digest}", registry.url());
    let cases = [
        ("bytes=2-4", 206, "234"),
        ("bytes=7-", 206, "789"),
        ("bytes=7-99", 206, "789"),
        ("bytes=-2", 206, "89"),
        ("bytes=10-", 416, ""),
        ("lines=1-2", 200, "0123456789"),
    ];
    for (range, status, body) in cases {
        let answer = ask("GET", &url, &[("Range", range)], b"");
        assert_eq!(answer.status, status, "{range}");
        assert!(status == 416 || answer.text() == body, "{range}: {}", answer.text());
    }
}

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
    }
    let answer = put_manifest(&registry, &format!("/v2/a/manifests/{layer}"), &manifest);
    assert_eq!(code(&answer), "DIGEST_INVALID");
    let answer = put_manifest(&registry, "/v2/a/manifests/latest", b"[]");
    assert_eq!(code(&answer), "MANIFEST_INVALID");
    assert_eq!(registry.tags("a"), ["1.0", "latest"]);
    assert_eq!(registry.manifest("a", "1.0"), Some((manifest, MANIFEST.to_owned())));

    let url = format!("{}/v2/a/manifests/latest", registry.url());
    let accept = |types: &str| ask("GET", &url, &[("Accept", types)], b"").status;
    assert_eq!(accept(&format!("text/plain, {MANIFEST};q=0.5")), 200);
    assert_eq!(accept("application/vnd.docker.distribution.manifest.v2+json"), 404);
    let page = send(&registry, "GET", "/v2/a/tags/list?n=1", b"");
    assert_eq!(page.json(), json!({"name": "a", "tags": ["1.0"]}));
    assert_eq!(page.header("link"), "</v2/a/tags/list?n=1&last=1.0>; rel=\"next\"");
    assert_eq!(send(&registry, "DELETE", "/v2/a/manifests/1.0", b"").status, 202);
    assert_eq!(registry.tags("a"), ["latest"]);
    assert_eq!(send(&registry, "DELETE", &format!("/v2/a/manifests/{digest}"), b"").status, 202);
    assert_eq!(send(&registry, "GET", "/v2/a/manifests/latest", b"").status, 404);
}

#[test]
fn indexes_need_their_manifests_and_subjects_are_found() {
    let registry = Registry::start();
    let (config, layer) = (registry.put_blob("a", b"{ }"), registry.put_blob("a", b"tar"));
    let mut manifest: Value = serde_json::from_slice(&image(&config, &layer)).unwrap();
    let subject = registry.put_manifest("a", "v1", MANIFEST, manifest.to_string().as_bytes());
    manifest["subject"] = json!({"mediaType": MANIFEST, "digest": subject, "size": 1});
    manifest["artifactType"] = "text/sbom".into();
    let answer = put_manifest(&registry, "/v2/a/manifests/sbom", manifest.to_string().as_bytes());
    assert_eq!((answer.status, answer.header("oci-subject")), (201, subject.as_str()));
    let referrers = |query: &str| {
        let found = send(&registry, "GET", &format!("/v2/a/referrers/{subject}{query}"), b"");
        found.json()["manifests"].as_array().unwrap().len()
    };
    assert_eq!(referrers(""), 1);
    assert_eq!(referrers("?artifactType=text%2Fsbom"), 1);
    assert_eq!(referrers("?artifactType=other"), 0);

    let kind = "application/vnd.oci.image.index.v1+json";
    let put = |digest: &str| {
        let child = json!({"mediaType": MANIFEST, "digest": digest, "size": 1});
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [child]});
        let url = format!("{}/v2/a/manifests/all", registry.url());
        ask("PUT", &url, &[("Content-Type", kind)], index.to_string().as_bytes())
    };
    assert_eq!(put(&subject).status, 201);
    assert_eq!(code(&put(&sha256(b"no such"))), "MANIFEST_BLOB_UNKNOWN");
}

#[test]
fn basic_auth() {
    let registry = Registry::builder().basic_auth("me", "secret").start();
    let refused = send(&registry, "GET", "/v2/", b"");
    assert_eq!((refused.status, code(&refused).as_str()), (401, "UNAUTHORIZED"));
    assert!(refused.header("www-authenticate").starts_with("Basic "));
    let header = format!("Basic {}", STANDARD.encode("me:secret"));
    let url = format!("{}/v2/", registry.url());
    assert_eq!(ask("GET", &url, &[("Authorization", &header)], b"").status, 200);
    let log = registry.requests();
    assert_eq!(log.iter().map(|r| r.had_auth).collect::<Vec<_>>(), [false, true]);
    assert!(!format!("{log:?}").contains(&header));
}

#[test]
fn tokens() {
    let registry = Registry::builder().token_auth("me", "secret", Duration::from_secs(600)).start();
    let digest = registry.put_blob("a", b"content");
    let blob = format!("{}/v2/a/blobs/{digest}", registry.url());
    let challenge = ask("GET", &blob, &[], b"");
    let realm = format!("Bearer realm=\"{}/token\"", registry.url());
    let expected = format!("{realm},service=\"testkit\",scope=\"repository:a:pull\"");
    assert_eq!(challenge.header("www-authenticate"), expected);

    let basic = format!("Basic {}", STANDARD.encode("me:secret"));
    let token = |scope: &str, auth: &str| {
        let url = format!("{}/token?service=testkit&scope={scope}", registry.url());
        let answer = ask("GET", &url, &[("Authorization", auth)], b"");
        (answer.status, format!("Bearer {}", answer.json()["token"].as_str().unwrap_or_default()))
    };
    assert_eq!(token("repository:a:pull", "Basic bWU6d3Jvbmc=").0, 401);
    let (_, pull) = token("repository:a:pull", &basic);
    let (_, push) = token("repository%3Aa%3Apull%2Cpush", &basic);
    let get = |auth: &str| ask("GET", &blob, &[("Authorization", auth)], b"").status;
    assert_eq!((get(&pull), get(&push), get("Bearer made-up")), (200, 200, 401));
    let begin = |repo: &str, auth: &str| {
        let url = format!("{}/v2/{repo}/blobs/uploads/", registry.url());
        ask("POST", &url, &[("Authorization", auth)], b"")
    };
    let refused = begin("a", &pull);
    let challenge = refused.header("www-authenticate");
    assert!(challenge.ends_with("scope=\"repository:a:pull,push\",error=\"insufficient_scope\""));
    assert_eq!((begin("a", &push).status, begin("b", &push).status), (202, 401));

    registry.expire_tokens();
    assert_eq!(get(&pull), 401);
    let form = "grant_type=password&username=me&password=secret&scope=repository%3Aa%3Apull\
                &access_type=offline";
    let answer = send(&registry, "POST", "/token", form.as_bytes()).json();
    let pull = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    assert_eq!(get(&pull), 200);
    let refresh = answer["refresh_token"].as_str().unwrap();
    let form = format!("grant_type=refresh_token&refresh_token={refresh}&scope=repository:a:pull");
    assert_eq!(send(&registry, "POST", "/token", form.as_bytes()).status, 200);
}

#[test]
fn tokens_end_and_anonymous_ones_pull() {
    let registry = Registry::builder().token_auth("me", "secret", Duration::ZERO).start();
    let basic = format!("Basic {}", STANDARD.encode("me:secret"));
    let url = format!("{}/token?scope=repository:a:pull", registry.url());
    let token = ask("GET", &url, &[("Authorization", &basic)], b"").json();
    let token = format!("Bearer {}", token["token"].as_str().unwrap());
    let url = format!("{}/v2/a/tags/list", registry.url());
    let answer = ask("GET", &url, &[("Authorization", &token)], b"");
    assert!(answer.header("www-authenticate").ends_with("error=\"invalid_token\""));

    let hub = Registry::builder().token_auth("me", "secret", Duration::from_secs(600));
    let hub = hub.anonymous_pull().start();
    let digest = hub.put_blob("a", b"content");
    let token = send(&hub, "GET", "/token?scope=repository:a:pull,push", b"").json();
    let token = format!("Bearer {}", token["token"].as_str().unwrap());
    let auth = [("Authorization", token.as_str())];
    let blob = format!("{}/v2/a/blobs/{digest}", hub.url());
    let uploads = format!("{}/v2/a/blobs/uploads/", hub.url());
    assert_eq!(ask("GET", &blob, &auth, b"").status, 200);
    assert_eq!(ask("POST", &uploads, &auth, b"").status, 401);
}

#[test]
fn redirected_blobs_refuse_authorization() {
    let registry = Registry::builder().quirk(Quirk::RedirectBlobs).start();
    let digest = registry.put_blob("a", b"content");
    let answer = send(&registry, "GET", &format!("/v2/a/blobs/{digest}"), b"");
    let location = answer.header("location");
    assert_eq!(answer.status, 307);
    assert!(!location.contains(registry.host()));
    assert_eq!(client::get(location).unwrap().text(), "content");
    assert_eq!(ask("GET", location, &[("Authorization", "Bearer x")], b"").status, 400);
}

#[test]
fn faults_strike_as_scripted() {
    let registry = Registry::start();
    let digest = registry.put_blob("a", b"0123456789");
    let url = format!("{}/v2/a/blobs/{digest}", registry.url());
    let get = || client::get(&url);
    registry.fault(Fault::on("GET", "/blobs/", Action::status(500)).nth(2).times(2));
    let statuses: Vec<_> = (0..4).map(|_| get().unwrap().status).collect();
    assert_eq!(statuses, [200, 500, 500, 200]);

    let once = |action| registry.fault(Fault::on("*", "/blobs/", action));
    once(Action::CutAfter(4));
    assert!(format!("{:#}", get().unwrap_err()).contains("cut after 4 bytes"));
    once(Action::DropConnection);
    assert!(get().is_err());
    once(Action::CorruptBody);
    assert_eq!(get().unwrap().text(), "0123446789");
    once(Action::WrongDigestHeader);
    assert_ne!(get().unwrap().header("docker-content-digest"), digest);
    once(Action::SlowBody { piece: 3, pause: Duration::from_millis(1) });
    assert_eq!(get().unwrap().text(), "0123456789");
    once(Action::RetryAfter { code: 429, seconds: 7 });
    let answer = get().unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (429, "7"));
    registry.fault(Fault::on("*", "/", Action::status(503)).always());
    assert_eq!(get().unwrap().status, 503);
    registry.clear_faults();
    assert_eq!(get().unwrap().status, 200);
    let cut = &registry.requests()[4];
    assert_eq!((cut.status, cut.bytes_out), (200, 4));
}

#[test]
fn cut_upload_can_go_on() {
    let registry = Registry::start();
    let location = begin(&registry, "a");
    registry.fault(Fault::on("PATCH", "/uploads/", Action::CutUploadAfter(4)));
    assert!(client::request("PATCH", &location, &[], b"0123456789").is_err());
    let status = send(&registry, "GET", &location, b"");
    assert_eq!((status.status, status.header("range")), (204, "0-3"));
    let digest = sha256(b"0123456789");
    let put = format!("{}&digest={digest}", status.header("location"));
    registry.fault(Fault::on("PUT", "/uploads/", Action::DropAnswer));
    assert!(client::request("PUT", &put, &[], b"456789").is_err());
    assert!(registry.has_blob("a", &digest));
}

#[test]
fn refusal_arrives_although_the_client_still_sends() {
    let registry = Registry::builder().basic_auth("me", "secret").start();
    let body = vec![0; 8 * 1024 * 1024];
    let answer = send(&registry, "POST", "/v2/a/blobs/uploads/?digest=sha256:0", &body);
    assert_eq!(answer.status, 401);
}

#[test]
fn content_survives_a_restart_in_the_same_directory() {
    let dir = TempDir::new().unwrap();
    let registry = Registry::builder().dir(dir.path()).start();
    let digest = registry.put_blob("a/b", b"content");
    registry.put_manifest("a/b", "latest", MANIFEST, b"{}");
    drop(registry);
    let registry = Registry::builder().dir(dir.path()).start();
    assert_eq!(registry.blob(&digest).unwrap(), b"content");
    assert_eq!(registry.tags("a/b"), ["latest"]);
    assert_eq!(registry.repositories(), ["a/b"]);
}

#[test]
fn dropped_it_no_longer_listens() {
    let registry = Registry::start();
    let host = registry.host().to_owned();
    let mut idle = TcpStream::connect(&host).unwrap();
    drop(registry);
    assert!(TcpStream::connect(&host).is_err());
    assert!(matches!(idle.read(&mut [0]), Ok(0) | Err(_)));
}
