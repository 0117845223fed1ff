//! Which processes are of a RUN: those that the supervisor is an ancestor of. It is a subreaper
//! (prctl(2)), so a process whose parent ends stays in the family.

use std::io;

use rustix::process::{Pid, Signal, getpid, kill_process};

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

    /// All members that there are at the moment.
    pub(super) fn members(self) -> io::Result<Vec<i32>> {
        let mut members = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            if let Some(process) = name.to_str().and_then(|name| name.parse().ok())
                && self.has(process)
            {
                members.push(process);
            }
        }
        Ok(members)
    }

    /// Ends every member. Those that they start meanwhile are found the next time round.
    pub(in crate::sandbox) fn kill(self) {
        for process in self.members().unwrap_or_default() {
            if let Some(process) = Pid::from_raw(process) {
                kill_process(process, Signal::KILL).ok();
            }
        }
    }
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
}
