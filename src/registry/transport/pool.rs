//! HTTP connections: one pool for ordinary registries, one for each with TLS settings of its own.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, ClientBuilder, Method, Response, Url};

use super::{guard, names};
use crate::registry::error::RegistryError;
use crate::registry::options::Options;
use crate::registry::reference::{api_host, canonical_registry};
use crate::registry::tls::{Tls, bad_file};

/// How long a connection may take to be made.
pub(in crate::registry) const CONNECT: Duration = Duration::from_secs(30);
/// How long a server of this machine's surroundings may take to be reached.
const NEARBY: Duration = Duration::from_secs(2);
/// How long it may take in all.
const NEARBY_ALL: Duration = Duration::from_secs(4);
/// How long a registry may say nothing while kiln waits for an answer or its next bytes.
pub(in crate::registry) const SILENCE: Duration = Duration::from_secs(60);
/// When an unused connection is asked whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// When sent bytes that nobody confirms end a connection (TCP_USER_TIMEOUT).
const UNCONFIRMED: Duration = Duration::from_secs(90);
/// Shorter than the idle timeouts of the usual proxies (nginx and AWS: 60-75 s), so that a
/// connection is not used at the moment when they close it.
const IDLE: Duration = Duration::from_secs(50);

/// One HTTP request, without any policy. Not `Debug`: a body may hold a refresh token.
pub(in crate::registry) struct Exchange<'a> {
    /// Whose TLS settings count.
    pub(in crate::registry) registry: &'a str,
    pub(in crate::registry) method: Method,
    pub(in crate::registry) url: Url,
    pub(in crate::registry) headers: &'a [(HeaderName, String)],
    pub(in crate::registry) authorization: Option<&'a HeaderValue>,
    pub(in crate::registry) body: Vec<u8>,
}

/// A body that can be sent only once.
#[derive(Debug)]
pub(in crate::registry) struct Stream {
    pub(in crate::registry) body: Body,
    /// Bytes, where that is known before they are sent.
    pub(in crate::registry) length: Option<u64>,
}

/// Makes HTTP clients by registry, and keeps them.
pub(in crate::registry) struct Pool {
    tls: Tls,
    user_agent: String,
    ordinary: Client,
    /// For servers that the machine itself offers: no proxy, and no long wait where there are none.
    nearby: Client,
    /// Where `--skip-tls-verify` is given: the same with certificates verified.
    verified: Option<Box<Self>>,
    /// Made on first use; loopback hosts are here too, as they bypass proxies.
    special: Mutex<HashMap<String, Client>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    /// Who is trusted.
    pub(in crate::registry) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Reads what is trusted, if nobody has.
    pub(in crate::registry) fn read_certificates(&self) {
        self.tls.read();
        if let Some(verified) = &self.verified {
            verified.tls.read();
        }
    }

    pub(in crate::registry) fn new(options: &Options) -> Result<Self, RegistryError> {
        let tls = Tls::new(options)?;
        let ordinary = build(&tls, "", &options.user_agent)?;
        let nearby = builder(&tls, "", &options.user_agent)?.no_proxy().connect_timeout(NEARBY);
        let nearby = nearby.build().map_err(|error| RegistryError::Start(error.to_string()))?;
        let user_agent = options.user_agent.clone();
        let verified = match options.skip_tls_verify {
            true => {
                let options = Options { skip_tls_verify: false, ..options.clone() };
                Some(Box::new(Self::new(&options)?))
            }
            false => None,
        };
        Ok(Self { tls, user_agent, ordinary, nearby, verified, special: Mutex::default() })
    }

    /// For questions to clouds, which show the secrets of an account: `--skip-tls-verify` is said about
    /// registries. Own CAs count, and hosts that are excepted by name.
    pub(in crate::registry) fn verified(&self) -> &Self {
        self.verified.as_deref().unwrap_or(self)
    }

    /// The client for a URL that a registry named: the host's own settings where it has some,
    /// else the registry's, so that a token server may use the registry's CA.
    fn client_for(&self, url: &Url, registry: &str) -> Result<Client, RegistryError> {
        let host = canonical_registry(&host_of(url));
        let own = self.tls.is_special(&host) || is_loopback(&host);
        self.client(if own { &host } else { registry })
    }

    fn client(&self, registry: &str) -> Result<Client, RegistryError> {
        if !self.tls.is_special(registry) && !is_loopback(registry) {
            return Ok(self.ordinary.clone());
        }
        let mut special = self.special.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = special.get(registry) {
            return Ok(client.clone());
        }
        let client = build(&self.tls, registry, &self.user_agent)?;
        special.insert(registry.to_owned(), client.clone());
        Ok(client)
    }

