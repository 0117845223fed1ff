//! Who may read a repository: the header that git shows its server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

use crate::registry::{Secret, same_origin};
use crate::remote::Fetcher;
use crate::remote::http::basic;

const GITHUB: &str = "https://github.com/";

/// A repository's address as git gets it, and what goes with it.
#[derive(Debug)]
pub(super) struct Remote {
    /// Without a password.
    pub(super) url: String,
    /// The value of an `Authorization` header.
    pub(super) authorization: Option<Secret>,
}

impl Remote {
    /// The name and the value of a git setting: git shows the header to addresses that begin so.
    pub(super) fn header(&self) -> Option<(String, Secret)> {
        let line = format!("Authorization: {}", self.authorization.as_ref()?.expose());
        Some((format!("http.{}.extraHeader", scope(&self.url)), line.into()))
    }
}

impl Fetcher {
    /// Takes the password out of an address and looks for secrets. `address` has a scheme or is in
    /// scp's form.
    pub(super) fn authorized(&self, address: &str) -> Remote {
        let Some((scheme, rest)) = address.split_once("://") else {
            return Remote { url: address.to_owned(), authorization: None };
        };
        let (user, host, path) = split(rest);
        if scheme == "ssh" {
            // ssh takes no password from an address; it must not get into a command line.
            let name = user.and_then(|user| user.split(':').next());
            let name = name.map(|name| format!("{name}@")).unwrap_or_default();
            return Remote { url: format!("ssh://{name}{host}{path}"), authorization: None };
        }
        let url = format!("{scheme}://{host}{path}");
        let authorization = match scheme {
            "http" | "https" => self.git_header(host).or_else(|| user.map(basic)),
            _ => None,
        };
        Remote { url, authorization }
    }

    /// The same for a repository that another one names. What was given for the first one counts where
    /// both are on one server; another server sees what is meant for its host alone, and only by https.
    ///
    /// # Errors
    /// An address that two readers may take for two hosts, and an address without one.
    pub(super) fn authorized_within(
        &self,
        address: &str,
        first: &Remote,
    ) -> Result<Remote, &'static str> {
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        let (user, host, path) = split(rest);
        // `https://h?@evil/` is of `h` to one and of `evil` to another. The password is looked at, too.
        let authority = &rest[..rest.len() - path.len()];
        let is_two = |c: char| matches!(c, '?' | '#' | '\\') || c.is_whitespace() || c.is_control();
        if host.is_empty() || authority.contains(is_two) {
            return Err(
                "it names no host, or more than one: a `?`, `#`, `\\` or blank stands before its path",
            );
        }
        let url = format!("{scheme}://{host}{path}");
        // Of the address that is asked, not of the one that was written.
        let given = match (same_server(&url, &first.url), scheme) {
            (true, _) => first.authorization.clone(),
            (false, "https") => self.git_header_of(host),
            _ => None,
        };
        let authorization = given.or_else(|| user.map(basic));
        Ok(Remote { url, authorization })
    }

    /// A secret for this host comes before one for all, and a header before a token.
    fn git_header(&self, host: &str) -> Option<Secret> {
        self.git_header_of(host)
            .or_else(|| self.header("GIT_AUTH_HEADER"))
            .or_else(|| self.token("GIT_AUTH_TOKEN"))
    }

    fn git_header_of(&self, host: &str) -> Option<Secret> {
        self.header(&format!("GIT_AUTH_HEADER.{host}"))
            .or_else(|| self.token(&format!("GIT_AUTH_TOKEN.{host}")))
    }

    fn header(&self, id: &str) -> Option<Secret> {
        Some(self.secret(id)?.expose().trim_end().into())
    }

    fn token(&self, id: &str) -> Option<Secret> {
        let pair = format!("x-access-token:{}", self.secret(id)?.expose().trim_end());
        Some(format!("basic {}", STANDARD.encode(pair)).into())
    }
}

/// User, host with port, and path of what stands behind a scheme.
fn split(rest: &str) -> (Option<&str>, &str, &str) {
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host, path),
        None => (None, authority, path),
    }
}

/// Whether two addresses are of one server, to the parser that also reads them before they are asked.
pub(super) fn same_server(one: &str, other: &str) -> bool {
    let parsed = |url: &str| Url::parse(url).ok().filter(Url::has_host);
    matches!((parsed(one), parsed(other)), (Some(one), Some(other)) if same_origin(&one, &other))
}

