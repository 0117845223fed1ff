//! One build on a new machine, and what was asked of the registries.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::ensure;
use testkit::distant::Distant;

use super::LATENCY;
use crate::bench::DISK;
use crate::bench::disk::Places;
use crate::bench::registry::Registry;
use crate::step::quiet;

/// Where a build has its registries.
pub(super) enum Host<'a> {
    /// The image's, on the loopback.
    Near(&'a str),
    /// The image's and the base's, some way off.
    Far { image: Distant, base: Distant },
}

impl Host<'_> {
    pub(super) fn far(image: &Registry, base: &Registry) -> anyhow::Result<Self> {
        let way = |to: &Registry| Distant::start(to.host(), LATENCY);
        Ok(Self::Far { image: way(image)?, base: way(base)? })
    }
}

/// What one build took.
#[derive(Debug, Default)]
pub(super) struct Once {
    pub(super) seconds: f64,
    /// Of all registries.
    pub(super) requests: usize,
    /// Bytes of blobs that came from them.
    pub(super) pulled: u64,
    /// Wheels that the index sent.
    pub(super) wheels: usize,
    /// RUN instructions that were carried out.
    pub(super) ran: usize,
    /// Requests that waited for one another, and connections: known if the registries are far.
    pub(super) far: Option<(usize, usize)>,
}

impl Once {
    /// # Errors
    /// If the build was not the one that is to be measured.
    pub(super) fn expect(&self, ran: usize, wheels: usize) -> anyhow::Result<()> {
        ensure!(self.ran == ran, "{} commands ran instead of {ran}", self.ran);
        ensure!(self.wheels == wheels, "the index sent {} wheels, not {wheels}", self.wheels);
        Ok(())
    }
}

/// Machines that have never seen the project.
pub(super) struct Machine {
    pub(super) kiln: PathBuf,
    /// For disks.
    pub(super) places: Places,
}

impl Machine {
    /// A build of a context that lies on a new file system, as do all files that kiln makes.
    pub(super) fn build(
        &self,
        context: &Path,
        arguments: &[String],
        host: &Host<'_>,
        registries: [&Registry; 2],
    ) -> anyhow::Result<Once> {
        let disk = self.places.disk("d", DISK)?;
        let checkout = disk.place().join("project");
        quiet(Command::new("cp").arg("-r").arg(context).arg(&checkout))?;
        disk.forget()?;
        let (image, base) = match host {
            Host::Near(image) => (*image, registries[1].host()),
            Host::Far { image, base } => (image.host(), base.host()),
        };
        let mut command = Command::new(&self.kiln);
        command.arg("build").arg(&checkout).args(["-t", &format!("{image}/app:1")]);
        command.args(["--cache-repo", &format!("{image}/app/cache"), "--cache-mounts"]);
        command.args(["--registry-mirror", base, "--progress", "plain"]).args(arguments);
        command.env("TMPDIR", disk.place()).env("HOME", disk.place());
        command.env_remove("XDG_CACHE_HOME").stdin(Stdio::null());
        let before = registries.map(|registry| registry.traffic());
        let start = Instant::now();
        let output = command.output()?;
        let seconds = start.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kiln ended with {}:\n{said}", output.status);
        let mut once = Once { seconds, ran: ran(&said), ..Once::default() };
        for (registry, before) in registries.into_iter().zip(before) {
            let after = registry.traffic();
            once.requests += after.requests - before.requests;
            once.pulled += after.pulled - before.pulled;
        }
        if let Host::Far { image, base } = host {
            let connections = image.connections() + base.connections();
            once.far = Some((Distant::rounds(&[image, base]), connections));
        }
        Ok(once)
    }
}

/// How many RUN instructions were carried out, as `--progress plain` tells it: `#3 [2/6] RUN ...`, and
/// `#3 skipped: cached` for one that was not.
fn ran(said: &str) -> usize {
    let begun = said.lines().filter_map(|line| line.split_once(" ["));
    let runs = begun.filter(|(id, step)| is_id(id) && step.contains("] RUN "));
    let carried_out = runs.filter(|(id, _)| {
        let skipped = format!("{id} skipped: cached");
        // Where another task has said something in between, the step's name follows.
        let named = format!("{skipped} (");
        !said.lines().any(|line| line == skipped || line.starts_with(&named))
    });
    carried_out.count()
}

fn is_id(word: &str) -> bool {
    word.strip_prefix('#').is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_ran_are_counted() {
        let said = "#2 [1/3] COPY x .\n#2 done 0.1s\n#3 [2/3] RUN one\n#4 [build 3/3] RUN two\n\
                    #3 skipped: cached\n#4 done 0.1s, 3 B ([build 3/3] RUN two)\n";
        assert_eq!(ran(said), 1);
        assert_eq!(ran("#3 [2/3] RUN one\n#33 skipped: cached\n"), 1);
        assert_eq!(ran("#3 [2/3] RUN one\n#3 skipped: cached ([2/3] RUN one)\n"), 0);
    }
}
