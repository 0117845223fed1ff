//! CI systems that run a job's commands in, or beside, a container.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::Outcome;
use crate::deploy::Deploy;
use crate::site::{Site, digest_in, executable};

#[test]
fn dockerd_runs_jenkins_steps_in_one_container() {
    let (site, pod) = (Site::new(), Deploy::read("jenkins.yaml"));
    assert_eq!(pod.value("image"), "registry.example.com/kiln:debug");
    let running = site
        .container("/home/jenkins/agent/workspace/app")
        .debug()
        .mount_read_only(&site.path("credentials"), &pod.value("mountPath"))
        .env("IMAGE", &site.image())
        .entrypoint(&pod.list("command")[0])
        .start(pod.list("args"));
    let file = Deploy::read("Jenkinsfile");
    let steps = file.text().lines().filter_map(|line| {
        line.trim().strip_prefix("sh '").and_then(|step| step.strip_suffix('\''))
    });
    let steps: Vec<_> = steps.collect();
    assert_eq!(steps.len(), 2, "two images in one container");
    for step in &steps {
        running.shell(step).ok();
    }
    site.pushed("first");
    site.pushed("second");
    // The steps that come after them find the tools that Jenkins uses.
    let said = running.shell("nohup sh -c 'ps > list; wc -l < list; rm list'").ok();
    assert!(said.stdout.trim().parse::<u32>().unwrap() > 1, "{said}");
    site.assert_source_is_whole(&[]);
}

/// `docker` for a script: Debian's, with this daemon, in the machine's network.
fn docker_in(dir: &Path) {
    let script = "#!/bin/sh\n[ \"$1\" = run ] || exit 9\nshift\n\
                  exec /usr/bin/docker run --network host \"$@\"\n";
    executable(&dir.join("docker"), script);
}

#[test]
fn dockerd_runs_the_step_of_github_actions() {
    let (site, workflow) = (Site::new(), Deploy::read("github-actions.yaml"));
    let docker = site.engine.docker();
    docker.run(&["tag", "kiln:latest", "registry.example.com/kiln:latest"]).unwrap();
    let (bin, home) = (site.directory("bin"), site.directory("home"));
    docker_in(&bin);
    fs::create_dir(home.join(".docker")).unwrap();
    fs::write(home.join(".docker/config.json"), site.credentials()).unwrap();
    let mut step = Command::new("bash");
    step.args(["-e", "-c", &workflow.folded("run:")]).env_clear();
    step.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("HOME", &home);
    step.env("DOCKER_HOST", docker.host()).env("GITHUB_SHA", "0123456789abcdef");
    step.env("GITHUB_WORKSPACE", site.path("source")).env("RUNNER_TEMP", site.path("results"));
    step.env("IMAGE", format!("{}:actions", site.image()));
    Outcome::from(step.output().unwrap()).ok();
    let built = site.pushed("actions");
    assert_eq!(built.digest, digest_in(&site.path("results/digest")));
    let labels = &built.config["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.revision"], "0123456789abcdef");
    site.assert_source_is_whole(&[]);
}

#[test]
fn dockerd_runs_drones_step() {
    let (site, pipeline) = (Site::new(), Deploy::read("drone.yaml"));
    let command = pipeline.folded("-");
    assert!(command.contains(" --git "), "{command}");
    // Drone puts the commands into a variable and starts the image's shell with it.
    let outcome = site
        .container("/drone/src")
        .debug()
        .env("DOCKER_AUTH_CONFIG", &site.credentials())
        .env("DRONE_BRANCH", "drone")
        .env("IMAGE", &site.image())
        .env("CI_SCRIPT", &command)
        .entrypoint("/bin/sh")
        .run(["-e", "-c", "echo \"$CI_SCRIPT\" | /bin/sh -e"]);
    outcome.ok();
    let built = site.pushed("drone");
    assert_eq!(built.digest, digest_in(&site.path("source/digest")));
    site.assert_source_is_whole(&["digest"]);
}
