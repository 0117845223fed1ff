//! A layer that was unpacked apart ([`Whiteouts::Apart`]) comes to the layers below, as if it had been unpacked
//! on top of them.
//!
//! So layers can be unpacked at the same time where there is no overlay to lay them over each other. What
//! the layers below do not have is moved as a whole, by one rename(2) for a directory with all that is
//! in it; the rest name by name. Both directories have to be on one file system, and nobody may change
//! them meanwhile. Paths are literal: no link is followed, in neither.
//!
//! [`Whiteouts::Apart`]: super::Whiteouts::Apart

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, Stat, fchmod, fstat, linkat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::extract::{ExtractError, Extracted, system};
use super::place::{remove_below, split};
use super::root::{Root, read_dir, remove_tree_at};
use super::settle::{Ownership, set_mtime};
use super::stat;
use super::view::View;
use crate::layer::{Metadata, Timestamp};

/// Moves what a layer has in `own` to `root`. `own` is left with empty directories.
pub fn join(
    own: &Root,
    root: &Root,
    extracted: &Extracted,
    ownership: Ownership,
) -> Result<(), ExtractError> {
    let implicit = extracted.implicit_dirs.iter().map(PathBuf::as_path).collect();
    let mut join = Join { own, root, extracted, ownership, implicit, unfinished: BTreeMap::new() };
    // To what the layers below have, before anything of it is gone.
    join.link()?;
    join.hide()?;
    join.merge()?;
    join.finish()
}

struct Join<'a> {
    own: &'a Root,
    root: &'a Root,
    extracted: &'a Extracted,
    ownership: Ownership,
    implicit: BTreeSet<&'a Path>,
    /// What directories get when all is in them.
    unfinished: BTreeMap<PathBuf, Finish>,
}

enum Finish {
    /// The layer does not mention it: it keeps its time.
    Time(Timestamp),
    /// What the layer says of it.
    All(Metadata),
}

