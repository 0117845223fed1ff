//! The supervisor of a RUN that has no pid namespace: it keeps all processes of the RUN below itself
//! and ends what the command leaves.
//!
//! ```text
//! kiln (launch)
//!   └ supervisor         a subreaper; its second thread is the broker
//!       └ command        in the chroot, under the filter
//! ```

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, set_child_subreaper,
    set_parent_process_death_signal, wait,
};

use super::broker::{self, Broker, Family};
use super::error::{During, SandboxError};
use super::request::RunStatus;
use super::spec::{DirectorySpec, Message, Reporter, Spec};
use super::{capability, command, init};
use crate::sys::seccomp::Listener;
use crate::sys::{self, process::Fork, process::Parent};

/// Runs the command in a chroot and reports how it ended. SIGCHLD and SIGTERM are blocked.
pub(super) fn in_chroot(
    spec: &Spec,
    directory: &DirectorySpec,
    reporter: &mut Reporter,
) -> Result<(), SandboxError> {
    become_head().during("prepare to look after the command's processes")?;
    let path = Path::new(&directory.path);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = openat(CWD, path, flags, Mode::empty()).during("open the root directory")?;
    let (here, there) = pair().during("make a socket for the filter")?;
    let parent = Parent::this().during("open a pidfd")?;
    let command = match sys::process::fork().during("fork")? {
        Fork::Child => {
            drop(here);
            let Err(error) = become_command(spec, parent, &root, &there);
            reporter.send(&Message::Failed(error.into()));
            sys::process::exit_now(127);
        }
        Fork::Parent(command) => command,
    };
    drop(there);
    super::supervisor::silence().during("let go of the output")?;
    if let Some(listener) = receive(&here).during("receive the filter's listener")? {
        let links = broker::links_among(&root, directory.links.iter().map(Path::new));
        let broker = Broker::new(listener, (root, path), directory.own_devices)
            .during("start the broker")?;
        let broker = Arc::new(broker);
        let serving = broker.clone();
        std::thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || serving.serve(links))
            .during("start the broker")?;
        let status = wait_for(command).during("wait for the command")?;
        conclude(status, reporter, Some(&broker));
        return Ok(());
    }
    // The command did not get that far, and has said why.
    wait_for(command).during("wait for the command").map(drop)
}

/// Runs the command in the present root and reports how it ended. SIGCHLD and SIGTERM are blocked.
pub(super) fn in_place(spec: &Spec, reporter: &mut Reporter) -> Result<(), SandboxError> {
    become_head().during("prepare to look after the command's processes")?;
    let parent = Parent::this().during("open a pidfd")?;
    let command = match sys::process::fork().during("fork")? {
        Fork::Child => {
            let become_it = || {
                parent.die_with().during("tie the command to kiln")?;
                sys::process::leave_session_keyring();
                command::become_command(spec, capability::KEPT, || Ok(()))
            };
            let Err(error) = become_it();
            reporter.send(&Message::Failed(error.into()));
            sys::process::exit_now(127);
        }
        Fork::Parent(command) => command,
    };
    super::supervisor::silence().during("let go of the output")?;
    let status = wait_for(command).during("wait for the command")?;
    conclude(status, reporter, None);
    Ok(())
}

/// Orphans come to this process, and the end of kiln is a request to end them all first.
fn become_head() -> rustix::io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    let kiln = getppid();
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // It may have ended before the signal was asked for.
    if getppid() == kiln { Ok(()) } else { Err(Errno::SRCH) }
}

fn become_command(
    spec: &Spec,
    supervisor: Parent,
    root: &OwnedFd,
    socket: &OwnedFd,
) -> Result<std::convert::Infallible, SandboxError> {
    supervisor.die_with().during("tie the command to kiln")?;
    sys::process::leave_session_keyring();
    rustix::process::fchdir(root).during("change to the root directory")?;
    rustix::process::chroot(".").during("change the root directory")?;
    rustix::process::chdir("/").during("change to /")?;
    // Modes are as given until the command gets a mask of its own.
    rustix::process::umask(Mode::empty());
    command::become_command(spec, capability::KEPT_IN_CHROOT, || filter(socket))
}

/// Puts this process under the broker's filter. That is allowed only to a process that can gain
/// nothing by executing a program, or has CAP_SYS_ADMIN, which no command has (seccomp(2)).
fn filter(socket: &OwnedFd) -> Result<(), SandboxError> {
    rustix::thread::set_no_new_privs(true).during("give up set-user-ID programs")?;
    let listener = broker::install_filter().during("install the system call filter")?;
    send(socket, &listener).during("hand over the filter's listener")
}

/// What the command has left running ends now; then its status is told. Not before: where kiln has been
/// killed, a word to it ends this process (SIGPIPE), and nobody would be left to end the others.
fn conclude(status: Option<RunStatus>, reporter: &mut Reporter, broker: Option<&Broker>) {
    let family = Family::own();
    loop {
        family.kill();
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    // Without one it was stopped, and kiln knows.
    if let Some(status) = status {
        if let Some(broker) = broker {
            reporter.send(&Message::Asked(broker.heard()));
        }
        reporter.send(&Message::Ended(status));
    }
}

/// Waits for the command, and for orphans meanwhile; nothing if kiln wants an end.
fn wait_for(command: Pid) -> std::io::Result<Option<RunStatus>> {
    loop {
        while let Some((process, status)) = match wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => None,
            result => result?,
        } {
            if process == command {
                return Ok(Some(init::run_status(status)));
            }
        }
        if sys::signal::wait(&[Signal::CHILD, Signal::TERM])?.signal == Signal::TERM {
            return Ok(None);
        }
    }
}

fn pair() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

fn send(socket: &OwnedFd, listener: &Listener) -> rustix::io::Result<()> {
    let descriptors = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(b"+")], &mut control, SendFlags::empty()).map(drop)
}

/// Nothing if the other end has closed without sending.
fn receive(socket: &OwnedFd) -> rustix::io::Result<Option<Listener>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(descriptor.map(Listener::from))
}
