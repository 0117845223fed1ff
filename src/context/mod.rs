//! Where the files of COPY and ADD come from.
//!
//! A context is a stranger's: its links are followed inside it only ([`Root`]). A Dockerfile that the
//! user names is the user's, and is opened as any file of this machine.

mod archive;
mod dockerfile;
mod error;
mod kind;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::archive::{Archive, leads_out, subdirectory, unpack};
pub use self::dockerfile::{DockerfileText, dockerfile_of, read_as_dockerfile, read_dockerfile};
pub use self::error::ContextError;
pub use self::kind::{Came, FromStdin, dockerfile_from_stdin, from_stdin, from_stream, is_archive};
pub use crate::rootfs::ignore;
use crate::rootfs::ignore::Ignore;
use crate::rootfs::{Root, RootError};

/// A directory of files to copy from.
#[derive(Debug, Clone)]
pub struct Context {
    /// The directory.
    pub root: Arc<Root>,
    /// What is hidden in it, if it has an ignore file. Only from COPY and ADD: the builder itself
    /// may read the Dockerfile and the ignore file even if they are hidden.
    pub ignore: Option<Ignore>,
    /// The ignore file, as people would name it.
    pub ignore_file: Option<PathBuf>,
}

impl Context {
    /// Opens a local directory. `<dockerfile>.dockerignore`, next to the Dockerfile, replaces
    /// `.dockerignore` of the directory completely. `dockerfile` need not exist (`-`).
    pub fn open(dir: &Path, dockerfile: &Path) -> Result<Self, ContextError> {
        let root = Arc::new(open_root(dir)?);
        let (file, text) = match beside_dockerfile(dockerfile)? {
            Some(found) => found,
            None => match in_context(&root, Path::new(".dockerignore"))? {
                Some(text) => (dir.join(".dockerignore"), text),
                None => return Ok(Self { root, ignore: None, ignore_file: None }),
            },
        };
        let ignore = Ignore::parse(&text)
            .map_err(|source| ContextError::Ignore { path: file.clone(), source })?
            .with_origin(file.display().to_string());
        Ok(Self { root, ignore: Some(ignore), ignore_file: Some(file) })
    }
}

impl Context {
    /// Opens a local directory in which nothing is hidden.
    pub fn without_ignore_file(dir: &Path) -> Result<Self, ContextError> {
        Ok(Self { root: Arc::new(open_root(dir)?), ignore: None, ignore_file: None })
    }
}

fn open_root(dir: &Path) -> Result<Root, ContextError> {
    match std::fs::metadata(dir) {
        Ok(found) if !found.is_dir() => Err(ContextError::NotADirectory(dir.to_owned())),
        // The user may have named it by a link; in it, links are a stranger's.
        Ok(_) => match dir.canonicalize() {
            Ok(dir) => Ok(Root::open(&dir)?),
            Err(source) => Err(ContextError::Unreadable { path: dir.to_owned(), source }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(ContextError::Missing(dir.to_owned()))
        }
        Err(source) => Err(ContextError::Unreadable { path: dir.to_owned(), source }),
    }
}

/// Longer than any ignore file or Dockerfile, and small enough to hold.
const MAX_TEXT: u64 = 16 << 20;

fn beside_dockerfile(dockerfile: &Path) -> Result<Option<(PathBuf, Vec<u8>)>, ContextError> {
    if dockerfile.file_name().is_none() {
        return Ok(None);
    }
    let mut path = OsString::from(dockerfile);
    path.push(".dockerignore");
    let path = PathBuf::from(path);
    // Not to wait for a writer, should it be a pipe.
    if !std::fs::metadata(&path).is_ok_and(|found| found.is_file()) {
        return Ok(None);
    }
    let file = File::open(&path)
        .map_err(|source| ContextError::Unreadable { path: path.clone(), source })?;
    let text = read_text(file, &path)?;
    Ok(Some((path, text)))
}

/// The bytes of a file of the context, if it is there.
fn in_context(root: &Root, path: &Path) -> Result<Option<Vec<u8>>, ContextError> {
    match root.open_file(path) {
        Ok(file) => read_text(file, &root.path().join(path)).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(RootError::NotAFile(_)) => Err(ContextError::NotAFile(root.path().join(path))),
        Err(error) => Err(error.into()),
    }
}

fn read_text(file: File, path: &Path) -> Result<Vec<u8>, ContextError> {
    let mut text = Vec::new();
    file.take(MAX_TEXT + 1)
        .read_to_end(&mut text)
        .map_err(|source| ContextError::Unreadable { path: path.to_owned(), source })?;
    if text.len() as u64 > MAX_TEXT {
        return Err(ContextError::TooLong { path: path.to_owned(), limit: MAX_TEXT });
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
