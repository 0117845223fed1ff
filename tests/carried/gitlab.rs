//! The scripts of examples/gitlab/two-processors.gitlab-ci.yml, as a runner gives them to a shell.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::Registry;
use testkit::image::Image;

use crate::common::{Outcome, program};

/// The script of a job: one line for each of its commands.
fn script(job: &str) -> Vec<String> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gitlab/two-processors.gitlab-ci.yml");
    let text = fs::read_to_string(path).expect("the example");
    let body = text.split(&format!("\n{job}:\n")).nth(1).expect("the job");
    let body = body.split("  script:\n").nth(1).expect("a script");
    let mut commands: Vec<String> = Vec::new();
    for line in body.lines().take_while(|line| line.starts_with("    ")) {
        match line.strip_prefix("    - ") {
            Some(command) => commands.push(command.to_owned()),
            None => {
                let last = commands.last_mut().expect("a command before it goes on");
                *last = format!("{last} {}", line.trim());
            }
        }
    }
    commands
}

#[test]
fn the_jobs_of_the_example_make_one_index() {
    let registry = Registry::start();
    let dir = tempfile::tempdir().expect("a directory");
    let project = dir.path().join("app");
    fs::create_dir(&project).expect("a directory");
    fs::write(
        project.join("Dockerfile"),
        "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n",
    )
    .expect("a file");
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).expect("a directory");
    std::os::unix::fs::symlink(program(), bin.join("kiln")).expect("a link");
    let run = |job: &str, arch: &str| {
        let mut command = Command::new("sh");
        command.args(["-ec", &script(job).join("\n")]).current_dir(&project).env_clear();
        command
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("TMPDIR", dir.path())
            .env("GITLAB_CI", "true")
            .env("CI_PROJECT_DIR", &project)
            .env("CI_REGISTRY_IMAGE", format!("{}/group/app", registry.host()))
            .env("CI_COMMIT_REF_SLUG", "main")
            .env("ARCH", arch);
        Outcome::from(command.output().expect("a shell")).ok()
    };
    run("build", "amd64");
    run("build", "arm64");
    let outcome = run("join", "");
    assert_eq!(registry.digest("group/app", "main").as_deref(), Some(outcome.stdout.trim()));
    for arch in ["amd64", "arm64"] {
        let platform = format!("linux/{arch}");
        let image =
            Image::for_platform(&registry, "group/app", "main", &platform).expect("an image");
        assert!(image.tree().expect("a tree").keys().any(|path| path.ends_with(arch)));
    }
}
