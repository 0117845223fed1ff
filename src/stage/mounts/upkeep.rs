//! What a directory of caches of RUN takes, and less of it.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use super::cache::NAME_LENGTH;
use super::lock::{Hold, Lock};
use crate::rootfs::{Root, View as _};

/// The file that says what a cache is.
const ABOUT: &str = "about";

/// One directory of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCacheKept {
    /// What a Dockerfile calls it: its `id`, or its target.
    pub id: String,
    /// Where it is.
    pub dir: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// When something in it was last changed, or a RUN took it.
    pub used: SystemTime,
    /// Whether a RUN has it now.
    pub in_use: bool,
}

/// Whether a directory has caches of RUN.
pub fn is_cache_directory(dir: &Path) -> bool {
    homes(dir).is_ok_and(|homes| !homes.is_empty())
}

/// All caches of a directory; none where it does not exist.
///
/// # Errors
/// A directory that cannot be read.
pub fn kept(dir: &Path) -> Result<Vec<RunCacheKept>> {
    let mut all = Vec::new();
    for home in homes(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let about = fs::read_to_string(home.join(ABOUT)).unwrap_or_default();
        let id = about.lines().find_map(|line| line.strip_prefix("id ")).unwrap_or("?");
        for dir in numbered(&home) {
            let mut found = Found::default();
            found.look(&dir);
            let lock = lock_of(&dir);
            let taken = fs::metadata(&lock).and_then(|meta| meta.modified()).ok();
            let used = found.newest.max(taken).unwrap_or(SystemTime::UNIX_EPOCH);
            // Not `try_take`, which would make a lock where there is none.
            let in_use = lock.exists() && matches!(Lock::try_take(&lock, Hold::Alone), Ok(None));
            all.push(RunCacheKept { id: id.to_owned(), dir, bytes: found.bytes, used, in_use });
        }
    }
    Ok(all)
}

/// Takes a cache away, unless a RUN has it now. The next RUN that wants it begins with a new one.
///
/// # Errors
/// What the file system says.
pub fn remove(cache: &RunCacheKept) -> Result<bool> {
    let what = || format!("cannot remove the cache {}", cache.dir.display());
    let Some(_lock) = Lock::try_take(&lock_of(&cache.dir), Hold::Alone).with_context(what)? else {
        return Ok(false);
    };
    let (Some(home), Some(name)) = (cache.dir.parent(), cache.dir.file_name()) else {
        return Ok(false);
    };
    // Under another name first: who finds the cache finds it whole.
    let aside = Path::new(name).with_extension("removed");
    let root = Root::open(home).with_context(what)?;
    if root.lstat(&aside)?.is_some() {
        root.remove_tree(&aside).with_context(what)?;
    }
    match fs::rename(&cache.dir, home.join(&aside)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        moved => moved.with_context(what)?,
    }
    root.remove_tree(&aside).with_context(what)?;
    Ok(true)
}

/// The directories of caches, by their names and what is in them.
fn homes(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let is_home = |entry: &DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_hex = name.len() == NAME_LENGTH && name.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex && entry.path().join(ABOUT).is_file()
    };
    let mut homes: Vec<_> = entries.flatten().filter(is_home).map(|entry| entry.path()).collect();
    homes.sort();
    Ok(homes)
}

/// `0`, `1`, … of a cache.
fn numbered(home: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(home) else { return Vec::new() };
    let is_one = |entry: &DirEntry| {
        let is_number = entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit());
        is_number && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    let mut all: Vec<_> = entries.flatten().filter(is_one).map(|entry| entry.path()).collect();
    all.sort();
    all
}

fn lock_of(dir: &Path) -> PathBuf {
    dir.with_extension("lock")
}

/// What is below a directory. What cannot be read, or vanishes meanwhile, does not count.
#[derive(Default)]
struct Found {
    bytes: u64,
    newest: Option<SystemTime>,
}

impl Found {
    /// Links are not followed: they lead to the RUN's files.
    fn look(&mut self, path: &Path) {
        let Ok(meta) = fs::symlink_metadata(path) else { return };
        // What unpacks archives sets times of its own; nothing sets this one.
        self.newest = self.newest.max(changed(&meta));
        if meta.is_file() {
            self.bytes += meta.len();
        }
        if meta.is_dir() {
            let Ok(entries) = fs::read_dir(path) else { return };
            entries.flatten().for_each(|entry| self.look(&entry.path()));
        }
    }
}

fn changed(meta: &fs::Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt as _;
    let seconds = u64::try_from(meta.ctime()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "0123456789abcdef0123456789abcdef";

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("temp");
        let home = dir.path().join(NAME);
        fs::create_dir_all(home.join("0/sub")).expect("made");
        fs::write(home.join(ABOUT), "id /root/.cache\nsource \n").expect("written");
        fs::write(home.join("0/sub/file"), "12345").expect("written");
        fs::create_dir(home.join("1")).expect("made");
        fs::create_dir(home.join("unfinished")).expect("made");
        fs::create_dir_all(dir.path().join("other/0")).expect("made");
        (dir, home)
    }

    #[test]
    fn caches_are_told_from_what_else_is_there() {
        let (dir, home) = directory();
        let all = kept(dir.path()).expect("readable");
        let found: Vec<_> = all.iter().map(|c| (c.id.as_str(), c.dir.clone(), c.bytes)).collect();
        let expected = [("/root/.cache", home.join("0"), 5), ("/root/.cache", home.join("1"), 0)];
        assert_eq!(found, expected);
        assert!(all.iter().all(|c| c.used.elapsed().is_ok_and(|age| age.as_secs() < 60)));
        assert!(!home.join("0.lock").exists(), "who looks writes nothing");
        assert!(is_cache_directory(dir.path()) && !is_cache_directory(&home));
        assert_eq!(kept(&dir.path().join("none")).expect("nothing"), []);
    }

    #[test]
    fn what_a_run_has_stays() {
        let (dir, home) = directory();
        let held = Lock::try_take(&home.join("0.lock"), Hold::Together).expect("a lock");
        let all = kept(dir.path()).expect("readable");
        assert_eq!(all.iter().map(|c| c.in_use).collect::<Vec<_>>(), [true, false]);
        assert!(!remove(&all[0]).expect("refused") && home.join("0/sub/file").exists());
        drop(held);
        assert!(remove(&all[0]).expect("removed") && !home.join("0").exists());
        assert!(!remove(&all[0]).expect("gone already"));
        assert_eq!(kept(dir.path()).expect("readable").len(), 1);
    }
}
