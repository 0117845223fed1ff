//! Ports of EXPOSE that are more than a port: `[ip:][host:]port[/protocol]`.

/// Whether the protocol has a capital letter.
pub(super) fn has_capitals(port: &str) -> bool {
    let container = port.rsplit_once(':').map_or(port, |(_, container)| container);
    let protocol = container.split_once('/').map_or("", |(_, protocol)| protocol);
    protocol != protocol.to_lowercase()
}

/// Whether it says which address or port of the host is meant.
pub(super) fn names_the_host(port: &str) -> bool {
    port.rsplit_once(':').is_some_and(|(host, _)| !host.trim_matches(':').is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_port() {
        for (port, capitals, host) in [
            ("80", false, false),
            ("80/tcp", false, false),
            ("80/TcP", true, false),
            ("80:80", false, true),
            ("127.0.0.1:80:80/UDP", true, true),
            ("[::1]:8080:80", false, true),
            (":80", false, false),
            ("::80", false, false),
        ] {
            assert_eq!((has_capitals(port), names_the_host(port)), (capitals, host), "{port}");
        }
    }
}