    /// Asks a server of this machine's surroundings, such as a cloud's metadata service: no proxy,
    /// a connection within [`NEARBY`], and the answer in twice that, or none.
    pub(in crate::registry) async fn ask_nearby(
        &self,
        exchange: Exchange<'_>,
    ) -> Result<Response, RegistryError> {
        let Exchange { method, url, headers, authorization, body, .. } = exchange;
        let host = host_of(&url);
        let mut builder = self.nearby.request(method, url).timeout(NEARBY_ALL).body(body);
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        if let Some(value) = authorization {
            builder = builder.header(AUTHORIZATION, value);
        }
        let limits = Limits { connect: NEARBY, all: Some(NEARBY_ALL) };
        builder.send().await.map_err(|error| sorted(&host, "", error, limits))
    }

    /// Sends a request and returns whatever comes back. A stream takes the place of the body.
    pub(in crate::registry) async fn exchange(
        &self,
        exchange: Exchange<'_>,
        stream: Option<Stream>,
    ) -> Result<Response, RegistryError> {
        let Exchange { registry, method, url, headers, authorization, body } = exchange;
        let host = host_of(&url);
        let asked = url.clone();
        self.tls.begin(&url);
        let has_body = method == Method::POST || method == Method::PUT;
        let mut builder = self.client_for(&url, registry)?.request(method, url);
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        if let Some(value) = authorization {
            builder = builder.header(AUTHORIZATION, value);
        }
        let sent = match stream {
            // The writer of the stream has an eye on the time.
            Some(Stream { body, length }) => {
                if let Some(length) = length {
                    builder = builder.header(CONTENT_LENGTH, length);
                }
                builder.body(body).send().await
            }
            None => {
                if !body.is_empty() {
                    builder = builder.body(body);
                } else if has_body {
                    // Some proxies answer 411 to a POST that says nothing about its body.
                    builder = builder.header(CONTENT_LENGTH, 0);
                }
                let sent = tokio::time::timeout(SILENCE, builder.send()).await;
                sent.map_err(|_| timed_out(&host))?
            }
        };
        let note = match &sent {
            Err(error) if is_tls(error) => self.tls.note(&canonical_registry(&host)),
            Ok(_) | Err(_) => String::new(),
        };
        let response = self.tls.proxies.judge(&asked, &note, &self.nearby, sent).await?;
        // Through a proxy it is the proxy that resolves names, and that answers.
        let direct = !self.tls.proxies.are_for(&asked);
        let from = response.remote_addr().map(|address| address.ip()).filter(|_| direct);
        guard::check_answer(api_host(registry), &asked, from).map_err(|reason| {
            RegistryError::Protocol { host: host.clone(), action: "send a request".into(), reason }
        })?;
        Ok(response)
    }
}

fn build(tls: &Tls, registry: &str, user_agent: &str) -> Result<Client, RegistryError> {
    let mut builder = builder(tls, registry, user_agent)?;
    if is_loopback(registry) {
        builder = builder.no_proxy(); // as Go's ProxyFromEnvironment
    }
    builder.build().map_err(|error| RegistryError::Start(error.to_string()))
}

fn builder(tls: &Tls, registry: &str, user_agent: &str) -> Result<ClientBuilder, RegistryError> {
    Ok(tls
        .proxies
        .settle(names::settle(Client::builder()))
        .tls_backend_preconfigured(tls.config(registry)?)
        // Uploads over HTTP/2 share one TCP window and were measured many times slower
        // (GoogleContainerTools/kaniko#2751, golang/go#47840).
        .http1_only()
        // Followed by hand: each host has its own credentials and TLS settings.
        .redirect(Policy::none())
        .user_agent(user_agent)
        .connect_timeout(CONNECT)
        .tcp_keepalive(KEEPALIVE)
        .tcp_user_timeout(UNCONFIRMED)
        .pool_idle_timeout(IDLE))
}

/// `host[:port]` of a URL, the port only where it is not the scheme's.
pub(in crate::registry) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether `host[:port]` is this machine by its spelling.
pub(in crate::registry) fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    // The root's dot changes nothing about where a name leads.
    let name = name.strip_suffix('.').unwrap_or(name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || name.ends_with(".localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

/// The name or address of `host[:port]`.
pub(super) fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => &host[..colon],
        _ => host,
    }
}

/// Silence where there should be an answer.
pub(in crate::registry) fn timed_out(host: &str) -> RegistryError {
    RegistryError::Connection {
        host: host.to_owned(),
        cause: format!("no byte came for {} s", SILENCE.as_secs()),
        hint: "",
    }
}

