//! The two builders.

use anyhow::ensure;
use testkit::Registry;
use testkit::image::{Image, Objects};
use testkit::process::Dockerd;

use crate::case::Case;
use crate::common;
use crate::context::Contexts;

/// What a builder made of a case.
#[derive(Debug)]
pub struct Built {
    pub image: Image,
    pub tree: Objects,
}

impl Built {
    fn read(registry: &Registry, repo: &str) -> anyhow::Result<Self> {
        let image = Image::from_registry(registry, repo, "1")?;
        image.verify()?;
        Ok(Self { tree: image.tree()?, image })
    }
}

/// Debian's dockerd, whose builder is a BuildKit. It pushes to the registry, too.
#[derive(Debug)]
pub struct Docker<'a> {
    daemon: Dockerd,
    registry: &'a Registry,
}

impl<'a> Docker<'a> {
    /// Starts it and gives it the base images.
    pub fn start(registry: &'a Registry) -> anyhow::Result<Self> {
        let daemon = testkit::process::dockerd()?;
        for repo in registry.repositories() {
            let Some(name) = repo.strip_prefix("library/") else { continue };
            let full = format!("{}/{repo}:1", registry.host());
            daemon.run(&["pull", "--quiet", &full])?;
            daemon.run(&["tag", &full, &format!("{name}:1")])?;
        }
        Ok(Self { daemon, registry })
    }

    /// Builds a case.
    pub fn build(&self, case: &Case, contexts: &Contexts) -> Result<Built, String> {
        self.try_build(case, contexts).map_err(|error| format!("{error:#}"))
    }

    fn try_build(&self, case: &Case, contexts: &Contexts) -> anyhow::Result<Built> {
        let repo = format!("docker/{}", case.name);
        let tag = format!("{}/{repo}:1", self.registry.host());
        let mut command = self.daemon.docker();
        command.args(["build", "--network=host", "--progress=plain", "--tag", &tag]);
        command.arg("--file").arg(contexts.dockerfile(case)).args(&case.args);
        let output = command.arg(contexts.context(case)).output()?;
        ensure!(output.status.success(), "{}", end_of(&String::from_utf8_lossy(&output.stderr)));
        self.daemon.run(&["push", "--quiet", &tag])?;
        Built::read(self.registry, &repo)
    }
}

/// kiln, which takes the base images from the registry and pushes to it.
#[derive(Debug)]
pub struct Kiln<'a> {
    registry: &'a Registry,
}

impl<'a> Kiln<'a> {
    pub fn new(registry: &'a Registry) -> Self {
        Self { registry }
    }

    /// Builds a case.
    pub fn build(&self, case: &Case, contexts: &Contexts) -> Result<Built, String> {
        self.try_build(case, contexts).map_err(|error| format!("{error:#}"))
    }

    fn try_build(&self, case: &Case, contexts: &Contexts) -> anyhow::Result<Built> {
        let (host, repo) = (self.registry.host(), format!("kiln/{}", case.name));
        let outcome = common::Kiln::build()
            .context_dir(&contexts.context(case))
            .args(["--insecure-registry", host, "--registry-mirror", host])
            .args(["--tag", &format!("{host}/{repo}:1")])
            .args(["--file".as_ref(), contexts.dockerfile(case).as_os_str()])
            .args(&case.args)
            .run();
        ensure!(outcome.code == Some(0), "{}", end_of(&outcome.to_string()));
        Built::read(self.registry, &repo)
    }
}

/// The last lines, where a builder says why it stops.
fn end_of(output: &str) -> String {
    let lines: Vec<_> = output.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
