//! The files in /etc that belong to a RUN and not to the image.

use std::fmt::Write;

use super::request::RunRequest;
use super::spec::Etc;

/// The host's resolver configuration. The network of a RUN is the host's, so even a resolver on
/// 127.0.0.53 answers there.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Makes the contents. A host without resolv.conf resolves with the library's defaults, and so does
/// the RUN.
pub(super) fn generate(request: &RunRequest) -> Etc {
    Etc {
        hosts: hosts(&request.hostname, &request.hosts),
        hostname: format!("{}\n", request.hostname),
        resolv_conf: std::fs::read(RESOLV_CONF).unwrap_or_default(),
    }
}

fn hosts(hostname: &str, more: &[(String, String)]) -> String {
    let mut text = format!(
        "127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n"
    );
    for (name, address) in more {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{address}\t{name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_has_the_host_itself_and_what_was_added() {
        let text = hosts("buildkitsandbox", &[("db".to_owned(), "10.0.0.7".to_owned())]);
        let find = |name: &str| {
            text.lines()
                .find(|line| line.split_whitespace().skip(1).any(|word| word == name))
                .and_then(|line| line.split_whitespace().next())
        };
        assert_eq!(find("buildkitsandbox"), Some("127.0.0.1"));
        assert_eq!(find("localhost"), Some("127.0.0.1"));
        assert_eq!(find("db"), Some("10.0.0.7"));
    }
}
