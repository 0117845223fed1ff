//! System calls about other processes: there are none but those of the RUN.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpgid, kill_process};

use super::caller::Identity;
use super::family::Family;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The kernel carries it out.
    Proceed,
    /// It has been carried out.
    Done,
    /// It fails.
    Refused(Errno),
}

/// ptrace(2), process_vm_readv(2) and their like.
pub(super) fn touch(family: Family, process: i32) -> Verdict {
    if family.has(process) { Verdict::Proceed } else { Verdict::Refused(Errno::PERM) }
}

/// tgkill(2), pidfd_open(2) and their like. What does not exist, or for what nobody could mean, the
/// kernel judges.
pub(super) fn reach(family: Family, process: i32) -> Verdict {
    if process <= 0 || family.has(process) {
        Verdict::Proceed
    } else {
        Verdict::Refused(Errno::SRCH)
    }
}

/// kill(2). "All processes" would be those of the whole container.
pub(super) fn kill(family: Family, caller: &Identity, process: i32, signal: i32) -> Verdict {
    let proceed = |known| if known { Verdict::Proceed } else { Verdict::Refused(Errno::SRCH) };
    match process {
        0 => Verdict::Proceed,
        -1 => kill_all(family, caller, signal),
        1.. => proceed(family.has(process)),
        group => proceed(is_group_of(family, -group)),
    }
}

fn is_group_of(family: Family, group: i32) -> bool {
    let in_group = |process: i32| {
        Pid::from_raw(process).is_some_and(|process| {
            getpgid(Some(process)).is_ok_and(|g| g.as_raw_nonzero().get() == group)
        })
    };
    family.members().unwrap_or_default().into_iter().any(in_group)
}

fn kill_all(family: Family, caller: &Identity, signal: i32) -> Verdict {
    let mut reached = 0;
    for process in family.members().unwrap_or_default() {
        let may =
            caller.uid == 0 || Identity::of(process).is_ok_and(|other| other.uid == caller.uid);
        if process == caller.process || !may {
            continue;
        }
        if let (Some(process), Some(signal)) =
            (Pid::from_raw(process), Signal::from_named_raw(signal))
        {
            kill_process(process, signal).ok();
        }
        reached += 1;
    }
    if reached == 0 { Verdict::Refused(Errno::SRCH) } else { Verdict::Done }
}
