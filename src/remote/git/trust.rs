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
    /// # Errors
    /// A disk that is full.
    pub(super) fn new(client: &Client, url: &str, beside: &Path) -> Result<Self, RemoteError> {
        let mut trust = Self::default();
        let Some(rest) = url.strip_prefix("https://") else { return Ok(trust) };
        let host = rest.split('/').next().unwrap_or_default();
        let place = format!("http.https://{host}/");
        if !client.verifies("") {
            trust.set("http.sslVerify", "false");
        } else if !client.verifies(host) {
            trust.set(&format!("{place}.sslVerify"), "false");
        }
        let general = client.trusted_certificates("");
        let own = client.trusted_certificates(host).filter(|own| Some(own) != general.as_ref());
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
