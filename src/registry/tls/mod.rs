//! TLS settings, for all registries and for single ones.
//!
//! Made here and not by the HTTP library, which refuses to start where no CA bundle is installed,
//! even for plain HTTP. Roots are those of the configured file, else the system's, plus the configured
//! directories and files; where there are none at all, Mozilla's, compiled in. A host may have more of
//! its own, from flags and from directories of its name.

mod host_dirs;
mod roots;
mod trust;
mod validity;
mod verifier;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use self::host_dirs::HostDirs;
use self::roots::Named;
use self::trust::Trust;
pub(super) use self::verifier::bad_file;
use super::error::RegistryError;
use super::options::Options;
use super::proxy::Proxies;
use super::reference::canonical_registry;

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What is trusted, and what is shown, to whom.
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    trust: Trust,
    host_dirs: HostDirs,
    /// Which way the connections go.
    pub(super) proxies: Arc<Proxies>,
    extra: HashMap<String, Vec<CertificateDer<'static>>>,
    identities: HashMap<String, Identity>,
    unverified: HashSet<String>,
    unverified_all: bool,
}

impl Tls {
    /// Reads the files that the options name for hosts. Those that are for all are read when the first
    /// certificate is to be judged.
    pub(super) fn new(options: &Options) -> Result<Self, RegistryError> {
        let mut extra: HashMap<_, Vec<_>> = HashMap::new();
        for (host, path) in &options.registry_ca {
            let certificates = roots::read_file(path, &format!("as a CA of `{host}`"))?;
            extra.entry(canonical_registry(host)).or_default().extend(certificates);
        }
        let mut identities = HashMap::new();
        for (host, certificate, key) in &options.client_certs {
            let identity = read_identity(host, certificate, key)?;
            identities.insert(canonical_registry(host), identity);
        }
        Ok(Self {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            trust: Trust::new(Named::of(options)),
            host_dirs: HostDirs::new(options.host_dirs.clone()),
            proxies: Arc::new(Proxies::new(&options.proxies)?),
            extra,
            identities,
            unverified: options.skip_tls_registries.iter().map(|h| canonical_registry(h)).collect(),
            unverified_all: options.skip_tls_verify,
        })
    }

    /// Whether a registry needs settings of its own.
    pub(super) fn is_special(&self, registry: &str) -> bool {
        self.extra.contains_key(registry)
            || self.identities.contains_key(registry)
            || self.unverified.contains(registry)
            || !self.host_dirs.of(registry).is_ok_and(|own| own.is_empty())
    }

    /// What to say after a certificate was refused; a part of a sentence.
    pub(super) fn note(&self, registry: &str) -> String {
        let place = match self.host_dirs.example(registry) {
            Some(path) => format!("; {} would be too", path.display()),
            None => String::new(),
        };
        let own = self.host_dirs.of(registry).map(|own| own.notes.clone()).unwrap_or_default();
        let own: String = own.iter().map(|note| format!(", {note}")).collect();
        match self.trust.roots() {
            Ok(roots) => format!("{}{own}{place}{}", roots.trusted(), roots.missing()),
            Err(_) => format!("{own}{place}"),
        }
    }

    /// The settings for one registry.
    pub(super) fn config(&self, registry: &str) -> Result<ClientConfig, RegistryError> {
        let failed = |reason: String| RegistryError::Option {
            what: "registry with usable TLS settings",
            value: registry.to_owned(),
            reason,
        };
        let own = self.host_dirs.of(registry)?;
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(registry, &own.certificates));
        match self.identities.get(registry).or(own.identity.as_ref()) {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| failed(format!("the client certificate: {error}"))),
            None => Ok(builder.with_no_client_auth()),
        }
    }

    /// Whether a registry's certificate is checked.
    pub(super) fn verifies(&self, registry: &str) -> bool {
        !self.unverified_all && !self.unverified.contains(registry)
    }

    /// All certificates that are trusted for a registry, for a program that wants a file of them. None
    /// where they are those of Mozilla's list.
    ///
    /// # Errors
    /// A file that is there and cannot be used.
    pub(super) fn trusted_pem(&self, registry: &str) -> Result<Option<String>, RegistryError> {
        let own = self.host_dirs.of(registry)?;
        let given = self.extra.get(registry).map_or(&[][..], Vec::as_slice);
        let roots = self.trust.roots().map_err(Clone::clone)?;
        let (_, listed) = roots.with(&[given, &own.certificates].concat());
        let pem = |certificate: &CertificateDer<'_>| {
            let body = STANDARD.encode(certificate);
            format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
        };
        Ok((!listed.is_empty()).then(|| listed.iter().map(pem).collect()))
    }

    /// Reads what all registries share, if nobody has: while a connection is made it costs no time.
    pub(super) fn begin(&self, url: &Url) {
        if url.scheme() == "https" && !self.trust.is_read() {
            let trust = self.trust.clone();
            tokio::task::spawn_blocking(move || _ = trust.roots());
        }
    }

    /// Reads that, and what single registries have, before it goes on. What hosts have directories is
    /// settled with it.
    pub(super) fn read(&self) {
        _ = self.trust.roots();
        self.host_dirs.read_all();
    }

    fn verifier(
        &self,
        registry: &str,
        own: &[CertificateDer<'static>],
    ) -> Arc<dyn rustls::client::danger::ServerCertVerifier> {
        if !self.verifies(registry) {
            return Arc::new(verifier::Unverified::new(&self.provider));
        }
        let given = self.extra.get(registry).map_or(&[][..], Vec::as_slice);
        let more = [given, own].concat();
        Arc::new(verifier::Verifier::new(&self.provider, self.trust.clone(), more))
    }
}

fn read_identity(host: &str, certificate: &Path, key: &Path) -> Result<Identity, RegistryError> {
    let chain = roots::read_file(certificate, &format!("as a client certificate for `{host}`"))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| RegistryError::Certificate {
        path: key.to_owned(),
        purpose: format!("as the key of a client certificate for `{host}`"),
        reason: error.to_string(),
    })?;
    Ok((chain, key))
}

#[cfg(test)]
mod tests;
