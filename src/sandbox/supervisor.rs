//! The first process of a RUN: kiln's program again, but with nothing of kiln's memory.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, RawFd};
use std::process::ExitCode;

use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, kill_process, set_dumpable_behavior, waitpid,
};
use rustix::thread::UnshareFlags;

use super::error::{During, SandboxError};
use super::spec::{Message, OverlaySpec, Reporter, RootSpec, Spec};
use super::{init, keeper};
use crate::sys::{self, process::Fork, process::Parent};

/// What the supervisor is called: its argv[0]. Its arguments are the numbers of two descriptors, the
/// spec's and the report's.
pub(super) const NAME: &str = "kiln-run-init";

/// If this process is one of a RUN's, does its job and says with what code to exit. The first thing
/// that `main` has to call.
pub fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    if args.next()? != OsStr::new(NAME) {
        return None;
    }
    let numbers = args.map(number).collect::<Option<Vec<_>>>();
    // Nobody hears an error message: the report is the only way up, and without it kiln sees that
    // the process has ended.
    match numbers.as_deref() {
        Some([spec, report]) => Some(supervise([*spec, *report]).unwrap_or(ExitCode::FAILURE)),
        _ => Some(ExitCode::FAILURE),
    }
}

fn number(arg: OsString) -> Option<RawFd> {
    arg.to_str()?.parse().ok()
}

fn supervise(descriptors: [RawFd; 2]) -> io::Result<ExitCode> {
    // Before the image's programs run: they must not reach this process through /proc, neither its
    // memory nor its program (see `program`).
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let [spec, report] = sys::process::adopt(descriptors)?;
    let mut reporter = Reporter(File::from(report));
    let spec = Spec::read_from(File::from(spec))?;
    if let Err(error) = run(&spec, &mut reporter) {
        reporter.send(&Message::Failed(error.into()));
    }
    Ok(ExitCode::SUCCESS)
}

fn run(spec: &Spec, reporter: &mut Reporter) -> Result<(), SandboxError> {
    // ^C goes to the process group of a terminal, and it is for kiln to decide what becomes of it.
    rustix::process::setsid().during("start a session")?;
    sys::signal::reset();
    // SIGTERM is how kiln asks for an end that it can wait for.
    sys::signal::block(&[Signal::CHILD, Signal::TERM]).during("block signals")?;
    match &spec.root {
        RootSpec::Overlay(layers) => in_namespaces(spec, layers, reporter),
        RootSpec::Directory(root) => keeper::in_chroot(spec, root, reporter),
        RootSpec::Here => keeper::in_place(spec, reporter),
    }
}

fn in_namespaces(
    spec: &Spec,
    layers: &OverlaySpec,
    reporter: &mut Reporter,
) -> Result<(), SandboxError> {
    let parent = Parent::this().during("open a pidfd")?;
    // It is the next child that gets the new namespace, as its pid 1.
    sys::namespace::unshare(UnshareFlags::NEWPID).during("make a pid namespace")?;
    match sys::process::fork().during("fork")? {
        Fork::Child => {
            if let Err(error) = init::run(spec, layers, parent, reporter) {
                reporter.send(&Message::Failed(error.into()));
            }
            sys::process::exit_now(0);
        }
        Fork::Parent(init) => {
            silence().during("let go of the output")?;
            wait_for(init, reporter).during("wait for the sandbox's init")
        }
    }
}

/// Waits for pid 1, and thus for all that was in its namespace.
fn wait_for(init: Pid, reporter: &mut Reporter) -> io::Result<()> {
    loop {
        match sys::signal::wait(&[Signal::CHILD, Signal::TERM])?.signal {
            Signal::TERM => kill_process(init, Signal::KILL)?,
            _ => {
                let Some((_, status)) = waitpid(Some(init), WaitOptions::NOHANG)? else { continue };
                match (status.exit_status(), status.terminating_signal()) {
                    (Some(0), _) => {}
                    (Some(code), _) => reporter.send(&Message::Lost(format!("exit code {code}"))),
                    (None, signal) => reporter
                        .send(&Message::Lost(format!("signal {}", signal.unwrap_or_default()))),
                }
                return Ok(());
            }
        }
    }
}

/// Replaces the standard streams: whoever holds the pipe of the output keeps kiln reading from it.
pub(super) fn silence() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    sys::process::replace_standard_streams(null.as_fd())
}
