//! What a proxy says instead of the registry.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, StatusCode, Url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Proxy;
use crate::registry::error::RegistryError;
use crate::registry::transport::{CONNECT, clean};

/// How long a proxy may take to say its no once more.
const PATIENCE: Duration = Duration::from_secs(5);
/// As much of its answer as is looked at.
const ANSWER_MAX: usize = 4096;

/// Why there is no connection through a proxy. `error` is what it looks like.
pub(super) async fn of(
    proxy: &Proxy,
    url: &Url,
    direct: &Client,
    error: RegistryError,
) -> RegistryError {
    let (host, cause) = match &error {
        RegistryError::Dns { host, cause, .. } | RegistryError::Refused { host, cause } => {
            return unreachable(proxy, host, cause);
        }
        // The only connection that is made goes to the proxy (hyper-util's words).
        RegistryError::Connection { host, cause, .. } if cause.contains("tcp connect error") => {
            return unreachable(proxy, host, cause);
        }
        RegistryError::Connection { host, cause, .. } if cause.contains("tunnel error") => {
            (host, cause)
        }
        // The proxy did its part: the registry's certificate, or no TLS at all.
        _ => return error,
    };
    match answer(proxy, url, direct).await {
        Some((status, phrase)) => refused(proxy, host, status, &phrase),
        None => unreachable(proxy, host, cause),
    }
}

/// Nothing came through the proxy in time: it does not answer, or does not reach the registry.
pub(super) fn silent(proxy: &Proxy, host: &str) -> RegistryError {
    let seconds = CONNECT.as_secs();
    unreachable(proxy, host, &format!("no connection through it could be made within {seconds} s"))
}

fn unreachable(proxy: &Proxy, host: &str, cause: &str) -> RegistryError {
    RegistryError::Proxy {
        host: host.to_owned(),
        proxy: proxy.to_string(),
        cause: format!("cannot be used: {cause}"),
        hint: format!(
            "Check {}; if this machine reaches `{host}` without a proxy, add it to NO_PROXY",
            proxy.variable
        ),
        passing: true,
    }
}

/// The proxy's no to a connection.
pub(super) fn refused(proxy: &Proxy, host: &str, status: u16, phrase: &str) -> RegistryError {
    let variable = &proxy.variable;
    let hint = match (status, proxy.has_password()) {
        (407, false) => format!(
            "It wants a user and a password: {variable}={}://USER:PASSWORD@{}",
            proxy.url.scheme(),
            crate::registry::transport::host_of(&proxy.url)
        ),
        (407, true) => format!(
            "Check the user and the password in {variable}, where characters such as @ : / are \
             written as %40 %3A %2F"
        ),
        _ => format!(
            "Let the proxy's owner allow `{host}`; if this machine reaches it without a proxy, add \
             it to NO_PROXY"
        ),
    };
    RegistryError::Proxy {
        host: host.to_owned(),
        proxy: proxy.to_string(),
        cause: format!("answered {}", clean(&format!("{status} {phrase}"))),
        hint,
        // It could not reach the registry just now.
        passing: matches!(status, 502..=504),
    }
}

/// Asks for the connection once more: the HTTP library keeps the answer to itself (hyper-util,
/// src/client/legacy/connect/proxy/tunnel.rs). None where TLS is spoken to the proxy.
async fn answer(proxy: &Proxy, url: &Url, direct: &Client) -> Option<(u16, String)> {
    if proxy.url.scheme() != "http" {
        return None;
    }
    let target = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
    let authorization = basic(proxy);
    let question = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
    let mut itself = proxy.url.clone();
    itself.set_username("").ok()?;
    itself.set_password(None).ok()?;
    let ask = async {
        // The client's resolver, and no other, finds addresses.
        let address = direct.head(itself).send().await.ok()?.remote_addr()?;
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(question.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        while !answer.contains(&b'\n') && answer.len() < ANSWER_MAX {
            if stream.read_buf(&mut answer).await.ok()? == 0 {
                break;
            }
        }
        status_line(&answer)
    };
    tokio::time::timeout(PATIENCE, ask).await.ok()?
}

fn basic(proxy: &Proxy) -> String {
    use base64::Engine as _;
    if !proxy.has_password() {
        return String::new();
    }
    let decode = |text: &str| percent_decoded(text);
    let (user, password) = (proxy.url.username(), proxy.url.password().unwrap_or_default());
    let pair = [decode(user), b":".to_vec(), decode(password)].concat();
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Proxy-Authorization: Basic {encoded}\r\n")
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| *byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

/// `HTTP/1.1 403 Forbidden`.
fn status_line(answer: &[u8]) -> Option<(u16, String)> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.trim().splitn(3, ' ');
    words.next().filter(|version| version.starts_with("HTTP/"))?;
    let status = words.next()?.parse().ok()?;
    Some((status, words.next().unwrap_or_default().to_owned()))
}

/// A registry refuses in JSON. A web page is somebody else's no, mostly of a proxy or firewall on the
/// way: what GitLab's users know as kaniko's "403 error checking push permissions".
pub(in crate::registry) fn or_page(
    said: String,
    status: StatusCode,
    headers: &HeaderMap,
) -> String {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let page = kind.trim_start().to_ascii_lowercase().starts_with("text/html");
    if status != StatusCode::FORBIDDEN || !said.is_empty() || !page {
        return said;
    }
    "nothing, but a web page came, as proxies and firewalls send it. If this machine needs a proxy \
     to get there, set HTTPS_PROXY; if it must not use one for this host, add it to NO_PROXY"
        .into()
}
