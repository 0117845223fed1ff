//! Making what is no directory.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, makedev, mknodat, openat, symlinkat};
use rustix::io::Errno;

use super::{ExtractError, Unpacker, settling, system};
use crate::layer::{Kind, Metadata};
use crate::rootfs::place::split;
use crate::rootfs::scan::contents::Hash;
use crate::rootfs::scan::{Known, Stamp};
use crate::rootfs::settle::{Ownership, Replace, set_mtime, settle, settle_at};
use crate::rootfs::xattr;

const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Unpacker<'_> {
    pub(super) fn file(
        &mut self,
        path: &Path,
        meta: &Metadata,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ExtractError> {
        // Mostly the mode that it shall have in the end, which saves a chmod; writable by its owner,
        // without which a user's attributes cannot be set.
        let mode = Mode::from_raw_mode(meta.mode & 0o777 | 0o600);
        let dir = self.dir(split(path).0)?;
        let file = self
            .make(&dir, path, |dir, name| openat(dir, name, NEW_FILE, mode))?
            .map_err(|errno| system("make the file", path, errno))?;
        let content = self.copy(path, size, content, &file)?;
        let refused = settle(&file, meta, self.policy.ownership, Replace::No)
            .map_err(settling(path, meta))?;
        self.done.xattrs_refused += refused;
        set_mtime(&file, meta.mtime).map_err(|errno| system("set the time of", path, errno))?;
        self.note(path, meta, content, &file)
    }

    /// Notes what is in a finished file, where somebody wants to know. Its attributes are read back:
    /// the system may have refused some, and an owner that could not be given is one.
    fn note(
        &self,
        path: &Path,
        meta: &Metadata,
        content: Option<Hash>,
        file: &OwnedFd,
    ) -> Result<(), ExtractError> {
        let Some(ledger) = &self.policy.ledger else { return Ok(()) };
        let stamp = Stamp::of(file).map_err(|errno| system("look at", path, errno))?;
        let mut attributes = None;
        if !meta.xattrs.is_empty() || self.policy.ownership == Ownership::Ignore {
            let fail = |error| system("read the attributes of", path, error);
            // It is open for writing, and reading attributes takes no more.
            let found = xattr::read(file).map_err(fail)?;
            attributes = (!found.is_empty()).then(|| Box::new(found));
        }
        ledger.note(&stamp, Known { content, attributes });
        Ok(())
    }

    /// Writes a file's content; its hash, where there is a ledger.
    fn copy(
        &mut self,
        path: &Path,
        size: u64,
        content: &mut dyn Read,
        file: &OwnedFd,
    ) -> Result<Option<Hash>, ExtractError> {
        let mut got = 0;
        let mut hasher = self.policy.ledger.as_ref().map(|ledger| ledger.hashing().begin());
        while got < size {
            let filled = fill(content, &mut self.buffer, size - got)?;
            if filled == 0 {
                return Err(ExtractError::Short { path: path.to_owned(), size, got });
            }
            let mut block = &self.buffer[..filled];
            if let Some(hasher) = &mut hasher {
                hasher.update(block);
            }
            while !block.is_empty() {
                match rustix::io::write(file, block) {
                    Ok(written) => block = &block[written..],
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(system("write", path, errno)),
                }
            }
            got += filled as u64;
        }
        self.done.bytes += size;
        Ok(hasher.map(|hasher| hasher.finish()))
    }

    pub(super) fn symlink(
        &mut self,
        path: &Path,
        meta: &Metadata,
        target: &Path,
    ) -> Result<(), ExtractError> {
        let (dir, name) = split(path);
        let dir = self.dir(dir)?;
        self.make(&dir, path, |dir, name| symlinkat(target, dir, name))?
            .map_err(|errno| system("make the symbolic link", path, errno))?;
        settle_at(&dir, name, meta, self.policy.ownership, true).map_err(settling(path, meta))
    }

    /// A device or a named pipe. Devices are for containers with CAP_MKNOD; without it they are left
    /// out, as rootless engines do, since every container gets a /dev of its own.
    pub(super) fn node(
        &mut self,
        path: &Path,
        meta: &Metadata,
        kind: &Kind,
    ) -> Result<(), ExtractError> {
        let (kind, device) = match *kind {
            Kind::CharDevice { major, minor } => (FileType::CharacterDevice, (major, minor)),
            Kind::BlockDevice { major, minor } => (FileType::BlockDevice, (major, minor)),
            _ => (FileType::Fifo, (0, 0)),
        };
        let device = makedev(device.0, device.1);
        let mode = Mode::from_raw_mode(meta.mode & 0o777);
        let (dir, name) = split(path);
        let dir = self.dir(dir)?;
        match self.make(&dir, path, |dir, name| mknodat(dir, name, kind, mode, device))? {
            Ok(()) => {}
            Err(Errno::PERM) if kind != FileType::Fifo => {
                self.done.devices_refused += 1;
                self.refused.insert(path.to_owned());
                self.hide(path);
                return Ok(());
            }
            Err(errno) => return Err(system("make the device", path, errno)),
        }
        settle_at(&dir, name, meta, self.policy.ownership, false).map_err(settling(path, meta))
    }

    /// Makes something at a path, in place of whatever is there. The inner error is the system's for
    /// the thing itself.
    pub(super) fn make<T>(
        &mut self,
        dir: &OwnedFd,
        path: &Path,
        make: impl Fn(&OwnedFd, &OsStr) -> rustix::io::Result<T>,
    ) -> Result<rustix::io::Result<T>, ExtractError> {
        self.forget_foreign(path);
        let name = split(path).1;
        match make(dir, name) {
            Err(Errno::EXIST) => {
                self.clear(dir, path)?;
                Ok(make(dir, name))
            }
            result => Ok(result),
        }
    }
}

/// Reads until the buffer is full, or has `most` bytes, or the content ends.
fn fill(content: &mut dyn Read, buffer: &mut [u8], most: u64) -> Result<usize, ExtractError> {
    let room = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
    let mut filled = 0;
    while filled < room {
        match content.read(&mut buffer[filled..room]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ExtractError::Read(error)),
        }
    }
    Ok(filled)
}
