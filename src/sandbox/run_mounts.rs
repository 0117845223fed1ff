//! The mounts that a request asks for, in namespaces. What they show is opened while kiln's files are
//! still in sight, made ready in a room of the sandbox's own, and attached when the rest of the root
//! is complete.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chmodat, chownat, fchmod, fstat, mkdirat,
    openat,
};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountFlags};

use super::error::{During, SandboxError};
use super::mount_request::{Access, MountContent, MountSource, RunMount};
use super::mounts::Mount;
use super::overlay::Stack;
use super::replica::Replica;
use super::root::{Kind, Root, is_directory, path_of};
use super::spec::OverlaySpec;

/// What a file system for one file has beside the file: its directory, and the rest of a page.
const BESIDE: u64 = 64 << 10;

const HANDLE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// What the sources on this machine are, opened.
#[derive(Debug)]
pub(super) struct Sources(Vec<Option<OwnedFd>>);

impl Sources {
    /// Opens them. Before anything is mounted that may cover them.
    pub fn open(mounts: &[RunMount]) -> Result<Self, SandboxError> {
        let open = |mount: &RunMount| match &mount.source {
            MountSource::Path(path) | MountSource::Socket { path, .. } => {
                let opened = openat(CWD, path, HANDLE | OFlags::NOFOLLOW, Mode::empty());
                let target = mount.target.display();
                opened.map(Some).during(format!("open `{}` for `{target}`", path.display()))
            }
            _ => Ok(None),
        };
        mounts.iter().map(open).collect::<Result<_, _>>().map(Self)
    }
}

/// What is attached.
#[derive(Debug)]
enum Ready {
    Mount(Mount),
    /// Of at most so many bytes. Its mode is known only when its place is.
    Tmpfs(Option<u64>),
}

/// What the mounts of one command are made with.
pub(super) struct RunMounts<'a> {
    pub layers: &'a OverlaySpec,
    /// Only one id is mapped: everything is root's.
    pub single_id: bool,
    /// A directory in which mount points can be made that the command does not see.
    pub room: BorrowedFd<'a>,
}

