//! Builds that share a container.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::base::busybox;
use testkit::image::Image;
use testkit::{Registry, tree::Tree};

use crate::common::Outcome;
use crate::common::containers::{Container, Engine, Running};

/// A registry, and contexts for a container.
struct Job {
    registry: Registry,
    dir: tempfile::TempDir,
}

impl Job {
    fn new() -> Self {
        let registry = Registry::start();
        let config = json!({ "config": { "Env": ["PATH=/bin:/usr/bin"] } });
        registry.add_image("busybox", "1", vec![busybox().unwrap()], config);
        let dir = tempfile::tempdir().unwrap();
        let from = format!("FROM {}/busybox:1\n", registry.host());
        let own = "ARG NUMBER\nCOPY file /copied\n\
                   RUN sleep 0.3; echo $NUMBER > /number; rm -r /home; ls / > /seen\n";
        let slow = "RUN echo begun > /begun; echo is-slow; sleep 1000\n";
        Tree::new()
            .file("own/Dockerfile", format!("{from}{own}"))
            .file("own/file", "of the project\n")
            .file("slow/Dockerfile", format!("{from}{slow}"))
            .write_to(dir.path())
            .unwrap();
        Self { registry, dir }
    }

    fn start<'a>(&self, container: Container<'a>) -> Running<'a> {
        container.mount(self.dir.path(), "/builds").entrypoint("sleep").start(["1000"])
    }

    fn command(&self, number: usize) -> String {
        let name = format!("{}/app:{number}", self.registry.host());
        format!("kiln build --build-arg NUMBER={number} -t {name} /builds/own")
    }

    /// The image of that number is what its Dockerfile makes, and has nothing of another build.
    #[track_caller]
    fn check(&self, number: usize) {
        let image = Image::from_registry(&self.registry, "app", &number.to_string()).unwrap();
        image.verify().unwrap();
        assert_eq!(image.text("number").unwrap(), format!("{number}\n"));
        assert_eq!(image.text("copied").unwrap(), "of the project\n");
        let seen = image.text("seen").unwrap();
        for foreign in ["kaniko", "begun", "builds", "home", "busybox"] {
            assert!(!seen.lines().any(|name| name == foreign), "{foreign} in\n{seen}");
        }
    }

    /// The container is as it was before.
    #[track_caller]
    fn assert_restored(&self, running: &Running<'_>, before: &str) {
        assert_eq!(surroundings(running), before);
    }
}

/// What a job sees of its container: the top directories, kiln's own, what is in the temporary ones,
/// and the processes but for those that look.
fn surroundings(running: &Running<'_>) -> String {
    let list = "ls -lan / /kaniko /bin /etc /builds | awk '{ print $1, $3, $4, $9, $10, $11 }'";
    let rest = "ls -A /tmp /var/tmp; ps -o comm | grep -v -e ^ps$ -e ^sh$ -e ^grep$";
    running.shell(&format!("{list}; {rest}")).ok().stdout
}

/// The isolations in which a container can be shared by builds with RUNs, without more rights.
fn containers(engine: &Engine) -> [Container<'_>; 2] {
    let seven = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SETFCAP", "KILL"];
    let seven = seven.iter().flat_map(|name| ["--cap-add", name]);
    [engine.container(), engine.container().flags(["--cap-drop", "ALL"]).flags(seven)]
}

#[test]
fn dockerd_builds_follow_each_other_in_one_container() {
    let engine = Engine::start();
    for container in containers(&engine) {
        let job = Job::new();
        let running = job.start(container);
        let before = surroundings(&running);
        for number in 0..10 {
            running.shell(&job.command(number)).ok();
            job.check(number);
        }
        job.assert_restored(&running, &before);
    }
}

#[test]
fn dockerd_two_builds_run_at_once_in_one_container() {
    let engine = Engine::start();
    for container in containers(&engine) {
        let job = Job::new();
        let running = job.start(container);
        let before = surroundings(&running);
        let start = |number| {
            let mut command = running.command(["sh", "-c", &job.command(number)]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children = [start(1), start(2)];
        for child in children {
            Outcome::from(child.wait_with_output().unwrap()).ok();
        }
        job.check(1);
        job.check(2);
        job.assert_restored(&running, &before);
    }
}

#[test]
fn dockerd_a_build_follows_one_that_was_killed() {
    let engine = Engine::start();
    for container in containers(&engine) {
        let job = Job::new();
        let running = job.start(container);
        let before = surroundings(&running);
        let script = "echo $$ > /tmp/pid; exec kiln build -v --no-push -t app:1 /builds/slow \
                      > /tmp/log 2>&1";
        let mut child = running.command(["sh", "-c", script]).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        // In the log twice: in the instruction and as what it prints.
        while running.shell("grep -c is-slow /tmp/log || true").stdout.trim() < "2" {
            assert!(Instant::now() < end, "{}", running.shell("cat /tmp/log"));
            thread::sleep(Duration::from_millis(50));
        }
        running.shell("kill -KILL $(cat /tmp/pid)").ok();
        child.wait().unwrap();
        // What the killed one has left is the next one's to clear away.
        running.shell(&job.command(1)).ok();
        job.check(1);
        running.shell("rm /tmp/pid /tmp/log").ok();
        job.assert_restored(&running, &before);
    }
}
