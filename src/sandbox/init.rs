//! Pid 1 of a RUN: makes the root, starts the command in it and outlives its orphans.

use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use rustix::thread::UnshareFlags;

use super::error::{During, SandboxError};
use super::request::{Network, RunStatus};
use super::spec::{Message, OverlaySpec, Reporter, Spec};
use super::{assemble, capability, command};
use crate::sys::{self, process::Fork, process::Parent};

/// Runs the command and reports how it ended. When this process ends, the kernel kills all others of
/// its pid namespace and waits for them.
pub(super) fn run(
    spec: &Spec,
    layers: &OverlaySpec,
    supervisor: Parent,
    reporter: &mut Reporter,
) -> Result<(), SandboxError> {
    supervisor.die_with().during("tie the sandbox to kiln")?;
    leave_namespaces(spec)?;
    // Modes are as given here; the command gets a mask of its own.
    rustix::process::umask(rustix::fs::Mode::empty());

    let root = assemble::assemble(spec, layers)?;
    assemble::change_root(root.as_fd())?;
    // Ends the descriptors of the old root with it. What is left open is the pipe to kiln.
    reporter.send(&Message::Placeholders(root.into_made()));

    match sys::process::fork().during("fork")? {
        Fork::Child => match command::become_command(spec, capability::KEPT, || Ok(())) {
            Ok(never) => match never {},
            Err(error) => {
                reporter.send(&Message::Failed(error.into()));
                sys::process::exit_now(127);
            }
        },
        Fork::Parent(command) => {
            // Only the command's processes hold the output now.
            super::supervisor::silence().during("let go of the output")?;
            let status = reap_until(command).during("wait for the command")?;
            reporter.send(&Message::Ended(status));
            Ok(())
        }
    }
}

fn leave_namespaces(spec: &Spec) -> Result<(), SandboxError> {
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if spec.network == Network::None {
        flags |= UnshareFlags::NEWNET;
    }
    sys::namespace::unshare(flags).during("leave kiln's namespaces")?;
    // Kernels before 4.6 have none, some containers refuse it, and only /proc/self/cgroup differs.
    sys::namespace::unshare(UnshareFlags::NEWCGROUP).ok();
    // Nothing that is mounted from here on is seen by anyone else.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).during("make the mounts private")?;
    match rustix::system::sethostname(spec.hostname.as_bytes()) {
        // Podman's seccomp profile allows namespaces and mounts to a container without CAP_SYS_ADMIN,
        // but not this call. The namespace has the job's name then.
        // https://github.com/containers/common/blob/main/pkg/seccomp/seccomp.json
        Err(Errno::PERM) => {}
        named => named.during(format!("set the host name `{}`", spec.hostname))?,
    }
    if spec.network == Network::None {
        sys::namespace::loopback_up().during("bring up the loopback interface")?;
    }
    sys::process::leave_session_keyring();
    Ok(())
}

/// Waits for the command. Orphans become children of pid 1, so they are waited for too.
fn reap_until(command: Pid) -> rustix::io::Result<RunStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == command => return Ok(run_status(status)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn run_status(status: WaitStatus) -> RunStatus {
    match status.terminating_signal() {
        Some(signal) => RunStatus::Signaled(signal),
        None => RunStatus::Exited(status.exit_status().unwrap_or_default()),
    }
}
