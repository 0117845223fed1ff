//! The arguments of EXPOSE.
//!
//! Source: BuildKit's frontend/dockerfile/dockerfile2llb/convert_expose.go. Docker's `-p` syntax is
//! accepted, and what it says about the host is checked and forgotten.

use std::net::IpAddr;

/// Why a word is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid port: {word:?}: {reason}")]
pub struct ExposeError {
    /// The word.
    pub word: String,
    /// What is wrong with it.
    pub reason: String,
}

const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// The ports that words such as `80`, `8000-8010/udp` or `127.0.0.1:80:8080/tcp` name, each once,
/// as `port/protocol`, in the order of the words. These are expanded already.
///
/// # Errors
///
/// A word is no port.
pub fn expose_ports(words: &[String]) -> Result<Vec<String>, ExposeError> {
    // A table, because a line has room for thousands of full ranges.
    let mut exposed = vec![[false; PROTOCOLS.len()]; usize::from(u16::MAX) + 1];
    let mut found = Vec::new();
    for word in words {
        let (ports, protocol) =
            parse(word).map_err(|reason| ExposeError { word: word.clone(), reason })?;
        for port in ports.0..=ports.1 {
            let seen = &mut exposed[usize::from(port)][protocol];
            if !std::mem::replace(seen, true) {
                found.push(format!("{port}/{}", PROTOCOLS[protocol]));
            }
        }
    }
    Ok(found)
}

/// First and last port, and the protocol's place in [`PROTOCOLS`].
fn parse(word: &str) -> Result<((u16, u16), usize), String> {
    let (address, container) = word.rsplit_once(':').unwrap_or(("", word));
    let (ip, host) = address.rsplit_once(':').unwrap_or(("", address));
    let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
    if ports.is_empty() {
        return Err("no port specified".into());
    }
    let protocol = match protocol.to_lowercase().as_str() {
        "" => "tcp".to_owned(),
        protocol => protocol.to_owned(),
    };
    let protocol = PROTOCOLS
        .iter()
        .position(|known| *known == protocol)
        .ok_or_else(|| format!("invalid proto: {protocol}"))?;
    check_ip(ip)?;
    let (first, last) = range(ports).ok_or_else(|| format!("invalid containerPort: {ports}"))?;
    if !host.is_empty() {
        let (from, to) = range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?;
        if last != first && last - first != to - from {
            return Err(format!(
                "invalid ranges specified for container and host Ports: {ports} and {host}"
            ));
        }
    }
    Ok(((first, last), protocol))
}

fn check_ip(ip: &str) -> Result<(), String> {
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    if ip.is_empty() || bare.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(format!("invalid IP address: {ip}"))
}

/// `80` or `80-90`.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        // `parse` would take a plus sign.
        text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten()
    };
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(words: &[&str]) -> Result<Vec<String>, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        expose_ports(&words).map_err(|error| error.to_string())
    }

    #[test]
    fn ports_keep_their_order_and_stand_once() {
        let found = ports(&["443", "80/UDP", "80", "80/", "80-81/tcp"]).expect("ports");
        assert_eq!(found, ["443/tcp", "80/udp", "80/tcp", "81/tcp"]);
    }

    #[test]
    fn what_is_no_port() {
        for (word, reason) in [
            ("x", "invalid containerPort: x"),
            ("+80", "invalid containerPort: +80"),
            ("65536", "invalid containerPort: 65536"),
            ("90-80", "invalid containerPort: 90-80"),
            ("80/icmp", "invalid proto: icmp"),
            ("1-2:80-82", "invalid ranges specified for container and host Ports: 80-82 and 1-2"),
            ("[::1:80:80", "invalid IP address: [::1"),
            ("é", "invalid containerPort: é"),
        ] {
            assert_eq!(ports(&[word]), Err(format!("invalid port: {word:?}: {reason}")));
        }
    }

    #[test]
    fn a_range_of_the_host_may_serve_one_port() {
        assert_eq!(ports(&["8000-8010:80"]).expect("ports"), ["80/tcp"]);
    }
}
