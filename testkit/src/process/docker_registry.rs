//! Docker's own registry ("distribution"), as Debian packages it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use super::{Daemon, Ready, installed};
use crate::token_server::{ISSUER, SERVICE, TokenServer};

/// A running `docker-registry` with its storage in a temporary directory.
#[derive(Debug)]
pub struct DockerRegistry {
    host: String,
    daemon: Daemon,
    // After the program that writes into it.
    _dir: TempDir,
}

impl DockerRegistry {
    /// A registry to be set up.
    pub fn builder() -> DockerRegistryBuilder {
        DockerRegistryBuilder::default()
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it has written so far; a line per request among it.
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

/// A `docker-registry` before it starts: open to all, with plain HTTP.
#[derive(Debug, Default)]
pub struct DockerRegistryBuilder {
    login: Option<(String, String)>,
    tls: Option<(PathBuf, PathBuf)>,
    client_ca: Option<PathBuf>,
    tokens: Option<(String, PathBuf)>,
    storage: Option<PathBuf>,
}

impl DockerRegistryBuilder {
    /// Asks for this user and password (htpasswd).
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Speaks TLS with this certificate (chain) and key, both PEM files.
    #[must_use]
    pub fn tls(mut self, certificate: &Path, key: &Path) -> Self {
        self.tls = Some((certificate.to_owned(), key.to_owned()));
        self
    }

    /// With [`Self::tls`]: clients must show a certificate that this CA signed.
    #[must_use]
    pub fn client_ca(mut self, certificate: &Path) -> Self {
        self.client_ca = Some(certificate.to_owned());
        self
    }

    /// Asks for tokens of this server.
    #[must_use]
    pub fn tokens(mut self, server: &TokenServer) -> Self {
        self.tokens = Some((server.realm(), server.bundle().to_owned()));
        self
    }

    /// Keeps its content in that directory beyond its end.
    #[must_use]
    pub fn storage(mut self, dir: impl Into<PathBuf>) -> Self {
        self.storage = Some(dir.into());
        self
    }

    /// Starts it on a free port of the loopback. It also deletes.
    ///
    /// # Errors
    /// If the package is not installed or the program does not start.
    pub fn start(self) -> anyhow::Result<DockerRegistry> {
        let program = installed(&["/usr/bin/docker-registry"], "docker-registry")?;
        let dir = TempDir::with_prefix("testkit-docker-registry-")?;
        let path = |name: &str| dir.path().join(name);
        fs::write(path("config.yml"), self.config(dir.path())?)?;
        let mut command = Command::new(program);
        command.arg("serve").arg(path("config.yml"));
        // The registry takes settings from REGISTRY_* variables over its file.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("REGISTRY_") {
                command.env_remove(name);
            }
        }
        let said = "listening on 127.0.0.1:";
        let ready = Ready::Log(said.to_owned());
        let daemon = Daemon::start(command, &path("log"), &ready, Duration::from_secs(20))?;
        let log = daemon.log();
        let port: String = (log.split(said).nth(1).unwrap_or_default().chars())
            .take_while(char::is_ascii_digit)
            .collect();
        let host = format!("127.0.0.1:{port}");
        Ok(DockerRegistry { host, daemon, _dir: dir })
    }

    fn config(&self, dir: &Path) -> anyhow::Result<String> {
        let storage = self.storage.clone().unwrap_or_else(|| dir.join("storage"));
        let mut config = format!(
            "version: 0.1\n\
             storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
             http:\n  addr: 127.0.0.1:0\n",
            storage.display()
        );
        if let Some((certificate, key)) = &self.tls {
            let (certificate, key) = (certificate.display(), key.display());
            config += &format!("  tls:\n    certificate: {certificate}\n    key: {key}\n");
            if let Some(ca) = &self.client_ca {
                config += &format!("    clientcas: [{}]\n", ca.display());
            }
        }
        if let Some((user, password)) = &self.login {
            let file = dir.join("htpasswd");
            fs::write(&file, format!("{user}:{}\n", bcrypt(password)?))?;
            let file = file.display();
            config += &format!("auth:\n  htpasswd:\n    realm: testkit\n    path: {file}\n");
        }
        if let Some((realm, bundle)) = &self.tokens {
            config += &format!(
                "auth:\n  token:\n    realm: {realm}\n    service: {SERVICE}\n    \
                 issuer: {ISSUER}\n    rootcertbundle: {}\n",
                bundle.display()
            );
        }
        Ok(config)
    }
}

/// Starts Debian's `docker-registry` with plain HTTP on a free port of the loopback, open to all,
/// or to a user and a password.
///
/// # Errors
/// As [`DockerRegistryBuilder::start`].
pub fn docker_registry(htpasswd: Option<(&str, &str)>) -> anyhow::Result<DockerRegistry> {
    let builder = DockerRegistry::builder();
    match htpasswd {
        Some((user, password)) => builder.login(user, password).start(),
        None => builder.start(),
    }
}

/// The password's bcrypt hash, the one kind that the registry takes. Perl, which every Debian has,
/// reaches libcrypt's.
fn bcrypt(password: &str) -> anyhow::Result<String> {
    let script = "print crypt($ARGV[0], q($2b$05$testkittestkittestkitu))";
    let output = Command::new("perl").args(["-e", script, password]).output();
    let Output { stdout, .. } = output.context("perl is needed to hash a password")?;
    let hash = String::from_utf8(stdout)?;
    ensure!(hash.starts_with("$2b$"), "perl's crypt does not know bcrypt");
    Ok(hash)
}
