//! What a path below /proc, /sys or /dev leads to, for one caller: the rules of what a RUN may see.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::caller::Identity;
use super::family::Family;
use super::path::{Names, join, normal};
use crate::sandbox::devices::DEVICES;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// To something of this machine.
    Real {
        path: PathBuf,
        /// Whether it may be opened for writing.
        writable: bool,
    },
    /// To a symbolic link that was not to be followed.
    Link {
        /// What it says.
        text: Vec<u8>,
        /// The link itself.
        real: PathBuf,
    },
    /// To what a process has open, runs, or works in, by the kernel's own link.
    Held(PathBuf),
    /// To a file whose content is made here; the real one is asked for all but that.
    Made { real: PathBuf, content: Content },
    /// Into the image.
    Image(Vec<u8>),
    /// To what the RUN's own directory has there.
    Private,
}

/// A file that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// /proc/PID/mounts
    Mounts,
    /// /proc/PID/mountinfo
    MountInfo,
}

/// What one RUN's paths are resolved with.
#[derive(Debug)]
pub(super) struct Places {
    pub family: Family,
    /// The root's path on this machine, which links in /proc begin with.
    pub root: Vec<u8>,
    /// Whether the devices in the root's /dev work.
    pub own_devices: bool,
}

/// As many as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Information about the host that is nobody's business in a RUN (moby: oci/defaults.go). Container
/// engines hide it; on a bare machine it is in reach.
const MASKED: [&str; 11] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "kmsg",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];

/// Whether a name in /proc is among them.
pub(super) fn is_masked(name: &[u8]) -> bool {
    MASKED.iter().any(|masked| masked.as_bytes() == name)
}

/// The same in /sys, where other file systems are mounted on a bare machine and none in a container:
/// what the kernel traces may be of kiln. For a RUN these are empty directories.
fn is_masked_in_sys(names: &[&str]) -> bool {
    match names {
        ["firmware", ..] => true,
        ["kernel", name, ..] => matches!(*name, "debug" | "tracing" | "config" | "security"),
        ["fs", name, ..] => matches!(*name, "bpf" | "pstore"),
        _ => false,
    }
}

/// What may be known of the process that stands for the first one.
const OF_INIT: [&str; 6] = ["cgroup", "cmdline", "comm", "sched", "stat", "status"];

impl Places {
    /// Follows a path. `follow` says whether the last name's link is followed too.
    pub(super) fn resolve(
        &self,
        caller: &Identity,
        names: Names,
        follow: bool,
    ) -> Result<Place, Errno> {
        let mut names = names;
        for _ in 0..MAX_LINKS {
            let parts: Vec<&str> =
                names.iter().map(|name| std::str::from_utf8(name).unwrap_or("\u{fffd}")).collect();
            let step = match parts.as_slice() {
                ["proc", rest @ ..] => self.proc(caller, rest, follow)?,
                ["sys", rest @ ..] if is_masked_in_sys(rest) => Step::At(Place::Private),
                ["sys", ..] => Step::At(real(&names, false)),
                ["dev", rest @ ..] => self.dev(rest, follow),
                _ => Step::At(Place::Image(join(&names))),
            };
            match step {
                Step::At(place) => return Ok(place),
                Step::On(path) => names = normal(&path),
            }
        }
        Err(Errno::LOOP)
    }

