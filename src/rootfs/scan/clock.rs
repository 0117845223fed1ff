//! What time a file system has.
//!
//! Times on disk come in steps: those of the kernel's tick, or of the file system where these are
//! larger (two seconds on FAT). A file that was looked at can change again within the same step, and
//! its stamp is then the same. git knows this as the racy problem
//! (git's Documentation/technical/racy-git.txt). So a stamp is only believed if it is older than a
//! file that is made afterwards, before the next command begins.

use std::io;

use super::Scan;
use super::stamp::Stamp;
use crate::layer::Timestamp;
use crate::rootfs::diff::DiffError;
use crate::rootfs::root::Root;

/// The time that a change would get now.
pub(super) fn now(root: &Root, scan: &Scan) -> Result<Timestamp, DiffError> {
    read(root, scan).map_err(|source| DiffError::Clock { path: scan.scratch.clone(), source })
}

fn read(root: &Root, scan: &Scan) -> io::Result<Timestamp> {
    let dir = std::fs::File::open(&scan.scratch)?;
    if Stamp::of(&dir)?.identity.device != Stamp::of(root)?.identity.device {
        let message = "it is on another file system than the image's files";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let probe = tempfile::tempfile_in(&scan.scratch)?;
    Ok(Stamp::of(&probe)?.changed)
}
