//! One object of a file system, as tar carries it: a path, metadata and a kind.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// One object and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root, without `.`, `..`, leading or trailing slash; empty for the root itself.
    pub path: PathBuf,
    /// Owner, mode, times, extended attributes.
    pub meta: Metadata,
    /// What it is.
    pub kind: Kind,
}

/// What every kind of object has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits, set-id and sticky bits: `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification.
    pub mtime: Timestamp,
    /// Extended attributes that images carry, by full name (`security.capability`, `user.x`).
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of so many bytes.
    File {
        /// Length in bytes.
        size: u64,
    },
    /// A directory.
    Dir,
    /// A symbolic link and its target, verbatim.
    Symlink(PathBuf),
    /// Another name of a file; the path of the first name, relative to the root.
    HardLink(PathBuf),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Seconds and nanoseconds since 1970; negative seconds are before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub secs: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

impl Timestamp {
    /// Whole seconds.
    pub fn from_secs(secs: i64) -> Self {
        Self { secs, nanos: 0 }
    }

    /// The present.
    pub fn now() -> Self {
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { secs: since.as_secs().cast_signed(), nanos: since.subsec_nanos() }
    }

    /// Not later than `latest`, where that is given (SOURCE_DATE_EPOCH).
    pub fn clamp_to(self, latest: Option<Timestamp>) -> Self {
        latest.map_or(self, |latest| self.min(latest))
    }
}
