//! Where documents and blobs are read from.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{Mode, OFlags};

use crate::digest::{Digest, HashingWriter};
use crate::image::Descriptor;
use crate::layer::BlobStore;
use crate::registry::{Client, Reference, RegistryError, Repository};

/// Largest document, as for registries.
const DOCUMENT_MAX: u64 = 8 << 20;

/// A place that has documents and blobs under their digests.
#[derive(Debug, Clone)]
pub enum Home {
    /// The directory of an OCI layout: a stranger's, so what it has is checked.
    Layout(PathBuf),
    /// What kiln has unpacked itself.
    Store(BlobStore),
    /// A repository of a registry.
    Registry(Repository),
}

impl Home {
    /// The file of a blob, if it is on this machine.
    pub fn path(&self, digest: &Digest) -> Option<PathBuf> {
        match self {
            Self::Layout(dir) => Some(dir.join("blobs/sha256").join(digest.hex())),
            Self::Store(store) => Some(store.path(digest)),
            Self::Registry(_) => None,
        }
    }

    /// A document or config, checked.
    pub fn read(&self, client: &Client, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if descriptor.size > DOCUMENT_MAX {
            bail!("{} of {self} is too long for a document of an image", descriptor.digest);
        }
        let mut bytes = Vec::new();
        let mut reader: Box<dyn Read> = match self {
            Self::Registry(repository) => Box::new(client.open_blob(repository, descriptor)?),
            Self::Layout(_) | Self::Store(_) => {
                let path = self.path(&descriptor.digest).unwrap_or_default();
                let file = open_file(&path);
                Box::new(file.with_context(|| format!("cannot read {}", path.display()))?)
            }
        };
        let what = || format!("cannot read {} of {self}", descriptor.digest);
        reader.by_ref().take(DOCUMENT_MAX + 1).read_to_end(&mut bytes).with_context(what)?;
        let found = Digest::of(&bytes);
        if found != descriptor.digest {
            bail!("{} of {self} is damaged: its digest is {found}", descriptor.digest);
        }
        Ok(bytes)
    }

    /// A manifest or index, checked.
    pub fn document(&self, client: &Client, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let Self::Registry(repository) = self else { return self.read(client, descriptor) };
        let reference = Reference {
            registry: repository.registry.clone(),
            repository: repository.name.clone(),
            tag: None,
            digest: Some(descriptor.digest),
        };
        Ok(client.document(&reference)?.bytes)
    }

    /// The file of a blob that is about to be sent: of a stranger's layout, whole and read through once.
    pub fn checked(&self, descriptor: &Descriptor) -> io::Result<PathBuf> {
        let path =
            self.path(&descriptor.digest).ok_or_else(|| io::Error::other("it is no file"))?;
        if let Self::Layout(dir) = self {
            let what = || format!("the blob {}", descriptor.digest);
            let host = dir.display().to_string();
            let mut file = open_file(&path)
                .map_err(|source| other(RegistryError::File { path: path.clone(), source }))?;
            let mut sink = HashingWriter::new(io::sink());
            io::copy(&mut file, &mut sink)?;
            let (_, found, size) = sink.finish();
            if size != descriptor.size {
                let expected = descriptor.size;
                return Err(other(RegistryError::Size {
                    what: what(),
                    host,
                    expected,
                    found: size,
                }));
            }
            if found != descriptor.digest {
                let expected = descriptor.digest;
                return Err(other(RegistryError::Digest { what: what(), host, expected, found }));
            }
        }
        Ok(path)
    }

    /// Whether this is the repository.
    pub fn is(&self, repository: &Repository) -> bool {
        matches!(self, Self::Registry(own) if own == repository)
    }
}

impl std::fmt::Display for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Layout(dir) => write!(f, "{}", dir.display()),
            Self::Store(_) => f.write_str("the archive"),
            Self::Registry(repository) => f.write_str(&repository.familiar()),
        }
    }
}

fn other(error: RegistryError) -> io::Error {
    io::Error::other(error)
}

/// Opens a file, and nothing that only looks like one.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    Ok(file)
}
