//! Whom git believes: the same as kiln, in files and settings of git's.

use std::fs;
use std::path::{Path, PathBuf};

use crate::registry::{Client, Secret};
use crate::remote::RemoteError;

/// Settings for one run. Its files go when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Trust {
    settings: Vec<(String, String)>,
    files: Vec<PathBuf>,
}

impl Trust {
    /// For a repository, and for what it leads to on other servers. Files are made beside this path.
    ///
    /// `shown` is its address without secrets.
    ///
    /// # Errors
    /// A file of certificates that cannot be used: git would go by its own list then. A disk that is
    /// full.
    pub(super) fn new(
        client: &Client,
        url: &str,
        shown: &str,
        beside: &Path,
    ) -> Result<Self, RemoteError> {
        let mut trust = Self::default();
        let Some(rest) = url.strip_prefix("https://") else { return Ok(trust) };
        let host = rest.split('/').next().unwrap_or_default();
        let place = format!("http.https://{host}/");
        if !client.verifies("") {
            trust.set("http.sslVerify", "false");
            return Ok(trust);
        }
        if !client.verifies(host) {
            trust.set(&format!("{place}.sslVerify"), "false");
        }
        let trusted = |host: &str| {
            let trusted = client.trusted_certificates(host);
            trusted.map_err(|error| RemoteError::http(shown.to_owned(), host, error))
        };
        let general = trusted("")?;
        let own = trusted(host)?.filter(|own| Some(own) != general.as_ref());
        for (name, end, pem) in [
            ("http.sslCAInfo".to_owned(), "ca", general),
            (format!("{place}.sslCAInfo"), "own-ca", own),
        ] {
            let Some(pem) = pem else { continue };
            let file = beside.with_extension(end);
            fs::write(&file, pem).map_err(RemoteError::io("write", &file))?;
            trust.set(&name, &file.to_string_lossy());
            trust.files.push(file);
        }
        Ok(trust)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Names and values of git's settings.
    pub(super) fn config(&self) -> impl Iterator<Item = (String, Secret)> {
        self.settings.iter().map(|(name, value)| (name.clone(), value.as_str().into()))
    }
}

impl Drop for Trust {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Cancel;
    use crate::registry::Options;

    fn names(options: Options, url: &str) -> Vec<(String, String)> {
        let dir = tempfile::tempdir().expect("a directory");
        let client = Client::new(options, Cancel::default()).expect("a client");
        let trust = Trust::new(&client, url, url, &dir.path().join("into")).expect("settings");
        let settings: Vec<_> =
            trust.config().map(|(name, value)| (name, value.expose().to_owned())).collect();
        for (name, value) in &settings {
            if name.ends_with("sslCAInfo") {
                let text = fs::read_to_string(value).expect("a file");
                assert!(text.starts_with("-----BEGIN CERTIFICATE-----\n"), "{name}");
            }
        }
        drop(trust);
        assert_eq!(fs::read_dir(dir.path()).expect("the directory").count(), 0, "files stay");
        settings
    }

    #[test]
    fn git_believes_whom_kiln_believes() {
        let verify = |name: &str| (name.to_owned(), "false".to_owned());
        let has = |settings: &[(String, String)], name: &str| {
            settings.iter().any(|(known, _)| known == name)
        };
        // Debian's, of ca-certificates, in one file.
        let bundle = Some("/etc/ssl/certs/ca-certificates.crt".into());
        let own = Options {
            ca_bundle: bundle.clone(),
            skip_tls_registries: vec!["h.example:8443".into()],
            ..Options::default()
        };
        let settings = names(own.clone(), "https://h.example:8443/r.git");
        assert!(
            settings.contains(&verify("http.https://h.example:8443/.sslVerify")),
            "{settings:?}"
        );
        assert!(has(&settings, "http.sslCAInfo"));
        let other = names(own, "https://other.example/r.git");
        assert!(!other.iter().any(|(name, _)| name.ends_with("sslVerify")), "{other:?}");
        let all = Options { ca_bundle: bundle, skip_tls_verify: true, ..Options::default() };
        assert!(names(all, "https://h.example/r.git").contains(&verify("http.sslVerify")));
        assert_eq!(names(Options::default(), "ssh://h.example/r.git"), []);
    }

    #[test]
    fn certificates_that_cannot_be_used_are_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let broken = dir.path().join("broken.pem");
        fs::write(&broken, "no certificate").expect("a file");
        let own = dir.path().join("certs.d/h.example");
        fs::create_dir_all(&own).expect("a directory");
        fs::write(own.join("ca.crt"), "no certificate").expect("a file");
        let bundle = Options { ca_bundle: Some(broken), ..Options::default() };
        let host_dirs = vec![dir.path().join("certs.d")];
        let host_dirs = Options { host_dirs, ..Options::default() };
        let url = "https://u:geheim@h.example/r.git";
        let new = |options: Options| {
            let client = Client::new(options, Cancel::default()).expect("a client");
            Trust::new(&client, &url.replace("u:geheim@", ""), "the address", dir.path())
        };
        for (options, file) in [(&bundle, "broken.pem"), (&host_dirs, "h.example/ca.crt")] {
            let error = new(options.clone()).expect_err("no certificate").to_string();
            assert!(error.starts_with("cannot fetch the address: "), "{error}");
            assert!(error.contains(file) && error.contains("no PEM certificate"), "{error}");
        }
        new(Options { skip_tls_verify: true, ..bundle }).expect("nobody asks for certificates");
    }
}
