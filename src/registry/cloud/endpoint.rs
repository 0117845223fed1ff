//! Addresses that a credentials file or a variable names. The file's author is trusted to choose
//! the host, as Google's libraries have it since clouds of other operators exist: but nothing secret
//! goes there in the clear.

use std::net::{IpAddr, Ipv4Addr};

use reqwest::Url;

use super::CloudAnswer;
use crate::registry::transport::{host_of, is_loopback};

/// An address that gets secrets: https, or this machine itself.
pub(super) fn secret(what: &str, text: &str) -> CloudAnswer<Url> {
    let url = parse(what, text)?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&host_of(&url)) => Ok(url),
        _ => Err(format!(
            "{what} leads to `{}`, which is not https, and so would show secrets to the network",
            host_of(&url)
        )),
    }
}

/// An address in the machine's surroundings, which may be plain: metadata services are. `secret`'s
/// are fine, too.
pub(super) fn nearby(what: &str, text: &str) -> CloudAnswer<Url> {
    let url = parse(what, text)?;
    if url.scheme() == "http" && is_nearby(&url) { Ok(url) } else { secret(what, text) }
}

/// Whether an address is in the machine's surroundings: no proxy is asked for it.
pub(super) fn is_nearby(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    is_loopback(&host_of(url))
        || host == "metadata.google.internal"
        || match address {
            Ok(IpAddr::V4(ip)) => ip.is_link_local() || ip.is_private(),
            Ok(IpAddr::V6(ip)) => {
                ip.is_unicast_link_local()
                    || ip.is_unique_local()
                    || ip.to_ipv4_mapped().is_some_and(|ip: Ipv4Addr| ip.is_link_local())
            }
            Err(_) => false,
        }
}

fn parse(what: &str, text: &str) -> CloudAnswer<Url> {
    let url = Url::parse(text).ok().filter(|url| url.has_host());
    // The text may be anything, so it is not shown.
    let url = url.ok_or_else(|| format!("{what} is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{what} is a URL with a user or password"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_gets_secrets_without_tls() {
        for (text, secrets, surroundings) in [
            ("https://sts.googleapis.com/v1/token", true, true),
            ("http://sts.googleapis.com/v1/token", false, false),
            ("http://127.0.0.1:8080/token", true, true),
            ("http://[::1]:8080/token", true, true),
            ("http://localhost/token", true, true),
            ("http://169.254.169.254/token", false, true),
            ("http://10.1.2.3/token", false, true),
            ("http://[fd20:ce::254]/token", false, true),
            ("http://metadata.google.internal/token", false, true),
            ("http://8.8.8.8/token", false, false),
            ("http://localhost.example.com/", false, false),
            ("https://user:geheim@example.com/", false, false),
            ("ftp://127.0.0.1/", false, false),
            ("file:///etc/passwd", false, false),
            ("token", false, false),
        ] {
            let (one, two) = (secret("it", text), nearby("it", text));
            assert_eq!((one.is_ok(), two.is_ok()), (secrets, surroundings), "{text}");
            let texts = format!("{one:?}{two:?}");
            assert!(one.is_ok() || !texts.contains("geheim"), "{texts}");
        }
    }
}