/// Who sees the header: the repository alone, and on GitHub, as with BuildKit, all repositories of
/// its owner, among which submodules often are.
fn scope(url: &str) -> String {
    let owner = url.strip_prefix(GITHUB).and_then(|path| path.split('/').next());
    // Without an owner it would be all of GitHub.
    let owner = owner.filter(|owner| !matches!(*owner, "" | "." | ".."));
    owner.map_or_else(|| url.to_owned(), |owner| format!("{GITHUB}{owner}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cancel::Cancel;
    use crate::registry::{Client, Options};
    use crate::remote::GitSettings;

    /// One that has secrets for all hosts and for one.
    fn fetcher() -> Fetcher {
        let client = Client::new(Options::default(), Cancel::default()).expect("a client");
        let secret = |id: &str| match id {
            "GIT_AUTH_HEADER" => Some("for all".into()),
            "GIT_AUTH_HEADER.other.example" => Some("for other".into()),
            _ => None,
        };
        Fetcher::new(client, GitSettings::default(), Arc::new(secret), Cancel::default())
    }

    #[test]
    fn servers_are_told_apart() {
        for (one, other, same) in [
            ("https://h/a", "https://h:443/b", true),
            ("https://H/a", "https://h/b?x", true),
            ("http://h:80", "http://h/", true),
            ("https://h/a", "http://h/a", false),
            ("https://h/a", "https://h:444/a", false),
            ("https://h/a", "https://h.evil/a", false),
            ("https://h/a", "https://h@evil/a", false),
            ("https://h/a", "https:///evil/a", false),
            ("h:a", "h:a", false),
            ("", "", false),
        ] {
            assert_eq!(same_server(one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn what_is_meant_for_one_server_is_shown_to_no_other() {
        let fetcher = fetcher();
        let first = fetcher.authorized("https://h.example/a/b");
        let shown = |address: &str| {
            let remote = fetcher.authorized_within(address, &first)?;
            let given = remote.authorization.as_ref().map(|secret| secret.expose().to_owned());
            Ok((remote.url, given))
        };
        for (address, url, given) in [
            ("https://h.example/x", "https://h.example/x", Some("for all")),
            ("https://H.example:443/x", "https://H.example:443/x", Some("for all")),
            ("https://u:p@h.example/x", "https://h.example/x", Some("for all")),
            (
                "https://h.example/?@evil.example/x",
                "https://h.example/?@evil.example/x",
                Some("for all"),
            ),
            ("https://h.example:444/x", "https://h.example:444/x", None),
            ("http://h.example/x", "http://h.example/x", None),
            ("https://evil.example/x", "https://evil.example/x", None),
            (
                "https://h.example@evil.example/x",
                "https://evil.example/x",
                Some("Basic aC5leGFtcGxlOg=="),
            ),
            (
                "https://h.example:@evil.example/x",
                "https://evil.example/x",
                Some("Basic aC5leGFtcGxlOg=="),
            ),
            ("https://other.example/x", "https://other.example/x", Some("for other")),
            ("http://other.example/x", "http://other.example/x", None),
        ] {
            let expected = (url.to_owned(), given.map(str::to_owned));
            assert_eq!(shown(address), Ok::<_, &str>(expected), "{address}");
        }
        for address in [
            "https://h.example?@evil.example/x",
            "https://h.example#@evil.example/x",
            "https://h.example\\@evil.example/x",
            "https://evil.example\\@h.example/x",
            "https://h.example?x@evil.example",
            "https://h.example @evil.example/x",
            "https://h.example\t@evil.example/x",
            "https://h.example\n@evil.example/x",
            "https://h.example\0@evil.example/x",
            "https://u@h.example\\evil.example/x",
            "https:///evil.example/x",
            "https://u@/evil.example/x",
        ] {
            assert!(shown(address).is_err(), "{address}");
        }
    }

    #[test]
    fn the_program_shows_a_header_to_the_repository_it_is_for() {
        let fetcher = fetcher();
        for (address, scoped) in [
            ("https://h.example/a/b", "https://h.example/a/b"),
            ("https://github.com/owner/a.git", "https://github.com/owner"),
            ("https://github.com//owner/a.git", "https://github.com//owner/a.git"),
            ("https://github.com/../a.git", "https://github.com/../a.git"),
            ("https://github.com@evil.example/a/b", "https://evil.example/a/b"),
        ] {
            let header = fetcher.authorized(address).header().expect("a header");
            assert_eq!(header.0, format!("http.{scoped}.extraHeader"), "{address}");
        }
    }
}
