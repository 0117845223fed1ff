//! Making room in a directory that is in use: what is in it is moved elsewhere and later moved back,
//! but for what has to stay where it is.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat, renameat, statat,
    symlinkat,
};
use rustix::io::Errno;

use super::root::{CONTENT, DIRECTORY, Root, RootError, read_dir, remove_tree_at};
use super::settle::{Ownership, Replace, set_mtime, settle, settle_at};
use super::{stat, xattr};
use crate::layer::Metadata;

/// What stays where it is. Paths are relative to the directory that is vacated.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// With all that is in them.
    whole: BTreeSet<PathBuf>,
    /// Directories that stay, but not what is in them: somebody works in them.
    standing: BTreeSet<PathBuf>,
}

/// What a path is to the kept ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// Kept, or inside of what is.
    Stays,
    /// A directory that stays, or that is on the way to what does.
    Above,
    Free,
}

impl Kept {
    /// `whole` and all that is in them, and the bare directories `standing`.
    pub fn new(
        whole: impl IntoIterator<Item = PathBuf>,
        standing: impl IntoIterator<Item = PathBuf>,
    ) -> Self {
        let named = |path: &PathBuf| !path.as_os_str().is_empty();
        Self {
            whole: whole.into_iter().filter(named).collect(),
            standing: standing.into_iter().filter(named).collect(),
        }
    }

    /// Whether a path stays with all that is in it, or is inside of one that does.
    pub fn has(&self, path: &Path) -> bool {
        self.relation(path) == Relation::Stays
    }

    /// The paths that stay with all that is in them.
    pub fn whole(&self) -> &BTreeSet<PathBuf> {
        &self.whole
    }

    /// The directories that stay without what is in them.
    pub fn standing(&self) -> &BTreeSet<PathBuf> {
        &self.standing
    }

    fn relation(&self, path: &Path) -> Relation {
        if path.ancestors().any(|above| self.whole.contains(above)) {
            Relation::Stays
        } else if self.whole.iter().chain(&self.standing).any(|kept| kept.starts_with(path)) {
            Relation::Above
        } else {
            Relation::Free
        }
    }
}

/// The directories above what is kept, as they were.
#[derive(Debug, Default)]
pub struct Vacated(Vec<(PathBuf, Metadata)>);

/// Moves everything else from one directory to another.
pub fn vacate(from: &Root, to: &Root, kept: &Kept) -> Result<Vacated, RootError> {
    let mut vacated = Vacated(vec![(PathBuf::new(), metadata(from, Path::new(""))?)]);
    let mut free = Vec::new();
    for (path, relation) in outline(from, kept)? {
        match relation {
            Relation::Above => vacated.0.push((path.clone(), metadata(from, &path)?)),
            Relation::Free => free.push(path),
            Relation::Stays => {}
        }
    }
    for path in free {
        let parent = path.parent().unwrap_or(&path);
        to.create_dir_all(parent, 0o755)?;
        move_one(from, to, &path)?;
    }
    vacated.times(from)?;
    Ok(vacated)
}

/// Removes everything else.
pub fn clear(root: &Root, kept: &Kept) -> Result<(), RootError> {
    for (path, relation) in outline(root, kept)? {
        if relation == Relation::Free {
            root.remove_tree(&path)?;
        }
    }
    Ok(())
}

/// Moves all that [`vacate`] has moved back into a directory that was cleared.
pub fn bring_back(from: &Root, to: &Root, kept: &Kept, vacated: &Vacated) -> Result<(), RootError> {
    let present = |path: &Path| to.open_dir(path).is_ok();
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        let names = from
            .open_dir(&dir)
            .and_then(read_dir)
            .map_err(|errno| RootError::io("list", &dir, errno))?;
        for (name, kind) in names {
            let path = dir.join(name);
            // A directory that stayed has only some of its names to get back.
            if kind == FileType::Directory
                && kept.relation(&path) == Relation::Above
                && present(&path)
            {
                pending.push(path);
            } else {
                move_one(from, to, &path)?;
            }
        }
    }
    for (path, meta) in vacated.0.iter().rev() {
        to.set_metadata(path, meta, Ownership::Keep)?;
    }
    Ok(())
}

impl Vacated {
    fn times(&self, root: &Root) -> Result<(), RootError> {
        for (path, meta) in self.0.iter().rev() {
            root.set_metadata(path, meta, Ownership::Keep)?;
        }
        Ok(())
    }
}

/// The paths that decide: what is kept, the directories above it, and what is beside them.
fn outline(root: &Root, kept: &Kept) -> Result<Vec<(PathBuf, Relation)>, RootError> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        let names = root
            .open_dir(&dir)
            .and_then(read_dir)
            .map_err(|errno| RootError::io("list", &dir, errno))?;
        for (name, kind) in names {
            let path = dir.join(name);
            let relation = match kept.relation(&path) {
                // It cannot lead to anything that is kept.
                Relation::Above if kind != FileType::Directory => Relation::Free,
                relation => relation,
            };
            if relation == Relation::Above {
                pending.push(path.clone());
            }
            found.push((path, relation));
        }
    }
    Ok(found)
}

fn metadata(root: &Root, path: &Path) -> Result<Metadata, RootError> {
    let fail = |source: io::Error| RootError::io("look at", path, source);
    let dir = root.open_dir(path).map_err(|errno| fail(errno.into()))?;
    metadata_of(&dir).map_err(fail)
}

