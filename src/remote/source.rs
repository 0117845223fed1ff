//! One thing to fetch, whatever its kind.

use std::path::{Path, PathBuf};

use super::git::GitReference;
use super::{Fetcher, RemoteError, without_secrets};
use crate::digest::Digest;
use crate::registry::Object;

/// Something to fetch. `Display` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A file.
    File {
        /// `http://…` or `https://…`.
        address: String,
        /// What it is called here.
        name: String,
        /// Of its bytes.
        checksum: Option<Digest>,
    },
    /// An object of a cloud's store.
    Object {
        /// Which.
        object: Object,
        /// What it is called here.
        name: String,
    },
    /// The files of a repository.
    Repository {
        /// Which, and what of it.
        reference: Box<GitReference>,
        /// Whether `.git` stays.
        keep_git_dir: bool,
    },
}

/// Something that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The directory that holds it and nothing else; links in it may lead anywhere.
    pub dir: PathBuf,
    /// Its name there, if it is one file.
    pub file: Option<String>,
    /// What the user should know of it, in sentences.
    pub notes: Vec<String>,
}

impl Source {
    /// The files of a repository; `.git` stays if the reference or the caller says so.
    pub fn repository(reference: GitReference, keep_git_dir: bool) -> Self {
        let keep_git_dir = keep_git_dir || reference.keep_git_dir == Some(true);
        Self::Repository { reference: Box::new(reference), keep_git_dir }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { address, .. } => f.write_str(&without_secrets(address)),
            Self::Object { object, .. } => object.fmt(f),
            Self::Repository { reference, .. } => reference.fmt(f),
        }
    }
}

impl Fetcher {
    /// Fetches it into an empty directory. `progress` hears of bytes, and of how many there are
    /// where that is known.
    ///
    /// # Errors
    /// As [`Fetcher::file`], [`Fetcher::object`] and [`Fetcher::repository`].
    pub fn fetch(
        &self,
        source: &Source,
        into: &Path,
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<Fetched, RemoteError> {
        match source {
            Source::File { address, name, checksum } => {
                self.file(address, checksum.as_ref(), into, name, progress)?;
                Ok(Fetched { dir: into.to_owned(), file: Some(name.clone()), notes: Vec::new() })
            }
            Source::Object { object, name } => {
                self.object(object, into, name, progress)?;
                Ok(Fetched { dir: into.to_owned(), file: Some(name.clone()), notes: Vec::new() })
            }
            Source::Repository { reference, keep_git_dir } => {
                let checkout = self.repository(reference, *keep_git_dir, into, progress)?;
                Ok(Fetched { dir: checkout.dir, file: None, notes: checkout.notes })
            }
        }
    }
}
