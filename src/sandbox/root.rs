//! Paths inside the root of a RUN, before it is `/`. The image is hostile: each path is resolved by
//! the kernel inside the root, and what was found is used by its descriptor.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, chmodat, fstat, mkdirat, openat, openat2,
    readlinkat, utimensat,
};
use rustix::io::Errno;

use super::replica::times;

/// As many as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// How often a look-up is repeated that the kernel could not do safely because of a rename somewhere
/// on the machine (openat2(2), EAGAIN).
const MAX_RACES: usize = 128;

/// What is to be mounted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// A mounted root directory.
#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
    /// What had to be made in it, relative to it.
    made: Vec<OsString>,
    /// Directories keep their time when something is made in them: it is no change of the image.
    keeps_times: bool,
}

impl Root {
    pub fn new(directory: OwnedFd) -> Self {
        Self { directory, made: Vec::new(), keeps_times: false }
    }

    /// A root in which nothing shows that something was made in it but what was made.
    pub fn keeping_times(directory: OwnedFd) -> Self {
        Self { directory, made: Vec::new(), keeps_times: true }
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// What had to be made, parents first.
    pub fn into_made(self) -> Vec<OsString> {
        self.made
    }

    /// Opens what is there, as a place and not for its content.
    pub fn open(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        self.look_up(path, OFlags::PATH)
    }

    /// Opens a place to mount on, and makes it, with its parents, if there is none. A symbolic link
    /// that leads nowhere is followed to where it would lead, as any program would do.
    pub fn ensure(&mut self, path: &Path, kind: Kind) -> io::Result<OwnedFd> {
        self.ensure_through(path, kind, MAX_LINKS)
    }

    fn ensure_through(&mut self, path: &Path, kind: Kind, links: usize) -> io::Result<OwnedFd> {
        match self.open(path) {
            Err(Errno::NOENT) => {}
            result => return Ok(result?),
        }
        let name = path.file_name().ok_or(Errno::NOENT)?;
        let parent_path = path.parent().unwrap_or(Path::new(""));
        if let Ok(link) = self.look_up(path, OFlags::PATH | OFlags::NOFOLLOW) {
            let target = PathBuf::from(OsString::from_vec(readlinkat(&link, "", [])?.into_bytes()));
            let links = links.checked_sub(1).ok_or(Errno::LOOP)?;
            return self.ensure_through(&parent_path.join(target), kind, links);
        }
        let parent = self.ensure_through(parent_path, Kind::Directory, links)?;
        let before = fstat(&parent)?;
        match kind {
            // Whatever the umask is.
            Kind::Directory => {
                let mode = Mode::from_raw_mode(0o755);
                mkdirat(&parent, name, mode)?;
                chmodat(&parent, name, mode, AtFlags::empty())?;
            }
            Kind::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
            }
        }
        self.made.push(self.name_of(&parent)?.join(name).into());
        if self.keeps_times {
            let parent = path_of(parent.as_fd());
            utimensat(CWD, parent, &times(&before), AtFlags::empty())?;
        }
        Ok(openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Opens what a path of the root leads to.
    pub fn look_up(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = flags | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..MAX_RACES {
            match openat2(&self.directory, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    /// The path of something in the root, without symbolic links.
    pub fn name_of(&self, place: &OwnedFd) -> io::Result<PathBuf> {
        let root = std::fs::read_link(path_of(self.as_fd()))?;
        let place = std::fs::read_link(path_of(place.as_fd()))?;
        place.strip_prefix(root).map(Path::to_owned).map_err(io::Error::other)
    }
}

/// A path that leads to what a descriptor is of, for calls that take no descriptor.
pub(super) fn path_of(place: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", place.as_raw_fd())
}

/// Whether it is a directory.
pub(super) fn is_directory(place: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let stat = rustix::fs::fstat(place)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root(directory: &Path) -> Root {
        Root::keeping_times(openat(CWD, directory, OFlags::PATH, Mode::empty()).unwrap())
    }

    #[test]
    fn what_is_missing_is_made_inside_whatever_the_links_say() {
        let outside = tempfile::tempdir().unwrap();
        let directory = outside.path().join("root");
        std::fs::create_dir(&directory).unwrap();
        std::fs::create_dir(directory.join("etc")).unwrap();
        symlink("../../../../run/a/resolv.conf", directory.join("etc/resolv.conf")).unwrap();
        symlink(outside.path().join("x"), directory.join("etc/hosts")).unwrap();
        symlink("loop", directory.join("etc/loop")).unwrap();
        let mut root = root(&directory);
        let time = std::fs::metadata(&directory).unwrap().modified().unwrap();

        root.ensure(Path::new("etc/resolv.conf"), Kind::File).unwrap();
        root.ensure(Path::new("etc/hosts"), Kind::File).unwrap();
        root.ensure(Path::new("proc"), Kind::Directory).unwrap();
        root.ensure(Path::new("etc"), Kind::Directory).unwrap();
        assert!(root.ensure(Path::new("etc/loop"), Kind::File).is_err());

        assert!(directory.join("run/a/resolv.conf").is_file());
        assert!(!outside.path().join("x").exists());
        let inside = directory.join(outside.path().strip_prefix("/").unwrap()).join("x");
        assert!(inside.is_file());
        let made = root.into_made();
        assert_eq!(made[..3], ["run", "run/a", "run/a/resolv.conf"]);
        assert_eq!(made[made.len() - 1], "proc");
        assert!(made.iter().all(|path| directory.join(path).symlink_metadata().is_ok()));
        assert_eq!(std::fs::metadata(&directory).unwrap().modified().unwrap(), time);
    }
}
