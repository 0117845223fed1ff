//! The directory in which a build keeps its blobs and file systems, and that is gone afterwards.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::request::Request;
use crate::sandbox::Entered;

/// What the names of work directories begin with.
const PREFIX: &str = "kiln-build-";

/// A build's own directory; removed when dropped.
#[derive(Debug)]
pub struct WorkDir {
    dir: TempDir,
    /// Locked as long as the build lives: how the next build tells a leftover from a neighbour.
    _lock: File,
}

impl WorkDir {
    /// Makes the directory where the request says, or else at the first usual place. Where
    /// `overlay` is needed, the place must be able to hold the upper directory of an overlay mount
    /// (an overlay, such as a container's own root, is not).
    pub fn create(request: &Request, sandbox: &Entered, overlay: bool) -> Result<Self> {
        if let Some(parent) = &request.work_dir {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot make the work directory {}", parent.display()))?;
            return Self::at(parent, sandbox, overlay);
        }
        let mut first_failure = None;
        for parent in [&request.temp_dir, Path::new("/var/tmp"), Path::new("/tmp")] {
            match Self::at(parent, sandbox, overlay) {
                Ok(made) => return Ok(made),
                Err(error) => _ = first_failure.get_or_insert(error),
            }
        }
        Err(first_failure.unwrap_or_else(|| anyhow::anyhow!("there is no temporary directory")))
    }

    fn at(parent: &Path, sandbox: &Entered, overlay: bool) -> Result<Self> {
        remove_leftovers(parent);
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(parent)
            .with_context(|| format!("cannot make a work directory in {}", parent.display()))?;
        let lock = lock(dir.path()).context("cannot lock the work directory")?;
        if overlay {
            sandbox.namespaces()?.check_work_dir(dir.path())?;
        }
        Ok(Self { dir, _lock: lock })
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn lock(path: &Path) -> std::io::Result<File> {
    let dir = File::open(path)?;
    flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
    Ok(dir)
}

/// Removes what builds left that were killed: their lock is free. Best effort: another build may
/// be faster, and other users' directories stay.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    let ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(PREFIX);
    let leftovers: Vec<PathBuf> =
        entries.flatten().filter(|entry| ours(&entry.file_name())).map(|e| e.path()).collect();
    for path in leftovers {
        let is_dir = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        if is_dir && let Ok(_held) = lock(&path) {
            _ = std::fs::remove_dir_all(&path);
        }
    }
}
