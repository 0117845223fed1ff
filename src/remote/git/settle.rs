//! What git has checked out, as BuildKit has it: modes that depend on nothing but the repository.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::remote::RemoteError;

/// The name that no tracked file can have.
const GIT: &str = ".git";

/// What to do with a checkout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settle {
    /// Whether `.git` stays, in submodules too.
    pub(super) keep: bool,
    /// The time of everything, in seconds since 1970; as it is if none.
    pub(super) time: Option<i64>,
}

/// Sets modes and times of a tree that nobody else changes.
pub(super) fn settle(top: &Path, wish: &Settle) -> Result<(), RemoteError> {
    // Directories after what is in them, which changes their times.
    let mut dirs = vec![top.to_owned()];
    let mut seen = 0;
    while let Some(dir) = dirs.get(seen).cloned() {
        seen += 1;
        let entries = fs::read_dir(&dir).map_err(RemoteError::io("read", &dir))?;
        for entry in entries {
            let entry = entry.map_err(RemoteError::io("read", &dir))?;
            let path = entry.path();
            if entry.file_name() == GIT {
                if !wish.keep {
                    remove(&path).map_err(RemoteError::io("remove", &path))?;
                }
                continue;
            }
            let kind = entry.file_type().map_err(RemoteError::io("read", &path))?;
            if kind.is_dir() {
                dirs.push(path);
                continue;
            }
            let mode = kind.is_file().then(|| entry.metadata()).transpose();
            let mode = mode.map_err(RemoteError::io("read", &path))?;
            let mode = mode.map(|meta| match meta.permissions().mode() & 0o100 {
                0 => 0o644,
                _ => 0o755,
            });
            set(&path, mode, wish.time)?;
        }
    }
    dirs.iter().rev().try_for_each(|dir: &PathBuf| set(dir, Some(0o755), wish.time))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

fn set(path: &Path, mode: Option<u32>, time: Option<i64>) -> Result<(), RemoteError> {
    if let Some(mode) = mode {
        fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(RemoteError::io("set the mode of", path))?;
    }
    let Some(seconds) = time else { return Ok(()) };
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| RemoteError::io("set the time of", path)(error.into()))
}
