//! Directories with a directory for each host: Docker's and Podman's `certs.d`.
//!
//! Source: docs.docker.com/engine/security/certificates, containers-certs.d(5). `*.crt` are roots,
//! `NAME.cert` with `NAME.key` is shown to the host. Of several such pairs kiln shows the first.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::super::error::RegistryError;
use super::super::reference::HUB;
use super::{Identity, roots};

/// What the directories have for one host.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) identity: Option<Identity>,
    /// What was read, and what could not be; parts of a sentence.
    pub(super) notes: Vec<String>,
}

/// A file that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} cannot be used {purpose}: {reason}", path.display())]
pub(in crate::registry) struct Bad {
    pub(super) path: PathBuf,
    pub(super) purpose: String,
    pub(super) reason: String,
}

impl From<Bad> for RegistryError {
    fn from(bad: Bad) -> Self {
        Self::Certificate { path: bad.path, purpose: bad.purpose, reason: bad.reason }
    }
}

/// All such directories; each host's are read when it is first asked for, or with all others.
#[derive(Debug)]
pub(super) struct HostDirs {
    dirs: Vec<PathBuf>,
    known: Mutex<Known>,
}

/// What was read.
#[derive(Debug, Default)]
struct Known {
    hosts: HashMap<String, Result<Arc<Own>, Bad>>,
    /// Whether those are all hosts that have a directory.
    all: bool,
}

impl Own {
    pub(super) fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.identity.is_none()
    }
}

impl HostDirs {
    pub(super) fn new(dirs: Vec<PathBuf>) -> Self {
        Self { dirs, known: Mutex::default() }
    }

    /// What there is for a registry.
    pub(super) fn of(&self, registry: &str) -> Result<Arc<Own>, Bad> {
        let Known { hosts, all } = &mut *self.known();
        let look = || if *all { Ok(Own::default()) } else { self.look(registry) };
        hosts.entry(registry.to_owned()).or_insert_with(|| look().map(Arc::new)).clone()
    }

    /// Reads what there is for all hosts. From now on no other has any: a directory that appears later
    /// may be that of an image which has taken the place of `/`.
    pub(super) fn read_all(&self) {
        let mut known = self.known();
        if known.all {
            return;
        }
        for dir in &self.dirs {
            let Ok(entries) = std::fs::read_dir(dir) else { continue };
            let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
            for registry in names.flat_map(registries) {
                let look = || self.look(&registry).map(Arc::new);
                known.hosts.entry(registry.clone()).or_insert_with(look);
            }
        }
        known.all = true;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a file for a registry would be found, for people.
    pub(super) fn example(&self, registry: &str) -> Option<PathBuf> {
        Some(self.dirs.last()?.join(registry).join("ca.crt"))
    }

    fn look(&self, registry: &str) -> Result<Own, Bad> {
        let mut own = Own::default();
        for dir in &self.dirs {
            for name in spellings(registry) {
                own.add(&dir.join(name), registry)?;
            }
        }
        Ok(own)
    }
}

/// How a directory may be called. A registry chooses the hosts that it leads to, so none of them may
/// lead out of the directory.
fn spellings(registry: &str) -> Vec<String> {
    if registry.starts_with('.') || registry.contains(['/', '\0']) {
        return Vec::new();
    }
    if registry == HUB {
        return ["docker.io", "index.docker.io", "registry-1.docker.io"].map(str::to_owned).into();
    }
    let has_port = registry.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if has_port {
        vec![registry.to_owned()]
    } else {
        vec![registry.to_owned(), format!("{registry}:443")]
    }
}

/// Whose a directory of this name is: [`spellings`] the other way round.
fn registries(name: String) -> Vec<String> {
    let without_port = name.strip_suffix(":443").map(str::to_owned);
    let hub = spellings(HUB).contains(&name).then(|| HUB.to_owned());
    [Some(name), without_port, hub].into_iter().flatten().collect()
}

impl Own {
    fn add(&mut self, dir: &Path, registry: &str) -> Result<(), Bad> {
        for path in roots::files_of(dir) {
            let ending = path.extension().and_then(|ending| ending.to_str());
            match ending {
                Some("crt") => {
                    if let Some(bytes) = self.read(&path, "as a CA", registry)? {
                        let bad = bad(&path, "as a CA", registry);
                        self.certificates.extend(roots::parse(&bytes).map_err(bad)?);
                    }
                }
                Some("cert") => self.add_identity(&path, registry)?,
                Some("key") if !path.with_extension("cert").is_file() => {
                    let reason = "the certificate beside it is missing: it ends in .cert".into();
                    return Err(bad(&path, "as a client's key", registry)(reason));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add_identity(&mut self, path: &Path, registry: &str) -> Result<(), Bad> {
        let key_path = path.with_extension("key");
        if !key_path.exists() {
            let reason = format!(
                "its key {} is missing; the certificate of a CA ends in .crt",
                key_path.display()
            );
            return Err(bad(path, "as a client certificate", registry)(reason));
        }
        let chain = self.read(path, "as a client certificate", registry)?;
        let key = self.read(&key_path, "as a client's key", registry)?;
        let (Some(chain), Some(key), None) = (chain, key, &self.identity) else { return Ok(()) };
        let chain = roots::parse(&chain).map_err(bad(path, "as a client certificate", registry))?;
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|error| bad(&key_path, "as a client's key", registry)(error.to_string()))?;
        self.identity = Some((chain, key));
        Ok(())
    }

    /// What belongs to another user is no mistake of this one.
    fn read(&mut self, path: &Path, purpose: &str, registry: &str) -> Result<Option<Vec<u8>>, Bad> {
        match roots::read_limited(path) {
            Ok(bytes) => {
                self.notes.push(path.display().to_string());
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.notes.push(format!("not {}, which this user may not read", path.display()));
                Ok(None)
            }
            Err(error) => Err(bad(path, purpose, registry)(error.to_string())),
        }
    }
}

fn bad(path: &Path, purpose: &str, registry: &str) -> impl FnOnce(String) -> Bad {
    let (path, purpose) = (path.to_owned(), format!("{purpose} for `{registry}`"));
    move |reason| Bad { path, purpose, reason }
}
