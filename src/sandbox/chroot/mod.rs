//! A RUN in a chroot: for root in an ordinary container, where nothing can be mounted.
//!
//! The root of a stage is one directory. [`covers`] puts directories of the RUN's own in the place of
//! its /proc, /sys and /dev, and [`super::broker`] makes them what a program expects.

mod covers;

use std::fs::File;
use std::sync::Arc;

use rustix::process::geteuid;
use rustix::thread::CapabilitySet;

use self::covers::Covers;
use super::brought::{Brought, Holds, Site};
use super::error::{During, SandboxError};
use super::namespaces::only_one_id;
use super::request::{DirectoryRoot, Network, RunReport, RunRequest};
use super::spec::{DirectorySpec, RootSpec, Spec};
use super::{broker, capability, launch};
use crate::cancel::Cancel;
use crate::event::Stream;
use crate::sys::{self, process::Fork};

/// The right to run commands in a chroot. Clones are the same.
#[derive(Debug, Clone)]
pub struct Chroot(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// kiln's program, to be executed again. No RUN can reach it.
    program: File,
    single_id: Option<String>,
    /// Sources that a command has moved into its root.
    holds: Holds,
}

impl Chroot {
    /// For a process that [`possible`] has found able.
    pub(super) fn new() -> Result<Self, SandboxError> {
        let program = File::open("/proc/self/exe").during("open kiln's own program")?;
        Ok(Self(Arc::new(Inner { program, single_id: only_one_id(), holds: Holds::default() })))
    }

    /// Whether root is the only user that there is: chown to any other fails.
    pub fn single_id(&self) -> bool {
        self.0.single_id.is_some()
    }

    /// Why root is the only user, if so.
    pub fn single_id_reason(&self) -> Option<&str> {
        self.0.single_id.as_deref()
    }

    /// Runs a command and passes its output on as it comes. From several threads at once, each with
    /// a root of its own; each stays until its command, and all that it has started, has ended. The
    /// root then has the command's changes and nothing else.
    pub fn run(
        &self,
        root: &DirectoryRoot,
        request: &RunRequest,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
        cancel: &Cancel,
    ) -> Result<RunReport, SandboxError> {
        if request.network == Network::None {
            return Err(SandboxError::Request(
                "`--network=none` takes a network namespace, which isolation `chroot` has not"
                    .into(),
            ));
        }
        let directory = DirectorySpec {
            path: root.path.clone().into(),
            own_devices: false,
            links: root.links.iter().map(|link| link.clone().into()).collect(),
        };
        let mut spec = Spec::new(request, RootSpec::Directory(directory), self.single_id())?;
        let _hold = self.0.holds.hold(&request.mounts, cancel)?;
        let covers = Covers::put(root, &spec.etc)?;
        if let RootSpec::Directory(directory) = &mut spec.root {
            directory.own_devices = covers.has_devices();
        }
        let report = self.run_with_mounts(root, &spec, request, output, cancel);
        let taken_off = covers.take_off();
        let report = report?;
        taken_off?;
        Ok(report)
    }

    fn run_with_mounts(
        &self,
        root: &DirectoryRoot,
        spec: &Spec,
        request: &RunRequest,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
        cancel: &Cancel,
    ) -> Result<RunReport, SandboxError> {
        let site = Site {
            root: &root.path,
            aside: &root.aside,
            allowed: &|_, _| Ok(()),
            notes: None,
            single_id: self.single_id(),
        };
        let brought = Brought::bring(&site, &request.mounts, cancel)?;
        let report = launch::run(&self.0.program, spec, output, cancel);
        let taken_out = brought.take_out();
        let report = report?;
        taken_out?;
        Ok(report)
    }
}

/// What root needs for it; all of it is in the default set of Docker, containerd and Podman.
const NEEDED: [(CapabilitySet, &str); 7] = [
    (CapabilitySet::SYS_CHROOT, "CAP_SYS_CHROOT"),
    (CapabilitySet::SETPCAP, "CAP_SETPCAP"),
    (CapabilitySet::SETUID, "CAP_SETUID"),
    (CapabilitySet::SETGID, "CAP_SETGID"),
    (CapabilitySet::CHOWN, "CAP_CHOWN"),
    (CapabilitySet::FOWNER, "CAP_FOWNER"),
    (CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
];

/// Whether commands can be run so, or what is missing, as a sentence. Before there are threads.
pub(super) fn possible() -> Result<(), String> {
    if !geteuid().is_root() {
        return Err("kiln does not run as root".to_owned());
    }
    let missing = capability::missing(&NEEDED);
    if !missing.is_empty() {
        return Err(format!("kiln does not have {}", missing.join(", ")));
    }
    try_filter().map_err(|error| {
        format!("a system call filter with user notification (Linux 5.9) is refused: {error}")
    })
}

/// In a child, because a filter stays.
fn try_filter() -> std::io::Result<()> {
    match sys::process::fork()? {
        Fork::Child => {
            let installed = rustix::thread::set_no_new_privs(true)
                .map_err(std::io::Error::from)
                .and_then(|()| broker::install_filter());
            let code = match installed {
                Ok(_) => 0,
                Err(error) => error.raw_os_error().unwrap_or(libc::EINVAL),
            };
            sys::process::exit_now(code);
        }
        Fork::Parent(child) => {
            let status =
                rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty())?;
            match status.and_then(|(_, status)| status.exit_status()) {
                Some(0) => Ok(()),
                Some(errno) => Err(std::io::Error::from_raw_os_error(errno)),
                None => Err(std::io::Error::other("the process that tried it was killed")),
            }
        }
    }
}
