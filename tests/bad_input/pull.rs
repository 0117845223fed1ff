//! Base images that cannot be had, or are not what they say.

use std::net::TcpListener;
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use testkit::tar::TarBytes;
use testkit::{Action, Fault, Registry};

use crate::common::bench::Bench;

const PASSWORD: &str = "correct horse battery";

/// A registry whose base image has one layer that is worth a fault.
fn with_base() -> Bench {
    let bench = Bench::new();
    let content: Vec<u8> =
        (0..300_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let layer = TarBytes::new().dir("etc").file("etc/data", content);
    bench.registry.add_image("base", "1", vec![layer], json!({}));
    bench
}

/// Looks into the base's layer.
const COPY: &str = "FROM REGISTRY/base:1\nCOPY Dockerfile /etc/\n";

#[test]
fn an_image_that_does_not_exist() {
    let bench = with_base();
    assert_snapshot!(bench.fails(bench.kiln("FROM REGISTRY/base:2\nRUN x\n"), 1).error, @r"
    error: the image `REGISTRY/base:2` does not exist, or needs credentials and kiln has none: none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. Check the name, or log in. The registry says: MANIFEST_UNKNOWN: manifest 2 is unknown to this repository
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:2
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(bench.fails(bench.kiln("FROM REGISTRY/bsae:1\n"), 1).error, @r"
    error: the image `REGISTRY/bsae:1` does not exist, or needs credentials and kiln has none: none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. Check the name, or log in. The registry says: MANIFEST_UNKNOWN: manifest 1 is unknown to this repository
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/bsae:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    let text = "FROM scratch\nCOPY --from=REGISTRY/bsae:1 /a /a\n";
    assert_snapshot!(bench.fails(bench.kiln(text), 1).error, @r"
    error: the image `REGISTRY/bsae:1` does not exist, or needs credentials and kiln has none: none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. Check the name, or log in. The registry says: MANIFEST_UNKNOWN: manifest 1 is unknown to this repository
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY --from=REGISTRY/bsae:1 /a /a
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    let digest = format!("FROM REGISTRY/base@sha256:{}\n", "0".repeat(64));
    assert_snapshot!(bench.fails(bench.kiln(&digest), 1).error, @r"
    error: the image `REGISTRY/base@sha256:…` does not exist, or needs credentials and kiln has none: none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. Check the name, or log in. The registry says: MANIFEST_UNKNOWN: manifest sha256:… is unknown to this repository
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base@sha256:…
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn an_image_for_other_platforms() {
    let bench = with_base();
    let digest = bench.registry.digest("base", "1").expect("an image");
    bench.registry.add_index("base", "2", &[("linux/s390x", &digest), ("windows/amd64", &digest)]);
    let kiln = bench.kiln("FROM REGISTRY/base:2\n").args(["--platform", "linux/amd64"]);
    assert_snapshot!(bench.fails(kiln, 1).error, @r"
    error: `REGISTRY/base:2` has no image for linux/amd64; it has linux/s390x, windows/amd64
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:2
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_registry_that_is_down() {
    let bench = Bench::new();
    // Not a port that was free a moment ago: the next registry of another test would get it.
    let down = "127.0.0.2:10009".to_owned();
    let text = format!("FROM {down}/base:1\n");
    let failure = bench.fails(bench.kiln(&text), 1);
    assert_snapshot!(failure.error.replace(&down, "DOWN"), @r"
    error: the registry `DOWN` refuses connections (Connection refused). Check the host and port, and that the registry runs
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM DOWN/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_registry_that_has_no_address() {
    let bench = Bench::new();
    let failure = bench.fails(bench.kiln("FROM registry.invalid/base:1\n"), 1);
    assert!(
        failure.error.starts_with("error: the registry `registry.invalid` cannot be found: "),
        "{}",
        failure.error
    );
    assert!(failure.error.contains("DNS"), "{}", failure.error);
}

#[test]
fn a_registry_that_speaks_no_http() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let server = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        while let Ok((mut stream, _)) = listener.accept() {
            let mut first = [0; 4];
            if stream.read(&mut first).unwrap_or(0) == 0 || &first == b"STOP" {
                break;
            }
            _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    let failure = bench.fails(bench.kiln(&format!("FROM {host}/base:1\n")), 1);
    let mut stop = std::net::TcpStream::connect(&host).expect("the server");
    std::io::Write::write_all(&mut stop, b"STOP").expect("sent");
    server.join().expect("the server ends");
    assert_snapshot!(failure.error.replace(&host, "HOST"), @r"
    error: the connection to the registry `HOST` failed: invalid HTTP version parsed
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM HOST/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn credentials_that_are_refused() {
    let registry = Registry::builder().basic_auth("ci", PASSWORD).start();
    let bench = Bench::on(registry);
    let kiln = bench.kiln(COPY).login(bench.registry.host(), "ci", "wrong-secret-7361");
    let failure = bench.fails(kiln, 1);
    assert!(!failure.log.contains("wrong-secret-7361"), "{}", failure.log);
    assert_snapshot!(failure.error, @"error: cannot push to REGISTRY/app:1: the registry `REGISTRY` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln used the entry `REGISTRY` of DIR/home/.docker/config.json. The registry says: UNAUTHORIZED: authentication required");
}

#[test]
fn credentials_that_are_missing() {
    let registry = Registry::builder().basic_auth("ci", PASSWORD).start();
    let bench = Bench::on(registry);
    assert_snapshot!(bench.fails(bench.kiln(COPY), 1).error, @"error: cannot push to REGISTRY/app:1: the registry `REGISTRY` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln asked without credentials (`kiln login REGISTRY` keeps some): none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. The registry says: UNAUTHORIZED: authentication required");
    let kiln = bench.kiln(COPY).login("other.example", "ci", "secret-of-another-host");
    let failure = bench.fails(kiln, 1);
    assert!(!failure.log.contains("secret-of-another-host"), "{}", failure.log);
    assert_snapshot!(failure.error, @"error: cannot push to REGISTRY/app:1: the registry `REGISTRY` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln asked without credentials (`kiln login REGISTRY` keeps some): DIR/home/.docker/config.json has no entry for `REGISTRY`, only for `other.example`; none of these files exists: /kaniko/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. The registry says: UNAUTHORIZED: authentication required");
}

#[test]
fn credentials_that_a_token_server_refuses() {
    let registry = Registry::builder().token_auth("ci", PASSWORD, Duration::from_secs(300)).start();
    let bench = Bench::on(registry);
    let kiln = bench.kiln(COPY).login(bench.registry.host(), "ci", "wrong-secret-7361");
    let failure = bench.fails(kiln, 1);
    assert!(!failure.log.contains("wrong-secret-7361"), "{}", failure.log);
    assert_snapshot!(failure.error, @"error: cannot push to REGISTRY/app:1: the registry `REGISTRY` does not let kiln get a token for repository:app:pull,push (status 401); kiln used the entry `REGISTRY` of DIR/home/.docker/config.json. The registry says: UNAUTHORIZED: these credentials are not known");
}

#[test]
fn a_credentials_file_that_is_broken() {
    let bench = with_base();
    let text = "FROM REGISTRY/base:1\n";
    let broken = r#"{"auths": {"x": {"auth": "c2VjcmV0LTczNjE="#;
    let failure = bench.fails(bench.kiln(text).docker_config(broken), 1);
    assert!(!failure.log.contains("c2VjcmV0"), "{}", failure.log);
    assert_snapshot!(failure.error, @"error: the registry credentials in DIR/home/.docker/config.json cannot be used: it is not valid JSON: EOF while parsing a string at line 1 column 42. It ends too early");
}

#[test]
fn a_layer_with_other_bytes() {
    let bench = with_base();
    bench.registry.fault(Fault::when("GET", is_layer(&bench), Action::CorruptBody).always());
    assert_snapshot!(bench.fails(bench.kiln(COPY), 1).error, @r"
    error: cannot fetch a layer from REGISTRY/base: the blob sha256:… of `REGISTRY/base` from `REGISTRY` is damaged: expected sha256:…, found sha256:…
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY Dockerfile /etc/
      | ^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_layer_that_is_never_complete() {
    let bench = with_base();
    // Each attempt goes on where the last one broke off, so the first one gets bytes alone.
    bench.registry.fault(Fault::when("GET", is_layer(&bench), Action::CutAfter(1000)));
    bench.registry.fault(Fault::when("GET", is_layer(&bench), Action::CutAfter(0)).always());
    assert_snapshot!(bench.fails(bench.kiln(COPY), 1).error, @r"
    error: cannot fetch a layer from REGISTRY/base: the blob sha256:… of `REGISTRY/base` could not be read to its end: 1000 of 1265756 bytes came; the connection to the registry `REGISTRY` failed: error decoding response body: error reading a body from connection: end of file before message length reached
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY Dockerfile /etc/
      | ^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_layer_that_is_shorter_than_its_size() {
    let bench = Bench::new();
    let mut layer = bench.registry.put_layer("base", &TarBytes::new().file("a", "a"));
    layer.size += 10;
    bench.registry.add_layers("base", "1", vec![layer], json!({}));
    assert_snapshot!(bench.fails(bench.kiln(COPY), 1).error, @r"
    error: the blob sha256:… of `REGISTRY/base` from `REGISTRY` is damaged: expected 112 bytes, found 102
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY Dockerfile /etc/
      | ^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_layer_that_the_registry_has_lost() {
    let bench = with_base();
    bench.registry.fault(Fault::when("GET", is_layer(&bench), Action::status(404)).always());
    assert_snapshot!(bench.fails(bench.kiln(COPY), 1).error, @r"
    error: the blob sha256:… of `REGISTRY/base` does not exist, or needs credentials and kiln has none: none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. Check the name, or log in
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY Dockerfile /etc/
      | ^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_layer_that_is_not_what_the_config_says() {
    let bench = Bench::new();
    let mut layer = bench.registry.put_layer("base", &TarBytes::new().file("a", "a"));
    layer.diff_id = format!("sha256:{}", "5".repeat(64));
    bench.registry.add_layers("base", "1", vec![layer], json!({}));
    assert_snapshot!(bench.fails(bench.kiln(COPY), 1).error, @r"
    error: layer sha256:… unpacks to sha256:…, but the image's config says sha256:…: the image is damaged
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY Dockerfile /etc/
      | ^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_manifest_with_other_bytes() {
    let bench = with_base();
    bench.registry.fault(Fault::on("GET", "/manifests/", Action::CorruptBody).always());
    let text = format!("FROM REGISTRY/base@{}\n", bench.registry.digest("base", "1").expect("it"));
    assert_snapshot!(bench.fails(bench.kiln(&text), 1).error, @r"
    error: the manifest of `REGISTRY/base@sha256:…` from `REGISTRY` is damaged: expected sha256:…, found sha256:…
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base@sha256:…
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_registry_that_fails_for_ever() {
    let bench = with_base();
    let body = r#"{"errors":[{"code":"UNAVAILABLE","message":"maintenance\u001b[2J until 5"}]}"#;
    let action = Action::Status { code: 503, headers: Vec::new(), body: body.into() };
    bench.registry.fault(Fault::on("*", "/v2/base/", action).always());
    assert_snapshot!(bench.fails(bench.kiln(COPY), 1).error, @r"
    error: the registry `REGISTRY` answered 503 when kiln wanted to read the manifest of `REGISTRY/base:1`. The registry says: UNAVAILABLE: maintenance[2J until 5
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_rate_limit() {
    let bench = with_base();
    let action = Action::RetryAfter { code: 429, seconds: 21_600 };
    bench.registry.fault(Fault::on("*", "/v2/base/", action).always());
    assert_snapshot!(bench.fails(bench.kiln(COPY), 1).error, @r"
    error: the registry `REGISTRY` allows no more requests now; it asks to wait 21600 s. The registry says: TOOMANYREQUESTS: come back later. kiln does not wait that long: 180 s are left of the 180 s that it waits in all (--retry-budget)
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM REGISTRY/base:1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

/// Whether a path is that of the base's only layer.
fn is_layer(bench: &Bench) -> impl Fn(&str) -> bool + Send + 'static {
    let image = testkit::image::Image::from_registry(&bench.registry, "base", "1").expect("a base");
    let path = format!("/v2/base/blobs/{}", image.layers[0]);
    move |asked: &str| asked == path
}
