//! Against a TLS server in this process. The certificates are self-signed with `CA:TRUE` for
//! localhost and 127.0.0.1, as `openssl req -x509` makes them; `expired.pem` ended in 2021.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConfig, ServerConnection};

use super::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/registry/testdata").join(name)
}

/// Shakes hands with a server that shows `certificate`, called by `name`.
fn handshake(config: ClientConfig, certificate: &str, name: &str) -> Result<(), String> {
    let chain = CertificateDer::pem_file_iter(fixture(certificate))
        .expect("fixture")
        .collect::<Result<Vec<_>, _>>()
        .expect("certificates");
    let key = PrivateKeyDer::from_pem_file(fixture("key.pem")).expect("fixture");
    let server = ServerConfig::builder_with_provider(config.crypto_provider().clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("server config");
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound");
    let thread = std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a client");
        let connection = ServerConnection::new(Arc::new(server)).expect("server");
        let mut stream = rustls::StreamOwned::new(connection, socket);
        let mut byte = [0];
        if stream.read_exact(&mut byte).is_ok() {
            stream.write_all(&byte).ok();
        }
    });
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("client");
    let socket = TcpStream::connect(address).expect("loopback");
    let mut stream = rustls::StreamOwned::new(connection, socket);
    let mut byte = [7];
    let outcome = stream.write_all(&byte).and_then(|()| stream.read_exact(&mut byte));
    drop(stream);
    thread.join().expect("no panic");
    outcome.map_err(|error| error.to_string())
}

fn options(ca: &str) -> Options {
    Options { registry_ca: vec![("r.io:5000".into(), fixture(ca))], ..Options::default() }
}

#[test]
fn a_listed_certificate_is_accepted_for_its_names_and_time() {
    for (registry, certificate, name, expected) in [
        ("r.io:5000", "listed.pem", "localhost", Ok(())),
        ("r.io:5000", "listed.pem", "127.0.0.1", Ok(())),
        ("r.io:5000", "listed.pem", "other.example", Err("not valid for name")),
        ("r.io:5000", "expired.pem", "localhost", Err("invalid peer certificate")),
        ("other.io", "listed.pem", "localhost", Err("invalid peer certificate")),
    ] {
        let tls = Tls::new(&options("listed.pem")).expect("settings");
        let outcome = handshake(tls.config(registry).expect("config"), certificate, name);
        match (&outcome, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            _ => panic!("{registry} {certificate} {name}: {outcome:?}"),
        }
    }
}

#[test]
fn a_listed_certificate_that_has_expired_is_refused() {
    let tls = Tls::new(&options("expired.pem")).expect("settings");
    let config = tls.config("r.io:5000").expect("config");
    let error = handshake(config, "expired.pem", "localhost").expect_err("expired");
    assert!(error.contains("expired"), "{error}");
}

#[test]
fn verification_can_be_switched_off_for_one_registry() {
    let options = Options { skip_tls_registries: vec!["R.io:5000".into()], ..Options::default() };
    let tls = Tls::new(&options).expect("settings");
    assert!(tls.is_special("r.io:5000") && !tls.is_special("other.io"));
    for (registry, works) in [("r.io:5000", true), ("other.io", false)] {
        let config = tls.config(registry).expect("config");
        assert_eq!(handshake(config, "expired.pem", "other.example").is_ok(), works, "{registry}");
    }
}

#[test]
fn bundles_replace_and_directories_add() {
    let dir = tempfile::tempdir().expect("temp");
    std::fs::copy(fixture("listed.pem"), dir.path().join("a.crt")).expect("copy");
    std::fs::write(dir.path().join("README"), "no certificate").expect("write");
    for options in [
        Options { ca_bundle: Some(fixture("listed.pem")), ..Options::default() },
        Options { ca_dirs: vec![dir.path().into(), "/nowhere".into()], ..Options::default() },
    ] {
        let tls = Tls::new(&options).expect("settings");
        let config = tls.config("any.io").expect("config");
        handshake(config, "listed.pem", "localhost").expect("trusted");
    }
}

#[test]
fn files_are_read_at_the_first_certificate_or_when_that_is_asked_for() {
    for (early, trusted) in [(true, true), (false, false)] {
        let dir = tempfile::tempdir().expect("temp");
        let bundle = dir.path().join("ca.pem");
        std::fs::copy(fixture("listed.pem"), &bundle).expect("copy");
        let options = Options { ca_bundle: Some(bundle.clone()), ..Options::default() };
        let tls = Tls::new(&options).expect("settings");
        let config = tls.config("any.io").expect("config");
        assert!(!tls.trust.is_read());
        if early {
            tls.read();
        }
        // As where `/` becomes an image's.
        std::fs::remove_file(&bundle).expect("removed");
        assert_eq!(handshake(config, "listed.pem", "localhost").is_ok(), trusted);
        assert!(tls.trust.is_read());
    }
}

