//! Azurite, Microsoft's emulator of its storage. It checks signatures as Azure does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::ports;

/// Its one account, and the key, which Microsoft publishes.
pub const ACCOUNT: &str = "devstoreaccount1";
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const VERSION: &str = "2018-11-09";

/// A running one; ends when dropped.
pub struct Azurite {
    port: u16,
    child: Child,
    _data: tempfile::TempDir,
}

impl Azurite {
    /// Starts it with the container `box`.
    pub fn start() -> Self {
        let dir = std::env::var_os("KILN_AZURITE").map(PathBuf::from).expect(
            "KILN_AZURITE is not set to a directory in which npm has installed azurite: run these \
             with `cargo xtask test`",
        );
        let (port, data) = (ports::free(), tempfile::tempdir().expect("a directory"));
        let mut command = Command::new("node");
        command.arg(dir.join("node_modules/azurite/dist/src/blob/main.js"));
        command.args(["--silent", "--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
        command.arg("--location").arg(data.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().expect("node starts");
        ports::wait(port, &mut child);
        let azurite = Self { port, child, _data: data };
        azurite.put("box?restype=container", "restype:container", b"");
        azurite
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The account's address.
    pub fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.host())
    }

    /// Writes a blob. Returns its address.
    pub fn blob(&self, name: &str, content: &[u8]) -> String {
        self.put(&format!("box/{name}"), "", content);
        format!("{}/box/{name}", self.endpoint())
    }

    /// A signature for reading a blob, as a query
    /// (learn.microsoft.com/rest/api/storageservices/create-service-sas).
    pub fn signature(&self, name: &str) -> String {
        let end = "2099-01-01T00:00:00Z";
        let text =
            format!("r\n\n{end}\n/blob/{ACCOUNT}/box/{name}\n\n\n\n{VERSION}\nb\n\n\n\n\n\n");
        let signature: String = sign(&text)
            .bytes()
            .map(|byte| match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect();
        format!("sv={VERSION}&sr=b&sp=r&se={}&sig={signature}", end.replace(':', "%3A"))
    }

    fn put(&self, target: &str, parameter: &str, body: &[u8]) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let own = format!("x-ms-blob-type:BlockBlob\nx-ms-date:{date}\nx-ms-version:{VERSION}");
        let length = if body.is_empty() { String::new() } else { body.len().to_string() };
        let path = target.split('?').next().unwrap_or_default();
        let mut text = format!("PUT\n\n\n{length}{}{own}\n", "\n".repeat(9));
        text += &format!("/{ACCOUNT}/{ACCOUNT}/{path}");
        if !parameter.is_empty() {
            text += &format!("\n{parameter}");
        }
        let host = self.host();
        let mut request = format!("PUT /{ACCOUNT}/{target} HTTP/1.1\r\nHost: {host}\r\n");
        request +=
            &own.replace(':', ": ").replace('\n', "\r\n").replace(&date.replace(':', ": "), &date);
        request += &format!("\r\nAuthorization: SharedKey {ACCOUNT}:{}\r\n", sign(&text));
        request += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(host).expect("azurite");
        stream.write_all(request.as_bytes()).and_then(|()| stream.write_all(body)).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}\n{text}");
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sign(text: &str) -> String {
    let key = STANDARD.decode(KEY).expect("base64");
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes()))
}
