//! Names of hosts: what this machine says itself comes before any name server is asked.
//!
//! hickory-dns, which reqwest uses, is not libc in two points. A name that /etc/hosts has only an
//! IPv4 address for is still asked for in DNS, for an IPv6 address: the wait is long where nobody
//! answers, and private names go out. And where /etc/resolv.conf names no server it asks Google's
//! (reqwest, src/dns/hickory.rs), who has no business with the names of a company's registries.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use reqwest::ClientBuilder;
use reqwest::dns::{Name, Resolve, Resolving};

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Tells a client what it must not ask others.
pub(super) fn settle(mut builder: ClientBuilder) -> ClientBuilder {
    for (name, addresses) in known(&read(HOSTS)) {
        builder = builder.resolve_to_addrs(&name, &addresses);
    }
    if has_server(&read(RESOLV_CONF)) { builder } else { builder.dns_resolver(Arc::new(Nobody)) }
}

/// Not there is the same as empty.
fn read(path: &str) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Names with their addresses (hosts(5)), and `localhost` in any case (RFC 6761). A port of 0 stands
/// for that of the URL.
fn known(hosts: &str) -> BTreeMap<String, Vec<SocketAddr>> {
    let mut known: BTreeMap<String, Vec<SocketAddr>> = BTreeMap::new();
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            continue;
        };
        for name in words {
            known.entry(name.to_ascii_lowercase()).or_default().push((address, 0).into());
        }
    }
    known.entry("localhost".into()).or_insert_with(|| vec![(Ipv4Addr::LOCALHOST, 0).into()]);
    known
}

/// Whether there is a name server (resolv.conf(5)).
fn has_server(resolv_conf: &str) -> bool {
    resolv_conf.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("nameserver") && words.next().is_some()
    })
}

/// Where no name server is configured.
struct Nobody;

impl Resolve for Nobody {
    fn resolve(&self, _: Name) -> Resolving {
        let error = format!("it is not in {HOSTS}, and {RESOLV_CONF} names no name server");
        Box::pin(async move { Err(error.into()) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hosts_file() {
        let text = "# comment\n127.0.0.1 localhost  # the usual\n10.0.0.1\tRegistry.Test alias\n\
                    fd00::1 registry.test\nnonsense name\n10.0.0.2\n\n";
        let known = known(text);
        let of = |name: &str| {
            let addresses: Vec<_> = known[name].iter().map(|a| a.ip().to_string()).collect();
            addresses.join(" ")
        };
        assert_eq!(of("registry.test"), "10.0.0.1 fd00::1");
        assert_eq!((of("alias"), of("localhost")), ("10.0.0.1".into(), "127.0.0.1".into()));
        assert_eq!(known.len(), 3, "{known:?}");
        assert_eq!(super::known("")["localhost"], ["127.0.0.1:0".parse().unwrap()]);
    }

    #[test]
    fn a_server_is_a_line_of_its_own() {
        assert!(has_server("search a\nnameserver 10.0.0.1\n"));
        for text in ["", "# nameserver 1.1.1.1\n", "nameserver\n", "search nameserver\n"] {
            assert!(!has_server(text), "{text}");
        }
    }
}