impl RunMounts<'_> {
    /// Mounts them all on a root that is otherwise complete. The working directory is that of the
    /// layers.
    pub fn mount(&self, sources: Sources, root: &mut Root) -> Result<(), SandboxError> {
        // All before any is attached: what one shows may be where another one goes.
        let mut all = Vec::new();
        for (number, (mount, source)) in self.layers.mounts.iter().zip(sources.0).enumerate() {
            let what = format!("prepare the mount `{}`", mount.target.display());
            all.push((mount, self.prepare(number, mount, source).during(what)?));
        }
        for (mount, ready) in all {
            let what = format!("mount `{}`", mount.target.display());
            attach(root, mount, ready).during(what)?;
        }
        Ok(())
    }

    fn prepare(
        &self,
        number: usize,
        mount: &RunMount,
        source: Option<OwnedFd>,
    ) -> io::Result<Ready> {
        let discards = mount.access == Access::Discard;
        let made = match (&mount.source, source) {
            (MountSource::Tmpfs { size }, _) => return Ok(Ready::Tmpfs(*size)),
            (MountSource::File { content, mode, uid, gid }, _) => {
                self.file(number, content, *mode, (*uid, *gid))?
            }
            (MountSource::Layers { lowers, path }, _) => {
                self.layers(number, lowers, path, discards)?
            }
            (MountSource::Socket { mode, uid, gid, .. }, Some(socket)) => {
                self.socket(&socket, *mode, (*uid, *gid))?
            }
            (MountSource::Path(_), Some(path)) => self.path(number, &path, discards)?,
            (_, None) => return Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        Ok(Ready::Mount(made))
    }

    fn path(&self, number: usize, source: &OwnedFd, discards: bool) -> io::Result<Mount> {
        match (FileType::from_raw_mode(fstat(source)?.st_mode), discards) {
            (FileType::Directory | FileType::RegularFile, false) => Mount::bind(source.as_fd()),
            (FileType::Directory, true) => {
                // An overlay does not take every file system as its lower one.
                let lower = [PathBuf::from(path_of(source.as_fd()))];
                let overlay = self.overlay(number, &lower, Some(source.as_fd()));
                let seen = overlay.or_else(|_| self.copied(number, source))?;
                Mount::bind(seen.as_fd())
            }
            (FileType::RegularFile, true) => Mount::bind(self.copied(number, source)?.as_fd()),
            _ => Err(io::Error::other("it is neither a directory nor a regular file")),
        }
    }

    fn layers(
        &self,
        number: usize,
        lowers: &[PathBuf],
        path: &Path,
        discards: bool,
    ) -> io::Result<Mount> {
        // An overlay of one layer has to have something below it.
        let empty = self.place(&format!("empty{number}"))?;
        let mut all = vec![PathBuf::from(path_of(empty.as_fd()))];
        all.extend_from_slice(lowers);
        let top = match lowers.last() {
            Some(top) => openat(CWD, top, HANDLE, Mode::empty())?,
            None => empty.try_clone()?,
        };
        let seen = match discards {
            true => self.overlay(number, &all, Some(top.as_fd()))?,
            false if lowers.is_empty() => top,
            false => self.overlay(number, &all, None)?,
        };
        let part = Root::new(seen).open(path).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => io::Error::new(
                io::ErrorKind::NotFound,
                format!("`/{}` is not in what is mounted", path.display()),
            ),
            errno => errno.into(),
        })?;
        Mount::bind(part.as_fd())
    }

    /// An overlay; one with a root like `upper_like` can be written to, and forgets it.
    fn overlay(
        &self,
        number: usize,
        lowers: &[PathBuf],
        upper_like: Option<BorrowedFd<'_>>,
    ) -> io::Result<OwnedFd> {
        let mut own = None;
        if let Some(like) = upper_like {
            let directory = self.discarded()?.join(number.to_string());
            let (upper, work) = (directory.join("upper"), directory.join("work"));
            for directory in [&directory, &upper, &work] {
                mkdirat(CWD, directory, Mode::from_raw_mode(0o755))?;
            }
            self.settle_like(&upper, like)?;
            own = Some((upper, work));
        }
        let upper = own.as_ref().map(|(upper, work)| (upper.as_path(), work.as_path()));
        let flags = if own.is_some() { MountFlags::empty() } else { MountFlags::RDONLY };
        let stack = Stack { lowers, upper, userxattr: self.layers.user_namespace };
        let place = self.place(&format!("overlay{number}"))?;
        let options = stack.options().map_err(io::Error::other)?;
        options.mount(&path_of(place.as_fd()), flags)?;
        // Once more: the first descriptor is of the directory below the mount.
        Ok(openat(self.room, format!("overlay{number}"), HANDLE, Mode::empty())?)
    }

    fn settle_like(&self, upper: &Path, like: BorrowedFd<'_>) -> io::Result<()> {
        let stat = fstat(like)?;
        let owner = (stat.st_uid, stat.st_gid);
        let upper = openat(CWD, upper, HANDLE, Mode::empty())?;
        self.give(&upper, stat.st_mode & 0o7777, owner)?;
        let times = super::replica::times(&stat);
        Ok(rustix::fs::utimensat(CWD, path_of(upper.as_fd()), &times, AtFlags::empty())?)
    }

    /// A copy of a source, which vanishes.
    fn copied(&self, number: usize, source: &OwnedFd) -> io::Result<OwnedFd> {
        let discarded = openat(CWD, self.discarded()?, HANDLE, Mode::empty())?;
        let name = format!("copy{number}");
        let replica = Replica { single_id: self.single_id, cancel: None };
        if is_directory(source.as_fd())? {
            let path = PathBuf::from(path_of(source.as_fd())).join(".");
            replica.copy(&path, discarded.as_fd(), OsStr::new(&name))?;
        } else {
            let file = File::open(path_of(source.as_fd()))?;
            replica.copy_file(file, discarded.as_fd(), OsStr::new(&name))?;
        }
        Ok(openat(&discarded, name, HANDLE | OFlags::NOFOLLOW, Mode::empty())?)
    }

    /// A file system of its own, because the room's is one from which nothing can be executed.
    fn file(
        &self,
        number: usize,
        content: &MountContent,
        mode: u32,
        owner: (u32, u32),
    ) -> io::Result<Mount> {
        let place = self.place(&format!("file{number}"))?;
        let size = (content.bytes().len() as u64).saturating_add(BESIDE).to_string();
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let options = [("mode", "0700"), ("size", size.as_str())];
        let memory = Mount::new("tmpfs", &options, attributes)?.attach(place.as_fd())?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(memory.as_fd(), "file", flags, Mode::from_raw_mode(0o600))?;
        File::from(file).write_all(content.bytes())?;
        let file = openat(memory.as_fd(), "file", HANDLE, Mode::empty())?;
        self.give(&file, mode, owner)?;
        Mount::bind(file.as_fd())
    }

    fn socket(&self, socket: &OwnedFd, mode: u32, owner: (u32, u32)) -> io::Result<Mount> {
        let stat = fstat(socket)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return Err(io::Error::other("it is not a socket"));
        }
        if (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid) != (mode, owner.0, owner.1) {
            self.give(socket, mode, owner)?;
        }
        Mount::bind(socket.as_fd())
    }

    /// Gives something its owner and mode, in this order (chown(2)).
    fn give(&self, object: &OwnedFd, mode: u32, (uid, gid): (u32, u32)) -> io::Result<()> {
        let path = path_of(object.as_fd());
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        match chownat(CWD, &*path, Some(uid), Some(gid), AtFlags::empty()) {
            Err(Errno::PERM | Errno::INVAL) if self.single_id => {}
            given => given?,
        }
        Ok(chmodat(CWD, &*path, Mode::from_raw_mode(mode), AtFlags::empty())?)
    }

    fn place(&self, name: &str) -> io::Result<OwnedFd> {
        mkdirat(self.room, name, Mode::from_raw_mode(0o755))?;
        // Whatever kiln's umask is: it may be seen as an empty layer.
        let place = openat(
            self.room,
            name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        fchmod(&place, Mode::from_raw_mode(0o755))?;
        Ok(place)
    }

    fn discarded(&self) -> io::Result<&Path> {
        self.layers.discarded.as_deref().map(Path::new).ok_or(io::ErrorKind::NotFound.into())
    }
}

