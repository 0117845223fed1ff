//! Directories of /proc and /sys, as copies of their names in the RUN's own root.
//!
//! A descriptor of a real one would be a way out of the root: `..` goes past it. A copy is inside.
//! What is in it are names alone; a file among them is served when a program opens it by its path.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, mkdirat, mknodat, openat, readlinkat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::caller::Identity;
use super::led::Led;
use super::path::Names;
use super::place::{Places, errno, is_masked};

/// The root's own /proc, /sys and /dev, that nothing else writes to.
#[derive(Debug)]
pub(super) struct Mirror {
    root: OwnedFd,
    /// One copy at a time; and who was led here last.
    last: Mutex<Option<Led>>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Copied {
    Directory,
    Link(Vec<u8>),
    File,
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Mirror {
    /// In a root whose /proc, /sys and /dev are the RUN's own.
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root, last: Mutex::default() }
    }

    /// Brings the copy of a directory up to date and opens it.
    pub(super) fn directory(
        &self,
        places: &Places,
        caller: &Identity,
        real: &Path,
    ) -> Result<OwnedFd, Errno> {
        let there = list(places, caller, real)?;
        let last = self.alone(caller);
        let copy = self.make(&names_of(real))?;
        let mut missing = there;
        for name in names_in(&copy)? {
            match missing.remove(name.as_slice()) {
                Some(copied) if same(&copy, &name, &copied) => {}
                wanted => {
                    remove(&copy, &name)?;
                    if let Some(copied) = wanted {
                        put(&copy, &name, &copied)?;
                    }
                }
            }
        }
        for (name, copied) in missing {
            put(&copy, &name, &copied)?;
        }
        drop(last);
        openat(&copy, ".", DIRECTORY, Mode::empty())
    }

    /// Puts a name into the copy, for calls of the kernel's that are about no more than its attributes.
    /// /dev has its names from the beginning.
    pub(super) fn shadow(
        &self,
        caller: &Identity,
        names: &[Vec<u8>],
        is_directory: bool,
    ) -> Result<(), Errno> {
        let [top, first, rest @ ..] = names else { return Ok(()) };
        if top == b"dev" || first == b"thread-self" {
            return Ok(());
        }
        let _alone = self.alone(caller);
        let of_caller = top == b"proc" && first == b"self";
        if of_caller {
            self.point_self(caller)?;
        }
        let process = caller.process.to_string().into_bytes();
        let mut way = vec![top.clone(), if of_caller { process } else { first.clone() }];
        way.extend_from_slice(rest);
        let Some(name) = way.pop() else { return Ok(()) };
        let copied = if is_directory { Copied::Directory } else { Copied::File };
        // Whatever is there already has attributes to ask for.
        put(&self.make(&way)?, &name, &copied)
    }

    /// Nobody else changes anything, and whoever was led has gone past.
    fn alone(&self, caller: &Identity) -> MutexGuard<'_, Option<Led>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref() {
            last.wait_for_end(caller);
        }
        last
    }

    /// Puts a link at a path of the copy, for a call that the kernel itself has to carry out. `self`
    /// is the caller from then on.
    pub(super) fn plant(
        &self,
        caller: &Identity,
        led: Led,
        at: &Path,
        target: &[u8],
    ) -> Result<(), Errno> {
        let mut last = self.alone(caller);
        let mut names = names_of(at);
        let Some(name) = names.pop() else { return Err(Errno::INVAL) };
        let copied = Copied::Link(target.to_owned());
        let dir = self.make(&names)?;
        if !same(&dir, &name, &copied) {
            remove(&dir, &name)?;
            put(&dir, &name, &copied)?;
        }
        self.point_self(caller)?;
        *last = Some(led);
        Ok(())
    }

    /// Lets `/proc/self` be the caller's directory for a call that the kernel carries out.
    pub(super) fn enter(&self, caller: &Identity, led: Led) -> Result<(), Errno> {
        let mut last = self.alone(caller);
        self.point_self(caller)?;
        *last = Some(led);
        Ok(())
    }

    fn point_self(&self, caller: &Identity) -> Result<(), Errno> {
        let proc = self.make(&[b"proc".to_vec()])?;
        let copied = Copied::Link(caller.process.to_string().into_bytes());
        if !same(&proc, b"self", &copied) {
            remove(&proc, b"self")?;
            put(&proc, b"self", &copied)?;
        }
        Ok(())
    }

    /// The directory at a path, made in place of whatever is there, and those above it.
    fn make(&self, names: &[Vec<u8>]) -> Result<OwnedFd, Errno> {
        let mut dir = openat(&self.root, ".", DIRECTORY, Mode::empty())?;
        for name in names {
            let open = || openat(&dir, name.as_slice(), DIRECTORY, Mode::empty());
            let below = match open() {
                Err(Errno::NOENT) => {
                    put(&dir, name, &Copied::Directory)?;
                    open()?
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    remove(&dir, name)?;
                    put(&dir, name, &Copied::Directory)?;
                    open()?
                }
                result => result?,
            };
            dir = below;
        }
        Ok(dir)
    }
}

