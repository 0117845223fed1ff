//! Limits of a command's resources, by the names that Docker's `--ulimit` has for them.

use std::fmt;
use std::io;
use std::str::FromStr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::error::{During, SandboxError};

/// One limit (getrlimit(2)), in the unit that the kernel has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Of what.
    pub resource: UlimitResource,
    /// What counts; the command may raise it to `hard`. Nothing for no limit.
    pub soft: Option<u64>,
    /// How far the soft limit may be raised. Nothing for no limit.
    pub hard: Option<u64>,
}

macro_rules! resources {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// What is limited.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum UlimitResource { $($(#[$doc])* $variant,)* }

        impl UlimitResource {
            /// All of them, by name.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in `--ulimit`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn kernel(self) -> Resource {
                match self { $(Self::$variant => Resource::$variant,)* }
            }
        }
    };
}

resources! {
    /// Bytes of a core dump.
    Core "core",
    /// Seconds of processor time.
    Cpu "cpu",
    /// Bytes of the data segment.
    Data "data",
    /// Bytes of a file that is written.
    Fsize "fsize",
    /// File locks.
    Locks "locks",
    /// Bytes that are locked into memory.
    Memlock "memlock",
    /// Bytes in POSIX message queues.
    Msgqueue "msgqueue",
    /// 20 minus the lowest nice value.
    Nice "nice",
    /// Open files.
    Nofile "nofile",
    /// Processes of the user.
    Nproc "nproc",
    /// Bytes of resident memory; without effect in Linux.
    Rss "rss",
    /// The highest real-time priority.
    Rtprio "rtprio",
    /// Microseconds that a real-time process may run on.
    Rttime "rttime",
    /// Signals that are queued.
    Sigpending "sigpending",
    /// Bytes of the stack.
    Stack "stack",
}

/// A name that `--ulimit` does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid ulimit type: {0}")]
pub struct UnknownUlimit(String);

impl FromStr for UlimitResource {
    type Err = UnknownUlimit;

    fn from_str(name: &str) -> Result<Self, UnknownUlimit> {
        let found = Self::ALL.iter().find(|resource| resource.name() == name);
        found.copied().ok_or_else(|| UnknownUlimit(name.to_owned()))
    }
}

impl fmt::Display for UlimitResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Ulimit {
    /// What is wrong with it, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        let above = match (self.soft, self.hard) {
            (Some(soft), Some(hard)) => soft > hard,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        above.then(|| {
            format!(
                "the soft limit of `{}`, {}, is above its hard limit, {}",
                self.resource,
                shown(self.soft),
                shown(self.hard)
            )
        })
    }

    /// Sets it for this process and those that it starts.
    pub(super) fn set(&self) -> Result<(), SandboxError> {
        let resource = self.resource.kernel();
        let limit = Rlimit { current: self.soft, maximum: self.hard };
        let Err(errno) = setrlimit(resource, limit) else { return Ok(()) };
        let possible = getrlimit(resource).maximum;
        let reason = match errno {
            rustix::io::Errno::PERM => io::Error::other(format!(
                "the hard limit is {} here, and kiln has no CAP_SYS_RESOURCE to raise it (limits of \
                 a user namespace are those of the user; `nofile` ends at fs.nr_open)",
                shown(possible)
            )),
            errno => errno.into(),
        };
        Err(reason).during(format!(
            "set the limit `{}` to {} (soft) and {} (hard)",
            self.resource,
            shown(self.soft),
            shown(self.hard)
        ))
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_are_dockers() {
        assert_eq!(UlimitResource::ALL.len(), 15);
        for resource in UlimitResource::ALL {
            assert_eq!(resource.name().parse(), Ok(*resource));
        }
        let error = "as".parse::<UlimitResource>().unwrap_err();
        assert_eq!(error.to_string(), "invalid ulimit type: as");
    }

    #[test]
    fn a_soft_limit_is_not_above_the_hard_one() {
        let limit = |soft, hard| Ulimit { resource: UlimitResource::Nofile, soft, hard };
        assert_eq!(limit(Some(1), Some(1)).problem(), None);
        assert_eq!(limit(Some(1), None).problem(), None);
        assert_eq!(limit(None, None).problem(), None);
        assert!(limit(None, Some(1)).problem().is_some());
        let problem = limit(Some(3), Some(2)).problem().unwrap();
        assert!(problem.contains("`nofile`, 3,") && problem.contains("limit, 2"), "{problem}");
    }
}