/// How long a client waits.
#[derive(Clone, Copy)]
struct Limits {
    connect: Duration,
    /// For a whole answer; `None` is for ever.
    all: Option<Duration>,
}

/// Sorts what the HTTP library reports by what the user can do about it. `note` is about
/// certificates. URLs stay out of the texts: those of object stores are credentials.
pub(in crate::registry) fn connection_error(
    host: &str,
    note: &str,
    error: reqwest::Error,
) -> RegistryError {
    sorted(host, note, error, Limits { connect: CONNECT, all: None })
}

fn sorted(host: &str, note: &str, error: reqwest::Error, limits: Limits) -> RegistryError {
    let error = error.without_url();
    let host = host.to_owned();
    if let Some(tls) = find::<rustls::Error>(&error) {
        // Where there is no way to tell a good certificate, that is what is wrong.
        let bad_file = bad_file(tls).cloned().map(RegistryError::from);
        return bad_file.unwrap_or_else(|| tls_error(host, note, tls));
    }
    let cause = chain(&error);
    let lower = cause.to_ascii_lowercase();
    if lower.contains("dns error") {
        let unknown = ["no records found", "nxdomain"].iter().any(|part| lower.contains(part));
        let cause = if unknown { "the name has no address".into() } else { last(&error) };
        return RegistryError::Dns { host, cause, unknown };
    }
    match find::<io::Error>(&error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            RegistryError::Refused { host, cause: last(&error) }
        }
        _ if error.is_timeout() && error.is_connect() => RegistryError::Connection {
            host,
            cause: format!("it could not be made within {} s", limits.connect.as_secs()),
            hint: ". Check that this machine may reach it, or needs a proxy (HTTPS_PROXY)",
        },
        // Without a limit of kiln's own it is the operating system that gave up.
        _ => match limits.all.filter(|_| error.is_timeout()) {
            Some(all) => RegistryError::Connection {
                host,
                cause: format!("no answer came within {} s", all.as_secs()),
                hint: "",
            },
            None => RegistryError::Connection { host, cause, hint: "" },
        },
    }
}

fn is_tls(error: &reqwest::Error) -> bool {
    find::<rustls::Error>(error).is_some()
}

fn tls_error(host: String, note: &str, error: &rustls::Error) -> RegistryError {
    use rustls::CertificateError as Bad;
    let plain = matches!(error, rustls::Error::InvalidMessage(_));
    let (cause, hint) = match error {
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer) => (
            "its certificate is signed by a CA that is not trusted here".to_owned(),
            format!("Give kiln the CA's certificate: --registry-certificate {host}=FILE{note}"),
        ),
        // Self-signed, as `openssl req -x509` makes it; see the verifier.
        rustls::Error::InvalidCertificate(Bad::Other(_)) => (
            "its certificate is its own CA, and not trusted here".to_owned(),
            format!("Give kiln this certificate: --registry-certificate {host}=FILE{note}"),
        ),
        rustls::Error::InvalidMessage(_) => (
            "it does not speak TLS".to_owned(),
            format!("If it is meant to speak plain HTTP: --insecure-registry {host}"),
        ),
        other => (
            other.to_string(),
            format!("Check the registry's certificate and this machine's clock{note}"),
        ),
    };
    RegistryError::Tls { host, cause, hint, plain }
}

/// The first error of a type in a chain, also inside of `io::Error`, whose `source` skips it.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// All sentences of a chain but those that only say that there is a request and a client.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let part = error.to_string();
        let wraps = part == "error sending request" || part.starts_with("client error");
        let says_nothing = text.contains(&part) || wraps && error.source().is_some();
        if !says_nothing {
            text += if text.is_empty() { "" } else { ": " };
            text += &part;
        }
        next = error.source();
    }
    super::clean(&text)
}

fn last(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    super::clean(&last.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_spellings() {
        for (host, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("a.localhost:5000", true),
            ("localhost.", true),
            ("a.localhost.:5000", true),
            ("localhost..", false),
            ("127.0.0.1:5000", true),
            ("127.8.9.1", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("localhost.example.com", false),
            ("10.0.0.1", false),
            ("r.io:127", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }

    #[test]
    fn hosts_are_taken_from_urls_as_references_spell_them() {
        for (url, host) in [
            ("https://r.io/v2/", "r.io"),
            ("https://r.io:443/v2/", "r.io"),
            ("http://r.io:5000/", "r.io:5000"),
            ("http://[::1]:5000/", "[::1]:5000"),
        ] {
            assert_eq!(host_of(&Url::parse(url).expect("a url")), host);
        }
    }
}
