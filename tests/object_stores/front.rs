//! What stands in front of a cloud: a server of HTTP, with TLS or without, that answers by itself or
//! hands a request on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What is done about it.
pub enum Reply {
    /// Status, further headers, body.
    Own(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Handed on to this `host:port`, which speaks plain HTTP.
    To(String),
    /// The same, but the connection ends after so many bytes of the answer.
    Cut(String, usize),
}

/// A server; ends when dropped.
pub struct Front {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    ended: Arc<AtomicBool>,
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The value of a field of a form.
    pub fn field(&self, name: &str) -> Option<String> {
        let text = format!("http://x/?{}", String::from_utf8_lossy(&self.body));
        let url = reqwest::Url::parse(&text).ok()?;
        url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
    }
}

impl Reply {
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Self::Own(status, headers, value.to_string().into_bytes())
    }

    pub fn status(status: u16) -> Self {
        Self::Own(status, Vec::new(), Vec::new())
    }
}

impl Front {
    /// Plain HTTP on a free port.
    pub fn plain(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        Self::start(listener, None, Arc::new(handler))
    }

    /// TLS on port 443 of an address of this machine that nobody else uses. Needs root.
    pub fn tls(
        (certificate, key): (impl AsRef<Path>, impl AsRef<Path>),
        handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate).expect("a file");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate and its key");
        let mut addresses = (1..=250).map(|last| format!("127.71.0.{last}:443"));
        let free = addresses.find_map(|address| TcpListener::bind(address).ok());
        Self::start(free.expect("a free port 443"), Some(Arc::new(config)), Arc::new(handler))
    }

    fn start(listener: TcpListener, tls: Option<Arc<ServerConfig>>, handler: Arc<Handler>) -> Self {
        let address = listener.local_addr().expect("bound");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let ended: Arc<AtomicBool> = Arc::default();
        let front = Self { address, seen: seen.clone(), ended: ended.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (tls, handler, seen) = (tls.clone(), handler.clone(), seen.clone());
                std::thread::spawn(move || serve(stream, tls, &*handler, &seen));
            }
        });
        front
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// A line of /etc/hosts that gives it a name.
    pub fn named(&self, name: &str) -> String {
        format!("{} {name}\n", self.address.ip())
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("lock").clone()
    }

    /// `METHOD path` of all that came so far.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path())).collect()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    handler: &Handler,
    seen: &Mutex<Vec<Seen>>,
) {
    match tls {
        None => drop(one(stream, false, handler, seen)),
        Some(config) => {
            let connection = ServerConnection::new(config).expect("a configuration");
            if let Some(mut stream) = one(StreamOwned::new(connection, stream), true, handler, seen)
            {
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    }
}

/// Serves one request; every answer ends its connection. Returns a stream that is to be closed
/// properly.
fn one<S: Read + Write>(
    stream: S,
    tls: bool,
    handler: &Handler,
    kept: &Mutex<Vec<Seen>>,
) -> Option<S> {
    let mut reader = BufReader::new(stream);
    let seen = read(&mut reader)?;
    kept.lock().expect("lock").push(seen.clone());
    let mut stream = reader.into_inner();
    let (answer, whole) = match handler(&seen) {
        Reply::Own(status, headers, body) => (own(status, &headers, &body), true),
        Reply::To(host) => (hand_on(&seen, &host, tls)?, true),
        Reply::Cut(host, bytes) => {
            let mut answer = hand_on(&seen, &host, tls)?;
            answer.truncate(bytes);
            (answer, false)
        }
    };
    stream.write_all(&answer).ok()?;
    stream.flush().ok()?;
    whole.then_some(stream)
}

fn own(status: u16, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status} Test\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers {
        answer.extend(format!("{name}: {value}\r\n").bytes());
    }
    answer.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
    answer.extend(body);
    answer
}

/// The whole answer of another server.
fn hand_on(seen: &Seen, host: &str, tls: bool) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(host).expect("the server behind");
    let mut head = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", seen.method, seen.target);
    if tls {
        head += "X-Forwarded-Proto: https\r\n";
    }
    let headers = seen.headers.iter();
    for (name, value) in headers.filter(|(name, _)| !name.eq_ignore_ascii_case("connection")) {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    stream.write_all(&seen.body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(answer)
}

fn read(reader: &mut impl BufRead) -> Option<Seen> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    while let Some((name, value)) = line(reader)?.split_once(':') {
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut seen = Seen { method, target, headers, body: Vec::new() };
    assert_eq!(seen.header("transfer-encoding"), None, "bodies have a length");
    let length = seen.header("content-length").map_or(0, |text| text.parse().expect("a length"));
    reader.take(length).read_to_end(&mut seen.body).ok()?;
    Some(seen)
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    (!line.is_empty()).then(|| line.trim_end().to_owned())
}
