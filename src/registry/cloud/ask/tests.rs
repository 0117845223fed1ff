//! Whom questions are put to, and what their errors show.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::registry::options::Options;
use crate::registry::testserver::{self, Server};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/registry/testdata").join(name)
}

/// `127.0.0.1:port` of a server with a certificate that nobody trusts; it answers `{}`.
fn secure() -> String {
    let chain = CertificateDer::pem_file_iter(fixture("listed.pem")).expect("fixture");
    let key = PrivateKeyDer::from_pem_file(fixture("key.pem")).expect("fixture");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.collect::<Result<_, _>>().expect("certificates"), key);
    let config = Arc::new(config.expect("a server"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let host = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = StreamOwned::new(connection, socket);
            if stream.read(&mut [0; 4096]).is_ok() {
                _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                stream.conn.send_close_notify();
                _ = stream.flush();
            }
        }
    });
    host
}

#[tokio::test]
async fn identity_servers_are_verified_whatever_is_said_about_registries() {
    let host = secure();
    let url = Url::parse(&format!("https://{host}/token")).expect("a URL");
    let skip = Options { skip_tls_verify: true, ..Options::default() };
    let named = vec![host.clone()];
    let own = Options { registry_ca: vec![(host, fixture("listed.pem"))], ..skip.clone() };
    for (options, works) in [
        (Options::default(), false),
        (skip.clone(), false),
        (own, true),
        (Options { skip_tls_registries: named, ..Options::default() }, true),
    ] {
        let pool = Pool::new(&options).expect("a pool");
        let found = Question::get(url.clone()).send(&pool).await;
        match found {
            Ok(reply) => assert!(works && reply.status == 200),
            Err(why) => assert!(!works && why.starts_with("no secure connection to "), "{why}"),
        }
        let nearby = Question::get(url.clone()).send_nearby(&pool).await;
        assert!(nearby.is_err() || works, "verified as well");
    }
    // Registries are not.
    let pool = Pool::new(&skip).expect("a pool");
    let question = Question::get(url);
    assert!(pool.exchange(question.exchange(), None).await.is_ok());
}

#[tokio::test]
async fn words_of_every_cloud_are_found() {
    for (body, words) in [
        (r#"{"error":"invalid","error_description":"AADSTS1: no"}"#, ": AADSTS1: no"),
        (r#"{"error":{"code":403,"message":"denied"}}"#, ": denied"),
        (r#"{"errors":[{"code":"UNAUTHORIZED","message":"required"}]}"#, ": required"),
        (r#"{"__type":"com.amazonaws#DeniedException","message":"no"}"#, ": DeniedException: no"),
        (r#"{"Code":"Failed","Message":"no role"}"#, ": Failed: no role"),
        (r#"{"message":"no"}"#, ": no"),
        ("<E><Code>Denied</Code><Message>a &amp; b</Message></E>", ": Denied: a & b"),
        ("<html>a page</html>", ""),
        ("", ""),
    ] {
        let server = Server::start(move |_| testserver::Reply::new(403, body));
        let url = Url::parse(&format!("http://{}/", server.host())).expect("a URL");
        let pool = Pool::new(&Options::default()).expect("a pool");
        let reply = Question::get(url).send(&pool).await.expect("an answer");
        assert_eq!(reply.refusal(), format!("`{}` answered 403{words}", server.host()));
    }
}

#[tokio::test]
async fn a_broken_connection_is_made_again() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let server =
        Server::start(move |_| match first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            true => testserver::Reply::hang_up(),
            false => testserver::Reply::new(200, "{}"),
        });
    let url = Url::parse(&format!("http://{}/", server.host())).expect("a URL");
    let pool = Pool::new(&Options::default()).expect("a pool");
    assert_eq!(
        Question::form(url, &[("a", "ü &")]).send(&pool).await.ok().map(|it| it.status),
        Some(200)
    );
    let bodies: Vec<_> = server.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [b"a=%C3%BC+%26", b"a=%C3%BC+%26"]);
}
