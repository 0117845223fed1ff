//! Where kiln runs: the process as it was started.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use serde::Serialize;

use super::capabilities::Capabilities;
use super::status::{Seccomp, Status};
use crate::sandbox::account;
use crate::sys;

/// What is known of the machine. Read before kiln enters anything: a user namespace has another user
/// and other capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The kernel's release: `6.1.0-18-amd64`.
    pub kernel: String,
    /// The processor, as the kernel names it: `x86_64`.
    pub processor: String,
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The user's name, if /etc/passwd has one.
    pub user: Option<String>,
    /// What says that this is a container; none where nothing does.
    pub container: Option<String>,
    /// What it may do.
    pub capabilities: Capabilities,
    /// Its system call filters.
    pub seccomp: Seccomp,
    /// Whether set-user-ID programs have no effect.
    pub no_new_privs: bool,
    /// The user ids that there are, a line each: inside, outside, how many (user_namespaces(7)).
    pub uid_map: Vec<[u32; 3]>,
    /// The AppArmor profile or SELinux context, if there is one.
    pub lsm: Option<String>,
    /// Whether openat2(2) is to be had.
    pub openat2: Probe,
    /// Whether system call filters can notify another process.
    pub notification: Probe,
    /// The inode of its user namespace.
    #[serde(skip)]
    pub(super) user_namespace: u64,
}

/// Whether the kernel and the container's filter allow something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Yes.
    Works,
    /// The kernel does not know it.
    Unknown,
    /// It knows it and refuses, or a filter does; the system's words.
    Refused(String),
}

/// What tells a container from a machine.
#[derive(Debug, Default)]
struct Marks {
    docker: bool,
    podman: bool,
    kubernetes: bool,
    cgroup: String,
}

impl Machine {
    /// Reads /proc and asks the kernel; changes nothing.
    pub fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let status = Status::parse(&read("/proc/self/status"));
        let names = rustix::system::uname();
        let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
        Self {
            kernel: text(names.release()),
            processor: text(names.machine()),
            uid: status.uid,
            gid: status.gid,
            user: account(&read("/etc/passwd"), status.uid).map(str::to_owned),
            container: Marks::read().container(),
            capabilities: status.capabilities,
            seccomp: status.seccomp,
            no_new_privs: status.no_new_privs,
            uid_map: id_map(&read("/proc/self/uid_map")),
            lsm: profile(&read("/proc/self/attr/current")),
            openat2: Probe::of(try_openat2()),
            notification: Probe::of(sys::seccomp::ask_for_listeners()),
            user_namespace: user_namespace(),
        }
    }

    /// Whether the ids are the machine's own.
    pub fn has_all_ids(&self) -> bool {
        self.uid_map == [[0, 0, u32::MAX]]
    }
}

impl Probe {
    fn of(tried: io::Result<()>) -> Self {
        match tried {
            Ok(()) => Self::Works,
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::EINVAL) => Self::Unknown,
                _ => Self::Refused(error.to_string()),
            },
        }
    }
}

/// As [`crate::rootfs::Root`] resolves paths.
fn try_openat2() -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
    Ok(())
}

/// The inode that names this process's user namespace; 0 where the kernel has none.
pub(super) fn user_namespace() -> u64 {
    fs::metadata("/proc/self/ns/user").map_or(0, |namespace| namespace.ino())
}

/// Without a security module reading fails, and the text is empty.
fn profile(text: &str) -> Option<String> {
    let text = text.trim_end_matches(['\0', '\n']);
    (!text.is_empty()).then(|| text.to_owned())
}

fn id_map(text: &str) -> Vec<[u32; 3]> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some([next()?, next()?, next()?])
    };
    text.lines().filter_map(line).collect()
}

impl Marks {
    fn read() -> Self {
        let there = |path: &str| Path::new(path).exists();
        Self {
            docker: there("/.dockerenv"),
            podman: there("/run/.containerenv"),
            kubernetes: there("/var/run/secrets/kubernetes.io"),
            cgroup: fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
        }
    }

    fn container(&self) -> Option<String> {
        let in_cgroup = ["kubepods", "docker", "libpod", "containerd", "crio", "lxc"]
            .into_iter()
            .find(|name| self.cgroup.contains(name));
        let says = if self.kubernetes {
            "Kubernetes: /var/run/secrets/kubernetes.io is there".to_owned()
        } else if self.podman {
            "Podman: /run/.containerenv is there".to_owned()
        } else if self.docker {
            "Docker: /.dockerenv is there".to_owned()
        } else {
            format!("`{}` is in the name of its cgroup", in_cgroup?)
        };
        Some(says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_by_their_marks() {
        let cgroup = |text: &str| Marks { cgroup: text.to_owned(), ..Marks::default() };
        assert_eq!(cgroup("0::/\n").container(), None);
        let found = cgroup("0::/kubepods/besteffort/podx\n").container();
        assert!(found.is_some_and(|text| text.contains("kubepods")));
        let podman = Marks { podman: true, docker: true, ..Marks::default() };
        assert!(podman.container().is_some_and(|text| text.starts_with("Podman")));
    }

    #[test]
    fn maps_and_profiles_are_read() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(id_map(map), [[0, 1000, 1], [1, 100_000, 65536]]);
        assert_eq!(
            profile("docker-default (enforce)\n").as_deref(),
            Some("docker-default (enforce)")
        );
        assert_eq!(
            profile("system_u:system_r:container_t:s0:c1\0").as_deref(),
            Some("system_u:system_r:container_t:s0:c1")
        );
        assert_eq!(profile(""), None);
    }

    #[test]
    fn a_refusal_is_not_an_old_kernel() {
        let error = |number| Err(io::Error::from_raw_os_error(number));
        assert_eq!(Probe::of(error(libc::ENOSYS)), Probe::Unknown);
        assert!(matches!(Probe::of(error(libc::EPERM)), Probe::Refused(_)));
    }
}
