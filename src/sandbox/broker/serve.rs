//! Carries out the calls that are the broker's.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustix::fs::{
    Access, AtFlags, CWD, FileType, MemfdFlags, Mode, OFlags, ResolveFlags, Statx, StatxFlags,
    accessat, fstat, memfd_create, openat, openat2, readlinkat, statfs, statx,
};
use rustix::io::Errno;

use super::call::{Call, Kind};
use super::hear::{Asked, Broker};
use super::place::{Content, Place, errno};
use super::stat;
use crate::sandbox::root::path_of;

/// What a call gets.
pub(super) enum Answer {
    /// The kernel carries it out.
    Proceed,
    /// This number.
    Value(i64),
    /// A descriptor.
    File(OwnedFd, OFlags),
}

impl Call {
    fn argument(&self, args: &[u64; 6], after_path: usize) -> u64 {
        args.get(self.after_path(after_path)).copied().unwrap_or_default()
    }

    fn flags(&self, args: &[u64; 6]) -> u32 {
        let at = match self.kind {
            Kind::Open | Kind::Statx => 0,
            Kind::StatAt | Kind::Access => 1,
            _ => return 0,
        };
        self.argument(args, at) as u32
    }

    /// Whether a link at the end of the path is followed.
    pub(super) fn follows(&self, args: &[u64; 6]) -> bool {
        let flags = self.flags(args);
        match self.kind {
            Kind::Lstat | Kind::Readlink | Kind::Symlink => false,
            Kind::Open => !open_flags(flags).contains(OFlags::NOFOLLOW),
            Kind::StatAt | Kind::Statx => flags & AtFlags::SYMLINK_NOFOLLOW.bits() == 0,
            _ => true,
        }
    }
}

fn open_flags(flags: u32) -> OFlags {
    OFlags::from_bits_retain(flags)
}

impl Broker {
    /// Answers a call. One that may have to wait for somebody waits on a thread of its own.
    pub(super) fn answer(self: &Arc<Self>, asked: Asked) {
        let broker = self.clone();
        if self.may_wait(&asked) {
            // Where there can be no thread, everyone waits with it.
            let id = asked.notification.id;
            let started = thread::Builder::new().spawn(move || broker.answer_now(&asked));
            if started.is_err() {
                self.listener.refuse(id, libc::EAGAIN).ok();
            }
        } else {
            self.answer_now(&asked);
        }
    }

    /// A named pipe waits for its other end.
    fn may_wait(&self, asked: &Asked) -> bool {
        matches!(asked.call.kind, Kind::Open | Kind::Open2 | Kind::Create)
            && matches!(
                self.places.resolve(&asked.caller, asked.names.clone(), true),
                Ok(Place::Held(_) | Place::Image(_))
            )
    }

