//! Where one build of a curve happens: a disk and a registry that nobody has used before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::ensure;
use testkit::process::measure;

use super::shape::{Project, Shape};
use crate::bench::disk::{Disk, Places};
use crate::bench::processors;
use crate::bench::registry::{IMAGE, Registry};
use crate::bench::results::Sample;

/// What a disk needs whatever is on it.
const DISK: (u64, u64) = (1 << 30, 20_000);

/// What all builds share.
pub(crate) struct Tools {
    pub(crate) kiln: PathBuf,
    /// The program that writes files.
    pub(crate) writer: PathBuf,
    /// For disks.
    pub(crate) places: Places,
}

/// A context on a new file system, with room for what kiln writes.
pub(crate) struct Checkout<'a> {
    tools: &'a Tools,
    disk: Disk,
}

impl<'a> Checkout<'a> {
    /// With room for so many bytes and files.
    ///
    /// # Errors
    /// If this is not root, or a program is not there.
    pub(crate) fn new(tools: &'a Tools, bytes: u64, files: u64) -> anyhow::Result<Self> {
        let disk = tools.places.disk_of("d", bytes, files)?;
        for name in ["context", "tmp", "home"] {
            fs::create_dir(disk.place().join(name))?;
        }
        Ok(Self { tools, disk })
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.disk.place().join("context")
    }

    /// A directory that kiln may use.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.disk.place().join("tmp")
    }

    /// kiln, which keeps all that it writes on the disk.
    pub(crate) fn kiln(&self) -> Command {
        let mut command = Command::new(&self.tools.kiln);
        command.env("TMPDIR", self.tmp()).env("HOME", self.disk.place().join("home"));
        command.env_remove("XDG_CACHE_HOME");
        command
    }
}

/// A context, and a registry that has nothing. Dropped, nothing is left.
pub(super) struct Place<'a> {
    pub(super) checkout: Checkout<'a>,
    registry: Registry,
}

impl<'a> Place<'a> {
    /// For so many of what a curve counts.
    ///
    /// # Errors
    /// If this is not root, or a program is not there.
    pub(super) fn new(tools: &'a Tools, shape: &Shape, count: u64) -> anyhow::Result<Self> {
        let bytes = DISK.0 + 2 * count * shape.disk.0;
        let checkout = Checkout::new(tools, bytes, DISK.1 + 2 * count * shape.disk.1)?;
        // What is pushed is no larger than what it is made of.
        let registry = Registry::start(tools.places.disk("r", bytes)?)?;
        Ok(Self { checkout, registry })
    }

    /// The registry's.
    pub(super) fn host(&self) -> &str {
        self.registry.host()
    }

    pub(super) fn context(&self) -> PathBuf {
        self.checkout.context()
    }

    pub(super) fn writer(&self) -> &Path {
        &self.checkout.tools.writer
    }

    /// Puts the program that writes files into the context.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn add_writer(&self) -> anyhow::Result<()> {
        fs::copy(self.writer(), self.context().join("writer"))?;
        Ok(())
    }

    /// Builds and pushes.
    ///
    /// # Errors
    /// If kiln fails.
    pub(super) fn build(&self, project: &Project, isolation: &str) -> anyhow::Result<Sample> {
        fs::write(self.context().join("Dockerfile"), &project.dockerfile)?;
        // What was prepared is not to be written to the disk while kiln is measured.
        rustix::fs::sync();
        let image = format!("{IMAGE}:1");
        let mut command = self.checkout.kiln();
        command.arg("build").arg(self.context()).args(["-t", &format!("{}/{image}", self.host())]);
        command.args(["--isolation", isolation, "--progress", "plain"]);
        let before = self.registry.requests();
        // A program begins with the peak of the one that started it, that is of this one: exec_mmap() in
        // fs/exec.c. What this process needed some time ago is forgotten here; see proc_pid_clear_refs(5).
        fs::write("/proc/self/clear_refs", "5")?;
        let processors = processors::used();
        let start = Instant::now();
        let (output, memory) = measure(command)?;
        let wall = start.elapsed().as_secs_f64();
        let cpu = processors::used() - processors;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kiln ended with {}:\n{said}", output.status);
        let mut sample = Sample { wall, cpu, memory, ..Sample::default() };
        sample.phases.insert("RUN".to_owned(), took(&said));
        sample.requests = self.registry.requests() - before;
        let layers = self.registry.layers(&image)?;
        sample.layers = layers.iter().skip(project.base_layers).map(|(_, size)| size).sum();
        Ok(sample)
    }
}

/// What the commands of RUN said that they took.
fn took(said: &str) -> f64 {
    let lines = said.lines().filter_map(|line| line.split_once("writer took "));
    lines.filter_map(|(_, seconds)| seconds.split_whitespace().next()?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_took_is_added_up() {
        let said =
            "#3 [2/3] RUN x\n  #3 | writer took 1.500000\n#4 | writer took 0.25\nwriter took\n";
        assert!((took(said) - 1.75).abs() < 1e-9);
    }
}
