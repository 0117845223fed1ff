//! What covers parts of the image while a command runs, as mounts would: the image's own is moved
//! aside and comes back afterwards, and whatever was put into the covers is gone.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT,
    fchmod, fstat, futimens, makedev, mkdirat, mknodat, openat, openat2, renameat, statat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::rootfs::Root;
use crate::sandbox::devices::{DEVICES, LINKS};
use crate::sandbox::error::{During, SandboxError};
use crate::sandbox::request::DirectoryRoot;
use crate::sandbox::spec::Etc;

/// The directories that are no part of an image.
const DIRECTORIES: [&str; 3] = ["proc", "sys", "dev"];

/// The files of /etc that a RUN gets from kiln, and whose changes are its own.
const FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// All covers of one RUN.
#[derive(Debug)]
pub(super) struct Covers {
    root: OwnedFd,
    aside: OwnedFd,
    by_path: Root,
    devices: bool,
    /// Names that were moved aside, of directories and of files in /etc.
    moved: Vec<&'static str>,
    /// /etc was not there.
    made_etc: bool,
}

impl Covers {
    /// Puts them on.
    pub(super) fn put(place: &DirectoryRoot, etc: &Etc) -> Result<Self, SandboxError> {
        let open = |path: &Path| {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(CWD, path, flags, Mode::empty())
        };
        let root = open(&place.path).during(format!("open `{}`", place.path.display()))?;
        let aside = open(&place.aside).during(format!("open `{}`", place.aside.display()))?;
        let by_path = Root::open(&place.path)
            .map_err(io::Error::from)
            .during(format!("open `{}`", place.path.display()))?;
        let mut covers =
            Self { root, aside, by_path, devices: false, moved: Vec::new(), made_etc: false };
        match covers.put_all(etc) {
            Ok(()) => Ok(covers),
            Err(error) => {
                covers.take_off().ok();
                Err(error)
            }
        }
    }

    /// Whether the devices in /dev work, so that nobody has to serve them.
    pub(super) fn has_devices(&self) -> bool {
        self.devices
    }

    fn put_all(&mut self, etc: &Etc) -> Result<(), SandboxError> {
        for name in DIRECTORIES {
            self.cover_directory(name).during(format!("prepare /{name} for the command"))?;
        }
        self.devices = self.furnish().during("fill /dev for the command")?;
        let contents = [etc.hosts.as_bytes(), etc.hostname.as_bytes(), &etc.resolv_conf];
        self.cover_files(contents).during("put the command's own files into /etc")
    }

    fn cover_directory(&mut self, name: &'static str) -> io::Result<()> {
        if exists(&self.root, name)? {
            renameat(&self.root, name, &self.aside, name)?;
            self.moved.push(name);
        }
        mkdirat(&self.root, name, Mode::from_raw_mode(0o755))?;
        set_mode(&self.root, name, 0o755)
    }

    /// Fills /dev. Says whether devices could be made and work: a container may forbid the one, and a
    /// mount option the other.
    fn furnish(&self) -> io::Result<bool> {
        let dev = openat(&self.root, "dev", directory(), Mode::empty())?;
        for (name, target) in LINKS {
            symlinkat(target, &dev, name)?;
        }
        for (name, mode) in [("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o1777)] {
            mkdirat(&dev, name, Mode::from_raw_mode(0o755))?;
            set_mode(&dev, name, mode)?;
        }
        let mode = Mode::from_raw_mode(0o666);
        let make = |(name, major, minor)| -> io::Result<()> {
            mknodat(&dev, name, FileType::CharacterDevice, mode, makedev(major, minor))?;
            rustix::fs::chmodat(&dev, name, mode, AtFlags::empty())?;
            // There is no terminal to open.
            if name != "tty" {
                openat(&dev, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            }
            Ok(())
        };
        if DEVICES.into_iter().try_for_each(make).is_ok() {
            return Ok(true);
        }
        // The broker serves them; a name each for who lists the directory.
        for (name, ..) in DEVICES {
            unlinkat(&dev, name, AtFlags::empty()).or_else(ignore_missing)?;
            mknodat(&dev, name, FileType::RegularFile, mode, 0)?;
        }
        Ok(false)
    }

    fn cover_files(&mut self, contents: [&[u8]; 3]) -> io::Result<()> {
        if !exists(&self.root, "etc")? {
            mkdirat(&self.root, "etc", Mode::from_raw_mode(0o755))?;
            set_mode(&self.root, "etc", 0o755)?;
            self.made_etc = true;
        }
        let Some(etc) = self.etc()? else {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "/etc is no directory"));
        };
        let before = fstat(&etc)?;
        for (name, content) in FILES.into_iter().zip(contents) {
            if exists(&etc, name)? {
                renameat(&etc, name, &self.aside, name)?;
                self.moved.push(name);
            }
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let file = openat(&etc, name, flags, Mode::from_raw_mode(0o644))?;
            fchmod(&file, Mode::from_raw_mode(0o644))?;
            io::Write::write_all(&mut std::fs::File::from(file), content)?;
        }
        keep_time(&etc, &before)
    }

