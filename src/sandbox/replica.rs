//! Copies of directories and files of this machine, for where they cannot be mounted: with owners,
//! modes, times, attributes, symbolic links, and the hard links among them.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid,
    XattrFlags, chownat, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fstat, futimens, linkat,
    mkdirat, mknodat, openat, readlinkat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use crate::cancel::Cancel;

/// The kernel's limit for a list of attributes and for one value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const MAX_XATTR: usize = 64 * 1024;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How copies are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replica<'a> {
    /// Only one id is mapped: everything is root's.
    pub single_id: bool,
    /// Asked before each file.
    pub cancel: Option<&'a Cancel>,
}

impl Replica<'_> {
    /// Copies what is at a path of this machine, with all that is in it, to a name in `to` that is not
    /// there yet. What was made until an error stays.
    pub fn copy(self, from: &Path, to: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        let mut copying =
            Copying { how: self, top: to, path: PathBuf::from(name), first_names: HashMap::new() };
        copying.name(CWD, from.as_os_str(), to, name)
    }

    /// Copies an open file.
    pub fn copy_file(self, mut file: File, to: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut copy = File::from(openat(to, name, flags, Mode::from_raw_mode(0o600))?);
        // With copy_file_range(2) where it can, which shares blocks where it can.
        io::copy(&mut file, &mut copy)?;
        self.settle(&file, &copy)
    }

    /// Gives a file or directory what the original has: the owner first, since a change of it takes
    /// the set-user-ID bit and capabilities away.
    pub fn settle(self, file: impl AsFd, copy: impl AsFd) -> io::Result<()> {
        let stat = fstat(&file)?;
        let (uid, gid) = owner(&stat);
        self.given_away(fchown(&copy, Some(uid), Some(gid)))?;
        copy_attributes(&file, &copy)?;
        fchmod(&copy, mode(&stat))?;
        Ok(futimens(&copy, &times(&stat))?)
    }

    /// Without other ids, nothing can be given away, and nothing need be.
    pub fn given_away(self, result: rustix::io::Result<()>) -> rustix::io::Result<()> {
        match result {
            Err(Errno::PERM | Errno::INVAL) if self.single_id => Ok(()),
            result => result,
        }
    }
}

/// One copy under way.
struct Copying<'a> {
    how: Replica<'a>,
    /// Where the copy is made.
    top: BorrowedFd<'a>,
    /// Where it has got to, relative to that.
    path: PathBuf,
    /// Files with several names, by device and inode: where the copy is.
    first_names: HashMap<(u64, u64), PathBuf>,
}

impl Copying<'_> {
    fn name(
        &mut self,
        from: BorrowedFd<'_>,
        from_name: &OsStr,
        to: BorrowedFd<'_>,
        name: &OsStr,
    ) -> io::Result<()> {
        if let Some(cancel) = self.how.cancel {
            cancel.check().map_err(io::Error::other)?;
        }
        let stat = statat(from, from_name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && self.is_linked(&stat, to, name)? {
            return Ok(());
        }
        match kind {
            FileType::Directory => {
                let dir = openat(from, from_name, DIRECTORY, Mode::empty())?;
                self.directory(&dir, to, name)
            }
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(from, from_name, flags, Mode::empty())?;
                self.how.copy_file(file.into(), to, name)
            }
            FileType::Symlink => {
                symlinkat(readlinkat(from, from_name, Vec::new())?, to, name)?;
                self.settle_name(&stat, to, name)
            }
            kind => {
                mknodat(to, name, kind, Mode::from_raw_mode(0o600), stat.st_rdev)?;
                rustix::fs::chmodat(to, name, mode(&stat), AtFlags::empty())?;
                self.settle_name(&stat, to, name)
            }
        }
    }

    /// Makes it a further name of a file that was copied already, if it is one.
    fn is_linked(&mut self, stat: &Stat, to: BorrowedFd<'_>, name: &OsStr) -> io::Result<bool> {
        if stat.st_nlink < 2 {
            return Ok(false);
        }
        match self.first_names.get(&(stat.st_dev, stat.st_ino)) {
            Some(first) => {
                linkat(self.top, first, to, name, AtFlags::empty())?;
                Ok(true)
            }
            None => {
                self.first_names.insert((stat.st_dev, stat.st_ino), self.path.clone());
                Ok(false)
            }
        }
    }

    fn directory(&mut self, dir: &OwnedFd, to: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        mkdirat(to, name, Mode::from_raw_mode(0o700))?;
        let copy = openat(to, name, DIRECTORY, Mode::empty())?;
        for name in names(dir)? {
            self.path.push(&name);
            self.name(dir.as_fd(), &name, copy.as_fd(), &name)?;
            self.path.pop();
        }
        self.how.settle(dir, &copy)
    }

    fn settle_name(&self, stat: &Stat, to: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        let (uid, gid) = owner(stat);
        self.how.given_away(chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW))?;
        Ok(utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// The names in a directory.
pub(super) fn names(dir: impl AsFd) -> io::Result<Vec<OsString>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            found.push(OsString::from_vec(name));
        }
    }
    Ok(found)
}

