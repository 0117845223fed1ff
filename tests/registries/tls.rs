//! docker-registry with certificates that no public CA signed.

use std::path::Path;

use testkit::process::DockerRegistry;

use crate::certificates::Certificates;
use crate::common::{Kiln, tools};

const NAMES: &str = "IP:127.0.0.1,DNS:localhost";

fn registry((certificate, key): (impl AsRef<Path>, impl AsRef<Path>)) -> DockerRegistry {
    let builder = DockerRegistry::builder().tls(certificate.as_ref(), key.as_ref());
    builder.start().expect("docker-registry")
}

/// Pushes an image, then builds on it.
fn there_and_back(host: &str, prepare: impl Fn(Kiln) -> Kiln) {
    let first = Kiln::build().dockerfile("FROM scratch\nCOPY f /f\n").file("f", "f\n");
    prepare(first.args(["-t", &format!("{host}/first:1")])).run().ok();
    let second = Kiln::build().dockerfile(&format!("FROM {host}/first:1\nCOPY g /g\n"));
    let second = second.file("g", "g\n").args(["-t", &format!("{host}/second:1")]);
    let outcome = prepare(second).run().ok();
    let found = tools::skopeo_inspect(&format!("docker://{host}/second:1"), &[]);
    assert_eq!(found["Digest"], outcome.stdout.trim());
    assert_eq!(found["Layers"].as_array().expect("layers").len(), 2);
}

/// A build that pulls from the host and one that pushes to it.
fn builds(host: &str) -> [Kiln; 2] {
    let pull = format!("FROM {host}/base:1\n");
    [
        Kiln::build().dockerfile(&pull).args(["--no-push"]),
        Kiln::build()
            .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
            .args(["-t", &format!("{host}/app:1")]),
    ]
}

#[test]
fn a_private_ca_is_trusted_in_every_way_to_name_it() {
    let certificates = Certificates::new();
    let (ca, _) = certificates.self_signed("ca", "DNS:ca");
    let registry = registry(certificates.signed("server", NAMES, "ca"));
    let host = registry.host();
    let dir = certificates.dir().join("dir");
    std::fs::create_dir(&dir).expect("a directory");
    std::fs::copy(&ca, dir.join("ca.crt")).expect("a copy");
    let flag = format!("{host}={}", ca.display());
    there_and_back(host, |kiln| kiln.args(["--registry-certificate", &flag]));
    there_and_back(host, |kiln| kiln.env("SSL_CERT_FILE", &ca));
    there_and_back(host, |kiln| kiln.env("SSL_CERT_DIR", &dir));
    there_and_back(host, |kiln| kiln.env("CI_SERVER_TLS_CA_FILE", &ca));
    // In addition to a bundle that does not have it.
    let (other, _) = certificates.self_signed("other", "DNS:other");
    there_and_back(host, |kiln| {
        kiln.env("SSL_CERT_FILE", &other).env("CI_SERVER_TLS_CA_FILE", &ca)
    });
    let pem = std::fs::read(&ca).expect("the file");
    for dir in [".config/containers/certs.d", ".docker/certs.d", ".config/docker/certs.d"] {
        there_and_back(host, |kiln| kiln.home_file(&format!("{dir}/{host}/ca.crt"), &pem));
    }
    there_and_back(host, |kiln| kiln.args(["--skip-tls-verify-registry", host]));
    there_and_back(host, |kiln| kiln.args(["--skip-tls-verify"]));
}

#[test]
fn a_self_signed_certificate_is_trusted_where_it_is_named() {
    let certificates = Certificates::new();
    let (pem, key) = certificates.self_signed("self", NAMES);
    let registry = registry((&pem, key));
    let host = registry.host();
    let flag = format!("{host}={}", pem.display());
    there_and_back(host, |kiln| kiln.args(["--registry-certificate", &flag]));
    there_and_back(host, |kiln| kiln.env("SSL_CERT_FILE", &pem));
    there_and_back(host, |kiln| kiln.args(["--skip-tls-verify-registry", host]));
}