    fn proc(&self, caller: &Identity, names: &[&str], follow: bool) -> Result<Step, Errno> {
        let last = names.len() == 1 && !follow;
        let own = caller.process;
        let rest = |names: &[&str]| names.iter().map(|name| format!("/{name}")).collect::<String>();
        match names {
            ["self"] if last => Ok(link(own.to_string(), "/proc/self")),
            ["self", more @ ..] => Ok(on(format!("/proc/{own}{}", rest(more)))),
            ["thread-self"] if last => {
                Ok(link(format!("{own}/task/{}", caller.thread), "/proc/thread-self"))
            }
            ["thread-self", more @ ..] => {
                Ok(on(format!("/proc/{own}/task/{}{}", caller.thread, rest(more))))
            }
            ["mounts"] if last => Ok(link("self/mounts".into(), "/proc/mounts")),
            ["net"] if last => Ok(link("self/net".into(), "/proc/net")),
            ["mounts" | "net", ..] => Ok(on(format!("/proc/{own}{}", rest(names)))),
            [number, more @ ..] if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                let process = number.parse().map_err(|_| Errno::NOENT)?;
                self.process(caller, process, more, follow)
            }
            [name, ..] if is_masked(name.as_bytes()) => Err(Errno::NOENT),
            _ => Ok(Step::At(real_at(format!("/proc{}", rest(names)), false))),
        }
    }

    /// Below /proc/PID. Processes that are not of the RUN do not exist for it.
    fn process(
        &self,
        caller: &Identity,
        process: i32,
        names: &[&str],
        follow: bool,
    ) -> Result<Step, Errno> {
        if process != caller.process && process != caller.thread && !self.family.has(process) {
            return self.init(process, names).map(Step::At).ok_or(Errno::NOENT);
        }
        let (base, names) = match names {
            ["task", thread, more @ ..] => (format!("/proc/{process}/task/{thread}"), more),
            _ => (format!("/proc/{process}"), names),
        };
        let at = |name: &str| PathBuf::from(format!("{base}/{name}"));
        Ok(match names {
            ["mounts"] => made(at("mounts"), Content::Mounts),
            ["mountinfo"] => made(at("mountinfo"), Content::MountInfo),
            // Only with capabilities that no RUN has, and then past all rules.
            ["map_files", _, ..] => return Err(Errno::ACCESS),
            [name @ ("exe" | "cwd" | "root"), more @ ..] => {
                self.held(caller, at(name), more, follow)?
            }
            ["fd", number, more @ ..] => {
                self.held(caller, at(&format!("fd/{number}")), more, follow)?
            }
            names => {
                let path = names.iter().fold(base, |path, name| format!("{path}/{name}"));
                Step::At(real_at(path, true))
            }
        })
    }

    /// A link that the kernel follows without asking for a path. What it says is seen from this
    /// process, so the root's own path has to be taken off.
    fn held(
        &self,
        caller: &Identity,
        real: PathBuf,
        more: &[&str],
        follow: bool,
    ) -> Result<Step, Errno> {
        if more.is_empty() && follow {
            return Ok(Step::At(Place::Held(real)));
        }
        let text = self.text_of(caller, &real)?;
        if more.is_empty() {
            return Ok(Step::At(Place::Link { text, real }));
        }
        // Beyond it there has to be a directory of the image.
        if text.first() != Some(&b'/') {
            return Err(Errno::NOTDIR);
        }
        let mut path = text;
        for name in more {
            path.push(b'/');
            path.extend_from_slice(name.as_bytes());
        }
        Ok(Step::On(path))
    }

    /// What one of the kernel's links says, as the RUN sees it.
    pub(super) fn text_of(&self, caller: &Identity, link: &Path) -> Result<Vec<u8>, Errno> {
        let _eyes = caller.eyes();
        let text = std::fs::read_link(link).map_err(errno)?.into_os_string().into_vec();
        Ok(self.inside(&text).unwrap_or(text))
    }

    /// A path of this machine as one of the image's, if it is in there.
    pub(super) fn inside(&self, path: &[u8]) -> Option<Vec<u8>> {
        match path.strip_prefix(self.root.as_slice())? {
            b"" => Some(b"/".to_vec()),
            rest if rest.starts_with(b"/") => Some(rest.to_vec()),
            _ => None,
        }
    }

    fn init(&self, process: i32, names: &[&str]) -> Option<Place> {
        let head = self.family.head();
        match names {
            [] if process == 1 => Some(real_at(format!("/proc/{head}"), false)),
            [name] if process == 1 && OF_INIT.contains(name) => {
                Some(real_at(format!("/proc/{head}/{name}"), false))
            }
            _ => None,
        }
    }

    /// Whether a path leads into the RUN's own /dev, whoever asks: nothing but the names decides that.
    pub(super) fn is_own_device(&self, names: &Names) -> bool {
        let mut parts = names.iter().map(|name| std::str::from_utf8(name).unwrap_or("\u{fffd}"));
        if parts.next() != Some("dev") {
            return false;
        }
        let parts: Vec<&str> = parts.collect();
        matches!(self.dev(&parts, true), Step::At(Place::Private))
    }

    fn dev(&self, names: &[&str], follow: bool) -> Step {
        let stream = |name: &str| match name {
            "stdin" => Some(0),
            "stdout" => Some(1),
            "stderr" => Some(2),
            _ => None,
        };
        match names {
            ["fd"] if !follow => link("/proc/self/fd".into(), "/dev/fd"),
            ["fd", more @ ..] => on(more
                .iter()
                .fold("/proc/self/fd".to_owned(), |path, name| format!("{path}/{name}"))),
            [name] if stream(name).is_some() => {
                let target = format!("/proc/self/fd/{}", stream(name).unwrap_or_default());
                if follow { on(target) } else { link(target, &format!("/dev/{name}")) }
            }
            [name] if !self.own_devices && DEVICES.iter().any(|(device, ..)| device == name) => {
                Step::At(real_at(format!("/dev/{name}"), true))
            }
            ["ptmx"] | ["pts", "ptmx"] => Step::At(real_at("/dev/ptmx".into(), true)),
            ["pts", number] => Step::At(real_at(format!("/dev/pts/{number}"), true)),
            _ => Step::At(Place::Private),
        }
    }
}

