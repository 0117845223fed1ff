//! One process, and its end.

use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::common::Kiln;

/// How long one may take on the slowest of machines.
const PATIENCE: Duration = Duration::from_secs(200);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// Where a word is waited for.
const SHORT: Duration = Duration::from_millis(2);

/// What becomes of a process.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// It ends by itself.
    Lives,
    /// It is killed, so long after it began.
    DiesAfter(Duration),
    /// It is killed so long after it said this.
    DiesAt(&'static str, Duration),
}

/// How it ended.
#[derive(Debug)]
pub enum End {
    /// By itself, with success.
    Done { said: String, took: Duration },
    /// It was killed while it was running.
    Killed { said: String },
    /// By itself, and not well.
    Failed(String),
}

/// Runs kiln in a process group of its own to its end.
pub fn run(kiln: Kiln, fate: Fate) -> End {
    ended(kiln.into_command(), fate)
}

/// The same without a context.
pub fn run_bare(kiln: Kiln, fate: Fate) -> End {
    ended(kiln.into_bare_command(), fate)
}

fn ended((mut command, dir): (std::process::Command, tempfile::TempDir), fate: Fate) -> End {
    let log = dir.path().join("log");
    let file = fs::File::create(&log).expect("a file");
    command.stdout(Stdio::null()).stderr(file).process_group(0);
    let process = command.spawn().expect("kiln starts");
    let mut running = Running { process, log, start: Instant::now() };
    let status = running.wait(fate);
    let said = running.said();
    match (status.signal(), status.success()) {
        (Some(9), _) if running.start.elapsed() > PATIENCE => {
            End::Failed(format!("it did not end\n{said}"))
        }
        (Some(9), _) => End::Killed { said },
        (_, true) => End::Done { said, took: running.start.elapsed() },
        _ => End::Failed(format!("{status}\n{said}")),
    }
}

struct Running {
    process: Child,
    log: PathBuf,
    start: Instant,
}

impl Running {
    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn wait(&mut self, fate: Fate) -> ExitStatus {
        let mut end = match fate {
            Fate::DiesAfter(time) => Some(self.start + time),
            Fate::Lives | Fate::DiesAt(..) => None,
        };
        loop {
            if let Some(status) = self.process.try_wait().expect("a status") {
                return status;
            }
            if let (Fate::DiesAt(word, time), None) = (fate, end)
                && self.said().contains(word)
            {
                end = Some(Instant::now() + time);
            }
            let now = Instant::now();
            if end.is_some_and(|end| end <= now) || now > self.start + PATIENCE {
                return self.kill();
            }
            let pause = if matches!(fate, Fate::DiesAt(..)) { SHORT } else { PAUSE };
            thread::sleep(end.map_or(pause, |end| (end - now).min(pause)));
        }
    }

    /// Together with all that has not left its group.
    fn kill(&mut self) -> ExitStatus {
        // It was not waited for, so the number is still its own.
        kill_process_group(Pid::from_child(&self.process), Signal::KILL).expect("killed");
        self.process.wait().expect("a status")
    }
}
