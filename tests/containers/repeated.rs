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
                   RUN sleep 0.3; echo $NUMBER > /number; rm -r /home\n";
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
        let tree = image.tree().unwrap();
        for foreign in ["kaniko", "begun", "builds", "home", "busybox", "workspace"] {
            assert!(!tree.contains_key(foreign), "/{foreign} is in the image");
        }
    }

    /// The container is as it was before.
    #[track_caller]
    fn assert_restored(&self, running: &Running<'_>, before: &str) {
        let after = surroundings(running);
        let only_in = |one: &str, other: &str| -> Vec<String> {
            let lines = one.lines().filter(|line| !other.lines().any(|known| known == *line));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(
            after,
            before,
            "new {:?}, gone {:?}",
            only_in(&after, before),
            only_in(before, &after)
        );
    }
}

/// What a job sees of its container, but for the lock that builds in kiln's image share: the top directories, kiln's own, what is in the temporary ones,
/// and the processes. Not those that look, nor those that have ended, since the container's first
/// process is `sleep`, which waits for nobody.
fn surroundings(running: &Running<'_>) -> String {
    let list = "ls -lan / /kaniko /bin /etc /builds | grep -v root.lock$ | awk '{ print $1, $3, $4, $9, $10, $11 }'";
    let others = "-e ^Z -e ps$ -e sh$ -e grep$ -e exe$ -e awk$ -e ls$";
    let rest = format!("ls -A /tmp /var/tmp; ps -o stat,comm | grep -v {others}");
    running.shell(&format!("{list}; {rest}")).ok().stdout
}

fn builds_follow_each_other(container: Container<'_>) {
    let job = Job::new();
    let running = job.start(container);
    let before = surroundings(&running);
    for number in 0..10 {
        running.shell(&job.command(number)).ok();
        job.check(number);
    }
    job.assert_restored(&running, &before);
}

fn two_builds_run_at_once(container: Container<'_>) {
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

fn a_build_follows_one_that_was_killed(container: Container<'_>) {
    let job = Job::new();
    let running = job.start(container);
    let before = surroundings(&running);
    let script = "echo $$ > /kaniko/pid; exec kiln build -v --no-push -t app:1 /builds/slow \
                  > /kaniko/log 2>&1";
    let mut child = running.command(["sh", "-c", script]).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    // In the log twice: in the instruction and as what it prints.
    while running.shell("grep -c is-slow /kaniko/log || true").stdout.trim() < "2" {
        assert!(Instant::now() < end, "{}", running.shell("cat /kaniko/log"));
        thread::sleep(Duration::from_millis(50));
    }
    running.shell("kill -KILL $(cat /kaniko/pid)").ok();
    child.wait().unwrap();
    // What the killed one has left is the next one's to clear away.
    running.shell(&job.command(1)).ok();
    job.check(1);
    running.shell("rm /kaniko/pid /kaniko/log").ok();
    job.assert_restored(&running, &before);
}

#[test]
fn dockerd_chroot_builds_follow_each_other_in_one_container() {
    builds_follow_each_other(Engine::start().container());
}

#[test]
fn dockerd_inplace_builds_follow_each_other_in_one_container() {
    builds_follow_each_other(Engine::start().container().seven_capabilities());
}

#[test]
fn dockerd_chroot_two_builds_run_at_once_in_one_container() {
    two_builds_run_at_once(Engine::start().container());
}

#[test]
fn dockerd_inplace_two_builds_run_at_once_in_one_container() {
    two_builds_run_at_once(Engine::start().container().seven_capabilities());
}

#[test]
fn dockerd_chroot_a_build_follows_one_that_was_killed() {
    a_build_follows_one_that_was_killed(Engine::start().container());
}

#[test]
fn dockerd_inplace_a_build_follows_one_that_was_killed() {
    a_build_follows_one_that_was_killed(Engine::start().container().seven_capabilities());
}

#[test]
fn dockerd_inplace_never_works_in_the_context() {
    let job = Job::new();
    let engine = Engine::start();
    let running = job.start(engine.container().seven_capabilities());
    let script = format!(
        "cp -r /builds/own /project && cd /project && \
         printf 'FROM {}/busybox:1\nWORKDIR /project\nRUN rm -f file\n' > Dockerfile && \
         kiln build --no-push /project",
        job.registry.host()
    );
    let outcome = running.shell(&script).fails(1, "this step works in /project");
    assert!(outcome.stderr.contains("Dockerfile:2"), "{outcome}");
    assert_eq!(running.shell("cat /project/file").ok().stdout, "of the project\n");
}

#[test]
fn dockerd_inplace_finds_a_context_that_a_killed_build_has_moved() {
    let job = Job::new();
    let engine = Engine::start();
    let running = job.start(engine.container().seven_capabilities());
    running.shell("mkdir /one /two && cp /builds/slow/* /one && cp /builds/own/* /two").ok();
    let script = "kiln build -v --no-push /one > /kaniko/log 2>&1 & kiln=$!\n\
                  until [ $(grep -c is-slow /kaniko/log) -ge 2 ]; do sleep 0.1; done\n\
                  test ! -e /two && kill -KILL $kiln";
    running.shell(script).ok();
    let command = job.command(2).replace("/builds/own", "/two");
    running.shell(&command).ok();
    job.check(2);
    assert_eq!(
        running.shell("ls /one /two").ok().stdout,
        "/one:\nDockerfile\n\n/two:\nDockerfile\nfile\n"
    );
}
