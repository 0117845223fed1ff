//! Builds that are stopped at any moment: by a signal that asks, and by one that does not.
//!
//! Needs root or user namespaces, and /bin/busybox (package busybox-static).

mod common;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::bench::{Bench, assert_gone};
use common::{Kiln, Outcome, processes};
use rustix::process::{Pid, Signal, kill_process};
use testkit::{Action, Fault, Registry};

/// How long the moment may take to come at which a build is to be stopped.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than the test waits: what is so slow never ends by itself.
const FOREVER: Duration = Duration::from_secs(600);

/// The signals that ask, and what kiln exits with.
const SIGNALS: [(Signal, &str, i32); 3] =
    [(Signal::INT, "SIGINT", 130), (Signal::TERM, "SIGTERM", 143), (Signal::HUP, "SIGHUP", 129)];

/// A build that is on its way.
struct Running {
    kiln: Child,
    dir: tempfile::TempDir,
    log: PathBuf,
}

impl Running {
    fn start(kiln: Kiln) -> Self {
        let (mut command, dir) = kiln.into_command();
        let log = dir.path().join("log");
        let file = std::fs::File::create(&log).expect("a file");
        let kiln = command.stdout(Stdio::piped()).stderr(file).spawn().expect("kiln starts");
        Self { kiln, dir, log }
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits for the moment that is meant.
    #[track_caller]
    fn wait_until(&mut self, what: &str, mut is_there: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_there(self) {
            let ended = self.kiln.try_wait().expect("a status");
            assert!(ended.is_none(), "ended before {what}: {ended:?}\n{}", self.log());
            assert!(Instant::now() < end, "no {what}:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn send(&self, signal: Signal) {
        let pid = Pid::from_child(&self.kiln);
        kill_process(pid, signal).expect("kiln is there");
    }

    /// Waits for its end.
    #[track_caller]
    fn end(mut self) -> (Outcome, tempfile::TempDir) {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.kiln.try_wait().expect("a status") {
                break status;
            }
            if Instant::now() > end {
                self.send(Signal::KILL);
                panic!("it did not end:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(5));
        };
        let mut stdout = String::new();
        let pipe = self.kiln.stdout.as_mut().expect("a pipe");
        pipe.read_to_string(&mut stdout).expect("text");
        (Outcome { code: status.code(), stdout, stderr: self.log() }, self.dir)
    }
}

/// Stops a build with each of the signals that ask, and looks at what is left.
fn stopped(make: impl Fn() -> (Bench, Kiln), moment: impl Fn(&Bench, &mut Running)) {
    for (signal, name, code) in SIGNALS {
        let (bench, kiln) = make();
        let mut running = Running::start(kiln);
        moment(&bench, &mut running);
        running.send(signal);
        let (outcome, dir) = running.end();
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert_eq!(outcome.stdout, "", "{outcome}");
        assert!(!outcome.stderr.contains("panicked"), "{outcome}");
        let errors: Vec<_> = outcome.stderr.lines().filter(|l| l.starts_with("error: ")).collect();
        assert_eq!(errors, [format!("error: the build was stopped by {name}")], "{outcome}");
        common::assert_no_work_dir(dir.path(), &outcome);
        assert_gone(dir.path());
        bench.assert_nothing_pushed(&outcome);
    }
}

fn asked(bench: &Bench, method: &str, path: &str) -> bool {
    bench.registry.requests().iter().any(|r| r.method == method && r.path.contains(path))
}

/// `sleep` with a number of seconds that no other process sleeps.
fn unique_sleep(bench: &Bench) -> String {
    let port = bench.registry.host().rsplit(':').next().expect("a port").to_owned();
    format!("sleep 9{port}{}", std::process::id())
}

#[test]
fn while_the_base_is_resolved() {
    stopped(
        || {
            let bench = Bench::new().with_busybox();
            bench.registry.fault(Fault::on("GET", "/manifests/", Action::Delay(FOREVER)));
            let kiln = bench.kiln("FROM REGISTRY/base:1\nRUN true\n");
            (bench, kiln)
        },
        |bench, running| running.wait_until("request", |_| asked(bench, "GET", "/manifests/")),
    );
}

#[test]
fn while_a_layer_is_pulled_and_unpacked() {
    stopped(
        || {
            let bench = Bench::new().with_busybox();
            let image = testkit::image::Image::from_registry(&bench.registry, "base", "1");
            let layer = image.expect("a base").layers[0].clone();
            bench.registry.fault(Fault::on(
                "GET",
                &layer,
                Action::SlowBody { piece: 65_536, pause: Duration::from_secs(1) },
            ));
            let kiln = bench.kiln("FROM REGISTRY/base:1\nRUN true\n");
            (bench, kiln)
        },
        |_, running| running.wait_until("pull", |running| running.log().contains("pull ")),
    );
}

#[test]
fn while_a_registry_asks_to_wait() {
    stopped(
        || {
            let bench = Bench::new().with_busybox();
            let busy = Action::RetryAfter { code: 429, seconds: 60 };
            bench.registry.fault(Fault::on("*", "/v2/base/", busy).always());
            let kiln = bench.kiln("FROM REGISTRY/base:1\nRUN true\n");
            (bench, kiln)
        },
        |bench, running| running.wait_until("request", |_| asked(bench, "GET", "/manifests/")),
    );
}

#[test]
fn while_a_command_runs() {
    stopped(
        || {
            let bench = Bench::new().with_busybox();
            let sleep = unique_sleep(&bench);
            // Also what ignores the polite signal, and what went into the background.
            let text = format!(
                "FROM REGISTRY/base:1\nRUN trap '' TERM INT HUP; (setsid {sleep} &); echo started; {sleep}\n"
            );
            let kiln = bench.kiln(&text);
            (bench, kiln)
        },
        |bench, running| {
            running.wait_until("command", |running| running.log().contains("started"));
            running.wait_until("sleep", |_| processes::is_running(&unique_sleep(bench)));
        },
    );
}

#[test]
fn the_processes_of_a_command_are_gone() {
    for signal in [Signal::TERM, Signal::KILL] {
        let bench = Bench::new().with_busybox();
        let sleep = unique_sleep(&bench);
        let text = format!(
            "FROM REGISTRY/base:1\nRUN trap '' TERM; (setsid {sleep} &); echo started; {sleep}\n"
        );
        let mut running = Running::start(bench.kiln(&text));
        running.wait_until("command", |running| running.log().contains("started"));
        running.wait_until("sleep", |_| processes::is_running(&sleep));
        running.send(signal);
        let (outcome, dir) = running.end();
        assert_eq!(processes::that_run(&sleep), [""; 0], "{outcome}");
        assert_gone(dir.path());
        bench.assert_nothing_pushed(&outcome);
    }
}

#[test]
fn while_several_stages_run() {
    stopped(
        || {
            let bench = Bench::new().with_busybox();
            let sleep = unique_sleep(&bench);
            let text = format!(
                "FROM REGISTRY/base:1 AS a\nRUN echo first; {sleep}\n\
                 FROM REGISTRY/base:1 AS b\nRUN echo second; {sleep}\n\
                 FROM scratch\nCOPY --from=a /bin/sh /a\nCOPY --from=b /bin/sh /b\n"
            );
            let kiln = bench.kiln(&text);
            (bench, kiln)
        },
        |_, running| {
            running.wait_until("commands", |running| {
                let log = running.log();
                log.contains(" first\n") && log.contains(" second\n")
            });
        },
    );
}

#[test]
fn while_a_layer_is_pushed() {
    stopped(
        || {
            let bench = Bench::new();
            bench.registry.fault(Fault::on("PUT", "/uploads/", Action::Delay(FOREVER)));
            let kiln = bench.kiln("FROM scratch\nCOPY big /\n").file("big", noise(20 << 20));
            (bench, kiln)
        },
        |bench, running| running.wait_until("upload", |_| asked(bench, "PUT", "/uploads/")),
    );
}

#[test]
fn while_an_upload_is_begun() {
    stopped(
        || {
            let bench = Bench::new();
            let begin = Fault::on("POST", "/uploads/", Action::Delay(FOREVER)).nth(2);
            bench.registry.fault(begin);
            let kiln = bench.kiln("FROM scratch\nCOPY Dockerfile /\n");
            (bench, kiln)
        },
        |bench, running| {
            running.wait_until("upload", |_| {
                bench.registry.requests().iter().filter(|r| r.method == "POST").count() >= 2
            });
        },
    );
}

#[test]
fn while_the_tag_is_set() {
    stopped(
        || {
            let bench = Bench::new();
            bench.registry.fault(Fault::on("PUT", "/manifests/", Action::Delay(FOREVER)));
            let kiln = bench.kiln("FROM scratch\nCOPY Dockerfile /\n");
            (bench, kiln)
        },
        |bench, running| running.wait_until("tag", |_| asked(bench, "PUT", "/manifests/")),
    );
}

#[test]
fn while_a_push_is_tried_again() {
    stopped(
        || {
            let bench = Bench::new();
            bench.registry.fault(Fault::on("PUT", "/uploads/", Action::status(503)).always());
            let kiln = bench.kiln("FROM scratch\nCOPY Dockerfile /\n");
            (bench, kiln)
        },
        |bench, running| running.wait_until("upload", |_| asked(bench, "PUT", "/uploads/")),
    );
}

#[test]
fn a_second_signal_does_not_wait() {
    let bench = Bench::new().with_busybox();
    let sleep = unique_sleep(&bench);
    let text = format!("FROM REGISTRY/base:1\nRUN trap '' TERM INT; echo started; {sleep}\n");
    let mut running = Running::start(bench.kiln(&text));
    running.wait_until("command", |running| running.log().contains("started"));
    running.send(Signal::TERM);
    running.send(Signal::INT);
    let (outcome, dir) = running.end();
    assert!(matches!(outcome.code, Some(130 | 143)), "{outcome}");
    assert_eq!(processes::that_run(&sleep), [""; 0], "{outcome}");
    assert_gone(dir.path());
}

#[test]
fn what_a_killed_build_left_the_next_one_removes() {
    let bench = Bench::new().with_busybox();
    let sleep = unique_sleep(&bench);
    let text = format!("FROM REGISTRY/base:1\nRUN mkdir /d; chmod 0 /d; echo started; {sleep}\n");
    let mut running = Running::start(bench.kiln(&text));
    running.wait_until("command", |running| running.log().contains("started"));
    running.send(Signal::KILL);
    let (outcome, dir) = running.end();
    assert_eq!(outcome.code, None, "{outcome}");
    assert_eq!(processes::that_run(&sleep), [""; 0], "{outcome}");
    let tmp = dir.path().join("tmp");
    assert_eq!(names(&tmp).len(), 1, "the work directory cannot be gone yet");

    // One that is still used stays.
    let mut other = Running::start(bench.kiln(&text).env("TMPDIR", &tmp));
    other.wait_until("command", |other| other.log().contains("started"));
    assert_eq!(names(&tmp).len(), 1, "the leftover is gone, the new one is there");
    bench.kiln("FROM scratch\nCOPY Dockerfile /\n").env("TMPDIR", &tmp).run().ok();
    assert_eq!(names(&tmp).len(), 1, "a neighbour's directory was removed");
    other.send(Signal::TERM);
    let (outcome, _) = other.end();
    assert_eq!(names(&tmp), [""; 0], "{outcome}");
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length / 8).flat_map(|_| next()).collect()
}

#[test]
fn nothing_of_a_stopped_pull_reaches_a_mirror() {
    // A registry that is asked nothing must not be asked at the end either.
    let bench = Bench::new().with_busybox();
    let other = Registry::start();
    bench.registry.fault(Fault::on("GET", "/manifests/", Action::Delay(FOREVER)));
    let kiln = bench.kiln_without_name("FROM REGISTRY/base:1\n");
    let mut running = Running::start(kiln.args(["-t", &format!("{}/app:1", other.host())]));
    running.wait_until("request", |_| asked(&bench, "GET", "/manifests/"));
    running.send(Signal::TERM);
    let (outcome, _dir) = running.end();
    assert_eq!(outcome.code, Some(143), "{outcome}");
    assert_eq!(other.open_uploads(), 0, "{outcome}");
}