impl Join<'_> {
    /// Makes the hard links to files of the layers below, in the layer's own directory.
    fn link(&self) -> Result<(), ExtractError> {
        for (link, target, _) in &self.extracted.foreign_links {
            let missing =
                || ExtractError::MissingTarget { link: link.clone(), target: target.clone() };
            let (dir, name) = split(target);
            let from = existing(self.root, dir)?.ok_or_else(missing)?;
            let stat = look(&from, target, name)?.ok_or_else(missing)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let (link, target) = (link.clone(), target.clone());
                return Err(ExtractError::LinkToDirectory { link, target });
            }
            let fail = |errno| system("make the hard link", link, errno);
            let (dir, link_name) = split(link);
            let to = self.own.open_dir(dir).map_err(fail)?;
            let time = stat::mtime(&fstat(&to).map_err(fail)?);
            linkat(&from, name, &to, link_name, AtFlags::empty()).map_err(fail)?;
            set_mtime(&to, time).map_err(fail)?;
        }
        Ok(())
    }

    /// Removes what the layer's whiteouts concern.
    fn hide(&mut self) -> Result<(), ExtractError> {
        for path in &self.extracted.hidden {
            let (dir_path, name) = split(path);
            if let Some(dir) = existing(self.root, dir_path)?
                && look(&dir, path, name)?.is_some()
            {
                self.keep_time(dir_path, &dir)?;
                self.remove(&dir, path)?;
            }
        }
        for path in &self.extracted.emptied {
            let Some(dir) = existing(self.root, path)? else { continue };
            self.keep_time(path, &dir)?;
            for (name, _) in read_dir(&dir).map_err(|errno| system("list", path, errno))? {
                let below = path.join(name);
                if !self.extracted.emptied.contains(&below) {
                    self.remove(&dir, &below)?;
                }
            }
        }
        Ok(())
    }

    /// Moves everything, from above to below.
    fn merge(&mut self) -> Result<(), ExtractError> {
        let mut pending = vec![PathBuf::new()];
        while let Some(path) = pending.pop() {
            let fail = |errno| system("open", &path, errno);
            let from = self.own.open_dir(&path).map_err(fail)?;
            let to = self.root.open_dir(&path).map_err(fail)?;
            self.note(&path, &from, &to)?;
            for (name, kind) in read_dir(&from).map_err(|errno| system("list", &path, errno))? {
                let below = path.join(&name);
                let ours = match kind {
                    FileType::Unknown => is_dir(&look(&from, &below, &name)?),
                    kind => kind == FileType::Directory,
                };
                let there = look(&to, &below, &name)?;
                match (ours, is_dir(&there)) {
                    (true, true) => {
                        pending.push(below);
                        continue;
                    }
                    // rename(2) replaces what is no directory by what is none.
                    (false, false) => {}
                    (true, false) | (false, true) => self.remove(&to, &below)?,
                }
                let is_same = there.as_ref().is_some_and(|stat| !ours && stat.st_nlink > 1);
                renameat(&from, &name, &to, &name)
                    .map_err(|errno| system("move", &below, errno))?;
                // It does nothing where both are names of one file (rename(2)).
                if is_same && look(&from, &below, &name)?.is_some() {
                    unlinkat(&from, &name, AtFlags::empty())
                        .map_err(|errno| system("remove", &below, errno))?;
                }
            }
        }
        Ok(())
    }

    /// What a directory that both have will get, and that ours can be emptied.
    fn note(&mut self, path: &Path, from: &OwnedFd, to: &OwnedFd) -> Result<(), ExtractError> {
        let is_root = path.as_os_str().is_empty();
        let mentioned =
            if is_root { self.extracted.mentions_root } else { !self.implicit.contains(path) };
        if mentioned {
            let seen = self.own.lstat(path);
            let seen = seen.map_err(|error| system("look at", path, io::Error::other(error)))?;
            if let Some(entry) = seen {
                self.unfinished.insert(path.to_owned(), Finish::All(entry.meta));
            }
        } else {
            self.keep_time(path, to)?;
        }
        let mode = fstat(from).map_err(|errno| system("look at", path, errno))?.st_mode;
        if mode & 0o700 != 0o700 {
            let usable = Mode::from_raw_mode(mode & 0o7777 | 0o700);
            fchmod(from, usable).map_err(|errno| system("change the mode of", path, errno))?;
        }
        Ok(())
    }

    fn keep_time(&mut self, path: &Path, dir: &OwnedFd) -> Result<(), ExtractError> {
        if !self.unfinished.contains_key(path) {
            let stat = fstat(dir).map_err(|errno| system("look at", path, errno))?;
            self.unfinished.insert(path.to_owned(), Finish::Time(stat::mtime(&stat)));
        }
        Ok(())
    }

    fn remove(&mut self, dir: &OwnedFd, path: &Path) -> Result<(), ExtractError> {
        remove_tree_at(dir, split(path).1).map_err(|errno| system("remove", path, errno))?;
        remove_below(&mut self.unfinished, path);
        Ok(())
    }

    /// The deepest first.
    fn finish(self) -> Result<(), ExtractError> {
        for (path, finish) in self.unfinished.iter().rev() {
            match finish {
                Finish::Time(time) => {
                    let dir = self.root.open_dir(path);
                    let done = dir.and_then(|dir| set_mtime(&dir, *time));
                    done.map_err(|errno| system("finish the directory", path, errno))?;
                }
                Finish::All(meta) => {
                    let done = self.root.set_metadata(path, meta, self.ownership);
                    done.map_err(|error| {
                        system("finish the directory", path, io::Error::other(error))
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// The directory at a path, if there is one.
fn existing(root: &Root, path: &Path) -> Result<Option<OwnedFd>, ExtractError> {
    match root.open_dir(path) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(system("open", path, errno)),
    }
}

/// What is at a path, in the directory that it is in.
fn look(dir: &OwnedFd, path: &Path, name: &OsStr) -> Result<Option<Stat>, ExtractError> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(system("look at", path, errno)),
    }
}

fn is_dir(stat: &Option<Stat>) -> bool {
    stat.as_ref().is_some_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::testing::{Layer, Sandbox, ownership, snapshot};
    use crate::rootfs::{Extract, Whiteouts, extract};

    /// Unpacks a layer apart and joins it to what is in `below`.
    fn lay(below: &Sandbox, layer: &Layer) -> Result<(), ExtractError> {
        let own = Sandbox::new();
        let policy = Extract::new(Whiteouts::Apart, ownership());
        let extracted = extract(&mut layer.entries(), &own.root, &policy)?;
        join(&own.root, &below.root, &extracted, ownership())
    }

    fn names(sandbox: &Sandbox) -> Vec<String> {
        let paths = snapshot(&sandbox.root, false).into_keys();
        paths.map(|path| path.display().to_string()).filter(|path| !path.is_empty()).collect()
    }

    #[test]
    fn what_is_new_comes_and_what_is_hidden_goes() {
        let below = Sandbox::new();
        let base = Layer::default().dir("d").file("d/one", "1").file("d/two", "2").dir("d/sub");
        lay(&below, &base.file("d/sub/deep", "deep").dir("e").file("e/x", "x")).expect("joins");
        let top = Layer::default().file("d/.wh.one", "").file("d/sub", "a file now");
        let top = top.file("e/.wh..wh..opq", "").file("e/new/y", "y").hard("e/two", "d/two");
        lay(&below, &top).expect("joins");
        let there = ["d", "d/sub", "d/two", "e", "e/new", "e/new/y", "e/two"];
        assert_eq!(names(&below), there);
        let is_same = |one: &str, two: &str| {
            use std::os::unix::fs::MetadataExt as _;
            let inode =
                |path| std::fs::metadata(below.root.path().join(path)).expect("there").ino();
            inode(one) == inode(two)
        };
        assert!(is_same("d/two", "e/two"));
    }

    #[test]
    fn a_link_to_what_is_there_already_leaves_no_further_name() {
        use std::os::unix::fs::MetadataExt as _;
        let below = Sandbox::new();
        lay(&below, &Layer::default().file("a", "one").hard("b", "a")).expect("joins");
        lay(&below, &Layer::default().hard("b", "a").hard("c", "a")).expect("joins");
        let file = std::fs::metadata(below.root.path().join("a")).expect("there");
        assert_eq!((names(&below).join(" "), file.nlink()), ("a b c".to_owned(), 3));
    }

    #[test]
    fn a_link_may_come_in_place_of_links() {
        let below = Sandbox::new();
        lay(&below, &Layer::default().file("low", "one").file("low2", "two")).expect("joins");
        lay(&below, &Layer::default().hard("d/x", "low").hard("d", "low2")).expect("joins");
        assert_eq!(names(&below), ["d", "low", "low2"]);
    }

    #[test]
    fn links_to_nothing_and_to_directories_are_errors() {
        let below = Sandbox::new();
        lay(&below, &Layer::default().dir("d").symlink("s", "d")).expect("joins");
        for target in ["no", "no/such", "s/x"] {
            let error =
                lay(&below, &Layer::default().hard("x", target)).expect_err("nothing there");
            assert!(matches!(error, ExtractError::MissingTarget { .. }), "{error}");
        }
        let error = lay(&below, &Layer::default().hard("x", "d")).expect_err("a directory");
        assert!(matches!(error, ExtractError::LinkToDirectory { .. }), "{error}");
        lay(&below, &Layer::default().hard("x", "s")).expect("a symbolic link has names too");
    }

    #[test]
    fn no_link_is_followed() {
        let below = Sandbox::new();
        let outside = below.root.path().join("../outside-of-join");
        std::fs::create_dir(&outside).expect("made");
        std::fs::write(outside.join("kept"), "kept").expect("written");
        let link = Layer::default().symlink("d", "../outside-of-join");
        for top in [
            Layer::default().file("d/kept", "spoilt"),
            Layer::default().file("d/.wh.kept", ""),
            Layer::default().file("d/.wh..wh..opq", ""),
            Layer::default().dir("d").meta(|meta| meta.mode = 0),
        ] {
            lay(&below, &link).expect("joins");
            lay(&below, &top).expect("joins");
            assert_eq!(std::fs::read_to_string(outside.join("kept")).expect("there"), "kept");
        }
        std::fs::remove_dir_all(&outside).expect("removed");
    }
}
