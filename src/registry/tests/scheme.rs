//! Plain HTTP, TLS, and hosts that do not answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/registry/testdata").join(name)
}

/// What a TLS server says to plain HTTP.
#[derive(Clone, Copy)]
struct Complaint {
    head: &'static str,
    sentence: &'static str,
    /// Whether the sentence is there for a HEAD, too.
    always: bool,
}

/// Go's net/http, which has not looked at the request.
const GO: Complaint = Complaint {
    head: "HTTP/1.0 400 Bad Request\r\n\r\n",
    sentence: "Client sent an HTTP request to an HTTPS server.\n",
    always: true,
};
const NGINX: Complaint = Complaint {
    head: "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 62\r\n\
           Connection: close\r\n\r\n",
    sentence: "<html>400 The plain HTTP request was sent to HTTPS port</html>",
    always: false,
};

/// Answers a plain request, and closes the connection.
fn complain(socket: TcpStream, Complaint { head, sentence, always }: Complaint) {
    let mut stream = BufReader::new(socket);
    let (mut line, mut is_head) = (String::new(), false);
    while stream.read_line(&mut line).is_ok_and(|count| count > 2) {
        is_head |= line.starts_with("HEAD ");
        line.clear();
    }
    let body = if always || !is_head { sentence } else { "" };
    let _ = stream.get_mut().write_all(format!("{head}{body}").as_bytes());
}

/// Whether a connection begins as TLS does.
fn is_handshake(socket: &TcpStream) -> bool {
    let mut first = [0];
    socket.peek(&mut first).is_ok() && first == [0x16]
}

/// A TLS server that answers each request with 404, on a port of its own.
fn tls_server(complaint: Option<Complaint>) -> u16 {
    let chain = vec![CertificateDer::from_pem_file(fixture("listed.pem")).expect("fixture")];
    let key = PrivateKeyDer::from_pem_file(fixture("key.pem")).expect("fixture");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("server config");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            if let Some(complaint) = complaint.filter(|_| !is_handshake(&socket)) {
                complain(socket, complaint);
                continue;
            }
            let connection = rustls::ServerConnection::new(config.clone()).expect("server");
            let mut stream = BufReader::new(rustls::StreamOwned::new(connection, socket));
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|count| count > 2) {
                line.clear();
            }
            let reply = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.get_mut().write_all(reply);
        }
    });
    port
}

fn resolve(options: Options, host: &str) -> RegistryError {
    let reference: Reference = format!("{host}/app:1").parse().expect("a reference");
    client(options).resolve(&reference, &amd64()).expect_err("no image anywhere here")
}

#[test]
fn a_loopback_port_that_speaks_tls_is_spoken_to_by_tls() {
    let host = format!("localhost:{}", tls_server(None));
    let trusting =
        Options { registry_ca: vec![(host.clone(), fixture("listed.pem"))], ..options() };
    assert!(resolve(trusting, &host).is_not_found());
    let error = resolve(options(), &host);
    assert!(matches!(error, RegistryError::Tls { plain: false, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&host) && text.contains("is its own CA, and not trusted"), "{text}");
}

#[test]
fn a_complaint_without_a_body_is_understood_too() {
    for complaint in [GO, NGINX] {
        for head_first in [true, false] {
            let host = format!("localhost:{}", tls_server(Some(complaint)));
            let registry_ca = vec![(host.clone(), fixture("listed.pem"))];
            let client = client(Options { registry_ca, retries: 0, ..options() });
            let reference: Reference = format!("{host}/app:1").parse().expect("a reference");
            if head_first {
                let found = client.pusher(&reference).head_manifest();
                assert_eq!(found.expect("an answer by TLS"), None);
            }
            let error = client.resolve(&reference, &amd64()).expect_err("no image there");
            assert!(error.is_not_found(), "{error:?}");
        }
    }
    // Others' 400 are no TLS server's.
    let server = Server::start(|_| Reply::new(400, "HTTP is fine"));
    let client = client(Options { retries: 0, ..options() });
    let error = client.pusher(&reference(&server, "app:1")).head_manifest().expect_err("a 400");
    assert!(matches!(error, RegistryError::Status { status: 400, .. }), "{error:?}");
    assert_eq!(server.lines(), ["HEAD /v2/app/manifests/1"; 2], "and the ping, which is not kept");
}

#[test]
fn a_broken_bundle_is_no_reason_where_no_certificate_was_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let plain = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let resolve = |place: String| {
        let client = client(Options {
            registry_map: vec![("r.io".into(), vec![place])],
            no_default_fallback: true,
            ca_bundle: Some(fixture("key.pem")),
            retries: 0,
            ..options()
        });
        client.read_certificates();
        let reference: Reference = "r.io/app:1".parse().expect("a reference");
        client.resolve(&reference, &amd64()).expect_err("no image anywhere here")
    };
    let error = resolve(format!("https://localhost:{plain}"));
    assert!(matches!(error, RegistryError::Tls { plain: true, .. }), "{error:?}");
    let error = resolve(format!("https://localhost:{}", tls_server(None)));
    assert!(matches!(error, RegistryError::Certificate { .. }), "{error:?}");
    assert!(error.to_string().contains("key.pem"), "{error}");
}

