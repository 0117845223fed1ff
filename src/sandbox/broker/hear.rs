//! Hears the system calls of a RUN, one after the other, and sorts out those that are the broker's.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, FileType, readlinkat, statat};
use rustix::io::Errno;

use super::call::{self, Call, Kind, Layout};
use super::caller::{Identity, Memories, Memory, working_directory};
use super::family::Family;
use super::led::Led;
use super::mirror::Mirror;
use super::path::{self, Names, Seen};
use super::place::Places;
use super::processes::{self, Verdict};
use super::tables::Tables;
use crate::sys::seccomp::{Listener, Notification};

/// The broker of one RUN.
#[derive(Debug)]
pub(in crate::sandbox) struct Broker {
    pub(super) listener: Listener,
    pub(super) places: Places,
    pub(super) mirror: Mirror,
    pub(super) tables: Tables,
    pub(super) root: OwnedFd,
    /// How many system calls it was asked about.
    heard: AtomicU64,
}

/// What only the hearing thread knows.
#[derive(Debug, Default)]
struct Ear {
    memories: Memories,
    /// Links of the image that lead into /proc, /sys or /dev: their path, and what they say.
    links: HashMap<Vec<u8>, Vec<u8>>,
    /// A process may work in a directory of /proc, so that any relative path may be the broker's.
    wandered: bool,
}

/// A call about a path, as far as it is known.
pub(super) struct Asked {
    pub notification: Notification,
    pub call: &'static Call,
    pub layout: Layout,
    pub memory: Memory,
    pub caller: Identity,
    /// Where the path leads, written out from the root.
    pub names: Names,
}

impl Asked {
    /// The caller, about to go on along a link.
    pub(super) fn led(&self) -> Led {
        Led::new(&self.caller, &self.memory, self.notification.args[self.call.path])
    }
}

impl Broker {
    /// For the root directory `root` (opened, and by its path), whose /proc, /sys and /dev are the
    /// RUN's own.
    pub(in crate::sandbox) fn new(
        listener: Listener,
        (root, path): (OwnedFd, &Path),
        own_devices: bool,
    ) -> io::Result<Self> {
        listener.wake_up_synchronously();
        Ok(Self {
            listener,
            places: Places {
                family: Family::own(),
                root: path.as_os_str().as_bytes().to_owned(),
                own_devices,
            },
            mirror: Mirror::new(root.try_clone()?),
            tables: Tables::new(path),
            root,
            heard: AtomicU64::new(0),
        })
    }

    /// How many system calls it was asked about.
    pub(in crate::sandbox) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Answers until the last process of the RUN has ended. `links` are the image's own that lead
    /// out of what the kernel can follow in the root.
    pub(in crate::sandbox) fn serve(self: &Arc<Self>, links: HashMap<Vec<u8>, Vec<u8>>) {
        let mut ear = Ear { links, ..Ear::default() };
        loop {
            // Without a poll(2) before it, which would be one more call for each notification.
            match self.listener.receive() {
                Ok(notification) => {
                    self.heard.fetch_add(1, Ordering::Relaxed);
                    self.hear(&mut ear, notification);
                }
                // The caller has ended before it was heard, or there is none left. Kernels before
                // 6.11 do not tell that one to who waits: then this thread ends with its process.
                Err(_) if self.has_callers() => {}
                Err(_) => return,
            }
        }
    }

    /// Whether a process is left under the filter.
    fn has_callers(&self) -> bool {
        let mut state = [PollFd::new(&self.listener, PollFlags::IN)];
        match poll(&mut state, Some(&Timespec::default())) {
            Ok(_) => !state[0].revents().intersects(PollFlags::HUP | PollFlags::ERR),
            Err(errno) => errno == Errno::INTR,
        }
    }

    fn hear(self: &Arc<Self>, ear: &mut Ear, notification: Notification) {
        let id = notification.id;
        let Some((layout, call)) = call::find(notification.arch, notification.number) else {
            self.listener.proceed(id).ok();
            return;
        };
        if !call.kind.has_path() {
            self.about_processes(call.kind, notification);
            return;
        }
        match self.asked(ear, notification, layout, call) {
            Some(asked) if call.kind == Kind::Chdir => {
                ear.wandered = true;
                self.answer(asked);
            }
            Some(asked) => self.answer(asked),
            None => _ = self.listener.proceed(id),
        }
    }

