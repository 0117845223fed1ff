//! gitlab-ci-local, and the image with the tools that it copies files with.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::base::busybox;
use testkit::process::Dockerd;

use crate::common::Outcome;
use crate::common::tools::run;

/// The name of the image with those tools.
const HELPER: &str = "gitlab-ci-local-helper:1";

/// gitlab-ci-local with the Docker daemon that runs its jobs.
#[derive(Debug)]
pub struct Runner<'a> {
    docker: &'a Dockerd,
    /// Where npm has installed it.
    dir: PathBuf,
}

impl<'a> Runner<'a> {
    /// Uses the installed one; the daemon gets the image with its tools.
    pub fn new(docker: &'a Dockerd) -> Self {
        let dir = std::env::var_os("KILN_GITLAB_CI_LOCAL").map(PathBuf::from);
        let dir = dir.expect(
            "KILN_GITLAB_CI_LOCAL is not set to a directory in which npm has installed \
             gitlab-ci-local and Node 22: run these with `cargo xtask test`",
        );
        import_helper(docker);
        Self { docker, dir }
    }

    /// Runs one job of the project. `given` are variables that GitLab would set.
    pub fn job(&self, project: &Path, job: &str, given: &[(&str, &str)]) -> Outcome {
        let home = project.parent().unwrap();
        let variables: serde_json::Map<_, _> =
            given.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        // YAML, of which JSON is a part.
        let file = home.join("variables.yml");
        fs::write(&file, serde_json::Value::from(variables).to_string()).unwrap();
        let modules = self.dir.join("node_modules");
        let node =
            format!("node-linux-{}", if cfg!(target_arch = "x86_64") { "x64" } else { "arm64" });
        let mut command = Command::new(modules.join(node).join("bin/node"));
        command.arg(modules.join("gitlab-ci-local/dist/index.js"));
        command.args(["--pull-policy", "if-not-present", "--helper-image", HELPER]);
        command.args(["--network", "host", "--variables-file"]).arg(file);
        // It has its own ideas of these.
        command.args(["--ignore-predefined-vars", "CI_REGISTRY,CI_REGISTRY_IMAGE,GITLAB_CI"]);
        command.arg(job).current_dir(project).stdin(Stdio::null());
        command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin");
        command.env("DOCKER_HOST", self.docker.host());
        Outcome::from(command.output().expect("node starts"))
    }
}

/// busybox with Debian's bash and rsync and the libraries that they need.
fn import_helper(docker: &Dockerd) {
    let programs = ["/usr/bin/bash", "/usr/bin/rsync"];
    let listed = programs.map(|program| run("ldd", [program])).concat();
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
    let mut tar = busybox().unwrap();
    for path in libraries.chain(programs).collect::<BTreeSet<_>>() {
        let content = fs::read(path).expect("bash and rsync (package rsync)");
        tar = tar.file(path.trim_start_matches('/'), content).mode(0o755);
    }
    let mut command = docker.docker();
    command.args(["import", "-", HELPER]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&tar.finish()).unwrap();
    Outcome::from(child.wait_with_output().unwrap()).ok();
}
