//! What the system says of an object without its content: if none of it has changed, nothing has.
//!
//! The change time is what this rests on: every change of an object's content, attributes or inode
//! sets it, and no system call sets it to anything but the time of the change (inode(7)).

use std::ffi::OsStr;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags, StatxTimestamp, statx};

use crate::layer::{Metadata, Timestamp};
use crate::rootfs::stat::{self, Found};

/// Which object it is. Numbers are used again when an object is gone, so its birth belongs to it;
/// not every file system keeps that (tmpfs does since Linux 5.19, NFS does not).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: (u32, u32),
    pub(super) inode: u64,
    pub(super) born: Option<Timestamp>,
}

/// One object at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rootfs) struct Stamp {
    pub(super) identity: Identity,
    pub(super) changed: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) size: u64,
    /// Type and permissions, as `st_mode` has them.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) rdev: (u32, u32),
    pub(super) links: u32,
}

/// An object, and whether something is mounted there.
pub(super) struct Looked {
    pub(super) stamp: Stamp,
    /// Nothing where the kernel does not say (before Linux 5.8).
    pub(super) is_mount: Option<bool>,
}

impl Stamp {
    /// Of a name in a directory. Links are not followed and nothing is mounted for the asking.
    pub(super) fn look(dir: impl AsFd, name: &OsStr) -> rustix::io::Result<Looked> {
        Self::ask(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
    }

    /// Of an open file.
    pub(in crate::rootfs) fn of(file: impl AsFd) -> rustix::io::Result<Self> {
        Ok(Self::ask(file, OsStr::new(""), AtFlags::EMPTY_PATH)?.stamp)
    }

    fn ask(dir: impl AsFd, name: &OsStr, flags: AtFlags) -> rustix::io::Result<Looked> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let found = statx(dir, name, flags, wanted)?;
        let mount = StatxAttributes::MOUNT_ROOT;
        let is_mount =
            found.stx_attributes_mask.contains(mount).then(|| found.stx_attributes.contains(mount));
        Ok(Looked { stamp: Self::read(&found), is_mount })
    }

    fn read(found: &Statx) -> Self {
        let has_birth = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        Self {
            identity: Identity {
                device: (found.stx_dev_major, found.stx_dev_minor),
                inode: found.stx_ino,
                born: has_birth.then(|| time(found.stx_btime)),
            },
            changed: time(found.stx_ctime),
            modified: time(found.stx_mtime),
            size: found.stx_size,
            mode: found.stx_mode.into(),
            uid: found.stx_uid,
            gid: found.stx_gid,
            rdev: (found.stx_rdev_major, found.stx_rdev_minor),
            links: found.stx_nlink,
        }
    }

    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    pub(super) fn is_regular(&self) -> bool {
        self.file_type() == FileType::RegularFile
    }

    /// Whether this is the same object in the same state. How many names it has is no part of that.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity && self.changed == other.changed && self.looks_like(other)
    }

    /// Whether it has the same type, owner, mode, time, size and device.
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        let all = |stamp: &Self| {
            let size = if stamp.is_regular() { stamp.size } else { 0 };
            (stamp.modified, size, stamp.mode, stamp.uid, stamp.gid, stamp.rdev)
        };
        all(self) == all(other)
    }

    /// What it is, in a layer's words.
    pub(super) fn found(&self) -> Found {
        stat::found_of(self.file_type(), self.rdev, self.size)
    }

    /// Its metadata, without attributes.
    pub(super) fn metadata(&self) -> Metadata {
        Metadata {
            mode: self.mode & 0o7777,
            uid: self.uid,
            gid: self.gid,
            mtime: self.modified,
            ..Metadata::default()
        }
    }
}

fn time(stamp: StatxTimestamp) -> Timestamp {
    Timestamp { secs: stamp.tv_sec, nanos: stamp.tv_nsec }
}
