//! A context or a Dockerfile? Told apart by content, as Docker does it.

use std::fs::File;
use std::io::{self, Cursor, IsTerminal as _, Read};
use std::path::Path;

use super::archive::unpack_stream;
use super::dockerfile::text_of;
use super::{ContextError, DockerfileText, MAX_TEXT};
use crate::cancel::Cancel;
use crate::layer::{Format, looks_like_tar, sniff};

/// As much as tells: a tar's first header.
const START: u64 = 512;
/// What a Dockerfile without a file is called, as in Docker.
const NAME: &str = "Dockerfile";
/// What messages call it.
const STDIN: &str = "standard input";

/// What came from elsewhere, told by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// An archive, which was unpacked.
    Context,
    /// Anything else, and short: its bytes.
    File(Vec<u8>),
}

/// What came on standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromStdin {
    /// An archive, which was unpacked.
    Context,
    /// A Dockerfile.
    Dockerfile(DockerfileText),
}

/// Whether a file is an archive: compressed, or a tar.
///
/// # Errors
/// A file that cannot be read.
pub fn is_archive(path: &Path) -> Result<bool, ContextError> {
    let unreadable = |source| ContextError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    Ok(starts_archive(&start(file).map_err(unreadable)?))
}

fn starts_archive(start: &[u8]) -> bool {
    sniff(start) != Format::Plain || looks_like_tar(start)
}

fn start(from: impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    from.take(START).read_to_end(&mut start)?;
    Ok(start)
}

/// Reads what arrives: an archive is unpacked into this empty directory, anything else is short
/// enough to hold. `name` is what messages call it.
///
/// # Errors
/// An archive that cannot be unpacked, or a long text.
pub fn from_stream(
    name: &str,
    mut bytes: impl Read + Send,
    into: &Path,
    cancel: &Cancel,
) -> Result<Came, ContextError> {
    let head = start(&mut bytes).map_err(|error| unreadable(name, error))?;
    let is_archive = starts_archive(&head);
    let all = Cursor::new(head).chain(bytes);
    if is_archive {
        unpack_stream(name, all, into, cancel)?;
        return Ok(Came::Context);
    }
    limited(name, all).map(Came::File)
}

/// Reads standard input: an archive is unpacked into this empty directory, anything else is a
/// Dockerfile.
///
/// # Errors
/// A terminal, nothing at all, or what is neither.
pub fn from_stdin(into: &Path, cancel: &Cancel) -> Result<FromStdin, ContextError> {
    let stdin = open("pipe a tar or a Dockerfile into kiln")?;
    match from_stream(STDIN, stdin, into, cancel)? {
        Came::Context => Ok(FromStdin::Context),
        Came::File(bytes) => text(bytes).map(FromStdin::Dockerfile),
    }
}

/// Reads a Dockerfile from standard input.
///
/// # Errors
/// A terminal, or what is no text.
pub fn dockerfile_from_stdin() -> Result<DockerfileText, ContextError> {
    text(limited(STDIN, open("pipe a Dockerfile into kiln")?)?)
}

fn open(help: &'static str) -> Result<io::Stdin, ContextError> {
    match io::stdin() {
        stdin if stdin.is_terminal() => Err(ContextError::Terminal(help)),
        stdin => Ok(stdin),
    }
}

fn unreadable(name: &str, source: io::Error) -> ContextError {
    ContextError::Unreadable { path: name.into(), source }
}

fn limited(name: &str, from: impl Read) -> Result<Vec<u8>, ContextError> {
    let mut text = Vec::new();
    from.take(MAX_TEXT + 1).read_to_end(&mut text).map_err(|error| unreadable(name, error))?;
    if text.len() as u64 > MAX_TEXT {
        return Err(ContextError::TooLong { path: name.into(), limit: MAX_TEXT });
    }
    Ok(text)
}

fn text(bytes: Vec<u8>) -> Result<DockerfileText, ContextError> {
    if bytes.is_empty() {
        return Err(ContextError::NothingOnStdin);
    }
    text_of(NAME.into(), bytes)
}
