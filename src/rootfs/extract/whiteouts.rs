//! What a layer says is gone.
//!
//! It concerns the layers below only; what the same layer has put there stays, whichever comes first
//! in the archive (OCI image-spec layer.md#whiteouts).

use std::path::Path;

use rustix::fs::{FileType, Mode, makedev, mknodat, openat};
use rustix::io::Errno;

use super::{ExtractError, Unpacker, Whiteouts, system};
use crate::rootfs::place::split;
use crate::rootfs::root::{DIRECTORY, read_dir};
use crate::rootfs::xattr::Overlay;

impl Unpacker<'_> {
    /// What lower layers have at this path is gone.
    pub(super) fn remove(&mut self, path: &Path) -> Result<(), ExtractError> {
        match self.policy.whiteouts {
            Whiteouts::Skip => Ok(()),
            Whiteouts::Overlay { userxattr } => self.mark_removed(path, Overlay { userxattr }),
            Whiteouts::Apply => {
                let dir = self.dir(split(path).0)?;
                if self.touched.contains(path) {
                    self.clear_lower(path)
                } else {
                    self.clear(&dir, path)
                }
            }
        }
    }

    /// What lower layers have in this directory is gone.
    pub(super) fn opaque(&mut self, path: &Path) -> Result<(), ExtractError> {
        match self.policy.whiteouts {
            Whiteouts::Skip => Ok(()),
            Whiteouts::Overlay { userxattr } => {
                self.done.opaque_root |= path.as_os_str().is_empty();
                let dir = self.dir(path)?;
                Overlay { userxattr }
                    .set_opaque(&dir)
                    .map_err(|error| system("make opaque", path, error))
            }
            Whiteouts::Apply => {
                self.dir(path)?;
                self.clear_lower(path)
            }
        }
    }

    fn mark_removed(&mut self, path: &Path, overlay: Overlay) -> Result<(), ExtractError> {
        let (dir, name) = split(path);
        let dir = self.dir(dir)?;
        if self.foreign.contains_key(path) {
            return Ok(());
        }
        // A device 0:0 needs no privilege since Linux 5.8.
        match mknodat(&*dir, name, FileType::CharacterDevice, Mode::empty(), makedev(0, 0)) {
            Ok(()) => Ok(()),
            // This layer has put something there. That hides what is below, unless both are
            // directories, which overlayfs would merge.
            Err(Errno::EXIST) => match openat(&*dir, name, DIRECTORY, Mode::empty()) {
                Ok(dir) => {
                    overlay.set_opaque(&dir).map_err(|error| system("make opaque", path, error))
                }
                Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
                Err(errno) => Err(system("open", path, errno)),
            },
            Err(errno) => Err(system("make the whiteout", path, errno)),
        }
    }

    /// Removes what this layer has not put there, at any depth.
    fn clear_lower(&mut self, path: &Path) -> Result<(), ExtractError> {
        let mut pending = vec![path.to_owned()];
        while let Some(path) = pending.pop() {
            // A file that this layer has put there has nothing below it.
            let Some(dir) = self.existing_dir(&path)? else { continue };
            let names = read_dir(&*dir).map_err(|errno| system("list", &path, errno))?;
            for (name, _) in names {
                let below = path.join(name);
                if !self.touched.contains(&below) {
                    self.remember_time(&path, &dir)?;
                    self.clear(&dir, &below)?;
                } else {
                    pending.push(below);
                }
            }
        }
        Ok(())
    }
}
