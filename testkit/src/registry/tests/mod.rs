#![allow(clippy::unwrap_used)]

mod discovery;
mod faults;
mod limits;
mod login;
mod management;
mod pull;
mod push;

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
