//! /proc/self/status (proc_pid_status(5)): what the kernel lets this process do.

use rustix::thread::CapabilitySet;
use serde::Serialize;

use super::capabilities::Capabilities;

/// The system call filters that a process is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// None.
    Off,
    /// read, write, exit and nothing else.
    Strict,
    /// Filters, and how many where the kernel says it (Linux 5.10).
    Filters(Option<u32>),
}

/// The lines that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub uid: u32,
    pub gid: u32,
    pub capabilities: Capabilities,
    pub no_new_privs: bool,
    pub seccomp: Seccomp,
}

impl Status {
    /// Lines that are missing count as zero: old kernels lack some.
    pub(super) fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            rest.unwrap_or_default().trim()
        };
        // Real, effective, saved, file system.
        let effective = |name| nth_number(field(name), 1).unwrap_or_default();
        let bits = u64::from_str_radix(field("CapEff"), 16).unwrap_or_default();
        Self {
            uid: effective("Uid"),
            gid: effective("Gid"),
            capabilities: Capabilities(CapabilitySet::from_bits_retain(bits)),
            no_new_privs: field("NoNewPrivs") == "1",
            seccomp: match field("Seccomp") {
                "1" => Seccomp::Strict,
                "2" => Seccomp::Filters(nth_number(field("Seccomp_filters"), 0)),
                _ => Seccomp::Off,
            },
        }
    }
}

fn nth_number(text: &str, index: usize) -> Option<u32> {
    text.split_whitespace().nth(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let text = "Name:\tkiln\nUid:\t0\t1000\t0\t0\nGid:\t0\t7\t0\t0\nCapInh:\t0\n\
                    CapEff:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";
        let status = Status::parse(text);
        assert_eq!((status.uid, status.gid, status.no_new_privs), (1000, 7, true));
        assert_eq!(status.seccomp, Seccomp::Filters(Some(3)));
        let names = status.capabilities.names();
        assert!(names.contains(&"CHOWN") && names.contains(&"MKNOD"), "{names:?}");
        assert!(!names.contains(&"SYS_ADMIN"), "{names:?}");
    }

    #[test]
    fn an_old_kernel_says_less() {
        let status = Status::parse("Uid:\t5\t5\t5\t5\nSeccomp:\t2\n");
        assert_eq!(status.seccomp, Seccomp::Filters(None));
        assert!(!status.no_new_privs && status.capabilities.names().is_empty());
    }
}
