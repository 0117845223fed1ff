//! File systems that have never been used, one for each run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::cgroup::left_behind;
use crate::step::quiet;

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
    /// Mounts one of so many bytes at `place`.
    ///
    /// # Errors
    /// If this is not root, or there is no mkfs.ext4.
    pub(crate) fn fresh(file: &Path, place: &Path, size: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(place)?;
        let _ = fs::remove_file(file);
        fs::File::create(file)?.set_len(size)?;
        let disk = Self { file: file.to_owned(), place: place.to_owned() };
        quiet(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(file))?;
        // Else the kernel goes on to write inode tables for a while.
        let options = "loop,noinit_itable";
        quiet(Command::new("mount").args(["-o", options]).arg(file).arg(place))?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(crate) fn place(&self) -> &Path {
        &self.place
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

/// A directory of this process with a short path: those of sockets have 108 bytes at most
/// (unix(7)). Dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Places(PathBuf);

impl Places {
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let dir = PathBuf::from(format!("/tmp/kiln-bench-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    /// The path of a name in it.
    pub(crate) fn of(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        // Whatever is mounted in it is not to be deleted.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Unmounts what a process has left that was ended before it could.
pub(crate) fn clear() {
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
