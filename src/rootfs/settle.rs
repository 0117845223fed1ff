//! Giving an object its owner, attributes, mode and time, in the one order in which they last.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{
    AtFlags, Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, chmodat, chownat, fchmod,
    fchown, fstat, futimens, statat, utimensat,
};

use super::{owner, xattr};
use crate::layer::{Metadata, Timestamp};
use crate::sys::credentials::FileIds;

/// What to do with a layer's owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// As the layer says; needs root, at least of a user namespace with a range of ids.
    Keep,
    /// Everything belongs to the one id that there is (a user namespace that maps one id); a file's
    /// owner is kept beside it.
    Ignore,
}

/// Whether the object may have attributes from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replace {
    /// It was there already.
    Yes,
    /// It is new.
    No,
}

/// What the system refused.
#[derive(Debug)]
pub(super) struct SettleError {
    /// As a verb: `chown`…
    pub(super) action: &'static str,
    pub(super) source: io::Error,
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> SettleError {
    move |source| SettleError { action, source }
}

/// Owner, attributes and mode of an open file or directory; the time is the caller's, because a
/// directory's changes with every name in it. Returns how many attributes were refused.
///
/// The order is the kernel's: chown(2) clears set-id bits and file capabilities, so it comes first;
/// a user's attribute needs write permission, so the mode comes last. System calls that would change
/// nothing are left out: each costs a journal entry, and there are as many as there are files.
pub(super) fn settle(
    file: impl AsFd,
    meta: &Metadata,
    ownership: Ownership,
    replace: Replace,
) -> Result<u64, SettleError> {
    let meta = &*owner::to_disk(meta, ownership);
    let stat = fstat(&file).map_err(|errno| failed("look at")(errno.into()))?;
    let owner = owner_to_set(&stat, meta, ownership);
    if let Some((uid, gid)) = owner {
        fchown(&file, Some(uid), Some(gid)).map_err(|errno| failed("chown")(errno.into()))?;
    }
    if replace == Replace::Yes {
        xattr::clear(&file, &meta.xattrs).map_err(failed("remove an attribute of"))?;
    }
    let refused = xattr::write(&file, &meta.xattrs).map_err(failed("write an attribute of"))?;
    if mode_differs(&stat, meta, owner.is_some()) {
        let _group = group_for_mode(meta, ownership);
        fchmod(&file, mode(meta)).map_err(|errno| failed("chmod")(errno.into()))?;
    }
    Ok(refused)
}

/// Owner, mode and time of something that cannot be opened: a link, a device, a pipe. The name must
/// just have been made in that directory by this process.
pub(super) fn settle_at(
    dir: impl AsFd,
    name: &OsStr,
    meta: &Metadata,
    ownership: Ownership,
    is_link: bool,
) -> Result<(), SettleError> {
    let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| failed("look at")(errno.into()))?;
    let owner = owner_to_set(&stat, meta, ownership);
    if let Some((uid, gid)) = owner {
        chownat(&dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed("chown")(errno.into()))?;
    }
    // fchmodat(2) cannot be told not to follow a link before Linux 6.6; a link's own mode is fixed.
    if !is_link && mode_differs(&stat, meta, owner.is_some()) {
        let _group = group_for_mode(meta, ownership);
        chmodat(&dir, name, mode(meta), AtFlags::empty())
            .map_err(|errno| failed("chmod")(errno.into()))?;
    }
    utimensat(&dir, name, &times(meta.mtime), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| failed("set the time of")(errno.into()))
}

/// Last modification; the last access is left alone.
pub(super) fn set_mtime(file: impl AsFd, mtime: Timestamp) -> rustix::io::Result<()> {
    futimens(file, &times(mtime))
}

/// The mode as the system takes it.
pub(super) fn mode(meta: &Metadata) -> Mode {
    Mode::from_raw_mode(meta.mode & 0o7777)
}

fn owner_to_set(stat: &Stat, meta: &Metadata, ownership: Ownership) -> Option<(Uid, Gid)> {
    let differs = (stat.st_uid, stat.st_gid) != (meta.uid, meta.gid);
    (ownership == Ownership::Keep && differs)
        .then(|| (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid)))
}

/// Without CAP_FSETID, chmod(2) drops the set-group-ID bit of what belongs to a group that the caller
/// is not in, so the caller joins it.
fn group_for_mode(meta: &Metadata, ownership: Ownership) -> Option<FileIds> {
    (ownership == Ownership::Keep && meta.mode & 0o2000 != 0).then(|| FileIds::take_group(meta.gid))
}

fn mode_differs(stat: &Stat, meta: &Metadata, chowned: bool) -> bool {
    let had = stat.st_mode & 0o7777;
    had != meta.mode & 0o7777 || (chowned && had & 0o6000 != 0)
}

fn times(mtime: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: mtime.secs,
            // Larger values have meanings of their own (UTIME_NOW) or none.
            tv_nsec: mtime.nanos.min(999_999_999).into(),
        },
    }
}