#[test]
fn directories_of_hosts_are_listed_once_where_that_is_asked_for() {
    let dir = tempfile::tempdir().expect("temp");
    let add = |name: &str, file: &str| {
        std::fs::create_dir_all(dir.path().join(name)).expect("a directory");
        std::fs::copy(fixture(file), dir.path().join(name).join("ca.crt")).expect("copy");
    };
    for name in ["r.io", "d.io:443", "p.io:5000", "index.docker.io"] {
        add(name, "listed.pem");
    }
    add("broken.io", "key.pem");
    let options = Options { host_dirs: vec![dir.path().into()], ..Options::default() };
    let tls = Tls::new(&options).expect("settings");
    tls.read();
    // As where `/` becomes an image's.
    for entry in std::fs::read_dir(dir.path()).expect("the directory").flatten() {
        std::fs::remove_dir_all(entry.path()).expect("removed");
    }
    add("image.io", "listed.pem");
    add("broken.io", "listed.pem");
    for (registry, trusted) in [
        ("r.io", true),
        ("d.io", true),
        ("d.io:443", true),
        ("p.io:5000", true),
        ("docker.io", true),
        ("image.io", false),
    ] {
        assert_eq!(tls.is_special(registry), trusted, "{registry}");
        let config = tls.config(registry).expect("config");
        assert_eq!(handshake(config, "listed.pem", "localhost").is_ok(), trusted, "{registry}");
    }
    let error = tls.config("broken.io").expect_err("a key is no certificate").to_string();
    assert!(error.contains("broken.io/ca.crt"), "{error}");
}

#[test]
fn files_in_addition_and_directories_of_hosts_add() {
    let dir = tempfile::tempdir().expect("temp");
    let pem = fixture("listed.pem");
    for (name, file) in [("r.io", "ca.crt"), ("p.io:5000", "x.crt"), ("d.io:443", "ca.crt")] {
        std::fs::create_dir(dir.path().join(name)).expect("a directory");
        std::fs::copy(&pem, dir.path().join(name).join(file)).expect("copy");
    }
    std::fs::write(dir.path().join("r.io/README"), "nothing").expect("write");
    let options =
        Options { host_dirs: vec!["/nowhere".into(), dir.path().into()], ..Options::default() };
    for (registry, trusted) in [
        ("r.io", true),
        ("r.io:5000", false),
        ("p.io:5000", true),
        ("p.io", false),
        ("d.io", true),
        ("other.io", false),
        ("../r.io", false),
        ("..", false),
    ] {
        let tls = Tls::new(&options).expect("settings");
        assert_eq!(tls.is_special(registry), trusted, "{registry}");
        let config = tls.config(registry).expect("config");
        assert_eq!(handshake(config, "listed.pem", "localhost").is_ok(), trusted, "{registry}");
    }
    for more in [pem, dir.path().join("r.io")] {
        let options = Options { more_ca: vec!["/nowhere".into(), more], ..Options::default() };
        let config = Tls::new(&options).expect("settings").config("any.io").expect("config");
        handshake(config, "listed.pem", "localhost").expect("trusted");
    }
}

#[test]
fn mistakes_in_a_directory_of_a_host_are_named() {
    let listed = std::fs::read(fixture("listed.pem")).expect("fixture");
    let key = std::fs::read(fixture("key.pem")).expect("fixture");
    for (files, expected) in [
        (&[("ca.crt", &key)][..], Some("no PEM certificate")),
        (
            &[("client.cert", &listed)],
            Some("client.key is missing; the certificate of a CA ends in"),
        ),
        (&[("client.key", &key)], Some("the certificate beside it is missing")),
        (
            &[("client.cert", &listed), ("client.key", &listed)],
            Some("as a client's key for `r.io`"),
        ),
        (&[("client.cert", &listed), ("client.key", &key)], None),
    ] {
        let dir = tempfile::tempdir().expect("temp");
        std::fs::create_dir(dir.path().join("r.io")).expect("a directory");
        for (name, bytes) in files {
            std::fs::write(dir.path().join("r.io").join(name), bytes).expect("write");
        }
        let options = Options { host_dirs: vec![dir.path().into()], ..Options::default() };
        let tls = Tls::new(&options).expect("nobody has asked yet");
        match (tls.config("r.io"), expected) {
            (Ok(_), None) => assert!(tls.is_special("r.io")),
            (Err(error), Some(expected)) => {
                let error = error.to_string();
                assert!(error.contains(expected) && error.contains("r.io/"), "{error}");
            }
            (outcome, _) => panic!("{expected:?}: {:?}", outcome.map(drop)),
        }
        assert!(tls.config("other.io").is_ok());
    }
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let missing = Options { ca_bundle: Some("/nowhere/ca.pem".into()), ..Options::default() };
    let tls = Tls::new(&missing).expect("a bundle that is not there stops nothing");
    assert!(tls.note("any.io").contains("/nowhere/ca.pem"));
    let key = Options { ca_bundle: Some(fixture("key.pem")), ..Options::default() };
    let tls = Tls::new(&key).expect("nothing is read before a certificate is shown");
    assert!(!tls.trust.is_read());
    let config = tls.config("any.io").expect("settings");
    let error = handshake(config, "listed.pem", "localhost").expect_err("nobody is trusted");
    assert!(error.contains("no PEM certificate"), "{error}");
    assert!(error.contains("key.pem"), "{error}");
    let error = tls.trusted_pem("any.io").expect_err("a key is no certificate").to_string();
    assert!(error.contains("key.pem") && error.contains("no PEM certificate"), "{error}");
    let gone = options("gone.pem");
    let error = Tls::new(&gone).err().expect("named for a host, so needed").to_string();
    assert!(error.contains("gone.pem") && error.contains("`r.io:5000`"), "{error}");
    let cert = ("r.io".to_owned(), fixture("listed.pem"), fixture("listed.pem"));
    let swapped = Options { client_certs: vec![cert], ..Options::default() };
    let error = Tls::new(&swapped).err().expect("no key").to_string();
    assert!(error.contains("as the key of a client certificate for `r.io`"), "{error}");
}
