//! Contexts in Google's storage: in an emulator, and at its own name with a token.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use testkit::tar::TarBytes;

use crate::built::{Built, build_in};
use crate::certificates::Certificates;
use crate::common::Kiln;
use crate::front::{Front, Reply};
use crate::ports;

const TOKEN: &str = "ya29.geheim-token";

fn tar(text: &str) -> Vec<u8> {
    TarBytes::new().file("Dockerfile", "FROM scratch\nCOPY f /\n").file("f", text).finish()
}

/// gcp-storage-emulator; ends when dropped.
struct Emulator {
    port: u16,
    child: Child,
}

impl Emulator {
    /// Starts it with the bucket `box`.
    fn start() -> Self {
        let dir = std::env::var_os("KILN_GCP_STORAGE_EMULATOR").map(PathBuf::from).expect(
            "KILN_GCP_STORAGE_EMULATOR is not set to a directory in which pip has installed \
             gcp-storage-emulator: run these with `cargo xtask test`",
        );
        let port = ports::free();
        let mut command = Command::new("python3");
        command.args(["-m", "gcp_storage_emulator", "start", "--in-memory"]);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.env("PYTHONPATH", dir).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::null()).spawn().expect("python3 starts");
        ports::wait(port, &mut child);
        let emulator = Self { port, child };
        emulator.post("/storage/v1/b?project=p", "application/json", br#"{"name": "box"}"#);
        emulator
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Writes an object, by its name as a query has it.
    fn object(&self, name: &str, content: &[u8]) {
        let target = format!("/upload/storage/v1/b/box/o?uploadType=media&name={name}");
        self.post(&target, "application/x-tar", content);
    }

    fn post(&self, target: &str, kind: &str, body: &[u8]) {
        let mut stream = TcpStream::connect(self.host()).expect("the emulator");
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.host(),
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.split(' ').nth(1) == Some("200"), "{answer}");
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn objects_are_read_from_an_emulator() {
    let emulator = Emulator::start();
    emulator.object("dir%2Fa%20b%2Bc%3F.tar", &tar("of an object"));
    let build = |context: &str, host: String| {
        build_in(Kiln::build().env("STORAGE_EMULATOR_HOST", host), context, &[], b"")
    };
    for host in [emulator.host(), format!("http://{}", emulator.host())] {
        assert_eq!(build("gs://box/dir/a b+c?.tar", host).text("f"), "of an object");
    }
    for context in ["gs://box/gone.tar", "gs://gone/a.tar"] {
        let built = build(context, emulator.host());
        let text = built.outcome.to_string();
        assert_eq!(built.outcome.code, Some(1), "{text}");
        assert!(text.contains(context) && text.contains("answered 404"), "{text}");
        assert!(text.contains("STORAGE_EMULATOR_HOST is set"), "{text}");
    }
}

/// Google's own name, by TLS, to a server that hands `private` out for the token alone.
#[test]
fn objects_are_read_with_a_token_or_without() {
    let host = "storage.googleapis.com";
    let certificates = Certificates::new();
    let (pem, key) = certificates.self_signed("google", &format!("DNS:{host}"));
    let content = tar("at Google's");
    let store = Front::tls((&pem, key), move |seen| {
        let known = seen.header("authorization") == Some(&format!("Bearer {TOKEN}"));
        match seen.target.as_str() {
            "/download/storage/v1/b/public/o/a.tar?alt=media" => {}
            "/download/storage/v1/b/private/o/dir%2Fa.tar?alt=media" if known => {}
            _ => {
                let message = "Anonymous caller does not have storage.objects.get access";
                return Reply::json(401, &json!({"error": {"code": 401, "message": message}}));
            }
        }
        Reply::Own(200, Vec::new(), content.clone())
    });
    let machine = Front::plain(|seen| {
        assert_eq!(seen.header("metadata-flavor"), Some("Google"));
        let body = json!({"access_token": TOKEN, "expires_in": 3000}).to_string();
        let headers = vec![("Metadata-Flavor", "Google".to_owned())];
        Reply::Own(200, headers, body.into_bytes())
    });
    let build = |context: &str, metadata: &str| -> Built {
        let kiln = Kiln::build().env("GCE_METADATA_HOST", metadata).env("SSL_CERT_FILE", &pem);
        build_in(kiln.hosts(&store.named(host)), context, &["-v"], b"")
    };
    let nobody = ports::nobody();
    assert_eq!(build("gs://public/a.tar", &nobody).text("f"), "at Google's");
    let built = build("gs://private/dir/a.tar", &machine.host());
    assert_eq!(built.text("f"), "at Google's");
    assert!(!built.outcome.to_string().contains("geheim"), "{}", built.outcome);
    let refused = build("gs://private/dir/a.tar", &nobody).outcome.to_string();
    for part in [
        "answered 401",
        "storage.objects.get",
        "kiln asked without a signature: no service account of Google's",
        "GOOGLE_APPLICATION_CREDENTIALS is not set",
        ".config/gcloud/application_default_credentials.json does not exist",
        &format!("the metadata server at {nobody} refuses connections"),
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert_eq!(store.seen().len(), 3);
}
