//! Which certificates are trusted.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::super::options::Options;
use super::host_dirs::Bad;

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
const FILE_MAX: usize = 16 << 20;
/// What a block of PEM starts with.
const BEGIN: &[u8] = b"-----BEGIN ";

/// The trusted certificates: their bytes where they came from files, else Mozilla's list.
#[derive(Debug, Default)]
pub(super) struct Roots {
    certificates: Vec<CertificateDer<'static>>,
    /// Where they came from.
    places: Vec<PathBuf>,
    /// What was named and could not be used; parts of a sentence.
    missing: Vec<String>,
}

/// Where the user says that certificates are.
#[derive(Debug, Clone, Default)]
pub(super) struct Named {
    bundle: Option<PathBuf>,
    dirs: Vec<PathBuf>,
    more: Vec<PathBuf>,
}

impl Named {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            bundle: options.ca_bundle.clone(),
            dirs: options.ca_dirs.clone(),
            more: options.more_ca.clone(),
        }
    }
}

impl Roots {
    /// Reads the bundle (the configured, else the system's) and what is trusted in addition.
    pub(super) fn load(named: &Named) -> Result<Self, Bad> {
        let mut roots = Self::default();
        match &named.bundle {
            Some(path) if path.exists() => roots.add(path, read_file(path, "as the CA bundle")?),
            Some(path) => roots.missing.push(format!("{} does not exist", path.display())),
            None => {}
        }
        if roots.certificates.is_empty() {
            roots.add_system(named.dirs.is_empty());
        }
        for path in named.dirs.iter().chain(&named.more) {
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
        for path in SYSTEM_BUNDLES.iter().map(Path::new) {
            let found = self.certificates_of(path);
            if !found.is_empty() {
                self.add(path, found);
                break;
            }
        }
        if directories {
            for dir in SYSTEM_DIRS.iter().map(Path::new) {
                let mut files = files_of(dir);
                files.retain(|path| !is_bundled(path) && !self.places.contains(path));
                let found = files.iter().flat_map(|path| self.certificates_of(path)).collect();
                self.add(dir, found);
            }
        }
    }

    /// A directory's files, or a file.
    fn add_place(&mut self, path: &Path) {
        if path.is_dir() {
            let files = files_of(path);
            let found = files.iter().flat_map(|path| self.certificates_of(path)).collect();
            return self.add(path, found);
        }
        match read_limited(path) {
            Ok(bytes) => {
                let found = self.certificates_in(path, &bytes);
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

    /// What can be used of a file that may have none.
    fn certificates_of(&mut self, path: &Path) -> Vec<CertificateDer<'static>> {
        read_limited(path).map(|bytes| self.certificates_in(path, &bytes)).unwrap_or_default()
    }

    /// The certificates of a text. What of it cannot be read is noted, and hides no others.
    fn certificates_in(&mut self, path: &Path, bytes: &[u8]) -> Vec<CertificateDer<'static>> {
        let (bytes, rest) = bytes.split_at(bytes.len().min(FILE_MAX));
        let path = path.display();
        if !rest.is_empty() {
            self.missing.push(format!("{path} was read up to {} MiB", FILE_MAX >> 20));
        }
        let (found, broken) = readable(bytes);
        match broken {
            0 => {}
            1 => self.missing.push(format!("{path} has a block that is no PEM, and was left out")),
            n => self.missing.push(format!("{path} has {n} blocks that are no PEM, left out")),
        }
        found
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
pub(super) fn read_file(path: &Path, purpose: &str) -> Result<Vec<CertificateDer<'static>>, Bad> {
    let failed =
        |reason: String| Bad { path: path.to_owned(), purpose: purpose.to_owned(), reason };
    let bytes = read_limited(path).map_err(|error| failed(error.to_string()))?;
    parse(&bytes).map_err(failed)
}

/// All certificates of a PEM text: at least one.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    if bytes.len() > FILE_MAX {
        return Err(format!("it is larger than {} MiB", FILE_MAX >> 20));
    }
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

/// The certificates of a PEM text, and how many blocks cannot be read. Each block is read on its own:
/// one without an end would take the next with it.
fn readable(bytes: &[u8]) -> (Vec<CertificateDer<'static>>, usize) {
    let begins = bytes.windows(BEGIN.len()).enumerate().filter(|(_, part)| *part == BEGIN);
    let begins: Vec<_> = begins.map(|(at, _)| at).collect();
    let ends = begins.iter().skip(1).copied().chain([bytes.len()]);
    let (mut found, mut broken) = (Vec::new(), 0);
    for (begin, end) in begins.iter().zip(ends) {
        for certificate in CertificateDer::pem_slice_iter(&bytes[*begin..end]) {
            match certificate {
                Ok(certificate) => found.push(certificate),
                Err(_) => broken += 1,
            }
        }
    }
    (found, broken)
}

/// A file's bytes, and one more than [`FILE_MAX`] of a larger one.
pub(super) fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_block_hides_no_other() {
        let good = |text: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        };
        let (one, two) = (good("AAAA"), good("BBBB"));
        for (text, certificates, broken) in [
            (format!("# bundle\n{one}{two}"), 2, 0),
            (format!("{one}{}{two}", good("not base64!")), 2, 1),
            (format!("{one}-----BEGIN CERTIFICATE-----\nAAAA\n{two}"), 2, 1),
            (format!("{one}-----BEGIN CERTIFICATE--\n{two}-----BEGIN CERTIFICATE-----\n"), 2, 2),
            ("nothing".into(), 0, 0),
        ] {
            let (found, count) = readable(text.as_bytes());
            assert_eq!((found.len(), count), (certificates, broken), "{text}");
        }
    }

    #[test]
    fn what_is_left_out_is_said() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("ca.pem");
        let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let mut text =
            format!("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n{block}");
        for (note, larger) in [("a block that is no PEM", false), ("was read up to 16 MiB", true)] {
            if larger {
                text.push_str(&"\n".repeat(FILE_MAX));
            }
            std::fs::write(&path, &text).expect("write");
            let mut roots = Roots::default();
            roots.add_place(&path);
            assert_eq!(roots.certificates.len(), 1);
            assert!(roots.missing().contains(note), "{}", roots.missing());
        }
        assert!(read_file(&path, "as a CA").is_err());
    }
}