fn attach(root: &mut Root, mount: &RunMount, ready: Ready) -> io::Result<()> {
    let target = mount.target.strip_prefix("/").unwrap_or(&mount.target);
    let covered = root.open(target).and_then(fstat).ok();
    let made = match ready {
        Ready::Mount(made) => made,
        Ready::Tmpfs(size) => tmpfs(size, covered.map(|stat| stat.st_mode & 0o7777))?,
    };
    let is_dir = is_directory(made.as_fd())?;
    let place = root.ensure(target, if is_dir { Kind::Directory } else { Kind::File })?;
    may_be_covered(&root.name_of(&place)?)?;
    if is_directory(place.as_fd())? != is_dir {
        let (there, here) =
            if is_dir { ("a file", "a directory") } else { ("a directory", "a file") };
        return Err(io::Error::other(format!(
            "the image has {there} there, and {here} is mounted"
        )));
    }
    let made = made.attach(place.as_fd())?;
    if mount.access == Access::ReadOnly {
        made.read_only()?;
    }
    Ok(())
}

/// As runc: with the mode of the directory that it covers.
fn tmpfs(size: Option<u64>, mode: Option<u32>) -> io::Result<Mount> {
    let mode = format!("{:04o}", mode.unwrap_or(0o1777));
    let size = size.map(|size| size.to_string());
    let mut options = vec![("mode", mode.as_str())];
    options.extend(size.as_deref().map(|size| ("size", size)));
    Mount::new("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NOSUID)
}

/// Whether something may be mounted on a path of the root, in which all links were followed.
pub(super) fn may_be_covered(path: &Path) -> io::Result<()> {
    let refused = path.as_os_str().is_empty()
        || path == Path::new("dev")
        || path.starts_with("proc")
        || path.starts_with("sys");
    if refused {
        return Err(io::Error::other(format!(
            "it leads to `/{}`, on which nothing can be mounted",
            path.display()
        )));
    }
    Ok(())
}
