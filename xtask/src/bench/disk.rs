//! File systems that have never been used, one for each run; and nobody else's runs beside them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::cgroup::{self, Hierarchy, left_behind};
use crate::step::{quiet, target};

/// A new ext4 in a sparse file, mounted. Dropped, it is gone with all that was mounted in it.
///
/// On one that was used before, ext4 looks for room past what was deleted just now, which takes
/// longer the more that is: that would not be the same for each.
#[derive(Debug)]
pub(crate) struct Disk {
    file: PathBuf,
    place: PathBuf,
}

impl Disk {
    fn fresh(
        file: PathBuf,
        place: PathBuf,
        size: u64,
        inodes: Option<u64>,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(&place)?;
        let _ = fs::remove_file(&file);
        File::create(&file)?.set_len(size)?;
        let disk = Self { file, place };
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-m", "0"]);
        if let Some(inodes) = inodes {
            make.args(["-N", &inodes.to_string()]);
        }
        quiet(make.arg(&disk.file))?;
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> anyhow::Result<()> {
        // Else the kernel goes on to write inode tables for a while.
        let options = "loop,noinit_itable";
        let mut mount = Command::new("mount");
        quiet(mount.args(["-o", options]).arg(&self.file).arg(&self.place)).map(drop)
    }

    /// Where it is mounted.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// What was written so far is on the disk, and in no page cache; that of others stays as it is.
    ///
    /// # Errors
    /// If it is in use.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        quiet(Command::new("umount").arg(&self.place))?;
        let file = format!("if={}", self.file.display());
        // This is what posix_fadvise(2) is in a shell.
        quiet(Command::new("dd").args([&file, "iflag=nocache", "count=0", "status=none"]))?;
        self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.place);
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_dir(&self.place);
    }
}

/// Unmounts what is mounted at a directory and below it.
fn unmount(place: &Path) {
    for _ in 0..20 {
        if !is_mounted(place) {
            return;
        }
        if quiet(Command::new("umount").arg("--recursive").arg(place)).is_err() {
            // A daemon that has just ended lets go of it soon.
            thread::sleep(Duration::from_millis(100));
        }
    }
    eprintln!("{} is in use; it goes away with its last user", place.display());
    let _ = quiet(Command::new("umount").args(["--recursive", "--lazy"]).arg(place));
}

fn is_mounted(place: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().filter_map(|line| line.split(' ').nth(1)).any(|point| Path::new(point) == place)
}

/// Where the disks of a benchmark are. Only one process of a checkout has them at a time: two
/// benchmarks would measure each other. Dropped, they are another's.
#[derive(Debug)]
pub(crate) struct Places {
    /// Mount points have short paths: those of sockets have 108 bytes at most (unix(7)).
    mounts: PathBuf,
    files: PathBuf,
    _lock: File,
}

impl Places {
    /// Takes them, and clears away what a process has left that was ended before it could.
    ///
    /// # Errors
    /// If this is not root, if another benchmark runs, or if the disk refuses.
    pub(crate) fn take() -> anyhow::Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "this mounts file systems: run it as root");
        let files = target().join("bench");
        let lock = lock(&files)?;
        if let Ok(hierarchy) = Hierarchy::find() {
            // First those who are left: they hold its disks.
            cgroup::clear(&hierarchy);
        }
        clear();
        let mounts = PathBuf::from(format!("/tmp/kiln-bench-{}", std::process::id()));
        fs::create_dir_all(&mounts)?;
        Ok(Self { mounts, files, _lock: lock })
    }

    /// A new disk of so many bytes. One name has one disk at a time.
    ///
    /// # Errors
    /// If this is not root, or there is no mkfs.ext4.
    pub(crate) fn disk(&self, name: &str, bytes: u64) -> anyhow::Result<Disk> {
        Disk::fresh(self.file(name), self.mounts.join(name), bytes, None)
    }

    /// A new disk that has room for so many files too. Others have one for each 16 KiB.
    ///
    /// # Errors
    /// As [`Self::disk`].
    pub(crate) fn disk_of(&self, name: &str, bytes: u64, files: u64) -> anyhow::Result<Disk> {
        Disk::fresh(self.file(name), self.mounts.join(name), bytes, Some(files))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.join(format!("{name}.disk"))
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        // Whatever is mounted in it is not to be deleted.
        let _ = fs::remove_dir(&self.mounts);
    }
}

/// The lock of all benchmarks, until it is dropped.
fn lock(dir: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(dir)?;
    let lock = File::create(dir.join("lock"))?;
    lock.try_lock().context("another cargo xtask bench runs: wait until it has ended")?;
    Ok(lock)
}

/// Unmounts what a process has left that was ended before it could.
fn clear() {
    for entry in fs::read_dir("/tmp").into_iter().flatten().flatten() {
        if !left_behind(&entry.file_name().to_string_lossy()) {
            continue;
        }
        for place in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            unmount(&place.path());
            let _ = fs::remove_dir(place.path());
        }
        let _ = fs::remove_dir(entry.path());
    }
}

/// What was written is on the disk, and no page of a file in memory. Whether the kernel allows it.
pub(crate) fn drop_page_cache() -> bool {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_one_benchmark_runs_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(&dir.path().join("bench")).unwrap();
        let error = lock(&dir.path().join("bench")).unwrap_err().to_string();
        assert!(error.starts_with("another cargo xtask bench runs"), "{error}");
        drop(first);
        lock(&dir.path().join("bench")).unwrap();
    }
}
