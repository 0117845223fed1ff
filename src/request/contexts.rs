//! Where files come from that are in no directory of this machine.

use std::fmt;
use std::path::PathBuf;

use crate::context::Archive;
use crate::registry::Object;
use crate::remote::git::GitReference;
use crate::remote::{Source, file_name, without_secrets};

/// What BuildKit calls the one file of a context that is no archive, whatever its address.
pub const CONTEXT_FILE: &str = "context";

/// The build's context, if it is no directory of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elsewhere {
    /// In an archive.
    Archive(Archive),
    /// On standard input (`-`): an archive, or the Dockerfile of a build without files.
    Stdin,
    /// A repository.
    Repository(Box<GitReference>),
    /// At an `http://` or `https://` address: an archive, or a Dockerfile.
    Address(String),
    /// In an object store: an archive, or a Dockerfile.
    Object(Object),
}

/// `--build-context`: what stands in for the stages and images of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedSource {
    /// Nothing: `docker-image://scratch`.
    Nothing,
    /// A directory; absolute.
    Directory(PathBuf),
    /// A repository.
    Repository(Box<GitReference>),
    /// At an `http://` or `https://` address: an archive, or one file, which is called `context`.
    Address(String),
    /// In an object store; the same.
    Object(Object),
    /// An image of a registry.
    Image(String),
    /// An image of an OCI layout: `oci-layout://DIR[:tag][@digest]`, with an absolute path.
    Layout(String),
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(archive) => archive.fmt(f),
            Self::Stdin => Archive::Stdin.fmt(f),
            Self::Repository(reference) => reference.fmt(f),
            Self::Address(address) => f.write_str(&without_secrets(address)),
            Self::Object(object) => object.fmt(f),
        }
    }
}

impl NamedSource {
    /// What has to be fetched.
    pub fn remote(&self) -> Option<Source> {
        match self {
            Self::Repository(reference) => Some(Source::repository((**reference).clone(), false)),
            Self::Address(address) => Some(context_file(address)),
            Self::Object(object) => {
                Some(Source::Object { object: object.clone(), name: CONTEXT_FILE.into() })
            }
            Self::Nothing | Self::Directory(_) | Self::Image(_) | Self::Layout(_) => None,
        }
    }

    /// The image, if it is one.
    pub fn image(&self) -> Option<&str> {
        match self {
            Self::Image(name) | Self::Layout(name) => Some(name),
            _ => None,
        }
    }
}

fn context_file(address: &str) -> Source {
    Source::File { address: address.to_owned(), name: CONTEXT_FILE.into(), checksum: None }
}

/// What an address with a Dockerfile leads to.
pub fn dockerfile_at(address: &str) -> Source {
    Source::File { address: address.to_owned(), name: file_name(address), checksum: None }
}