fn metadata_of(file: impl AsFd) -> io::Result<Metadata> {
    let mut meta = stat::metadata(&fstat(&file)?);
    meta.xattrs = xattr::read(&file)?;
    Ok(meta)
}

/// Moves one name with all that is in it, to a place where nothing of that name is.
fn move_one(from: &Root, to: &Root, path: &Path) -> Result<(), RootError> {
    let (from_dir, name) = from.parent_of(path)?;
    let (to_dir, _) = to.parent_of(path)?;
    let moved = move_name(&from_dir, &to_dir, name);
    moved.map_err(|error| RootError::io("move", path, error))
}

fn move_name(from: &OwnedFd, to: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match renameat(from, name, to, name) {
        Ok(()) => return Ok(()),
        // Another file system; or a directory of a container image's own layer, which overlayfs does
        // not rename (Documentation/filesystems/overlayfs.rst, "renaming directories").
        Err(Errno::XDEV) => {}
        Err(errno) => return Err(errno.into()),
    }
    copy_name(from, to, name)?;
    Ok(remove_tree_at(from, name)?)
}

fn copy_name(from: &OwnedFd, to: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let found = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => copy_directory(from, to, name),
        FileType::RegularFile => copy_file(from, to, name),
        FileType::Symlink => {
            let target = readlinkat(from, name, Vec::new())?;
            symlinkat(target, to, name)?;
            settled(settle_at(to, name, &stat::metadata(&found), Ownership::Keep, true))
        }
        // Whoever listens on a socket has it no more once it is moved.
        FileType::Socket => Ok(()),
        kind => {
            rustix::fs::mknodat(to, name, kind, Mode::from_raw_mode(0o600), found.st_rdev)?;
            settled(settle_at(to, name, &stat::metadata(&found), Ownership::Keep, false))
        }
    }
}

fn copy_directory(from: &OwnedFd, to: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let dir = openat(from, name, DIRECTORY, Mode::empty())?;
    mkdirat(to, name, Mode::from_raw_mode(0o700))?;
    let copy = openat(to, name, DIRECTORY, Mode::empty())?;
    for (name, _) in read_dir(&dir)? {
        copy_name(&dir, &copy, &name)?;
    }
    settle_copy(&dir, &copy)
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let mut file = File::from(openat(from, name, CONTENT, Mode::empty())?);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut copy = File::from(openat(to, name, flags, Mode::from_raw_mode(0o600))?);
    io::copy(&mut file, &mut copy)?;
    settle_copy(&file, &copy)
}

fn settle_copy(file: impl AsFd, copy: impl AsFd) -> io::Result<()> {
    let meta = metadata_of(&file)?;
    settled(settle(&copy, &meta, Ownership::Keep, Replace::No).map(drop))?;
    Ok(set_mtime(copy, meta.mtime)?)
}

fn settled(result: Result<(), super::settle::SettleError>) -> io::Result<()> {
    result.map_err(|error| error.source)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn tree(dir: &Path) -> Vec<(String, u32, i64, Vec<u8>)> {
        let mut found = Vec::new();
        let mut pending = vec![dir.to_owned()];
        while let Some(path) = pending.pop() {
            for entry in fs::read_dir(&path).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                found.push((name, meta.mode(), meta.mtime(), content));
                if meta.is_dir() {
                    pending.push(path);
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn all_comes_back_and_what_is_kept_never_moves() {
        let dir = tempfile::tempdir().unwrap();
        let (own, aside) = (dir.path().join("own"), dir.path().join("aside"));
        for made in ["own/etc/ssl", "own/builds/project", "own/usr/bin", "aside"] {
            fs::create_dir_all(dir.path().join(made)).unwrap();
        }
        fs::write(own.join("etc/hosts"), "mounted").unwrap();
        fs::write(own.join("etc/passwd"), "root").unwrap();
        fs::write(own.join("usr/bin/sh"), "sh").unwrap();
        fs::set_permissions(own.join("usr/bin/sh"), fs::Permissions::from_mode(0o4755)).unwrap();
        fs::write(own.join("builds/project/x"), "x").unwrap();
        symlink("usr/bin", own.join("bin")).unwrap();
        let before = tree(&own);
        let kept = Kept::new(["etc/hosts".into(), "builds".into()], ["usr/bin".into()]);
        let worked_in = fs::metadata(own.join("usr/bin")).unwrap().ino();
        let (root, to) = (Root::open(&own).unwrap(), Root::open(&aside).unwrap());

        let vacated = vacate(&root, &to, &kept).unwrap();
        let left: Vec<String> = tree(&own).into_iter().map(|(name, ..)| name).collect();
        let expected =
            ["builds", "builds/project", "builds/project/x", "etc", "etc/hosts", "usr", "usr/bin"];
        assert_eq!(left, expected);
        // Something else moves in, also where a directory stayed.
        fs::write(own.join("etc/passwd"), "other").unwrap();
        fs::set_permissions(own.join("etc"), fs::Permissions::from_mode(0o700)).unwrap();
        clear(&root, &kept).unwrap();
        bring_back(&to, &root, &kept, &vacated).unwrap();
        assert_eq!(tree(&own), before);
        assert_eq!(fs::metadata(own.join("usr/bin")).unwrap().ino(), worked_in);
        let rest = tree(&aside);
        assert!(rest.iter().all(|(.., content)| content.is_empty()), "{rest:?}");
    }
}
