//! What can go wrong with an archive, in either direction.

use std::io;
use std::path::{Path, PathBuf};

/// An archive that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream below failed. Also where it ends in the middle of a member.
    #[error("cannot read the archive: {0}")]
    Read(io::Error),
    /// The stream below failed.
    #[error("cannot write the archive: {0}")]
    Write(io::Error),
    /// A file's bytes could not be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Content {
        /// Its path in the archive.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has another length than it had when it was looked at.
    #[error(
        "{path} changed while it was read: it had {expected} bytes and has {found} now",
        path = .path.display()
    )]
    Changed {
        /// Its path in the archive.
        path: PathBuf,
        /// The length that was announced.
        expected: u64,
        /// `7`, or `more`.
        found: String,
    },
    /// Tar has no way to say this.
    #[error("{path} cannot be put into a layer: {reason}", path = .path.display())]
    Unrepresentable {
        /// Its path in the archive.
        path: PathBuf,
        /// What there is about it.
        reason: String,
    },
    /// A path with `..`.
    #[error("the archive has a member with `..` in its path, which could leave the root: {member}")]
    Escapes {
        /// The path, as the archive has it.
        member: String,
    },
    /// A member that makes no sense.
    #[error("the archive's member {member} is not valid: {reason}")]
    Member {
        /// The path, as the archive has it.
        member: String,
        /// What is wrong.
        reason: String,
    },
    /// A kind of member that no image has.
    #[error("the archive's member {member} is of a type that kiln does not know: `{kind}`")]
    UnknownType {
        /// The path, as the archive has it.
        member: String,
        /// Tar's type flag.
        kind: char,
    },
    /// Bytes that are no header.
    #[error("the archive is damaged, or is none: at byte {offset}, {reason}")]
    Damaged {
        /// Where, in the uncompressed stream.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// An archive that asks for unreasonable amounts of memory or output.
    #[error("the archive's member {member} exceeds a limit: {reason}")]
    Limit {
        /// The path, as the archive has it.
        member: String,
        /// Which limit.
        reason: String,
    },
    /// After an error there is no going on.
    #[error("the archive is incomplete because of an earlier error")]
    Broken,
}

impl TarError {
    pub(super) fn unrepresentable(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unrepresentable { path: path.to_owned(), reason: reason.into() }
    }

    pub(super) fn member(member: &[u8], reason: impl Into<String>) -> Self {
        Self::Member { member: printable(member), reason: reason.into() }
    }

    pub(super) fn limit(member: &[u8], reason: impl Into<String>) -> Self {
        Self::Limit { member: printable(member), reason: reason.into() }
    }

    pub(super) fn escapes(member: &[u8]) -> Self {
        Self::Escapes { member: printable(member) }
    }
}

/// A hostile name for a message: no control characters, and not of any length.
pub(super) fn printable(name: &[u8]) -> String {
    const SHOWN: usize = 200;
    let mut text: String =
        String::from_utf8_lossy(&name[..name.len().min(SHOWN)]).escape_debug().collect();
    if name.len() > SHOWN {
        text.push('…');
    }
    text
}
