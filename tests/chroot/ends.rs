//! Builds in a chroot that end before their time, and builds next to each other.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Bench, kiln};
use crate::common::{Kiln, Outcome, assert_no_work_dir, processes};

const PATIENCE: Duration = Duration::from_secs(30);

/// A RUN that has children and one that has left its parent; it never ends.
fn endless() -> (String, String) {
    let sleep = format!("sleep {}", fastrand::u32(500_000_000..));
    let run = format!(
        "RUN touch /made; {sleep} & (setsid setsid {sleep} &); trap '' TERM INT; {sleep}; wait"
    );
    (format!("FROM BASE/busybox\n{run}\n"), sleep)
}

/// Starts a build and waits until its RUN runs.
fn started(kiln: Kiln, sleep: &str) -> (Child, tempfile::TempDir) {
    let (mut command, dir) = kiln.into_command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while !processes::is_running(&format!("setsid {sleep}")) && !processes::is_running(sleep) {
        assert!(Instant::now() < end, "the RUN does not start");
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(200));
    (child, dir)
}

#[test]
fn a_build_that_is_killed_leaves_no_process_and_the_next_one_works() {
    let bench = Bench::new();
    let (dockerfile, sleep) = endless();
    let (mut child, dir) = started(kiln(&bench, &dockerfile), &sleep);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(processes::that_run(&sleep), Vec::<String>::new());
    // In the same directory for temporary files.
    let next = kiln(&bench, "FROM BASE/busybox\nRUN touch /next\n");
    next.env("TMPDIR", dir.path().join("tmp")).run().ok();
    assert_eq!(bench.image().paths(1).unwrap(), ["next"]);
}

#[test]
fn a_build_that_is_asked_to_end_ends_with_its_processes() {
    let bench = Bench::new();
    let (dockerfile, sleep) = endless();
    let (child, dir) = started(kiln(&bench, &dockerfile), &sleep);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!(processes::that_run(&sleep), Vec::<String>::new());
    assert_no_work_dir(dir.path(), &outcome);
    outcome.fails(130, "the build was stopped by SIGINT");
}

#[test]
fn two_builds_at_once_do_not_see_each_other() {
    let benches = [Bench::new(), Bench::new()];
    let texts = thread::scope(|scope| {
        let build = |bench: &'static str, other: &Bench| {
            let text = format!(
                "FROM BASE/busybox\n\
                 RUN sh -c 'sleep 2; : {bench}' & sleep 1; for p in /proc/[0-9]*; do \
                     tr '\\0' ' ' < $p/cmdline >> /seen; done; readlink /proc/self/root >> /seen; wait\n"
            );
            kiln(other, &text).run().ok();
            other.image().text("seen").unwrap()
        };
        let names = ["first-of-two", "second-of-two"];
        let running: Vec<_> = names
            .into_iter()
            .zip(&benches)
            .map(|(name, bench)| scope.spawn(move || build(name, bench)))
            .collect();
        running.into_iter().map(|build| build.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(texts[0].contains("first-of-two") && !texts[0].contains("second-of-two"), "{texts:?}");
    assert!(texts[1].contains("second-of-two") && !texts[1].contains("first-of-two"), "{texts:?}");
}