enum Step {
    At(Place),
    /// From the root again, along this path.
    On(Vec<u8>),
}

fn on(path: String) -> Step {
    Step::On(path.into_bytes())
}

fn link(text: String, real: &str) -> Step {
    Step::At(Place::Link { text: text.into_bytes(), real: real.into() })
}

fn made(real: PathBuf, content: Content) -> Step {
    Step::At(Place::Made { real, content })
}

fn real(names: &Names, writable: bool) -> Place {
    Place::Real { path: PathBuf::from(OsStr::from_bytes(&join(names))), writable }
}

fn real_at(path: String, writable: bool) -> Place {
    Place::Real { path: path.into(), writable }
}

/// The number of an I/O error.
pub(super) fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn places() -> (Places, Identity) {
        let here = Identity::of(std::process::id().cast_signed()).unwrap();
        let root = std::env::current_dir().unwrap().into_os_string().into_vec();
        (Places { family: Family::own(), root, own_devices: false }, here)
    }

    fn look(path: &str, follow: bool) -> Result<Place, Errno> {
        let (places, caller) = places();
        places.resolve(&caller, normal(path.as_bytes()), follow)
    }

    #[test]
    fn self_is_the_caller() {
        let own = std::process::id();
        let status = Place::Real { path: format!("/proc/{own}/status").into(), writable: true };
        assert_eq!(look("/proc/self/status", true), Ok(status.clone()));
        assert_eq!(look(&format!("/proc/{own}/status"), true), Ok(status));
        let Ok(Place::Link { text, .. }) = look("/proc/self", false) else { panic!("no link") };
        assert_eq!(text, own.to_string().into_bytes());
        assert!(matches!(look("/proc/mounts", true), Ok(Place::Made { .. })));
        assert!(matches!(look("/dev/fd/1", true), Ok(Place::Held(_))));
    }

    #[test]
    fn others_do_not_exist() {
        for path in ["/proc/1/environ", "/proc/1/root/etc/shadow", "/proc/2/status", "/proc/kcore"]
        {
            assert_eq!(look(path, true), Err(Errno::NOENT), "{path}");
        }
        assert!(look("/proc/1/comm", true).is_ok());
    }

    #[test]
    fn a_way_through_a_process_stays_in_the_image() {
        assert_eq!(look("/proc/self/cwd/x/y", true), Ok(Place::Image(b"/x/y".to_vec())));
        // The root of this process is not that of the image.
        let outside = look("/proc/self/root/etc/passwd", true);
        assert_eq!(outside, Ok(Place::Image(b"/etc/passwd".to_vec())));
        let round = look("/proc/self/cwd/proc/self/cwd/dev/null", true);
        assert_eq!(round, Ok(Place::Real { path: "/dev/null".into(), writable: true }));
    }

    #[test]
    fn an_own_device_is_one_whoever_asks() {
        let (served, _) = places();
        let own = Places { own_devices: true, ..places().0 };
        let rows = [
            ("/dev/null", true, false),
            ("/dev/shm/x", true, true),
            ("/dev", true, true),
            ("/dev/fd/1", false, false),
            ("/dev/stdout", false, false),
            ("/dev/ptmx", false, false),
            ("/dev/pts/0", false, false),
            ("/proc/self/fd/1", false, false),
            ("/sys/firmware", false, false),
        ];
        for (path, with_own, without) in rows {
            let names = normal(path.as_bytes());
            assert_eq!(own.is_own_device(&names), with_own, "{path}");
            assert_eq!(served.is_own_device(&names), without, "{path}");
        }
    }

    #[test]
    fn the_machine_is_read_only() {
        for path in ["/proc/sys/kernel/hostname", "/sys/kernel/mm", "/proc/cpuinfo"] {
            assert!(matches!(look(path, true), Ok(Place::Real { writable: false, .. })), "{path}");
        }
        assert_eq!(look("/sys/kernel/tracing/trace", true), Ok(Place::Private));
        assert_eq!(look("/sys/firmware", true), Ok(Place::Private));
        assert_eq!(look("/dev/sda", true), Ok(Place::Private));
        assert_eq!(look("/dev/shm/x", true), Ok(Place::Private));
    }
}
