//! What stat(2) says, in the words of a layer.

use std::collections::BTreeMap;

use rustix::fs::{FileType, Stat, major, minor};

use crate::layer::{Kind, Metadata, Timestamp};

/// Where a [`Kind`] cannot be known from stat(2) alone, or has no place in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// All but a symbolic link.
    Kind(Kind),
    /// A symbolic link, whose target has to be read.
    Symlink,
    /// A socket, or something that Linux does not have yet.
    Other,
}

/// What kind of object this is.
pub(super) fn found(stat: &Stat) -> Found {
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    found_of(FileType::from_raw_mode(stat.st_mode), device, size(stat))
}

/// The same of its parts; a device's number is (major, minor).
pub(super) fn found_of(kind: FileType, (major, minor): (u32, u32), size: u64) -> Found {
    Found::Kind(match kind {
        FileType::RegularFile => Kind::File { size },
        FileType::Directory => Kind::Dir,
        FileType::CharacterDevice => Kind::CharDevice { major, minor },
        FileType::BlockDevice => Kind::BlockDevice { major, minor },
        FileType::Fifo => Kind::Fifo,
        FileType::Symlink => return Found::Symlink,
        FileType::Socket | FileType::Unknown => return Found::Other,
    })
}

/// Owner, mode and time; extended attributes are the caller's.
pub(super) fn metadata(stat: &Stat) -> Metadata {
    Metadata {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: mtime(stat),
        xattrs: BTreeMap::new(),
    }
}

/// Last modification.
pub(super) fn mtime(stat: &Stat) -> Timestamp {
    Timestamp { secs: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 }
}

/// Length in bytes.
pub(super) fn size(stat: &Stat) -> u64 {
    stat.st_size.max(0).cast_unsigned()
}

/// Whether this is how overlayfs says that an object is gone: a character device 0:0.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}
