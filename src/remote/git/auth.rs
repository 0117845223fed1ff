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
    /// The name and the value of a git setting: git shows the header to addresses that begin so.
    pub(super) header: Option<(String, Secret)>,
}

impl Fetcher {
    /// Takes the password out of an address and looks for secrets. `address` has a scheme or is in
    /// scp's form.
    pub(super) fn authorized(&self, address: &str) -> Remote {
        let Some((scheme, rest)) = address.split_once("://") else {
            return Remote { url: address.to_owned(), header: None };
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
            return Remote { url: format!("ssh://{name}{host}{path}"), header: None };
        }
        let url = format!("{scheme}://{host}{path}");
        let value = match scheme {
            "http" | "https" => self.git_header(host).or_else(|| user.map(basic)),
            _ => None,
        };
        let header = value.map(|value| {
            let line = format!("Authorization: {}", value.expose());
            (format!("http.{}.extraHeader", scope(&url)), line.into())
        });
        Remote { url, header }
    }

    /// A secret for this host comes before one for all, and a header before a token.
    fn git_header(&self, host: &str) -> Option<Secret> {
        let header = |id: &str| Some(self.secret(id)?.expose().trim_end().into());
        let token = |id: &str| {
            let pair = format!("x-access-token:{}", self.secret(id)?.expose().trim_end());
            Some(format!("basic {}", STANDARD.encode(pair)).into())
        };
        header(&format!("GIT_AUTH_HEADER.{host}"))
            .or_else(|| token(&format!("GIT_AUTH_TOKEN.{host}")))
            .or_else(|| header("GIT_AUTH_HEADER"))
            .or_else(|| token("GIT_AUTH_TOKEN"))
    }
}

/// Who sees the header: the repository alone, and on GitHub, as with BuildKit, all repositories of
/// its owner, among which submodules often are.
fn scope(url: &str) -> String {
    let owner = url.strip_prefix(GITHUB).and_then(|path| path.split('/').next());
    owner.map_or_else(|| url.to_owned(), |owner| format!("{GITHUB}{owner}"))
}
