//! Getting the right to mount, before there is a thread.

use std::fmt;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::UnshareFlags;

use super::error::SandboxError;
use super::namespaces::Namespaces;
use super::{capability, userns};
use crate::sys;

/// Which isolation is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Namespaces if the machine allows them.
    Auto,
    /// Namespaces or an error.
    Namespaces,
    /// A chroot or an error.
    Chroot,
    /// The container's own root directory or an error.
    Inplace,
    /// None: a build without RUN needs none.
    None,
}

/// What came of it. Clones are the same namespaces.
#[derive(Debug, Clone)]
pub enum Entered {
    /// RUN works.
    Namespaces(Namespaces),
    /// RUN does not; all else does.
    Unable(Unable),
}

impl Entered {
    /// The namespaces, or why there are none.
    pub fn namespaces(&self) -> Result<&Namespaces, Unable> {
        match self {
            Self::Namespaces(namespaces) => Ok(namespaces),
            Self::Unable(unable) => Err(unable.clone()),
        }
    }
}

impl std::error::Error for Unable {}

/// Why a RUN is not possible, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unable {
    /// What the machine refused.
    pub reason: String,
    /// What to grant or set.
    pub advice: String,
}

impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.advice)
    }
}

/// Gives this process a mount namespace of its own; where it lacks CAP_SYS_ADMIN, in a new user
/// namespace. Only there it goes on as a child: the process that was started stays to forward signals
/// and ends with the child's exit code, and never returns from here.
///
/// To be called before any thread is started.
pub fn enter(choice: Choice) -> Result<Entered, SandboxError> {
    if matches!(choice, Choice::Chroot | Choice::Inplace) {
        return Err(SandboxError::Request("this isolation is not available in this build".into()));
    }
    if choice == Choice::None {
        return Ok(Entered::Unable(Unable {
            reason: "isolation `none` was asked for".to_owned(),
            advice: "use --isolation auto to run commands".to_owned(),
        }));
    }
    sys::signal::keep_children();
    match try_enter() {
        Ok(namespaces) => Ok(Entered::Namespaces(namespaces)),
        Err(reason) => {
            let unable = Unable { reason, advice: userns::advice() };
            match choice {
                Choice::Namespaces => Err(SandboxError::Unavailable(unable)),
                _ => Ok(Entered::Unable(unable)),
            }
        }
    }
}

fn try_enter() -> Result<Namespaces, String> {
    let single_id = match as_root() {
        Ok(()) => None,
        Err(first) => userns::enter().map_err(|second| {
            if first == second { second } else { format!("{first}; {second}") }
        })?,
    };
    // No command of an image may read kiln's memory or environment through /proc, where credentials
    // are. Children that are executed afterwards have to ask for it themselves.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| format!("cannot protect kiln's memory: {error}"))?;
    Namespaces::new(single_id).map_err(|error| error.to_string())
}

fn as_root() -> Result<(), String> {
    if !capability::has_sys_admin() {
        return Err("kiln does not have CAP_SYS_ADMIN".to_owned());
    }
    sys::namespace::unshare(UnshareFlags::NEWNS)
        .map_err(|error| format!("a mount namespace is refused: {error}"))?;
    own_mounts()
}

/// What kiln mounts is not seen outside; what is unmounted outside goes here too and is not kept busy.
pub(super) fn own_mounts() -> Result<(), String> {
    let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", downstream).map_err(|error| match error {
        Errno::INVAL => {
            "kiln runs in a chroot, and its root is not a mount point: bind the directory \
                         to itself (mount --bind) before the chroot"
                .to_owned()
        }
        error => format!("mounting is refused: {error}"),
    })
}
