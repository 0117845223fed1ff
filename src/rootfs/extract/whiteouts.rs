//! What a layer says is gone.
//!
//! It concerns the layers below only; what the same layer has put there stays, whichever comes first
//! in the archive (OCI image-spec layer.md#whiteouts).

use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, makedev, mknodat, openat, statat};
use rustix::io::Errno;

use super::{ExtractError, Extracted, Unpacker, Whiteouts, system};
use crate::rootfs::place::split;
use crate::rootfs::root::{DIRECTORY, read_dir};
use crate::rootfs::xattr::Overlay;

impl Unpacker<'_> {
    /// What lower layers have at this path is gone.
    pub(super) fn remove(&mut self, path: &Path) -> Result<(), ExtractError> {
        match self.policy.whiteouts {
            Whiteouts::Skip => Ok(()),
            Whiteouts::Overlay { userxattr } => self.mark_removed(path, Overlay { userxattr }),
            Whiteouts::Apart => self.note_removed(path),
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
            Whiteouts::Apart => {
                self.dir(path)?;
                self.note_emptied(path)
            }
            Whiteouts::Apply => {
                self.dir(path)?;
                self.clear_lower(path)
            }
        }
    }

    /// Notes that nothing of the layers below is at a path any more.
    pub(super) fn hide(&mut self, path: &Path) {
        if self.policy.whiteouts == Whiteouts::Apart {
            self.done.hidden.insert(path.to_owned());
        }
    }

    /// Of a directory in which this layer has put something, the directory itself stays, as one that the
    /// layers below may have too.
    fn note_removed(&mut self, path: &Path) -> Result<(), ExtractError> {
        let (dir, name) = split(path);
        let dir = self.dir(dir)?;
        if self.foreign.contains_key(path) {
            return Ok(());
        }
        match statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                self.note_emptied(path)?;
            }
            // It hides what is below.
            Ok(_) => {}
            Err(Errno::NOENT) => self.hide(path),
            Err(errno) => return Err(system("look at", path, errno)),
        }
        Ok(())
    }

    /// Notes that of a directory only what this layer has put there remains by now. Directories that it has
    /// put there may be the layers' below too, and stay as such.
    fn note_emptied(&mut self, path: &Path) -> Result<(), ExtractError> {
        let mut pending = vec![path.to_owned()];
        let mut found = Vec::new();
        while let Some(path) = pending.pop() {
            if self.is_hidden(&path) {
                continue;
            }
            let Some(dir) = self.existing_dir(&path)? else { continue };
            let names = read_dir(&*dir).map_err(|errno| system("list", &path, errno))?;
            pending.extend(names.into_iter().map(|(name, _)| path.join(name)));
            found.push(path);
        }
        self.done.emptied.extend(found);
        Ok(())
    }

    /// Whether what the layers below have at a path is gone already.
    fn is_hidden(&self, path: &Path) -> bool {
        let Extracted { hidden, emptied, .. } = &self.done;
        let is_emptied_above =
            |(below, above): (&Path, &Path)| emptied.contains(above) && !emptied.contains(below);
        path.ancestors().any(|above| hidden.contains(above))
            || path.ancestors().zip(path.ancestors().skip(1)).any(is_emptied_above)
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
