//! Hard links.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, linkat, statat};
use rustix::io::Errno;

use super::{ExtractError, Unpacker, Whiteouts, system};
use crate::layer::{Entry, Metadata};
use crate::rootfs::place::{remove_below, split};
use crate::rootfs::stat;

impl Unpacker<'_> {
    /// Makes another name for an object. Its metadata is that of the object.
    pub(super) fn link(
        &mut self,
        path: &Path,
        target: &Path,
        entry: &Entry,
    ) -> Result<(), ExtractError> {
        let meta = &entry.meta;
        let moved = self.passed_over.get(target).cloned();
        if !self.wants(path, &entry.kind) {
            if path != target {
                let content = moved.unwrap_or_else(|| Some(target.to_owned()));
                self.passed_over.insert(path.to_owned(), content);
            }
            return Ok(());
        }
        match moved {
            None => self.link_to(path, target, meta),
            Some(Some(moved)) => {
                // A second file of the first one's name would not be this link's content.
                self.relocate.remove(target);
                self.link_to(path, &moved, meta)
            }
            Some(None) => {
                let (link, target) = (path.to_owned(), target.to_owned());
                Err(ExtractError::FilteredTarget { link, target })
            }
        }
    }

    fn link_to(&mut self, path: &Path, target: &Path, meta: &Metadata) -> Result<(), ExtractError> {
        let dir = self.dir(split(path).0)?;
        let found = self.find(path, target)?;
        if path == target {
            if found.is_none() {
                return self.missing_target(path, target, meta);
            }
        } else {
            let linked = match &found {
                Some(found) => self.make(&dir, path, |dir, name| {
                    linkat(&**found, split(target).1, dir, name, AtFlags::empty())
                })?,
                None => Err(Errno::NOENT),
            };
            match linked {
                Ok(()) => {}
                // Also where the target was inside what the link replaces.
                Err(Errno::NOENT) => {
                    self.forget_foreign(path);
                    self.clear(&dir, path)?;
                    return self.missing_target(path, target, meta);
                }
                Err(errno) => return Err(system("make the hard link", path, errno)),
            }
        }
        self.touch(path);
        Ok(())
    }

    /// The directory in which the target is, if it is anywhere; nothing is made for the purpose.
    fn find(&self, link: &Path, target: &Path) -> Result<Option<Rc<OwnedFd>>, ExtractError> {
        let (dir, name) = split(target);
        let Some(dir) = self.existing_dir(dir)? else { return Ok(None) };
        let stat = match statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(system("look at", target, errno)),
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let (link, target) = (link.to_owned(), target.to_owned());
            return Err(ExtractError::LinkToDirectory { link, target });
        }
        Ok((self.overlay().is_none() || !stat::is_whiteout(&stat)).then_some(dir))
    }

    fn missing_target(
        &mut self,
        path: &Path,
        target: &Path,
        meta: &Metadata,
    ) -> Result<(), ExtractError> {
        let (path, target) = (path.to_owned(), target.to_owned());
        if self.refused.contains(&target) {
            self.done.devices_refused += 1;
            self.hide(&path);
            self.refused.insert(path);
            return Ok(());
        }
        if self.policy.whiteouts == Whiteouts::Apply {
            return Err(ExtractError::MissingTarget { link: path, target });
        }
        // What another such link names is what this one names.
        let target = self.foreign.get(&target).map_or(target, |(target, _)| target.clone());
        self.foreign.insert(path, (target, meta.clone()));
        Ok(())
    }

    /// What is no directory comes to a path.
    pub(super) fn forget_foreign(&mut self, path: &Path) {
        if !self.foreign.is_empty() {
            remove_below(&mut self.foreign, path);
        }
    }
}
