//! Which processes are of a RUN: those that the supervisor is an ancestor of. It is a subreaper
//! (prctl(2)), so a process whose parent ends stays in the family.

use std::collections::HashMap;
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, waitid};

/// Deeper than any tree of processes; its end where the tree changes while it is climbed.
const MOST_GENERATIONS: usize = 10_000;

/// The processes below one.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Family {
    head: i32,
}

impl Family {
    /// Those of the calling process.
    pub(in crate::sandbox) fn own() -> Self {
        Self { head: getpid().as_raw_nonzero().get() }
    }

    /// The process at its head, which is not itself a member.
    pub(super) fn head(self) -> i32 {
        self.head
    }

    /// Whether a process or thread is a member.
    pub(super) fn has(self, process: i32) -> bool {
        let mut process = process;
        for _ in 0..MOST_GENERATIONS {
            match parent_of(process) {
                Some(parent) if parent == self.head => return true,
                Some(parent) if parent > 1 => process = parent,
                _ => return false,
            }
        }
        false
    }

    /// All members that there are at the moment. /proc may hold many others, so each is read once.
    pub(super) fn members(self) -> io::Result<Vec<i32>> {
        let mut parents = HashMap::new();
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let process = name.to_str().and_then(|name| name.parse().ok());
            if let Some((process, parent)) =
                process.and_then(|process| Some((process, parent_of(process)?)))
            {
                parents.insert(process, parent);
            }
        }
        Ok(below(self.head, &parents))
    }

    /// Ends every member. Those that they start meanwhile are found the next time round. The head, whose
    /// job it is, has none if it has no child: an orphan becomes one before its parent can be waited for.
    pub(in crate::sandbox) fn kill(self) {
        if has_no_child() {
            return;
        }
        for process in self.members().unwrap_or_default() {
            if let Some(process) = Pid::from_raw(process) {
                kill_process(process, Signal::KILL).ok();
            }
        }
    }
}

/// Whether the calling process has none, neither alive nor to be waited for. Nothing is waited for.
fn has_no_child() -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, look), Err(Errno::CHILD))
}

/// Those below a process, in order.
fn below(head: i32, parents: &HashMap<i32, i32>) -> Vec<i32> {
    let is_below = |process: i32| {
        let way = std::iter::successors(Some(process), |process| parents.get(process).copied());
        way.skip(1).take(MOST_GENERATIONS).any(|above| above == head)
    };
    let mut members: Vec<i32> =
        parents.keys().copied().filter(|process| is_below(*process)).collect();
    members.sort_unstable();
    members
}

/// From /proc/PID/stat: the command's name, which may hold anything, ends with the last bracket.
fn parent_of(process: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{process}/stat")).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn children_and_theirs_are_of_the_family() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(shell.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        let grandchild: i32 = line.trim().parse().unwrap();
        let family = Family::own();
        let child = shell.id().cast_signed();
        assert!(family.has(child) && family.has(grandchild));
        assert!(!family.has(1) && !family.has(std::process::id().cast_signed()));
        let members = family.members().unwrap();
        assert!(members.contains(&child) && members.contains(&grandchild));
        kill_process(Pid::from_raw(grandchild).unwrap(), Signal::KILL).unwrap();
        shell.kill().ok();
        shell.wait().unwrap();
    }

    #[test]
    fn those_below_are_found_in_one_look() {
        // 20 and 21 stand in a circle, as where numbers are given anew while /proc is read.
        let parents = [(2, 1), (5, 2), (9, 5), (7, 1), (8, 7), (20, 21), (21, 20)].into();
        assert_eq!(below(2, &parents), [5, 9]);
        assert_eq!(below(9, &parents), [0; 0]);
    }
}