    fn answer_now(&self, asked: &Asked) {
        let id = asked.notification.id;
        // An error of these: the caller has ended meanwhile.
        match self.carry_out(asked) {
            Ok(Answer::Proceed) => self.listener.proceed(id).ok(),
            Ok(Answer::Value(value)) => self.listener.answer(id, value).ok(),
            Ok(Answer::File(file, flags)) => {
                match self.listener.give(id, file.as_fd(), flags.contains(OFlags::CLOEXEC)) {
                    Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
                        self.listener.refuse(id, error.raw_os_error().unwrap_or(libc::EIO)).ok()
                    }
                    _ => None,
                }
            }
            Err(errno) => self.listener.refuse(id, errno.raw_os_error()).ok(),
        };
    }

    fn carry_out(&self, asked: &Asked) -> Result<Answer, Errno> {
        let args = &asked.notification.args;
        let follow = asked.call.follows(args);
        let open2 = match asked.call.kind {
            Kind::Open2 => match self.open_how(asked)? {
                Some(flags) => Some(flags),
                None => return Ok(Answer::Proceed),
            },
            _ => None,
        };
        let follow = open2.map_or(follow, |flags| !flags.contains(OFlags::NOFOLLOW));
        let place = self.places.resolve(&asked.caller, asked.names.clone(), follow)?;
        if place == Place::Private {
            return Ok(Answer::Proceed);
        }
        match asked.call.kind {
            Kind::Open => self.open(asked, &place, open_flags(asked.call.flags(args))),
            Kind::Create => {
                let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC;
                self.open(asked, &place, flags)
            }
            Kind::Open2 => self.open(asked, &place, open2.unwrap_or(OFlags::empty())),
            Kind::Stat | Kind::Lstat | Kind::StatAt => {
                let at = asked.call.argument(args, 0);
                let bytes = stat::stat(&self.describe(asked, &place)?, asked.layout);
                asked.memory.write(at, &bytes).map_err(errno)?;
                Ok(Answer::Value(0))
            }
            Kind::Statx => {
                let bytes = stat::statx(&self.describe(asked, &place)?);
                let at = asked.call.argument(args, 2);
                asked.memory.write(at, &bytes).map_err(errno)?;
                Ok(Answer::Value(0))
            }
            Kind::Readlink => self.read_link(asked, &place),
            Kind::Access => self.access(asked, &place),
            Kind::Chdir => self.change_directory(asked, &place),
            Kind::Statfs | Kind::Statfs64 => self.file_system(asked, &place),
            Kind::Execute => self.execute(asked, &place),
            Kind::Change => Ok(Answer::Value(0)),
            // None of these gets here: they are decided before.
            _ => Ok(Answer::Proceed),
        }
    }

    /// The flags of openat2(2); nothing where it restricts the way, which the kernel knows best.
    fn open_how(&self, asked: &Asked) -> Result<Option<OFlags>, Errno> {
        let mut how = [0; 24];
        let at = asked.call.argument(&asked.notification.args, 0);
        asked.memory.read(at, &mut how).map_err(errno)?;
        let word = |index: usize| {
            let bytes = how[8 * index..8 * index + 8].try_into().unwrap_or_default();
            u64::from_ne_bytes(bytes)
        };
        Ok((word(2) == 0).then(|| open_flags(word(0) as u32)))
    }

    fn open(&self, asked: &Asked, place: &Place, flags: OFlags) -> Result<Answer, Errno> {
        let flags = Self::to_hand_over(flags);
        if flags.contains(OFlags::CREATE | OFlags::EXCL) {
            return Err(Errno::EXIST);
        }
        let writes = flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC);
        let file = match place {
            Place::Real { writable: false, .. } if writes => {
                return Err(Errno::ROFS);
            }
            Place::Real { path, .. } => self.open_real(asked, path, flags)?,
            Place::Held(path) => self.open_held(asked, path, flags)?,
            Place::Made { .. } if writes => return Err(Errno::ACCESS),
            Place::Made { content, .. } => self.open_made(*content)?,
            Place::Image(path) => self.open_in_image(asked, path, flags)?,
            Place::Link { .. } => return Err(Errno::LOOP),
            Place::Private => return Ok(Answer::Proceed),
        };
        Ok(Answer::File(file, flags))
    }

    /// A terminal must not become the broker's own. openat2(2) takes only some flags beside O_PATH.
    fn adapted(flags: OFlags) -> OFlags {
        if flags.contains(OFlags::PATH) {
            let kept = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            return flags.intersection(kept) | OFlags::CLOEXEC;
        }
        flags.difference(OFlags::CREATE | OFlags::EXCL) | OFlags::NOCTTY | OFlags::CLOEXEC
    }

    /// A path descriptor cannot be handed over (seccomp_unotify(2): EBADF), so the caller gets one that
    /// can do more.
    fn to_hand_over(flags: OFlags) -> OFlags {
        if !flags.contains(OFlags::PATH) {
            return flags;
        }
        let kept = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        flags.intersection(kept) | OFlags::NONBLOCK
    }

    fn open_real(&self, asked: &Asked, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let eyes = asked.caller.eyes();
        let file = openat(CWD, path, Self::adapted(flags), Mode::empty())?;
        drop(eyes);
        if !is_directory(&file)? {
            return Ok(file);
        }
        drop(file);
        let copy = self.mirror.directory(&self.places, &asked.caller, path)?;
        Ok(copy)
    }

    /// What a process has open, once more. A directory must be one of the image's.
    fn open_held(&self, asked: &Asked, link: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let eyes = asked.caller.eyes();
        // A path descriptor first: what the link leads to may change.
        let held = openat(CWD, link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        if is_directory(&held)? {
            let path = std::fs::read_link(path_of(held.as_fd())).map_err(errno)?;
            self.places.inside(path.as_os_str().as_bytes()).ok_or(Errno::ACCESS)?;
        }
        let file =
            openat(CWD, path_of(held.as_fd()).as_str(), Self::adapted(flags), Mode::empty())?;
        drop(eyes);
        Ok(file)
    }

    fn open_made(&self, content: Content) -> Result<OwnedFd, Errno> {
        let memory = memfd_create("mounts", MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(memory);
        file.write_all(self.tables.content(content).as_bytes()).map_err(errno)?;
        // Opened anew, it is read from the beginning and cannot be written to.
        openat(CWD, path_of(file.as_fd()).as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    fn open_in_image(&self, asked: &Asked, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let _eyes = asked.caller.eyes();
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.root, path, Self::adapted(flags), Mode::empty(), resolve)
    }

    fn look(&self, asked: &Asked, place: &Place) -> Result<Statx, Errno> {
        let all = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
        if let Place::Image(path) = place {
            let flags = if asked.call.follows(&asked.notification.args) {
                OFlags::PATH
            } else {
                OFlags::PATH | OFlags::NOFOLLOW
            };
            let file = self.open_in_image(asked, path, flags)?;
            return statx(&file, "", AtFlags::EMPTY_PATH, all);
        }
        let (path, flags) = match place {
            Place::Link { real, .. } => (real, AtFlags::SYMLINK_NOFOLLOW),
            Place::Real { path, .. } if !asked.call.follows(&asked.notification.args) => {
                (path, AtFlags::SYMLINK_NOFOLLOW)
            }
            Place::Real { path, .. } => (path, AtFlags::empty()),
            Place::Held(real) | Place::Made { real, .. } => (real, AtFlags::empty()),
            Place::Image(_) | Place::Private => return Err(Errno::NOENT),
        };
        let _eyes = asked.caller.eyes();
        statx(CWD, path, flags, all)
    }

    /// Looks, and puts the name into the root: `ls -l` goes on to ask the kernel for attributes, which
    /// the broker would have to hear of for every file of the image, too.
    fn describe(&self, asked: &Asked, place: &Place) -> Result<Statx, Errno> {
        let file = self.look(asked, place)?;
        let is_directory = FileType::from_raw_mode(file.stx_mode.into()) == FileType::Directory;
        // Without it, a question for attributes has no answer; nothing else.
        self.mirror.shadow(&asked.caller, &asked.names, is_directory).ok();
        Ok(file)
    }

    fn read_link(&self, asked: &Asked, place: &Place) -> Result<Answer, Errno> {
        let text = match place {
            Place::Link { text, .. } => text.clone(),
            Place::Real { path, .. } => {
                let _eyes = asked.caller.eyes();
                std::fs::read_link(path).map_err(errno)?.into_os_string().into_vec()
            }
            Place::Image(path) => {
                let link = self.open_in_image(asked, path, OFlags::PATH | OFlags::NOFOLLOW)?;
                readlinkat(&link, "", Vec::new())?.into_bytes()
            }
            _ => return Err(Errno::INVAL),
        };
        let args = &asked.notification.args;
        let room = asked.call.argument(args, 1) as u32 as usize;
        let length = text.len().min(room);
        asked.memory.write(asked.call.argument(args, 0), &text[..length]).map_err(errno)?;
        Ok(Answer::Value(length as i64))
    }

    fn access(&self, asked: &Asked, place: &Place) -> Result<Answer, Errno> {
        let wanted = asked.call.argument(&asked.notification.args, 0) as u32;
        let wanted = Access::from_bits_truncate(wanted);
        let path = match place {
            Place::Real { writable: false, .. } if wanted.contains(Access::WRITE_OK) => {
                return Err(Errno::ROFS);
            }
            Place::Real { path, .. } | Place::Held(path) | Place::Link { real: path, .. } => {
                path.clone()
            }
            Place::Made { real, .. } => real.clone(),
            Place::Image(path) => {
                let file = self.open_in_image(asked, path, OFlags::PATH)?;
                let _eyes = asked.caller.eyes();
                accessat(CWD, path_of(file.as_fd()).as_str(), wanted, AtFlags::EACCESS)?;
                return Ok(Answer::Value(0));
            }
            Place::Private => return Ok(Answer::Proceed),
        };
        let _eyes = asked.caller.eyes();
        accessat(CWD, &path, wanted, AtFlags::EACCESS)?;
        Ok(Answer::Value(0))
    }

    /// The kernel goes there, to a copy that is made for it.
    fn change_directory(&self, asked: &Asked, place: &Place) -> Result<Answer, Errno> {
        match place {
            Place::Real { path, .. } => {
                let eyes = asked.caller.eyes();
                let directory = openat(
                    CWD,
                    path,
                    OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC,
                    Mode::empty(),
                )?;
                drop((directory, eyes));
                self.mirror.directory(&self.places, &asked.caller, path)?;
                self.mirror.enter(&asked.caller, asked.led())?;
            }
            Place::Held(link) => self.lead(asked, link)?,
            Place::Image(path) => self.lead_to(asked, path)?,
            _ => return Err(Errno::NOTDIR),
        }
        Ok(Answer::Proceed)
    }

    /// The kernel executes what a link leads to that is put there for it.
    fn execute(&self, asked: &Asked, place: &Place) -> Result<Answer, Errno> {
        match place {
            Place::Held(link) => self.lead(asked, link)?,
            Place::Image(path) => self.lead_to(asked, path)?,
            _ => return Err(Errno::ACCESS),
        }
        Ok(Answer::Proceed)
    }

    fn lead(&self, asked: &Asked, link: &Path) -> Result<(), Errno> {
        let text = self.places.text_of(&asked.caller, link)?;
        // Something without a name in the image, such as a file in memory, cannot be named: the
        // kernel's links say so at their end (proc_pid_fd(5)).
        if text.first() != Some(&b'/') || text.ends_with(b" (deleted)") {
            return Err(Errno::ACCESS);
        }
        self.mirror.plant(&asked.caller, asked.led(), link, &text)
    }

    fn lead_to(&self, asked: &Asked, path: &[u8]) -> Result<(), Errno> {
        let at = PathBuf::from(OsStr::from_bytes(&super::path::join(&asked.names)));
        self.mirror.plant(&asked.caller, asked.led(), &at, path)
    }

    fn file_system(&self, asked: &Asked, place: &Place) -> Result<Answer, Errno> {
        let path = match place {
            Place::Real { path, .. } | Place::Held(path) => path.clone(),
            Place::Made { real, .. } | Place::Link { real, .. } => real.clone(),
            Place::Image(path) => {
                let file = self.open_in_image(asked, path, OFlags::PATH)?;
                PathBuf::from(path_of(file.as_fd()))
            }
            Place::Private => return Ok(Answer::Proceed),
        };
        let eyes = asked.caller.eyes();
        let system = statfs(&path)?;
        drop(eyes);
        let after = usize::from(asked.call.kind == Kind::Statfs64);
        let at = asked.call.argument(&asked.notification.args, after);
        asked.memory.write(at, &stat::statfs(&system, asked.layout)).map_err(errno)?;
        Ok(Answer::Value(0))
    }
}

fn is_directory(file: &OwnedFd) -> Result<bool, Errno> {
    let stat = fstat(file)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}
