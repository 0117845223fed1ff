//! Where one build of a curve happens: a disk and a registry that nobody has used before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use testkit::client;
use testkit::process::{DockerRegistry, docker_registry, measure};

use super::shape::{Project, Shape};
use crate::bench::processors;
use crate::bench::results::Sample;
use crate::step::quiet;

/// A registry writes its line about a request when it has answered.
const QUIET: Duration = Duration::from_millis(200);
/// What a disk needs whatever is on it.
const DISK: (u64, u64) = (1 << 30, 20_000);
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json";

/// What all builds share.
pub(crate) struct Tools {
    pub(crate) kiln: PathBuf,
    /// The program that writes files.
    pub(crate) writer: PathBuf,
    /// Where disks are.
    pub(crate) dir: PathBuf,
}

/// A new file system, and a new registry. Dropped, nothing is left.
pub(crate) struct Place<'a> {
    tools: &'a Tools,
    registry: DockerRegistry,
    disk: Disk,
}

impl<'a> Place<'a> {
    /// For so many of what a curve counts.
    ///
    /// # Errors
    /// If this is not root, or a program is not there.
    pub(super) fn new(tools: &'a Tools, shape: &Shape, count: u64) -> anyhow::Result<Self> {
        let bytes = DISK.0 + 2 * count * shape.disk.0;
        Self::with(tools, bytes, DISK.1 + 2 * count * shape.disk.1)
    }

    /// With room for so many bytes and files.
    ///
    /// # Errors
    /// If this is not root, or a program is not there.
    pub(crate) fn with(tools: &'a Tools, bytes: u64, inodes: u64) -> anyhow::Result<Self> {
        let disk = Disk::new(&tools.dir, bytes, inodes)?;
        let registry = docker_registry(None)?;
        let place = Self { tools, registry, disk };
        for name in ["context", "tmp", "home"] {
            fs::create_dir(place.disk.place.join(name))?;
        }
        Ok(place)
    }

    /// The registry's.
    pub(super) fn host(&self) -> &str {
        self.registry.host()
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.disk.place.join("context")
    }

    /// A directory that kiln may use.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.disk.place.join("tmp")
    }

    pub(super) fn writer(&self) -> &Path {
        &self.tools.writer
    }

    /// Puts the program that writes files into the context.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn add_writer(&self) -> anyhow::Result<()> {
        fs::copy(&self.tools.writer, self.context().join("writer"))?;
        Ok(())
    }

    /// kiln, which keeps all that it writes on the disk.
    pub(crate) fn kiln(&self) -> Command {
        let mut command = Command::new(&self.tools.kiln);
        command.env("TMPDIR", self.tmp()).env("HOME", self.disk.place.join("home"));
        command.env_remove("XDG_CACHE_HOME");
        command
    }

    /// Builds and pushes.
    ///
    /// # Errors
    /// If kiln fails.
    pub(super) fn build(&self, project: &Project, isolation: &str) -> anyhow::Result<Sample> {
        fs::write(self.context().join("Dockerfile"), &project.dockerfile)?;
        // What was prepared is not to be written to the disk while kiln is measured.
        rustix::fs::sync();
        let mut command = self.kiln();
        command.arg("build").arg(self.context()).args(["-t", &format!("{}/app:1", self.host())]);
        command.args(["--isolation", isolation, "--progress", "plain"]);
        let before = self.requests();
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
        sample.requests = self.requests() - before;
        sample.layers = self.layers(project.base_layers)?;
        Ok(sample)
    }

    /// Requests so far, when no more come.
    fn requests(&self) -> usize {
        let mut log = self.registry.log();
        loop {
            thread::sleep(QUIET);
            let later = self.registry.log();
            if later.len() == log.len() {
                return log.lines().filter(|line| line.starts_with("127.0.0.1 - - [")).count();
            }
            log = later;
        }
    }

    /// Compressed bytes of the layers above those of the base.
    fn layers(&self, base: usize) -> anyhow::Result<u64> {
        let url = format!("http://{}/v2/app/manifests/1", self.host());
        let answer = client::request("GET", &url, &[("Accept", ACCEPT)], b"")?;
        let manifest = answer.json();
        let layers = manifest["layers"].as_array().context("the image has no manifest")?;
        Ok(layers.iter().skip(base).filter_map(|layer| layer["size"].as_u64()).sum())
    }
}

/// A new ext4 in a sparse file, mounted.
struct Disk {
    place: PathBuf,
    file: PathBuf,
}

impl Disk {
    fn new(dir: &Path, bytes: u64, inodes: u64) -> anyhow::Result<Self> {
        let disk = Self { place: dir.join("mounted"), file: dir.join("disk") };
        fs::create_dir_all(&disk.place)?;
        let _ = fs::remove_file(&disk.file);
        fs::File::create(&disk.file)?.set_len(bytes)?;
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-m", "0", "-N", &inodes.to_string()]);
        quiet(make.arg(&disk.file))?;
        let mut mount = Command::new("mount");
        // Else the kernel goes on to write tables of inodes for a while.
        mount.args(["-o", "loop,noinit_itable"]).arg(&disk.file).arg(&disk.place);
        quiet(&mut mount)?;
        Ok(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nothing is left in it that anybody needs.
        let _ = quiet(Command::new("umount").arg(&self.place));
        let _ = fs::remove_file(&self.file);
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