    /// /etc, by way of links, which stay inside. Nothing if the image has something else there.
    fn etc(&self) -> io::Result<Option<OwnedFd>> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match openat2(&self.root, "etc", directory(), Mode::empty(), resolve) {
            Ok(etc) => Ok(Some(etc)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes them off. What the command did to the image stays.
    pub(super) fn take_off(self) -> Result<(), SandboxError> {
        for name in DIRECTORIES {
            self.uncover_directory(name).during(format!("give /{name} back to the image"))?;
        }
        self.uncover_files().during("take the command's own files out of /etc")
    }

    fn uncover_directory(&self, name: &'static str) -> io::Result<()> {
        self.by_path.remove_tree(Path::new(name))?;
        self.bring_back(name, &self.root)
    }

    fn uncover_files(&self) -> io::Result<()> {
        // Without /etc there is nowhere to bring anything back to: the command has removed it.
        let Some(etc) = self.etc()? else { return Ok(()) };
        // What the command did to the directory is a change; what is done now is none.
        let before = fstat(&etc)?;
        for name in FILES {
            match unlinkat(&etc, name, AtFlags::empty()) {
                // A directory in the place of a file is the command's.
                Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
            self.bring_back(name, &etc)?;
        }
        keep_time(&etc, &before)?;
        if self.made_etc {
            // It stays if the command has put something into it.
            unlinkat(&self.root, "etc", AtFlags::REMOVEDIR).ok();
        }
        Ok(())
    }

    fn bring_back(&self, name: &'static str, to: &OwnedFd) -> io::Result<()> {
        if self.moved.contains(&name) {
            renameat(&self.aside, name, to, name)?;
        }
        Ok(())
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

fn exists(dir: &OwnedFd, name: &str) -> io::Result<bool> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn ignore_missing(errno: Errno) -> Result<(), Errno> {
    if errno == Errno::NOENT { Ok(()) } else { Err(errno) }
}

/// Whatever kiln's umask is.
fn set_mode(dir: &OwnedFd, name: impl AsRef<OsStr>, mode: u32) -> io::Result<()> {
    let made = openat(dir, name.as_ref(), directory() | OFlags::NOFOLLOW, Mode::empty())?;
    Ok(fchmod(made.as_fd(), Mode::from_raw_mode(mode))?)
}

/// Gives a directory the time of last modification that it had.
fn keep_time(dir: &OwnedFd, before: &Stat) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: before.st_mtime,
            tv_nsec: i64::try_from(before.st_mtime_nsec).unwrap_or_default(),
        },
    };
    Ok(futimens(dir, &times)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_the_image_has_comes_back_and_what_covered_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("root"), dir.path().join("aside"));
        for made in ["root/etc", "root/dev/own", "aside"] {
            fs::create_dir_all(dir.path().join(made)).unwrap();
        }
        std::os::unix::fs::symlink("../run/resolv.conf", path.join("etc/resolv.conf")).unwrap();
        let time = fs::metadata(path.join("etc")).unwrap().mtime_nsec();
        let place = DirectoryRoot { path: path.clone(), aside: aside.clone(), links: Vec::new() };
        let etc = Etc { hosts: "h".into(), hostname: "n".into(), resolv_conf: b"r".to_vec() };

        let covers = Covers::put(&place, &etc).unwrap();
        assert_eq!(fs::read(path.join("etc/resolv.conf")).unwrap(), b"r");
        assert!(path.join("dev/shm").is_dir() && !path.join("dev/own").exists());
        fs::write(path.join("dev/shm/x"), "").unwrap();
        fs::write(path.join("etc/hosts"), "changed").unwrap();
        fs::create_dir(path.join("proc/1")).unwrap();
        covers.take_off().unwrap();

        assert!(path.join("dev/own").is_dir() && !path.join("dev/shm").exists());
        assert!(!path.join("proc").exists() && !path.join("etc/hosts").exists());
        let link = fs::read_link(path.join("etc/resolv.conf")).unwrap();
        assert_eq!(link, Path::new("../run/resolv.conf"));
        assert_eq!(fs::metadata(path.join("etc")).unwrap().mtime_nsec(), time);
        assert_eq!(fs::read_dir(&aside).unwrap().count(), 0);
    }

    #[test]
    fn an_image_without_anything_has_nothing_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("root"), dir.path().join("aside"));
        fs::create_dir(&path).unwrap();
        fs::create_dir(&aside).unwrap();
        let place = DirectoryRoot { path: path.clone(), aside, links: Vec::new() };
        let etc = Etc { hosts: String::new(), hostname: String::new(), resolv_conf: Vec::new() };
        Covers::put(&place, &etc).unwrap().take_off().unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }
}