#[test]
fn without_the_ca_the_registry_is_refused_and_the_flag_named() {
    let certificates = Certificates::new();
    certificates.self_signed("ca", "DNS:ca");
    let signed = registry(certificates.signed("server", NAMES, "ca"));
    let own = registry(certificates.self_signed("self", NAMES));
    for (registry, reason) in [
        (&signed, "its certificate is signed by a CA that is not trusted here"),
        (&own, "its certificate is its own CA, and not trusted here"),
    ] {
        let host = registry.host();
        for kiln in builds(host) {
            let outcome = kiln.run().fails(1, reason);
            let flag = format!("--registry-certificate {host}=FILE");
            assert!(outcome.stderr.contains(&flag), "{outcome}");
            let file = format!("/etc/docker/certs.d/{host}/ca.crt");
            assert!(outcome.stderr.contains(&file), "{outcome}");
        }
        // A certificate for another registry is no help.
        let (ca, _) = certificates.files("ca");
        for kiln in builds(host) {
            let flag = format!("localhost:1={}", ca.display());
            kiln.args(["--registry-certificate", &flag]).run().fails(1, reason);
        }
    }
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let certificates = Certificates::new();
    let (ca, _) = certificates.self_signed("ca", "DNS:ca");
    let registry = registry(certificates.signed("server", "DNS:elsewhere.test", "ca"));
    let host = registry.host();
    for kiln in builds(host) {
        let flag = format!("{host}={}", ca.display());
        let outcome = kiln.args(["--registry-certificate", &flag]).run();
        outcome.fails(1, "certificate not valid for name");
    }
}

#[test]
fn a_registry_that_wants_a_client_certificate_gets_it() {
    let certificates = Certificates::new();
    let (ca, _) = certificates.self_signed("ca", "DNS:ca");
    let (pem, key) = certificates.signed("server", NAMES, "ca");
    let (client, client_key) = certificates.signed("client", "DNS:client", "ca");
    let builder = DockerRegistry::builder().tls(&pem, &key).client_ca(&ca);
    let registry = builder.start().expect("docker-registry");
    let host = registry.host();
    let trusted = format!("{host}={}", ca.display());
    let shown = format!("{host}={},{}", client.display(), client_key.display());
    Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["-t", &format!("{host}/app:1")])
        .args(["--registry-certificate", &trusted, "--registry-client-cert", &shown])
        .run()
        .ok();
    // As Docker and Podman find them.
    let read = |path: &Path| std::fs::read(path).expect("the file");
    let works = |prepare: &dyn Fn(Kiln) -> Kiln| {
        let push = Kiln::build().dockerfile("FROM scratch\nCOPY Dockerfile /\n");
        prepare(push.args(["-t", &format!("{host}/base:1")])).run().ok();
        let [pull, _] = builds(host);
        prepare(pull).run().ok();
    };
    works(&|kiln| {
        let file = |name: &str| format!(".docker/certs.d/{host}/{name}");
        let kiln = kiln.home_file(&file("ca.crt"), read(&ca));
        let kiln = kiln.home_file(&file("client.cert"), read(&client));
        kiln.home_file(&file("client.key"), read(&client_key))
    });
    // The runner's, for the GitLab server's own host.
    let (name, port) = host.split_once(':').expect("a port");
    works(&|kiln| {
        let kiln = kiln.env("CI_SERVER_TLS_CA_FILE", &ca).env("CI_SERVER_HOST", name);
        let kiln = kiln.env("CI_SERVER_PORT", port);
        kiln.env("CI_SERVER_TLS_CERT_FILE", &client).env("CI_SERVER_TLS_KEY_FILE", &client_key)
    });
    let [pull, push] = builds(host);
    for kiln in [pull, push] {
        let outcome = kiln.args(["--registry-certificate", &trusted, "--push-retry=0"]).run();
        outcome.fails(1, &format!("`{host}`"));
    }
}
