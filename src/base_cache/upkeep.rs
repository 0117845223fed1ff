//! What a directory of base images takes, and less of it.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};

use super::entry::entry_of;
use super::error::CacheError;
use super::write::Slot;
use crate::digest::Digest;

/// An image, or an index of images, of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImageKept {
    /// Its digest, which is its name there.
    pub digest: Digest,
    /// Bytes of its files.
    pub bytes: u64,
    /// When a build last found it, or the warmer wrote it.
    pub used: SystemTime,
}

/// All images of a directory; none where it does not exist.
///
/// # Errors
/// A directory that cannot be read.
pub fn kept(dir: &Path) -> Result<Vec<BaseImageKept>, CacheError> {
    let mut all = Vec::new();
    for name in names(dir)? {
        let Ok(digest) = name.parse::<Digest>() else { continue };
        let entry = entry_of(dir, &digest);
        // Somebody may be taking it away.
        let Ok(used) = last_used(&entry) else { continue };
        all.push(BaseImageKept { digest, bytes: bytes_below(&entry), used });
    }
    Ok(all)
}

/// Takes an image away, unless a build has used it, or a warmer renewed it, after the time that was
/// seen, or is writing it now, which may take as long as a download. A build that has found it already downloads what it still needs.
///
/// # Errors
/// What the file system says.
pub fn remove(dir: &Path, image: &BaseImageKept) -> Result<bool, CacheError> {
    let Some(slot) = Slot::try_hold(dir, image.digest)? else { return Ok(false) };
    match last_used(&entry_of(dir, &image.digest)) {
        Ok(used) if used <= image.used => slot.remove().map(|()| true),
        _ => Ok(false),
    }
}

/// Removes what warmers left that were killed. Those that are at work hold the lock of their image.
///
/// # Errors
/// What the file system says.
pub fn remove_leftovers(dir: &Path) -> Result<(), CacheError> {
    for name in names(dir)? {
        let rest = name.strip_prefix(".kiln-").and_then(|rest| rest.rsplit_once('-'));
        let Some((hex, "new" | "old")) = rest else { continue };
        let Ok(digest) = format!("sha256:{hex}").parse::<Digest>() else { continue };
        if let Some(slot) = Slot::try_hold(dir, digest)? {
            slot.remove_leftovers()?;
        }
    }
    Ok(())
}

/// Whether a directory has base images, or had them.
pub fn is_base_cache(dir: &Path) -> bool {
    let is_image = |name: &String| name.parse::<Digest>().is_ok();
    dir.join(super::write::LOCKS).is_dir()
        || names(dir).is_ok_and(|names| names.iter().any(is_image))
}

/// Notes that a build has found the image. A directory that cannot be written cannot be pruned.
pub(super) fn touch(entry: &Path) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    _ = utimensat(CWD, entry, &times, AtFlags::empty());
}

/// The directory's time is a build's; that of the index the warmer's.
fn last_used(entry: &Path) -> std::io::Result<SystemTime> {
    let used = fs::metadata(entry)?.modified()?;
    let written = fs::metadata(entry.join("index.json")).and_then(|meta| meta.modified());
    Ok(written.map_or(used, |written| used.max(written)))
}

fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

fn names(dir: &Path) -> Result<Vec<String>, CacheError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(CacheError::io("read", dir))?,
    };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_warmer_writes_is_in_use() {
        let dir = tempfile::tempdir().expect("temp");
        let digest = Digest::of(b"image");
        fs::create_dir(entry_of(dir.path(), &digest)).expect("made");
        let all = kept(dir.path()).expect("readable");
        let slot = Slot::hold(dir.path(), digest, &Default::default()).expect("held");
        // Nobody waits for it.
        assert!(!remove(dir.path(), &all[0]).expect("refused"));
        drop(slot);
        assert!(remove(dir.path(), &all[0]).expect("removed"));
        assert_eq!(kept(dir.path()).expect("readable"), []);
    }
}
