//! Which certificates are trusted.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::super::error::RegistryError;
use super::super::options::Options;

/// Where distributions keep their bundle (the list of Go's crypto/x509, root_linux.go).
const SYSTEM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Where they keep single files (the same); people mount or copy a company's CA there.
const SYSTEM_DIRS: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];
/// What update-ca-certificates(8) links to is in the bundle that it writes.
const BUNDLED: &str = "/usr/share/ca-certificates/";
/// No bundle is larger; a directory may hold anything.
const FILE_MAX: u64 = 16 << 20;

/// The trusted certificates: their bytes where they came from files, else Mozilla's list.
#[derive(Debug, Default)]
pub(super) struct Roots {
    certificates: Vec<CertificateDer<'static>>,
    /// Where they came from.
    places: Vec<PathBuf>,
    /// What was named and could not be used; parts of a sentence.
    missing: Vec<String>,
}

impl Roots {
    /// Reads the bundle (the configured, else the system's) and what is trusted in addition.
    pub(super) fn load(options: &Options) -> Result<Self, RegistryError> {
        let mut roots = Self::default();
        match &options.ca_bundle {
            Some(path) if path.exists() => roots.add(path, read_file(path, "as the CA bundle")?),
            Some(path) => roots.missing.push(format!("{} does not exist", path.display())),
            None => {}
        }
        if roots.certificates.is_empty() {
            roots.add_system(options.ca_dirs.is_empty());
        }
        for path in options.ca_dirs.iter().chain(&options.more_ca) {
            roots.add_place(path);
        }
        let mut seen = HashSet::new();
        roots.certificates.retain(|certificate| seen.insert(certificate.clone()));
        Ok(roots)
    }

    fn add(&mut self, place: &Path, found: Vec<CertificateDer<'static>>) {
        // kiln's image names one of them twice.
        if !found.is_empty() && !self.places.iter().any(|known| known == place) {
            self.certificates.extend(found);
            self.places.push(place.to_owned());
        }
    }

    /// The first bundle that has any; and, as Go does it, the system's directories where no others
    /// are named.
    fn add_system(&mut self, directories: bool) {
        let bundles =
            SYSTEM_BUNDLES.iter().map(Path::new).map(|path| (path, certificates_of(path)));
        if let Some((path, found)) = bundles.into_iter().find(|(_, found)| !found.is_empty()) {
            self.add(path, found);
        }
        if directories {
            for dir in SYSTEM_DIRS.iter().map(Path::new) {
                let known = |path: &&PathBuf| !is_bundled(path) && !self.places.contains(path);
                let files = files_of(dir);
                let found = files.iter().filter(known).flat_map(|path| certificates_of(path));
                let found: Vec<_> = found.collect();
                self.add(dir, found);
            }
        }
    }

    /// A directory's files, or a file.
    fn add_place(&mut self, path: &Path) {
        if path.is_dir() {
            let found = files_of(path).iter().flat_map(|path| certificates_of(path)).collect();
            return self.add(path, found);
        }
        match read_limited(path) {
            Ok(bytes) => {
                let found = certificates_in(&bytes);
                if found.is_empty() {
                    self.missing.push(format!("{} holds no PEM certificate", path.display()));
                }
                self.add(path, found);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                self.missing.push(format!("{} cannot be read ({error})", path.display()));
            }
        }
    }

    /// Where the trusted certificates are from; a part of a sentence.
    pub(super) fn trusted(&self) -> String {
        let places: Vec<_> = self.places.iter().map(|path| path.display().to_string()).collect();
        let trusted = match &places[..] {
            [] => "Mozilla's list".to_owned(),
            places => places.join(", "),
        };
        format!("; trusted now: {trusted}")
    }

    /// What was named and cannot be used; a part of a sentence, or nothing.
    pub(super) fn missing(&self) -> String {
        self.missing.iter().map(|what| format!("; {what}")).collect()
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
    parse(&bytes).map_err(failed)
}

/// All certificates of a PEM text: at least one.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let certificates = certificates.map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("it holds no PEM certificate (-----BEGIN CERTIFICATE-----)".into());
    }
    Ok(certificates)
}

/// The files of a directory, sorted; a directory that is not there has none.
pub(super) fn files_of(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}

/// A link to what the bundle has, or to a file beside it (the names by hash).
fn is_bundled(path: &Path) -> bool {
    let target = std::fs::read_link(path);
    target.is_ok_and(|to| to.starts_with(BUNDLED) || to.components().count() == 1)
}

fn certificates_of(path: &Path) -> Vec<CertificateDer<'static>> {
    read_limited(path).map(|bytes| certificates_in(&bytes)).unwrap_or_default()
}

fn certificates_in(bytes: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(bytes).map_while(Result::ok).collect()
}

pub(super) fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
