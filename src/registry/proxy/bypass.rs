//! NO_PROXY: who is reached without a proxy.
//!
//! Source: golang.org/x/net/http/httpproxy, `FromEnvironment` and `config.init`.

use std::net::IpAddr;

use reqwest::Url;

use super::super::transport::is_loopback;

/// The entries of a NO_PROXY.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bypass(Vec<Rule>);

#[derive(Debug, PartialEq, Eq)]
enum Rule {
    /// `*`
    All,
    /// `10.0.0.0/8`: network and length of its prefix.
    Network(IpAddr, u8),
    /// `10.0.0.1`, `10.0.0.1:5000`.
    Address(IpAddr, Option<u16>),
    /// `example.com` is the name and all below it; `.example.com` and `*.example.com` only what is
    /// below. Both may have a port.
    Domain { below: String, itself: bool, port: Option<u16> },
}

impl Bypass {
    pub(super) fn read(text: &str) -> Self {
        Self(text.split(',').filter_map(|entry| Rule::read(&entry.trim().to_lowercase())).collect())
    }

    /// Whether a request needs no proxy. This machine never does.
    pub(super) fn covers(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let name = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
        let port = url.port_or_known_default().unwrap_or_default();
        is_loopback(host) || self.0.iter().any(|rule| rule.matches(&name, port))
    }
}

impl Rule {
    fn read(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::All);
        }
        if let Some((network, length)) = entry.split_once('/') {
            let network: IpAddr = network.parse().ok()?;
            let length: u8 = length.parse().ok()?;
            let most = if network.is_ipv4() { 32 } else { 128 };
            return (length <= most).then_some(Self::Network(network, length));
        }
        let (host, port) = split_port(entry)?;
        if let Ok(address) = host.parse() {
            return Some(Self::Address(address, port));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let itself = !host.starts_with('.');
        let below = if itself { format!(".{host}") } else { host.to_owned() };
        (below.len() > 1).then_some(Self::Domain { below, itself, port })
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        let at = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        let address = host.parse::<IpAddr>().ok();
        match (self, address) {
            (Self::All, _) => true,
            (Self::Network(network, length), Some(address)) => is_in(address, *network, *length),
            (Self::Address(own, wanted), Some(address)) => *own == address && at(wanted),
            (Self::Domain { below, itself, port }, None) => {
                (host.ends_with(below.as_str()) || *itself && host == &below[1..]) && at(port)
            }
            _ => false,
        }
    }
}

/// `host`, `host:port`, `::1`, `[::1]`, `[::1]:port`; none for a port alone.
fn split_port(entry: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match entry.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (entry, None),
        },
    };
    let port = port.filter(|port| !port.is_empty()).map(str::parse).transpose().ok()?;
    (!host.is_empty()).then_some((host, port))
}

fn is_in(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or_default();
    address.is_ipv4() == network.is_ipv4() && bits(address) & mask == bits(network) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go's own table has (proxy_test.go), and the spellings that CI systems use.
    #[test]
    fn entries_mean_what_go_takes_them_for() {
        for (no_proxy, url, covered) in [
            ("example.com", "https://example.com", true),
            ("example.com", "https://a.example.com", true),
            ("example.com", "https://notexample.com", false),
            ("EXAMPLE.com", "https://a.Example.COM", true),
            (".example.com", "https://a.example.com", true),
            (".example.com", "https://example.com", false),
            ("*.example.com", "https://a.b.example.com", true),
            ("*.example.com", "https://example.com", false),
            ("example.com:5000", "https://example.com:5000", true),
            ("example.com:5000", "https://example.com", false),
            ("example.com:443", "https://a.example.com", true),
            ("example.com:80", "http://example.com", true),
            ("*", "https://anything.example", true),
            ("a.example, b.example", "https://b.example", true),
            ("a.example b.example", "https://b.example", false),
            ("10.0.0.0/8", "https://10.1.2.3:5000", true),
            ("10.0.0.0/8", "https://11.1.2.3", false),
            ("10.0.0.0/8", "https://registry.example", false),
            ("0.0.0.0/0", "https://1.2.3.4", true),
            ("0.0.0.0/0", "https://[fd00::1]", false),
            ("10.0.0.0/33", "https://10.0.0.0", false),
            ("fd00::/8", "https://[fd00::1]:5000", true),
            ("10.0.0.1", "https://10.0.0.1:5000", true),
            ("10.0.0.1:5000", "https://10.0.0.1:5000", true),
            ("10.0.0.1:5001", "https://10.0.0.1:5000", false),
            ("10.0", "https://10.0.0.1", false),
            ("fd00::1", "https://[fd00::1]", true),
            ("[fd00::1]", "https://[fd00::1]", true),
            ("[fd00::1]:5000", "https://[fd00::1]:5000", true),
            ("[fd00::1]:5000", "https://[fd00::1]", false),
            (":5000, ,", "https://example.com:5000", false),
            ("", "https://example.com", false),
            ("", "http://localhost:5000", true),
            ("", "http://a.localhost", true),
            ("", "http://127.0.0.1:5000", true),
            ("", "http://[::1]:5000", true),
        ] {
            let url = Url::parse(url).expect("a url");
            assert_eq!(Bypass::read(no_proxy).covers(&url), covered, "{no_proxy} {url}");
        }
    }
}
