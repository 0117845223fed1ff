//! Where an answer may send kiln: redirects, upload locations and token servers are chosen by the
//! registry, and a hostile one would choose addresses that only this machine can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use super::pool::{host_of, is_loopback, without_port};

/// Clouds' metadata services at addresses that are not link-local: of Alibaba Cloud
/// (<https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata>), and those by IPv6 of
/// Amazon (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>) and
/// Google (<https://cloud.google.com/compute/docs/metadata/querying-metadata>).
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];
/// The name of Google's.
const METADATA_NAMES: [&str; 2] = ["metadata.google.internal", "metadata.goog"];

/// Whether two URLs are the same server, so that credentials for one are for the other.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Refuses what is not HTTP, a step from TLS to plain HTTP unless `may_be_plain`, and this
/// machine's own and link-local addresses (cloud metadata services) unless the registry is there
/// itself. Private addresses stay allowed: many registries keep their blobs on one.
pub(in crate::registry) fn check(
    registry: &str,
    to: &Url,
    may_be_plain: bool,
) -> Result<(), String> {
    match to.scheme() {
        "https" => {}
        "http" if may_be_plain => {}
        "http" => return Err(format!("it leads to plain HTTP at `{}`", host_of(to))),
        other => return Err(format!("it leads to a URL with the scheme `{other}`")),
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err("it leads to a URL with a user or password".into());
    }
    let host = host_of(to);
    if (is_loopback(&host) && !is_loopback(registry)) || is_nearby(&host) && host != registry {
        return Err(format!("it leads to `{host}`, an address that only this machine can reach"));
    }
    Ok(())
}

/// Refuses an answer of what only this machine's surroundings reach, where a registry named a host
/// whose name leads there. `from` is who was spoken to. This machine itself is no such place here: the
/// hosts file of a test machine gives its address many names.
pub(super) fn check_answer(registry: &str, to: &Url, from: Option<IpAddr>) -> Result<(), String> {
    match from.filter(|address| is_nearby_address(*address)) {
        Some(address) if host_of(to) != registry => Err(format!(
            "it leads to `{}`, whose address {address} is one that only this machine can reach",
            host_of(to)
        )),
        _ => Ok(()),
    }
}

/// Whether `host[:port]` is, by its spelling, what only this machine's surroundings reach.
fn is_nearby(host: &str) -> bool {
    let name = without_port(host).trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => is_nearby_address(address) || is_mapped_loopback(address),
        Err(_) => METADATA_NAMES.contains(&name.strip_suffix('.').unwrap_or(name)),
    }
}

fn is_nearby_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_unspecified() || ip == METADATA_V4,
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local() || ip.is_unspecified() || METADATA_V6.contains(&ip)
        }
    }
}

/// What [`is_loopback`] does not take for this machine.
fn is_mapped_loopback(address: IpAddr) -> bool {
    address.is_ipv6() && address.to_canonical().is_ipv4() && address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_refused_from_outside() {
        for (registry, to, plain, allowed) in [
            ("r.io", "https://s3.example.com/x?y", false, true),
            ("r.io", "https://10.0.0.1/x", false, true),
            ("r.io", "http://r.io/x", false, false),
            ("r.io", "http://r.io/x", true, true),
            ("r.io", "ftp://r.io/x", true, false),
            ("r.io", "file:///etc/passwd", true, false),
            ("r.io", "https://localhost/x", false, false),
            ("r.io", "https://127.0.0.1:8443/x", false, false),
            ("r.io", "https://2130706433/x", false, false), // 127.0.0.1, and the URL parser knows
            ("r.io", "https://[::1]/x", false, false),
            ("r.io", "https://[::ffff:127.0.0.1]/x", false, false),
            ("r.io", "http://169.254.169.254/latest/meta-data", true, false),
            ("r.io", "https://0.0.0.0/x", false, false),
            ("r.io", "https://[fe80::1]/x", false, false),
            ("r.io", "https://localhost./x", false, false),
            ("r.io", "https://x.localhost.:8443/x", false, false),
            ("r.io", "http://[fd00:ec2::254]/latest", true, false),
            ("r.io", "http://[fd20:ce::254]/x", true, false),
            ("r.io", "http://100.100.100.200/latest", true, false),
            ("r.io", "http://[::ffff:100.100.100.200]/latest", true, false),
            ("r.io", "http://metadata.google.internal./x", true, false),
            ("r.io", "https://[fd00:ec2::255]/x", false, true),
            ("r.io", "https://user:secret@r.io/x", false, false),
            ("localhost:5000", "http://127.0.0.1:9000/x", true, true),
            ("127.0.0.1:5000", "http://169.254.169.254/x", true, false),
        ] {
            let outcome = check(registry, &Url::parse(to).expect("a url"), plain);
            assert_eq!(outcome.is_ok(), allowed, "{registry} {to}: {outcome:?}");
        }
    }

    #[test]
    fn names_that_lead_to_the_surroundings_are_refused() {
        for (registry, to, from, allowed) in [
            ("r.io", "http://evil.io/x", "169.254.169.254", false),
            ("r.io", "http://evil.io/x", "::ffff:169.254.169.254", false),
            ("r.io", "http://evil.io/x", "fd00:ec2::254", false),
            ("r.io", "http://evil.io/x", "10.0.0.1", true),
            ("r.io", "http://auth.test/x", "127.0.0.1", true),
            ("r.local", "http://r.local/x", "fe80::1", true),
        ] {
            let url = Url::parse(to).expect("a url");
            let from = Some(from.parse().expect("an address"));
            assert_eq!(check_answer(registry, &url, from).is_ok(), allowed, "{to} {from:?}");
        }
        let url = Url::parse("http://evil.io/x").expect("a url");
        assert!(check_answer("r.io", &url, None).is_ok());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (one, other, same) in [
            ("https://r.io/a", "https://r.io:443/b", true),
            ("https://r.io", "https://r.io:8443", false),
            ("https://r.io", "http://r.io", false),
            ("https://r.io", "https://a.r.io", false),
        ] {
            let parse = |text| Url::parse(text).expect("a url");
            assert_eq!(same_origin(&parse(one), &parse(other)), same, "{one} {other}");
        }
    }
}