    /// The call, if its path is one of the broker's.
    fn asked(
        &self,
        ear: &mut Ear,
        notification: Notification,
        layout: Layout,
        call: &'static Call,
    ) -> Option<Asked> {
        let Notification { thread, args, .. } = notification;
        let read = ear.memories.read_path(thread, args[call.path]);
        if call.kind == Kind::Execute {
            // Its memory will be another one.
            ear.memories.forget(thread);
        }
        let (memory, path) = read.ok()?;
        if call.kind == Kind::Symlink {
            self.learn(ear, &memory, args[call.path - 1 - usize::from(call.dir.is_some())], &path);
            return None;
        }
        let relative = path.first().is_some_and(|first| *first != b'/');
        let names = match path::look(&path) {
            Seen::Ours(names) => names,
            Seen::Image if relative && ear.wandered => self.seen_from_here(thread, &path)?,
            Seen::Relative => self.seen_from_here(thread, &path)?,
            Seen::Image => self.by_link(ear, &path, call, &notification)?,
        };
        // The kernel's matter whatever the path is by then, so there is no need to know who asks: a
        // shell opens /dev/null all the time. But where a process goes has to be known.
        if call.kind != Kind::Chdir && self.places.is_own_device(&names) {
            return None;
        }
        // What was read is the caller's only if it still waits: its number may be another's by now.
        if !self.listener.is_waiting(notification.id) {
            return None;
        }
        let caller = Identity::of(thread).ok()?;
        Some(Asked { notification, call, layout, memory, caller, names })
    }

    /// A relative path of a caller that works in a place from which it leads to the broker.
    fn seen_from_here(&self, thread: i32, path: &[u8]) -> Option<Names> {
        let caller = Identity::of(thread).ok()?;
        let here = working_directory(&caller).ok()?;
        let mut whole = self.places.inside(&here)?;
        whole.push(b'/');
        whole.extend_from_slice(path);
        match path::look(&whole) {
            Seen::Ours(names) => Some(names),
            _ => None,
        }
    }

    /// A path that is a link to the broker's: /etc/mtab is one in most images.
    fn by_link(
        &self,
        ear: &Ear,
        path: &[u8],
        call: &Call,
        notification: &Notification,
    ) -> Option<Names> {
        let target = ear.links.get(path)?;
        let there = readlinkat(&self.root, relative_to_root(path), Vec::new()).ok()?;
        if there.as_bytes() != target || !call.follows(&notification.args) {
            return None;
        }
        match path::look(&beside(path, target)) {
            Seen::Ours(names) => Some(names),
            _ => None,
        }
    }

    /// Remembers a link that is about to be made.
    fn learn(&self, ear: &mut Ear, memory: &Memory, target: u64, path: &[u8]) {
        let Ok(target) = memory.read_path(target) else { return };
        if path.first() == Some(&b'/')
            && matches!(path::look(&beside(path, &target)), Seen::Ours(_))
        {
            ear.links.insert(path.to_owned(), target);
        }
    }

    fn about_processes(&self, kind: Kind, notification: Notification) {
        let Notification { id, thread, args, .. } = notification;
        let number = |index: usize| args[index] as u32 as i32;
        let family = self.places.family;
        let verdict = match kind {
            Kind::Trace => processes::touch(family, number(1)),
            Kind::Memory | Kind::Limits => processes::touch(family, number(0)),
            Kind::Signal if number(0) == thread => Verdict::Proceed,
            Kind::Signal => processes::reach(family, number(0)),
            Kind::Kill => match Identity::of(thread) {
                Ok(caller) => processes::kill(family, &caller, number(0), number(1)),
                Err(_) => Verdict::Proceed,
            },
            _ => Verdict::Refused(Errno::PERM),
        };
        // An error: the caller has ended meanwhile.
        match verdict {
            Verdict::Proceed => self.listener.proceed(id).ok(),
            Verdict::Done => self.listener.answer(id, 0).ok(),
            Verdict::Refused(errno) => self.listener.refuse(id, errno.raw_os_error()).ok(),
        };
    }
}

/// Links of a root that lead into /proc, /sys or /dev, among those at `paths` (relative to the root).
pub(in crate::sandbox) fn links_among<'p>(
    root: &OwnedFd,
    paths: impl Iterator<Item = &'p Path>,
) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut links = HashMap::new();
    for path in paths {
        let is_link = statat(root, path, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
        if let (true, Ok(target)) = (is_link, readlinkat(root, path, Vec::new())) {
            let absolute = [b"/", path.as_os_str().as_bytes()].concat();
            links.insert(absolute, target.into_bytes());
        }
    }
    links
}

fn relative_to_root(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    &path[start..]
}

/// A link's target, seen from the root.
fn beside(link: &[u8], target: &[u8]) -> Vec<u8> {
    if target.first() == Some(&b'/') {
        return target.to_owned();
    }
    let end = link.iter().rposition(|byte| *byte == b'/').map_or(0, |end| end + 1);
    [&link[..end], target].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_links_target_is_seen_from_the_root() {
        assert_eq!(beside(b"/etc/mtab", b"../proc/self/mounts"), b"/etc/../proc/self/mounts");
        assert_eq!(beside(b"/etc/mtab", b"/proc/mounts"), b"/proc/mounts");
        assert_eq!(relative_to_root(b"//etc/mtab"), b"etc/mtab");
    }
}
