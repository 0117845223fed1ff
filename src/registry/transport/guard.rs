//! Where an answer may send kiln: redirects, upload locations and token servers are chosen by the
//! registry, and a hostile one would choose addresses that only this machine can reach.

use std::net::IpAddr;

use reqwest::Url;

use super::pool::{host_of, is_loopback, without_port};

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
    if (is_loopback(&host) && !is_loopback(registry)) || is_link_local(&host) && host != registry {
        return Err(format!("it leads to `{host}`, an address that only this machine can reach"));
    }
    Ok(())
}

fn is_link_local(host: &str) -> bool {
    let name = without_port(host).trim_start_matches('[').trim_end_matches(']');
    match name.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_link_local() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.is_link_local() || ip.is_unspecified() || ip.is_loopback(),
            None => ip.is_unicast_link_local() || ip.is_unspecified(),
        },
        Err(_) => false,
    }
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
            ("r.io", "https://user:secret@r.io/x", false, false),
            ("localhost:5000", "http://127.0.0.1:9000/x", true, true),
            ("127.0.0.1:5000", "http://169.254.169.254/x", true, false),
        ] {
            let outcome = check(registry, &Url::parse(to).expect("a url"), plain);
            assert_eq!(outcome.is_ok(), allowed, "{registry} {to}: {outcome:?}");
        }
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
