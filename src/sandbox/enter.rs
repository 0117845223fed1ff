//! Finding out what this machine allows, and getting the right to mount, before there is a thread.

use std::fmt;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{DumpableBehavior, geteuid, set_dumpable_behavior};
use rustix::thread::UnshareFlags;

use super::chroot::{self, Chroot};
use super::error::SandboxError;
use super::inplace::{self, Inplace};
use super::namespaces::{Namespaces, only_one_id};
use super::{capability, userns};
use crate::sys;

/// Which isolation is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The strongest that the machine allows.
    Auto,
    /// Namespaces or an error.
    Namespaces,
    /// A chroot with a broker, or an error.
    Chroot,
    /// `/` itself, or an error.
    Inplace,
    /// None: a build without RUN needs none.
    None,
}

impl Choice {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Namespaces => "namespaces",
            Self::Chroot => "chroot",
            Self::Inplace => "inplace",
            Self::None => "none",
        }
    }
}

/// What the machine allows, of what is wanted. Clones are the same.
#[derive(Debug, Clone)]
pub struct Entered {
    /// Commands in namespaces.
    pub namespaces: Result<Namespaces, Unable>,
    /// Commands in a chroot.
    pub chroot: Result<Chroot, Unable>,
    /// Commands in `/`.
    pub inplace: Result<Inplace, Unable>,
}

/// How one build runs its commands.
#[derive(Debug, Clone)]
pub enum Sandbox {
    /// On an overlay, in namespaces.
    Namespaces(Namespaces),
    /// In a directory, in a chroot.
    Chroot(Chroot),
    /// In `/`.
    Inplace(Inplace),
    /// Not at all.
    None(Unable),
}

/// Why a RUN is not possible, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unable {
    /// What the machine refused.
    pub reason: String,
    /// What to grant or set.
    pub advice: String,
}

impl std::error::Error for Unable {}

impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.advice)
    }
}

impl Unable {
    /// For a build in which there is nothing to run.
    pub fn not_needed() -> Self {
        Self {
            reason: "no stage of this build has a RUN".to_owned(),
            advice: "this is a bug in kiln".to_owned(),
        }
    }

    fn not_wanted(choice: &str) -> Self {
        Self {
            reason: format!("isolation `{choice}` was asked for"),
            advice: "use --isolation auto for the strongest that is possible".to_owned(),
        }
    }
}

impl Entered {
    /// The strongest isolation, where the work directory can hold an overlay if it takes one.
    pub fn strongest(&self) -> Sandbox {
        match &self.namespaces {
            Ok(namespaces) => Sandbox::Namespaces(namespaces.clone()),
            Err(_) => self.without_overlay(),
        }
    }

    /// The strongest isolation that needs no overlay.
    pub fn without_overlay(&self) -> Sandbox {
        match (&self.chroot, &self.inplace) {
            (Ok(chroot), _) => Sandbox::Chroot(chroot.clone()),
            (Err(_), Ok(inplace)) => Sandbox::Inplace(inplace.clone()),
            (Err(chroot), Err(_)) => Sandbox::None(self.why_none(chroot)),
        }
    }
}

impl Entered {
    /// Of all reasons, the one that is next to being done something about.
    fn why_none(&self, chroot: &Unable) -> Unable {
        match &self.namespaces {
            Err(namespaces) if !geteuid().is_root() => Unable {
                reason: namespaces.reason.clone(),
                advice: format!(
                    "run kiln as root, which an ordinary container's root is; or, for namespaces, {}",
                    namespaces.advice
                ),
            },
            _ => chroot.clone(),
        }
    }
}

impl Sandbox {
    /// Ends what would outlive the build: gives `/` back where it was taken.
    pub fn give_back(&self) -> Result<(), SandboxError> {
        match self {
            Self::Inplace(inplace) => inplace.give_back(),
            _ => Ok(()),
        }
    }

    /// The isolation's name, as `--isolation` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Namespaces(_) => "namespaces",
            Self::Chroot(_) => "chroot",
            Self::Inplace(_) => "inplace",
            Self::None(_) => "none",
        }
    }

    /// Whether root is the only user that there is: chown to any other fails.
    pub fn single_id(&self) -> bool {
        match self {
            Self::Namespaces(namespaces) => namespaces.single_id(),
            Self::Chroot(chroot) => chroot.single_id(),
            Self::Inplace(_) => false,
            Self::None(_) => !capability::can_give_away() || only_one_id().is_some(),
        }
    }

    /// Why root is the only user, where commands can be run.
    pub fn single_id_reason(&self) -> Option<&str> {
        match self {
            Self::Namespaces(namespaces) => namespaces.single_id_reason(),
            Self::Chroot(chroot) => chroot.single_id_reason(),
            Self::Inplace(_) | Self::None(_) => None,
        }
    }
}

/// Gives this process a mount namespace of its own; where it lacks CAP_SYS_ADMIN, in a new user
/// namespace. Only there it goes on as a child: the process that was started stays to forward signals
/// and ends with the child's exit code, and never returns from here.
///
/// To be called before any thread is started.
pub fn enter(choice: Choice) -> Result<Entered, SandboxError> {
    sys::signal::keep_children();
    let wants = |own: Choice| match choice {
        Choice::Auto => Ok(()),
        choice if choice == own => Ok(()),
        other => Err(Unable::not_wanted(other.name())),
    };
    let namespaces = wants(Choice::Namespaces).and_then(|()| {
        try_namespaces().map_err(|reason| Unable { reason, advice: userns::advice() })
    });
    let chroot = wants(Choice::Chroot).and_then(|()| {
        try_chroot().map_err(|reason| Unable {
            reason,
            advice: "run kiln as root in a container with the engine's default capabilities and \
                     seccomp profile"
                .to_owned(),
        })
    });
    let inplace = wants(Choice::Inplace).and_then(|()| {
        try_inplace().map_err(|reason| Unable {
            reason,
            advice: "run kiln's own image as root, with the capabilities CHOWN, DAC_OVERRIDE, \
                     FOWNER, SETUID, SETGID, SETFCAP and KILL"
                .to_owned(),
        })
    });
    protect_memory()?;
    match choice {
        Choice::Namespaces => needs("namespaces", namespaces.as_ref().err())?,
        Choice::Chroot => needs("chroot", chroot.as_ref().err())?,
        Choice::Inplace => needs("inplace", inplace.as_ref().err())?,
        Choice::Auto | Choice::None => {}
    }
    Ok(Entered { namespaces, chroot, inplace })
}

fn needs(isolation: &'static str, unable: Option<&Unable>) -> Result<(), SandboxError> {
    match unable {
        Some(unable) => Err(SandboxError::Unavailable { isolation, unable: unable.clone() }),
        None => Ok(()),
    }
}

fn try_namespaces() -> Result<Namespaces, String> {
    let single_id = match as_root() {
        Ok(()) => None,
        Err(first) => userns::enter().map_err(|second| {
            if first == second { second } else { format!("{first}; {second}") }
        })?,
    };
    Namespaces::new(single_id).map_err(|error| error.to_string())
}

fn try_inplace() -> Result<Inplace, String> {
    inplace::possible()?;
    Inplace::new().map_err(|error| error.to_string())
}

fn try_chroot() -> Result<Chroot, String> {
    chroot::possible()?;
    Chroot::new().map_err(|error| error.to_string())
}

/// No command of an image may read kiln's memory or environment through /proc, where credentials are.
/// Children that are executed afterwards have to ask for it themselves.
fn protect_memory() -> Result<(), SandboxError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| SandboxError::Step {
        step: "protect kiln's memory".to_owned(),
        source: error.into(),
    })
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
