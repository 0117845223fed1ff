//! A caller that the kernel leads along a link which was put there for it.
//!
//! /proc/self is one link for all, so nobody else may get it until the caller has gone past. The
//! kernel does not say when that is; but an execution gives the process another memory and another
//! stack, and chdir(2) another working directory.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::caller::{Identity, Memory};

/// How long a call may take that fails, which cannot be seen, or one that changes nothing. On a busy
/// machine the caller may have to wait for a processor.
const PATIENCE: Duration = Duration::from_secs(2);

const STEP: Duration = Duration::from_micros(50);

/// The caller as it was before.
#[derive(Debug)]
pub(super) struct Led {
    process: i32,
    memory: Memory,
    /// Where the path is in its memory.
    address: u64,
    traits: Traits,
    until: Instant,
}

/// What differs after the call.
#[derive(Debug, PartialEq, Eq)]
struct Traits {
    stack: Option<u64>,
    directory: Option<PathBuf>,
}

impl Traits {
    fn of(process: i32) -> Self {
        Self {
            stack: stack_of(process),
            directory: std::fs::read_link(format!("/proc/{process}/cwd")).ok(),
        }
    }
}

impl Led {
    /// A caller that is about to go on.
    pub(super) fn new(caller: &Identity, memory: &Memory, address: u64) -> Self {
        Self {
            process: caller.process,
            memory: memory.clone(),
            address,
            traits: Traits::of(caller.process),
            until: Instant::now() + PATIENCE,
        }
    }

    /// Waits until it has gone past, unless it is the same process that asks again.
    pub(super) fn wait_for_end(&self, caller: &Identity) {
        while self.process != caller.process && self.is_under_way() {
            thread::sleep(STEP);
        }
    }

    fn is_under_way(&self) -> bool {
        Instant::now() < self.until
            && self.memory.read(self.address, &mut [0]).is_ok()
            && Traits::of(self.process) == self.traits
    }
}

/// Where the stack of a process begins, which differs from program to program (proc_pid_stat(5)).
fn stack_of(process: i32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{process}/stat")).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_whitespace().nth(25)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn an_execution_is_the_end() {
        let own = Identity::of(std::process::id().cast_signed()).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", "read line; exec sleep 60"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // Before it has become the shell its stack is not the shell's.
        thread::sleep(Duration::from_millis(100));
        let caller = Identity::of(shell.id().cast_signed()).unwrap();
        let (memory, stack) = (Memory::of(caller.thread).unwrap(), stack_of(caller.process));
        let mut led = Led::new(&caller, &memory, stack.unwrap());
        led.until = Instant::now() + Duration::from_secs(60);
        assert!(led.is_under_way());
        std::io::Write::write_all(shell.stdin.as_mut().unwrap(), b"\n").unwrap();
        let start = Instant::now();
        led.wait_for_end(&own);
        assert!(start.elapsed() < Duration::from_secs(30));
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
}
