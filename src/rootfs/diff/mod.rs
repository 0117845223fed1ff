//! What a command changed: an overlay's upper directory, read as a layer.
//!
//! overlayfs has already written down every change, so nothing below is walked; the merged view of
//! the layers below is only asked about the paths that are here. The order is that of a layer: by
//! name, a directory before what is in it.
//!
//! Where there is no overlay, [`super::scan`] finds the changes; what becomes of them is decided
//! here for both.

pub(super) mod object;
pub(super) mod source;
#[cfg(test)]
mod tests;
pub(super) mod walk;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::place::MAX_PATH;
use super::root::Root;
use super::view::{View, ViewError};
use super::xattr::Overlay;
use crate::layer::{Entry, Whiteout};

/// Where the changes go.
pub trait ChangeSink {
    /// An object that is new or changed. The content of a regular file has exactly the size that its
    /// entry says; that of anything else is empty.
    fn file(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), SinkError>;

    /// Something that is gone.
    fn whiteout(&mut self, whiteout: &Whiteout) -> Result<(), SinkError>;
}

/// Why a change was not taken.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// What was found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct DiffStats {
    /// Objects that were handed on.
    pub entries: u64,
    /// Bytes of their content.
    pub bytes: u64,
    /// Whiteouts that were handed on.
    pub whiteouts: u64,
    /// Objects that are as they are below.
    pub unchanged: u64,
    /// Sockets, which a layer cannot carry.
    pub sockets: u64,
    /// Objects whose names begin with `.wh.`, which in a layer would say that something is gone.
    pub reserved: Vec<PathBuf>,
}

/// Changes that could not be read as a layer. Paths are in the image unless they say otherwise.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    System {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The view of what is below.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The overlay was not mounted as it has to be.
    #[error(
        "`{}` has the attribute `{name}`: the overlay was mounted with redirect_dir or metacopy, \
         whose upper directory is not a layer by itself", path.display()
    )]
    NotALayer {
        /// What has it.
        path: PathBuf,
        /// The attribute.
        name: String,
    },
    /// A file system whose clock could not be read.
    #[error(
        "cannot learn what time the file system has from a file made in `{}`: {source}",
        path.display()
    )]
    Clock {
        /// A directory of this machine.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A path that no container could open.
    #[error(
        "the command left a path of {length} bytes that starts with `{}`: no container can open \
         paths of more than 4095", start.display()
    )]
    TooLong {
        /// Its first bytes.
        start: PathBuf,
        /// Its length.
        length: usize,
    },
    /// Whoever takes the changes.
    #[error("cannot write `{}` to the layer: {source}", path.display())]
    Sink {
        /// What was handed on.
        path: PathBuf,
        /// Why.
        source: SinkError,
    },
}

/// Hands the changes in an upper directory to a sink.
///
/// `lower` is the merged view of what is below. `exclude` lists what the sandbox itself may have put
/// there: mount points, and the directories that it made for them. An empty file or directory of
/// that list that does not exist below is left out, with the directories of the list that hold
/// nothing else; and so is a directory that differs in its time alone because of one.
///
/// The root itself is never handed on: its metadata is that of the image's first layer.
pub fn diff_upper(
    upper: &Root,
    lower: &dyn View,
    style: Overlay,
    exclude: &BTreeSet<PathBuf>,
    sink: &mut dyn ChangeSink,
) -> Result<DiffStats, DiffError> {
    let mut source = source::Upper { upper, lower, style };
    walk::Differ::new(&mut source, exclude, sink).run()
}

pub(super) fn system(action: &'static str, path: &Path, source: impl Into<io::Error>) -> DiffError {
    DiffError::System { action, path: path.to_owned(), source: source.into() }
}

/// Paths that no container could open are an error rather than a surprise.
pub(super) fn check_length(path: &Path) -> Result<(), DiffError> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > MAX_PATH {
        let start = OsStr::from_bytes(&bytes[..60]).into();
        return Err(DiffError::TooLong { start, length: bytes.len() });
    }
    Ok(())
}