fn names_of(path: &Path) -> Names {
    super::path::normal(path.as_os_str().as_bytes())
}

/// What is in a real directory, as far as the RUN may know of it.
fn list(
    places: &Places,
    caller: &Identity,
    real: &Path,
) -> Result<BTreeMap<Vec<u8>, Copied>, Errno> {
    let mut found = BTreeMap::new();
    let is_proc = real == Path::new("/proc");
    let members = if is_proc { places.family.members().map_err(errno)? } else { Vec::new() };
    let eyes = caller.eyes();
    let entries: Vec<_> = std::fs::read_dir(real).map_err(errno)?.collect();
    drop(eyes);
    for entry in entries {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name().into_vec();
        if is_proc && is_masked(&name) {
            continue;
        }
        let is_process = name.iter().all(u8::is_ascii_digit);
        let process = || std::str::from_utf8(&name).ok().and_then(|name| name.parse().ok());
        if is_proc && is_process && !process().is_some_and(|process| members.contains(&process)) {
            continue;
        }
        let kind = entry.file_type().map_err(errno)?;
        let copied = if kind.is_dir() {
            Copied::Directory
        } else if kind.is_symlink() {
            match link_text(places, caller, &entry.path(), is_proc && name == b"self") {
                Some(text) => Copied::Link(text),
                None => continue,
            }
        } else {
            Copied::File
        };
        found.insert(name, copied);
    }
    Ok(found)
}

/// A link's text for the caller; nothing where the kernel says none.
fn link_text(places: &Places, caller: &Identity, link: &Path, is_self: bool) -> Option<Vec<u8>> {
    if is_self {
        return Some(caller.process.to_string().into_bytes());
    }
    places.text_of(caller, link).ok()
}

fn names_in(dir: &OwnedFd) -> Result<Names, Errno> {
    let path = PathBuf::from(crate::sandbox::root::path_of(dir.as_fd()));
    let entries = std::fs::read_dir(path).map_err(errno)?;
    entries.map(|entry| Ok(entry.map_err(errno)?.file_name().into_vec())).collect()
}

fn same(dir: &OwnedFd, name: &[u8], copied: &Copied) -> bool {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    let Ok(kind) = stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) else { return false };
    match copied {
        Copied::Directory => kind == FileType::Directory,
        Copied::File => kind == FileType::RegularFile,
        Copied::Link(text) => {
            kind == FileType::Symlink
                && readlinkat(dir, name, Vec::new()).is_ok_and(|found| found.as_bytes() == text)
        }
    }
}

fn put(dir: &OwnedFd, name: &[u8], copied: &Copied) -> Result<(), Errno> {
    let made = match copied {
        Copied::Directory => mkdirat(dir, name, Mode::from_raw_mode(0o755)),
        Copied::Link(text) => symlinkat(text.as_slice(), dir, name),
        Copied::File => mknodat(dir, name, FileType::RegularFile, Mode::from_raw_mode(0o444), 0),
    };
    match made {
        // Whatever it is: the name is there.
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

fn remove(dir: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => remove_directory(dir, name),
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// Copies are some levels deep at most, but the RUN may have put something there.
fn remove_directory(dir: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    let path = Path::new(&crate::sandbox::root::path_of(dir.as_fd())).join(OsStr::from_bytes(name));
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(errno(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::family::Family;
    use super::*;

    #[test]
    fn a_copy_follows_the_real_directory_and_stays_inside() {
        let root = tempfile::tempdir().unwrap();
        let opened = openat(rustix::fs::CWD, root.path(), DIRECTORY, Mode::empty()).unwrap();
        let mirror = Mirror::new(opened);
        let places =
            Places { family: Family::own(), root: b"/nowhere".to_vec(), own_devices: false };
        let own = std::process::id().cast_signed();
        let caller = Identity::of(own).unwrap();
        let real = PathBuf::from(format!("/proc/{own}/fd"));
        let names = |dir: &OwnedFd| names_in(dir).unwrap();

        let first = mirror.directory(&places, &caller, &real).unwrap();
        assert!(names(&first).contains(&b"1".to_vec()));
        let opened: Vec<_> = (0..40).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let many = names(&mirror.directory(&places, &caller, &real).unwrap()).len();
        drop(opened);
        let copy = mirror.directory(&places, &caller, &real).unwrap();
        assert!(names(&copy).len() <= many - 40);
        let place = std::fs::read_link(crate::sandbox::root::path_of(copy.as_fd())).unwrap();
        assert!(place.starts_with(root.path()));

        let proc = mirror.directory(&places, &caller, Path::new("/proc")).unwrap();
        let names = names(&proc);
        assert!(names.contains(&b"cpuinfo".to_vec()) && names.contains(&b"self".to_vec()));
        assert!(!names.contains(&b"1".to_vec()));
    }
}
