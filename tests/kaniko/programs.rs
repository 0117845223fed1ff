//! Which program kiln is, and who says so.

use std::process::Command;

use testkit::Registry;

use crate::common::{Outcome, program};
use crate::job::Job;

#[test]
fn the_job_of_the_article_runs() {
    let registry = Registry::builder().basic_auth("user", "secret").start();
    let job = Job::new("FROM scratch\nCOPY Dockerfile /\n");
    let host = registry.host();
    std::fs::write(
        job.path("config.json"),
        format!(r#"{{"auths":{{"{host}":{{"username":"user","password":"secret"}}}}}}"#),
    )
    .expect("a file");
    let mut command = job.command("/kaniko/executor");
    command.env("DOCKER_CONFIG", job.path("")).arg("--context").arg(job.path("context"));
    command.arg("--dockerfile").arg(job.path("context/Dockerfile"));
    command.args(["--destination", &format!("{host}/group/app:main")]);
    let outcome = job.run(command).ok();
    let digest = registry.digest("group/app", "main").expect("an image");
    assert!(outcome.stderr.contains(&format!("Pushed {host}/group/app@{digest}")), "{outcome}");
    assert_eq!(outcome.stdout, "");
}

#[test]
fn every_name_leads_to_the_executor() {
    let job = Job::new("FROM scratch\nCOPY Dockerfile /\n");
    let link = job.path("executor");
    std::os::unix::fs::symlink(program(), &link).expect("a link");
    let mut commands = vec![Command::new(link), job.command("executor"), job.command("kiln")];
    commands[2].arg("executor");
    for mut command in commands {
        command.current_dir(job.path("")).env("TMPDIR", job.path("tmp"));
        command.args(["-c", "context", "--no-push", "--digest-file", "digest"]);
        job.run(command).ok();
        std::fs::remove_file(job.path("digest")).expect("it was written");
    }
}

#[test]
fn a_shell_that_a_runner_asks_for_is_started() {
    let job = Job::new("");
    for (name, args) in [
        ("/kaniko/executor", ["sh", "-c", "echo $((40 + 2)) \"$1\"", "sh", "x"]),
        ("kiln", ["/bin/bash", "-c", "echo $((40 + 2)) \"$1\"", "sh", "x"]),
        ("kiln", ["/no/such/place/bash", "-c", "echo $((40 + 2)) \"$1\"", "sh", "x"]),
    ] {
        let mut command = job.command(name);
        command.args(args);
        assert_eq!(job.run(command).ok().stdout, "42 x\n", "{args:?}");
    }
    let mut command = job.command("kiln");
    command.args(["sh", "-c", "exit 7"]);
    job.run(command).fails(7, "");
}

#[test]
fn mistakes_end_with_kaniko_s_code() {
    let job = Job::new("FROM scratch\nCOPY missing /\n");
    job.executor(["--no-psh"]).fails(1, "did you mean `--no-push`?");
    job.executor([""; 0]).fails(1, "there is no --destination");
    job.executor(["--no-push"]).fails(1, "error building image: ");
    let mut warmer = job.command("/kaniko/warmer");
    warmer.args(["--image"]);
    job.run(warmer).fails(1, "--image needs a value");
}

#[test]
fn what_has_no_effect_is_said_once() {
    let job = Job::new("FROM scratch\nCOPY Dockerfile /\n");
    let args = ["--no-push", "--snapshotMode=redo", "--cleanup", "--force=false", "--git"];
    let outcome: Outcome = job.executor(args).ok();
    for said in
        ["--snapshotMode is an old spelling", "--snapshot-mode has no effect", "--cleanup has"]
    {
        assert_eq!(outcome.stderr.matches(said).count(), 1, "{said}\n{outcome}");
    }
    assert!(!outcome.stderr.contains("--force"), "{outcome}");
}

#[test]
fn a_dry_run_pushes_nothing() {
    let registry = Registry::start();
    let job = Job::new("FROM scratch AS base\nCOPY Dockerfile /a\nFROM base\nLABEL x=1\n");
    let to = format!("{}/app:1", registry.host());
    let outcome = job.executor(["--dryrun", "--destination", &to, "--digest-file", "d"]).ok();
    assert!(outcome.stdout.contains("COPY Dockerfile /a\n"), "{outcome}");
    assert!(outcome.stdout.ends_with(&format!("PUSH {to}\n")), "{outcome}");
    assert!(registry.repositories().is_empty() && !job.path("d").exists());
}
