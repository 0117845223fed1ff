//! A token server that Docker's registry believes: it signs what its users may do, over TLS.
//!
//! Source: distribution's docs "Token Authentication Specification" and "Token Authentication
//! Implementation" (the JSON Web Token's claims).

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::registry::form;

/// What the registry and the server know each other by.
pub const SERVICE: &str = "testkit-registry";
pub const ISSUER: &str = "testkit-token-server";
/// Docker's registry accepts tokens so long after their end (distribution, token.go).
const LEEWAY: Duration = Duration::from_secs(60);

/// A request for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The user; empty for nobody.
    pub user: String,
    /// What was wanted, as in `repository:app:pull,push`.
    pub scopes: Vec<String>,
    /// Status of the answer.
    pub status: u16,
}

/// Passwords, what users may do in all repositories, and how long it holds.
#[derive(Debug, Default)]
struct Policy {
    /// Password and actions by user.
    users: HashMap<String, (String, Vec<String>)>,
    life: Duration,
    /// Tokens have ended before they come.
    stale: bool,
}

struct Shared {
    policy: Mutex<Policy>,
    asked: Mutex<Vec<Asked>>,
    key: EcdsaKeyPair,
    /// The certificate of the key, as `x5c` wants it.
    certificate: String,
    tls: Arc<ServerConfig>,
    stop: AtomicBool,
}

/// A running token server. Dropped, it stops.
pub struct TokenServer {
    address: SocketAddr,
    bundle: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for TokenServer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TokenServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl TokenServer {
    /// Starts it with a certificate and its P-256 key in PKCS#8, both PEM files. They serve TLS and
    /// sign the tokens, which live so long.
    ///
    /// # Errors
    /// If the files are not that, or no port is free.
    pub fn start(certificate: &Path, key: &Path, life: Duration) -> anyhow::Result<Self> {
        let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
        let first = chain.first().context("there is no certificate in the file")?;
        let certificate_text = STANDARD.encode(first);
        let private = PrivateKeyDer::from_pem_file(key)?;
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let signer = EcdsaKeyPair::from_pkcs8(algorithm, private.secret_der(), &random)
            .map_err(|error| anyhow!("{} cannot sign: {error}", key.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, private)?;
        let shared = Arc::new(Shared {
            policy: Mutex::new(Policy { life, ..Policy::default() }),
            asked: Mutex::default(),
            key: signer,
            certificate: certificate_text,
            tls: Arc::new(tls),
            stop: AtomicBool::new(false),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("tokens".to_owned());
        let thread = thread.spawn(move || accept(&listener, &for_thread))?;
        let bundle = certificate.to_owned();
        Ok(Self { address, bundle, shared, thread: Some(thread) })
    }

    /// A user who may do this (`pull`, `push`) in all repositories.
    pub fn user(&self, name: &str, password: &str, actions: &[&str]) {
        let actions = actions.iter().map(|&action| action.to_owned()).collect();
        lock(&self.shared.policy).users.insert(name.to_owned(), (password.to_owned(), actions));
    }

    /// Whether tokens have ended before they come.
    pub fn stale(&self, stale: bool) {
        lock(&self.shared.policy).stale = stale;
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The address for `WWW-Authenticate`.
    pub fn realm(&self) -> String {
        format!("https://{}/token", self.address)
    }

    /// The PEM file with what its signatures are checked by.
    pub fn bundle(&self) -> &Path {
        &self.bundle
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// Forgets the requests so far.
    pub fn clear(&self) {
        lock(&self.shared.asked).clear();
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Its thread sits in accept; a connection wakes it up.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let shared = Arc::clone(shared);
        // An error is the client's going away, as after a certificate that it does not like.
        thread::spawn(move || serve(&shared, stream));
    }
}

/// One request for each connection.
fn serve(shared: &Shared, stream: TcpStream) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let tls = ServerConnection::new(Arc::clone(&shared.tls))?;
    let mut stream = BufReader::new(StreamOwned::new(tls, stream));
    let mut raw = Vec::new();
    while !raw.ends_with(b"\r\n\r\n") {
        if raw.len() > 64 * 1024 || stream.read_until(b'\n', &mut raw)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    let mut space = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut space);
    request.parse(&raw)?;
    let authorization =
        request.headers.iter().find(|h| h.name.eq_ignore_ascii_case("authorization"));
    let authorization = authorization.map(|header| String::from_utf8_lossy(header.value));
    let (status, body) = match request.method {
        Some("GET") => answer(shared, request.path.unwrap_or_default(), authorization.as_deref())?,
        _ => (405, json!({ "details": "only GET is known here" })),
    };
    let body = body.to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n");
    let text = format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let mut stream = stream.into_inner();
    stream.write_all(text.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}

fn answer(
    shared: &Shared,
    target: &str,
    authorization: Option<&str>,
) -> anyhow::Result<(u16, Value)> {
    let (_, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = form(query);
    let scopes = pairs.into_iter().filter(|(key, _)| key == "scope");
    let scopes: Vec<_> =
        scopes.flat_map(|(_, v)| v.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    let (user, password) = authorization.and_then(basic).unwrap_or_default();
    let note = |status| {
        let asked = Asked { user: user.clone(), scopes: scopes.clone(), status };
        lock(&shared.asked).push(asked);
    };
    let policy = lock(&shared.policy);
    let known = policy.users.get(&user).filter(|(expected, _)| *expected == password);
    let Some((_, actions)) = known else {
        note(401);
        return Ok((401, json!({ "details": "incorrect username or password" })));
    };
    note(200);
    let access: Vec<_> = scopes.iter().filter_map(|scope| access(scope, actions)).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let life = if policy.stale { Duration::ZERO } else { policy.life };
    // The registry's leeway is taken off, so that the end is the end.
    let end = (now + life).saturating_sub(LEEWAY).as_secs();
    let end = if policy.stale { end - 1 } else { end };
    let claims = json!({
        "iss": ISSUER, "sub": user, "aud": SERVICE, "jti": format!("{}", now.as_nanos()),
        "exp": end, "nbf": now.as_secs() - 1000, "iat": now.as_secs() - 1000, "access": access,
    });
    let token = sign(shared, &claims)?;
    Ok((200, json!({ "token": token, "expires_in": policy.life.as_secs() })))
}

fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, value) = header.split_once(' ')?;
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':').filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    Some((user.to_owned(), password.to_owned()))
}

/// What a user gets of `repository:NAME:ACTIONS`.
fn access(scope: &str, allowed: &[String]) -> Option<Value> {
    let (name, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
    let granted = |action: &&str| allowed.iter().any(|word| word == action);
    let actions: Vec<_> = actions.split(',').filter(granted).collect();
    Some(json!({ "type": "repository", "name": name, "actions": actions }))
}

/// A token as RFC 7515 and 7519 have it.
fn sign(shared: &Shared, claims: &Value) -> anyhow::Result<String> {
    let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [shared.certificate] });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = shared.key.sign(&SystemRandom::new(), signed.as_bytes());
    let signature = signature.map_err(|_| anyhow!("the key does not sign"))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
