//! A file by http or https.

use std::fs::{File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::address::{decoded, without_secrets};
use super::{Fetcher, RemoteError};
use crate::digest::Digest;
use crate::registry::{FileAt, Secret};

/// As BuildKit names what has no name.
const UNNAMED: &str = "__unnamed__";
/// As BuildKit stores what it downloads.
const MODE: u32 = 0o600;

/// Whether an address is one of a file: begins with `http://` or `https://`.
pub fn is_http(address: &str) -> bool {
    address.starts_with("http://") || address.starts_with("https://")
}

/// What a file is called where its address does not lead to a name of its own: the last name of the
/// path.
pub fn file_name(address: &str) -> String {
    let (_, _, path) = parts(address);
    let path = decoded(path);
    match path.trim_end_matches('/').rsplit('/').next() {
        // They would lead elsewhere.
        None | Some("" | "." | "..") => UNNAMED.to_owned(),
        Some(name) => name.replace('\0', ""),
    }
}

/// User and password, host with its port, and path.
fn parts(address: &str) -> (Option<&str>, &str, &str) {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host, path),
        None => (None, authority, path),
    }
}

impl Fetcher {
    /// Downloads a file into a directory, under this name: mode 0600, and the time that the server
    /// gives it, else 1970. `progress` hears of bytes, and of how many there are if the server says
    /// so.
    ///
    /// # Errors
    /// No file, another file than the checksum's, or a disk that is full.
    pub fn file(
        &self,
        address: &str,
        checksum: Option<&Digest>,
        dir: &Path,
        name: &str,
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<PathBuf, RemoteError> {
        let access = self.access(address);
        let at = FileAt::Address {
            address: &access.plain,
            authorization: access.authorization.as_ref(),
        };
        let shown = without_secrets(address);
        let (path, file) = create(dir, name)?;
        let done = self
            .client
            .download(at, &file, progress)
            .map_err(|error| RemoteError::http(shown.clone(), access.host, error))?;
        if let Some(expected) = checksum.filter(|expected| **expected != done.digest) {
            let (found, expected) = (done.digest, *expected);
            return Err(RemoteError::Checksum { address: shown, found, expected });
        }
        dress(&file, done.last_modified).map_err(RemoteError::io("set mode and time of", &path))?;
        Ok(path)
    }

    /// How an address is asked.
    pub(super) fn access<'a>(&self, address: &'a str) -> Access<'a> {
        let (user, authority, _) = parts(address);
        let host = host_name(authority);
        let authorization = self.http_header(host).or_else(|| user.map(basic));
        // It goes into a header, and only to this host.
        let plain = match user {
            Some(user) => address.replacen(&format!("{user}@"), "", 1),
            None => address.to_owned(),
        };
        Access { plain, host, authorization }
    }

    /// The value of an Authorization header. Of two secrets the token wins, as with BuildKit.
    fn http_header(&self, host: &str) -> Option<Secret> {
        let token = self.secret(&format!("HTTP_AUTH_TOKEN_{host}"));
        let token = token.map(|token| format!("Bearer {}", token.expose().trim_end()).into());
        let header = || self.secret(&format!("HTTP_AUTH_HEADER_{host}"));
        token.or_else(|| header().map(|header| header.expose().trim_end().into()))
    }
}

/// An address, and who asks.
pub(super) struct Access<'a> {
    /// The address without user and password.
    pub(super) plain: String,
    pub(super) host: &'a str,
    pub(super) authorization: Option<Secret>,
}

/// An empty file.
pub(super) fn create(dir: &Path, name: &str) -> Result<(PathBuf, File), RemoteError> {
    let path = dir.join(name);
    let file = File::create(&path).map_err(RemoteError::io("write", &path))?;
    Ok((path, file))
}

/// Gives a file the mode of all that is fetched, and the time that its server names, else 1970.
pub(super) fn dress(file: &File, time: Option<SystemTime>) -> std::io::Result<()> {
    let time = time.unwrap_or(SystemTime::UNIX_EPOCH);
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.set_times(FileTimes::new().set_modified(time).set_accessed(time))
}

/// The host without its port, and without the brackets of an IPv6 address.
fn host_name(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// A header for `user:password` as it stands in an address.
pub(super) fn basic(user: &str) -> Secret {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let pair = format!("{}:{}", decoded(name), decoded(password));
    format!("Basic {}", STANDARD.encode(pair)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_path() {
        for (address, name) in [
            ("https://h/a/b.tar.gz?x=/c#d/e", "b.tar.gz"),
            ("https://h/a%20b", "a b"),
            ("https://h/a%2Fb", "b"),
            ("https://h/a/", "a"),
            ("https://h/..%2f..", UNNAMED),
            ("https://h/", UNNAMED),
            ("https://h", UNNAMED),
        ] {
            assert_eq!(file_name(address), name, "{address}");
        }
    }

    #[test]
    fn hosts_are_named_without_port() {
        for (address, user, host) in [
            ("https://u:p@h:1/a", Some("u:p"), "h"),
            ("https://[::1]:8080/a", None, "::1"),
            ("http://h", None, "h"),
        ] {
            let (found, authority, _) = parts(address);
            assert_eq!((found, host_name(authority)), (user, host));
        }
        assert_eq!(basic("u:p%40x").expose(), "Basic dTpwQHg=");
    }
}
