//! Who may read a repository: the header that git shows its server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::registry::Secret;
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
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
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
    pub(super) fn authorized_within(&self, address: &str, first: &Remote, same: bool) -> Remote {
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let given = match (same, scheme) {
            (true, _) => first.authorization.clone(),
            (false, "https") => self.git_header_of(host),
            _ => None,
        };
        let authorization = given.or_else(|| user.map(basic));
        Remote { url: format!("{scheme}://{host}{path}"), authorization }
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

/// Who sees the header: the repository alone, and on GitHub, as with BuildKit, all repositories of
/// its owner, among which submodules often are.
fn scope(url: &str) -> String {
    let owner = url.strip_prefix(GITHUB).and_then(|path| path.split('/').next());
    owner.map_or_else(|| url.to_owned(), |owner| format!("{GITHUB}{owner}"))
}
