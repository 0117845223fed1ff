//! Where documents and blobs are read from.

use std::io::{self, Read as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use crate::digest::{Digest, HashingWriter};
use crate::image::{DOCUMENT_MAX, Descriptor, open_regular, read_document};
use crate::layer::BlobStore;
use crate::registry::{Client, Reference, RegistryError, Repository};

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
        let bytes = match self {
            Self::Registry(repository) => {
                let mut bytes = Vec::new();
                let reader = client.open_blob(repository, descriptor)?;
                let read = reader.take(DOCUMENT_MAX + 1).read_to_end(&mut bytes);
                read.with_context(|| format!("cannot read {} of {self}", descriptor.digest))?;
                bytes
            }
            Self::Layout(_) | Self::Store(_) => {
                let path = self.path(&descriptor.digest).unwrap_or_default();
                let read = read_document(&path);
                read.with_context(|| format!("cannot read {}", path.display()))?
            }
        };
        let found = Digest::of(&bytes);
        if found != descriptor.digest {
            bail!("{} of {self} is damaged: its digest is {found}", descriptor.digest);
        }
        self.check_size(bytes, descriptor)
    }

    fn check_size(&self, bytes: Vec<u8>, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let (size, said) = (bytes.len() as u64, descriptor.size);
        ensure!(
            size == said,
            "{} of {self} has {size} bytes, but what leads to it says {said}",
            descriptor.digest
        );
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
        self.check_size(client.document(&reference)?.bytes, descriptor)
    }

    /// The file of a blob that is about to be sent: of a stranger's layout, whole and read through once.
    pub fn checked(&self, descriptor: &Descriptor) -> io::Result<PathBuf> {
        let path =
            self.path(&descriptor.digest).ok_or_else(|| io::Error::other("it is no file"))?;
        if let Self::Layout(dir) = self {
            let what = || format!("the blob {}", descriptor.digest);
            let host = dir.display().to_string();
            let mut file = open_regular(&path)
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