#[test]
fn the_first_request_finds_the_scheme_out() {
    let server = Server::start(|_| Reply::new(404, ""));
    assert!(resolve(options(), &server.host()).is_not_found());
    assert_eq!(server.lines(), ["GET /v2/app/manifests/1"]);
    // Others' 400 are no TLS server's.
    let server = Server::start(|_| Reply::new(400, "HTTP is fine"));
    let error = resolve(options(), &server.host());
    assert!(matches!(error, RegistryError::Status { status: 400, .. }), "{error:?}");
    let server = Server::start(|seen| match seen.header("authorization") {
        Some(_) => Reply::new(404, ""),
        None => Reply::new(401, "").header("www-authenticate", "Basic realm=\"r\""),
    });
    let login = HostLogin {
        variables: "X".into(),
        host: "127_0_0_1".into(),
        user: "u".into(),
        password: "geheim".into(),
    };
    let credentials = vec![CredentialSource::Hosts(vec![login])];
    assert!(resolve(Options { credentials, ..options() }, &server.host()).is_not_found());
    let shown = server.seen();
    let shown: Vec<_> = shown.iter().map(|seen| seen.header("authorization").is_some()).collect();
    assert_eq!(shown, [false, true]);
}

#[test]
fn an_insecure_registry_may_be_plain_and_others_may_not() {
    let server = Server::start(|_| Reply::new(404, ""));
    // A name that is not loopback by its spelling, with a mirror's scheme for its address.
    let mirrored = |scheme: &str| Options {
        registry_map: vec![("r.io".into(), vec![format!("{scheme}://{}", server.host())])],
        no_default_fallback: true,
        retries: 0,
        ..options()
    };
    assert!(resolve(mirrored("http"), "r.io").is_not_found());
    let error = resolve(mirrored("https"), "r.io");
    assert!(
        matches!(error, RegistryError::Tls { plain: true, .. } | RegistryError::Connection { .. }),
        "{error:?}"
    );
}

#[test]
fn a_port_where_nobody_listens_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let host = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let error = resolve(options(), &host);
    assert!(matches!(error, RegistryError::Refused { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&host) && text.contains("Check the host and port"), "{text}");
}

#[test]
fn a_name_without_an_address_is_named() {
    let proxies = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    if proxies.iter().any(|name| std::env::var_os(name).is_some()) {
        return; // names are the proxy's to resolve
    }
    // RFC 6761: `.invalid` never exists, whatever the resolver says of other names.
    let error = resolve(Options { retries: 0, ..options() }, "registry.invalid");
    assert!(matches!(error, RegistryError::Dns { .. }), "{error:?}");
    assert!(error.to_string().contains("`registry.invalid` cannot be found"), "{error}");
}

#[test]
fn garbage_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let host = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"\x15\x03\x01\x00\x02\x02\x0a");
        }
    });
    let error = resolve(Options { retries: 1, ..options() }, &host);
    assert!(error.to_string().contains(&host), "{error}");
}