/// Those of a user and file capabilities. Others are the machine's own (labels, ACLs, an overlay's
/// marks), and where they cannot be set, the copy does without.
fn copy_attributes(file: impl AsFd, copy: impl AsFd) -> io::Result<()> {
    let mut list = vec![0; MAX_XATTR];
    let length = match flistxattr(&file, &mut list[..]) {
        Err(Errno::NOTSUP) => return Ok(()),
        length => length?,
    };
    let mut value = vec![0; MAX_XATTR];
    for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let of_user = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
        if !of_user && name != b"security.capability" {
            continue;
        }
        let name = OsStr::from_bytes(name);
        let length = fgetxattr(&file, name, &mut value[..])?;
        match fsetxattr(&copy, name, &value[..length], XattrFlags::empty()) {
            Err(Errno::NOTSUP | Errno::PERM) => {}
            result => result?,
        }
    }
    Ok(())
}

fn owner(stat: &Stat) -> (Uid, Gid) {
    (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}

/// The time of last modification, and no other.
pub(super) fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn a_copy_has_everything_that_the_original_has() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::write(from.join("a/one"), "content").unwrap();
        fs::hard_link(from.join("a/one"), from.join("a/b/two")).unwrap();
        fs::set_permissions(from.join("a/one"), fs::Permissions::from_mode(0o4711)).unwrap();
        symlink("../nowhere", from.join("a/link")).unwrap();
        mknodat(CWD, from.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
        fs::set_permissions(from.join("a"), fs::Permissions::from_mode(0o2750)).unwrap();
        let old = fs::File::options().write(true).open(from.join("a/one")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)).unwrap();
        fs::create_dir(&to).unwrap();

        let place = openat(CWD, &to, DIRECTORY, Mode::empty()).unwrap();
        let how = Replica { single_id: false, cancel: None };
        how.copy(&from, place.as_fd(), OsStr::new("copy")).unwrap();

        let of = |path: &str| fs::symlink_metadata(to.join("copy").join(path)).unwrap();
        assert_eq!(of("a/one").ino(), of("a/b/two").ino());
        assert_ne!(of("a/one").ino(), fs::metadata(from.join("a/one")).unwrap().ino());
        for path in ["", "a", "a/b", "a/one", "a/link", "pipe"] {
            let (was, is) = (fs::symlink_metadata(from.join(path)).unwrap(), of(path));
            assert_eq!((was.mode(), was.uid(), was.mtime()), (is.mode(), is.uid(), is.mtime()));
            assert_eq!(was.mtime_nsec(), is.mtime_nsec(), "{path}");
        }
        assert_eq!(fs::read(to.join("copy/a/b/two")).unwrap(), b"content");
        assert_eq!(fs::read_link(to.join("copy/a/link")).unwrap(), Path::new("../nowhere"));
    }
}
