//! Which certificates are trusted.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::super::error::RegistryError;

/// Where distributions keep their bundle (the list of Go's crypto/x509, root_linux.go).
const SYSTEM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// No bundle is larger; a directory may hold anything.
const FILE_MAX: u64 = 16 << 20;

/// The trusted certificates: their bytes where they came from files, else Mozilla's list.
pub(super) struct Roots {
    certificates: Vec<CertificateDer<'static>>,
    /// What is noteworthy when a certificate is refused; may be empty.
    pub(super) note: String,
}

impl Roots {
    /// Reads the bundle (the configured, else the system's) and the directories.
    pub(super) fn load(bundle: Option<&Path>, dirs: &[PathBuf]) -> Result<Self, RegistryError> {
        let mut note = String::new();
        let mut certificates = Vec::new();
        match bundle {
            Some(path) if path.exists() => certificates = read_file(path, "as the CA bundle")?,
            Some(path) => note = format!("; the CA bundle {} does not exist", path.display()),
            None => {}
        }
        if certificates.is_empty() {
            certificates = system_bundle();
        }
        certificates.extend(dirs.iter().flat_map(|dir| read_dir(dir)));
        let mut seen = HashSet::new();
        certificates.retain(|certificate| seen.insert(certificate.clone()));
        Ok(Self { certificates, note })
    }

    /// The store to verify chains with, and the listed certificates themselves, `extra` included.
    pub(super) fn with(
        &self,
        extra: &[CertificateDer<'static>],
    ) -> (Arc<RootCertStore>, Vec<CertificateDer<'static>>) {
        let listed: Vec<_> = self.certificates.iter().chain(extra).cloned().collect();
        let mut store = RootCertStore::empty();
        // Bundles hold certificates that webpki cannot read, such as version 1; others do skip them.
        store.add_parsable_certificates(listed.iter().cloned());
        if self.certificates.is_empty() || store.is_empty() {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        (Arc::new(store), listed)
    }
}

/// All certificates of a PEM file that the user named: at least one.
pub(super) fn read_file(
    path: &Path,
    purpose: &str,
) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let failed = |reason: String| RegistryError::Certificate {
        path: path.to_owned(),
        purpose: purpose.to_owned(),
        reason,
    };
    let bytes = read_limited(path).map_err(|error| failed(error.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() {
        return Err(failed("it holds no PEM certificate (-----BEGIN CERTIFICATE-----)".into()));
    }
    Ok(certificates)
}

fn system_bundle() -> Vec<CertificateDer<'static>> {
    let bundles = SYSTEM_BUNDLES.iter().map(|path| certificates_of(Path::new(path)));
    bundles.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

/// Every PEM certificate of a directory's files; a directory that is not there has none.
fn read_dir(dir: &Path) -> Vec<CertificateDer<'static>> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter(|path| path.is_file()).flat_map(|path| certificates_of(path)).collect()
}

fn certificates_of(path: &Path) -> Vec<CertificateDer<'static>> {
    let Ok(bytes) = read_limited(path) else { return Vec::new() };
    CertificateDer::pem_slice_iter(&bytes).map_while(Result::ok).collect()
}

fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
