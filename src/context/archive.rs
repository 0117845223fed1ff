//! A context in a tar, compressed or not.
//!
//! It is unpacked as layers are, because a stranger's tar can do the same harm: no name in it leads
//! out of the directory. What only layers may have is refused rather than left out.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read};
use std::path::{Component, Path, PathBuf};

use super::ContextError;
use crate::cancel::Cancel;
use crate::layer::{Entry, Kind, TarReader, decoder};
use crate::rootfs::{Entries, Extract, Ownership, Root, Whiteouts, extract, resolve};

/// For the headers, which are small.
const BUFFER: usize = 256 * 1024;
/// What the names of whiteouts begin with; no layer can have a file of such a name.
const WHITEOUT: &str = ".wh.";

/// Where an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Archive {
    /// In this file; absolute.
    File(PathBuf),
    /// It comes from standard input, once.
    Stdin,
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("standard input"),
        }
    }
}

/// Unpacks an archive into an empty directory: a tar, plain or compressed with gzip, zstd, bzip2 or
/// xz. All files belong to whoever runs kiln, which COPY does not look at.
///
/// # Errors
/// An archive that is none, is empty, or has what cannot be in a context.
pub fn unpack(archive: &Archive, into: &Path, cancel: &Cancel) -> Result<(), ContextError> {
    let bytes: Box<dyn Read + Send> = match archive {
        Archive::File(path) => Box::new(File::open(path).map_err(|e| failed(archive, e))?),
        Archive::Stdin if io::stdin().is_terminal() => {
            return Err(failed(archive, "it is a terminal; pipe a tar into kiln"));
        }
        Archive::Stdin => Box::new(io::stdin()),
    };
    unpack_bytes(Stoppable { inner: bytes, cancel }, into).map_err(|why| failed(archive, why))
}

/// The same for bytes that arrive; `name` is what messages call them.
pub(super) fn unpack_stream(
    name: &str,
    bytes: impl Read + Send,
    into: &Path,
    cancel: &Cancel,
) -> Result<(), ContextError> {
    unpack_bytes(Stoppable { inner: bytes, cancel }, into).map_err(|why| failed(name, why))
}

fn failed(archive: impl ToString, reason: impl ToString) -> ContextError {
    ContextError::Archive { archive: archive.to_string(), reason: reason.to_string() }
}

fn unpack_bytes(bytes: impl Read + Send, into: &Path) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let tar = decoder(bytes).map_err(|error| text(&error))?;
    let root = Root::open(into).map_err(|error| text(&error))?;
    let mut entries = OfContext(TarReader::new(BufReader::with_capacity(BUFFER, tar)));
    // The directory is empty and there are no whiteouts, so all that this says is that a hard link
    // must have its target in the archive.
    let policy = Extract::new(Whiteouts::Apply, Ownership::Ignore);
    let done = extract(&mut entries, &root, &policy).map_err(|error| text(&error))?;
    // Up to the checksum at its end, and so that whoever writes into a pipe can end.
    entries.0.drain().map_err(|error| text(&error))?;
    if done.entries == 0 {
        return Err("there is nothing in it".into());
    }
    Ok(())
}

/// A directory of a context from elsewhere, seen from its top. `archive` is what messages call it. Links in it are followed inside it only.
///
/// # Errors
/// If there is no such directory.
pub fn subdirectory(archive: &str, top: &Path, path: &Path) -> Result<PathBuf, ContextError> {
    let root = Root::open(top)?;
    // The root would be taken for what is above it.
    let inside = !leads_out(path);
    let found = resolve(&root, path, true).ok().filter(|_| inside);
    let dir = found.filter(|found| found.entry.as_ref().is_some_and(|e| e.kind == Kind::Dir));
    dir.map(|found| top.join(found.path)).ok_or_else(|| ContextError::NotInArchive {
        archive: archive.to_owned(),
        path: path.to_owned(),
    })
}

/// Whether a path leads out of the directory that it is seen from, by its spelling.
pub fn leads_out(path: &Path) -> bool {
    let mut depth = 0_usize;
    path.components().any(|part| match part {
        Component::ParentDir => match depth.checked_sub(1) {
            Some(above) => {
                depth = above;
                false
            }
            None => true,
        },
        Component::Normal(_) => {
            depth += 1;
            false
        }
        _ => false,
    })
}

/// The entries of a context.
struct OfContext<R>(TarReader<R>);

impl<R: BufRead> Entries for OfContext<R> {
    fn next_entry(&mut self) -> io::Result<Option<(Entry, Box<dyn Read + '_>)>> {
        let next = self.0.next_entry()?;
        if let Some((entry, _)) = &next {
            check(entry).map_err(io::Error::other)?;
        }
        Ok(next)
    }
}

fn check(entry: &Entry) -> Result<(), String> {
    let path = entry.path.display();
    if matches!(entry.kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. }) {
        return Err(format!("`{path}` is a device, which no context has"));
    }
    let mut names = entry.path.components().map(|name| name.as_os_str().as_encoded_bytes());
    if names.any(|name| name.starts_with(WHITEOUT.as_bytes())) {
        return Err(format!(
            "no image can have `{path}`: names that begin with {WHITEOUT} say that a file is gone"
        ));
    }
    Ok(())
}

/// A reader that ends with the build.
struct Stoppable<'a, R> {
    inner: R,
    cancel: &'a Cancel,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        self.inner.read(buffer)
    }
}
