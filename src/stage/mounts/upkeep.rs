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
        for dir in directories(&home) {
            let mut found = Found::default();
            found.look(&dir);
            found.bytes += fs::symlink_metadata(known_of(&dir)).map_or(0, |meta| meta.len());
            let taken = fs::metadata(lock_of(&dir)).and_then(|meta| meta.modified()).ok();
            // When a part of one was last taken says nothing.
            let taken = taken.filter(|_| is_whole(&dir));
            let used = found.newest.max(taken).unwrap_or(SystemTime::UNIX_EPOCH);
            // Not `try_take`, which would make a lock where there is none.
            let is_held = |lock: &PathBuf| {
                lock.exists() && matches!(Lock::try_take(lock, Hold::Alone), Ok(None))
            };
            let in_use = [making_of(&dir), lock_of(&dir)].iter().any(is_held);
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
    // In the order of those who fill it, of whom none waits with both.
    let Some(_making) = Lock::try_take(&making_of(&cache.dir), Hold::Alone).with_context(what)?
    else {
        return Ok(false);
    };
    let Some(_lock) = Lock::try_take(&lock_of(&cache.dir), Hold::Alone).with_context(what)? else {
        return Ok(false);
    };
    let (Some(home), Some(name)) = (cache.dir.parent(), cache.dir.file_name()) else {
        return Ok(false);
    };
    // Under another name first: who finds the cache finds it whole.
    let aside = Path::new(name).with_extension("removed");
    let root = Root::open(home).with_context(what)?;
    if !is_whole(&cache.dir) {
        // It may have gone with the directory that it was.
        if root.lstat(Path::new(name))?.is_some() {
            root.remove_tree(Path::new(name)).with_context(what)?;
        }
        return Ok(true);
    }
    if root.lstat(&aside)?.is_some() {
        root.remove_tree(&aside).with_context(what)?;
    }
    match fs::rename(&cache.dir, home.join(&aside)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        moved => moved.with_context(what)?,
    }
    _ = fs::remove_file(known_of(&cache.dir));
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

/// `0`, `1`, … of a cache; and what somebody was making, or taking away, who was stopped.
fn directories(home: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(home) else { return Vec::new() };
    let is_one = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let mut all: Vec<_> = entries.flatten().filter(is_one).map(|entry| entry.path()).collect();
    all.sort();
    all
}

/// Whether it is what a RUN gets.
fn is_whole(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
}

fn lock_of(dir: &Path) -> PathBuf {
    dir.with_extension("lock")
}

/// The lock of those who fill a directory of the same cache.
fn making_of(dir: &Path) -> PathBuf {
    dir.with_file_name("making.lock")
}

/// What is known of a directory that travels.
fn known_of(dir: &Path) -> PathBuf {
    if is_whole(dir) { dir.with_extension("known") } else { PathBuf::new() }
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
        fs::write(home.join("unfinished/half"), "12").expect("written");
        fs::create_dir(home.join("0.removed")).expect("made");
        fs::write(home.join("0.removed/old"), "1").expect("written");
        fs::write(home.join("0.known"), "123").expect("written");
        fs::create_dir_all(dir.path().join("other/0")).expect("made");
        (dir, home)
    }

    #[test]
    fn caches_are_told_from_what_else_is_there() {
        let (dir, home) = directory();
        let all = kept(dir.path()).expect("readable");
        let found: Vec<_> = all.iter().map(|c| (c.id.as_str(), c.dir.clone(), c.bytes)).collect();
        let expected = [("0", 5 + 3), ("0.removed", 1), ("1", 0), ("unfinished", 2)];
        let expected = expected.map(|(name, bytes)| ("/root/.cache", home.join(name), bytes));
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
        let in_use = |all: &[RunCacheKept]| all.iter().map(|c| c.in_use).collect::<Vec<_>>();
        assert_eq!(in_use(&all), [true, true, false, false]);
        assert!(!remove(&all[0]).expect("refused") && home.join("0/sub/file").exists());
        drop(held);
        assert!(remove(&all[0]).expect("removed") && !home.join("0").exists());
        assert!(!remove(&all[0]).expect("gone already") && !home.join("0.known").exists());
        assert_eq!(kept(dir.path()).expect("readable").len(), 2);
        let making = Lock::try_take(&home.join("making.lock"), Hold::Alone).expect("a lock");
        let all = kept(dir.path()).expect("readable");
        assert_eq!(in_use(&all), [true, true]);
        assert!(all.iter().all(|cache| !remove(cache).expect("refused")));
        drop(making);
        assert!(all.iter().all(|cache| remove(cache).expect("removed")));
        assert!(!home.join("unfinished").exists() && !home.join("1").exists());
        assert_eq!(kept(dir.path()).expect("readable"), []);
    }
}
