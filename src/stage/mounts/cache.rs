//! `type=cache`: directories that outlive a step, and the build too where one is named for them.
//!
//! Each cache has a directory of its own below that of all caches, named by a hash of what it is; in
//! there: `about`, which says to people what it is, the directories `0`, `1`, … of which all but the
//! first serve `sharing=private`, and a lock beside each.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::Others;
use super::files::seen;
use super::laid::Original;
use super::lock::{self, Hold, Lock};
use super::trips::{self, Trips, Use};
use crate::cache::mounts::{Brought, MountKey, Workplace};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::dockerfile::Sharing;
use crate::layer::Metadata;
use crate::plan::{BindSource, CacheMount, RunStep, StepMount};
use crate::rootfs::copy::Owner;
use crate::rootfs::{Root, View as _, resolve};
use crate::sandbox::Sandbox;
use crate::stage::workshop::Workshop;

/// Mode of a new cache that does not say, as in BuildKit.
const MODE: u32 = 0o755;
/// Bytes of a hash that make a name.
pub(super) const NAME_LENGTH: usize = 32;

/// Where caches are.
#[derive(Debug)]
pub struct Caches {
    pub(super) dir: PathBuf,
    /// What is known of those that travel.
    pub(super) trips: Arc<Trips>,
}

impl Caches {
    /// Those below this directory, which need not exist yet.
    pub fn at(dir: PathBuf) -> Self {
        Self { dir, trips: Arc::default() }
    }
}

/// A cache that a RUN may use as long as this value lives.
#[derive(Debug)]
pub(super) struct Held {
    mount: CacheMount,
    dir: PathBuf,
    /// Two mounts of the same cache in one RUN share the lock of the first.
    _lock: Option<Lock>,
    /// Of one that travels.
    used: Option<Use>,
}

impl Held {
    /// The command has left it as it should be.
    pub(super) fn succeeded(&self) {
        if let Some(used) = &self.used {
            used.succeeded();
        }
    }
}

/// Takes all caches of a RUN, in an order in which no two RUNs wait for each other.
pub(super) fn hold(shop: &Workshop, step: &RunStep, others: &Others) -> Result<Vec<Held>> {
    let caches = step.mounts.iter().filter_map(|mount| match mount {
        StepMount::Cache(cache) => Some(Cache::new(shop, cache, others)),
        _ => None,
    });
    let mut caches: Vec<Cache<'_>> = caches.collect();
    // Of two mounts of the same, the stricter one decides.
    caches.sort_by(|a, b| (&a.name, b.hold()).cmp(&(&b.name, a.hold())));
    let mut held: Vec<Held> = Vec::new();
    let mut last: Option<(String, PathBuf)> = None;
    for cache in caches {
        let known = last.take_if(|(name, _)| *name == cache.name && !cache.is_private());
        let (dir, lock) = match known {
            Some((_, dir)) if cache.moves() => bail!(
                "the cache {} is mounted twice, which only isolation `namespaces` can do ({})",
                cache.mount.id,
                dir.display()
            ),
            Some((_, dir)) => (dir, None),
            None => cache.take().map(|(dir, lock)| (dir, Some(lock)))?,
        };
        last = Some((cache.name.clone(), dir.clone()));
        let used = cache.travels(&dir).then(|| {
            let trips = shop.caches.trips.clone();
            Use::begin(trips, &cache.name, cache.key())
        });
        held.push(Held { mount: cache.mount.clone(), dir, _lock: lock, used });
    }
    Ok(held)
}

/// The directory of a mount, out of those that are held.
pub(super) fn take(held: &mut [Held], mount: &CacheMount) -> Result<PathBuf> {
    let found = held.iter().find(|held| held.mount == *mount);
    found.map(|held| held.dir.clone()).context("a cache was not taken")
}

/// One mount of a cache.
pub(super) struct Cache<'a> {
    shop: &'a Workshop,
    mount: &'a CacheMount,
    others: &'a Others,
    about: String,
    /// Stops all that waits.
    cancel: Cancel,
    pub(super) name: String,
}

impl<'a> Cache<'a> {
    /// As in BuildKit, a cache is another one if it begins otherwise: with other files, or as another
    /// user's.
    pub(super) fn new(shop: &'a Workshop, mount: &'a CacheMount, others: &'a Others) -> Self {
        let seed = mount.seed.as_ref().map(|seed| others.identity(seed)).unwrap_or_default();
        let CacheMount { id, source, mode, uid, gid, .. } = mount;
        let about = format!(
            "id {id}\nsource {source}\nmode {}\nuid {}\ngid {}\nfrom {seed}\n",
            mode.map(|mode| format!("{mode:o}")).unwrap_or_default(),
            uid.map(|uid| uid.to_string()).unwrap_or_default(),
            gid.map(|gid| gid.to_string()).unwrap_or_default(),
        );
        let name = Digest::of(about.as_bytes()).hex()[..NAME_LENGTH].to_owned();
        Self { shop, mount, others, about, name, cancel: shop.cancel.clone() }
    }

    /// The same, stopped by something else than the build.
    pub(super) fn stopped_by(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    fn is_private(&self) -> bool {
        self.mount.sharing == Sharing::Private
    }

    /// Whether the sandbox moves it to where the command sees it.
    fn moves(&self) -> bool {
        !matches!(self.shop.sandbox, Sandbox::Namespaces(_))
    }

    fn hold(&self) -> Hold {
        let alone = self.mount.sharing != Sharing::Shared || self.moves();
        if alone { Hold::Alone } else { Hold::Together }
    }

    /// Which one it is on every machine.
    fn key(&self) -> MountKey {
        self.shop.caches.trips.key(self.mount, &self.about)
    }

    /// Whether what is in one of its directories is saved: of several of `sharing=private` the first.
    fn travels(&self, dir: &Path) -> bool {
        self.shop.travel.as_ref().is_some_and(|travel| travel.writes()) && dir.ends_with("0")
    }

    /// Makes the first directory, unless it is there, before anybody wants it. Where somebody uses it
    /// there is nothing to do: a sandbox that moves directories has it elsewhere meanwhile, and it comes
    /// back.
    pub(super) fn prefill(&self) -> Result<()> {
        let home = self.home()?;
        let dir = home.join("0");
        if dir.exists() {
            return Ok(());
        }
        // In the other order than a step, which is no danger: nobody is waited for with both.
        let _making = self.making(&home)?;
        match Lock::try_take(&home.join("0.lock"), self.hold()) {
            Ok(Some(_lock)) => self.make(&home, &dir),
            Ok(None) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot lock {}", dir.display())),
        }
    }

    /// Waits until nobody else makes a directory of this cache.
    fn making(&self, home: &Path) -> Result<Lock> {
        let what = format!("the cache {}, which is being filled,", self.mount.id);
        lock::take(self.shop, &self.cancel, &home.join("making.lock"), Hold::Alone, &what)
    }

    /// Where its directories are.
    fn home(&self) -> Result<PathBuf> {
        let home = self.shop.caches.dir.join(&self.name);
        let what = || format!("cannot make the cache directory {}", home.display());
        fs::create_dir_all(&home).with_context(what)?;
        make_own(&home)
            .with_context(|| format!("cannot use the cache directory {}", home.display()))?;
        match fs::File::create_new(home.join("about")) {
            Ok(mut about) => about.write_all(self.about.as_bytes()).with_context(what)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(what),
        }
        Ok(home)
    }

    /// The cache's directory, and the lock that goes with it.
    fn take(&self) -> Result<(PathBuf, Lock)> {
        let home = self.home()?;
        let what = || format!("cannot lock the cache directory {}", home.display());
        let (number, lock) = if self.is_private() {
            // Who brings the first one before anybody wants it is no user of it.
            let _making = self.making(&home)?;
            self.first_free(&home).with_context(what)?
        } else {
            let what = format!("the cache {}", self.mount.id.trim_start_matches('/'));
            let path = home.join("0.lock");
            (0, lock::take(self.shop, &self.cancel, &path, self.hold(), &what)?)
        };
        // What only reads its cache uses it, too. Where this cannot be noted nothing can be removed.
        _ = lock.file().set_modified(SystemTime::now());
        let dir = home.join(number.to_string());
        if !dir.exists() {
            let _making = self.making(&home)?;
            self.make(&home, &dir)?;
        }
        Ok((dir, lock))
    }

    fn first_free(&self, home: &Path) -> io::Result<(usize, Lock)> {
        let mut number = 0;
        loop {
            let path = home.join(format!("{number}.lock"));
            if let Some(lock) = Lock::try_take(&path, Hold::Alone)? {
                return Ok((number, lock));
            }
            number += 1;
        }
    }

    /// Makes the directory, unless another has been faster. It gets its name when it is complete. Both
    /// locks are held.
    fn make(&self, home: &Path, dir: &Path) -> Result<()> {
        if dir.exists() {
            return Ok(());
        }
        let root = Root::open(home)?;
        let unfinished = Path::new("unfinished");
        if root.lstat(unfinished)?.is_some() {
            root.remove_tree(unfinished)?;
        }
        root.create_dir(unfinished, MODE)?;
        let into = home.join(unfinished);
        let filled = match self.bring(&into, dir)? {
            Some(brought) => brought,
            None => self.fill(&into)?,
        };
        fs::rename(&filled, dir)
            .with_context(|| format!("cannot make the cache directory {}", dir.display()))?;
        root.remove_tree(unfinished)?;
        Ok(())
    }

    /// What the cache had on another machine, in an empty directory; nothing if it is not known here.
    fn bring(&self, into: &Path, dir: &Path) -> Result<Option<PathBuf>> {
        let shop = self.shop;
        let Some(travel) = shop.travel.as_ref().filter(|travel| travel.reads()) else {
            return Ok(None);
        };
        let path = into.join("d");
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let at = Workplace { scratch: &shop.scratch_dir, ownership: shop.ownership() };
        let brought = travel.bring(&self.key(), &path, at, &self.cancel);
        let Some(Brought { memory, is_exact }) = brought else {
            self.cancel.check()?;
            Root::open(into)?.remove_tree(Path::new("d"))?;
            return Ok(None);
        };
        let root = shop.open_root(&path)?;
        if !is_exact && let Some(mut entry) = root.lstat(Path::new(""))? {
            // It has come from a cache that began with another mode.
            entry.meta.mode = self.first_mode()?;
            root.set_metadata(Path::new(""), &entry.meta, shop.ownership())?;
        }
        if dir.ends_with("0") {
            if let Some(home) = dir.parent() {
                trips::keep(shop, home, &memory);
            }
            shop.caches.trips.remember(&self.name, memory);
        }
        Ok(Some(path))
    }

    /// The mode with which the cache begins where it is new.
    fn first_mode(&self) -> Result<u32> {
        let CacheMount { source, mode, seed, .. } = self.mount;
        match (mode, seed) {
            (Some(mode), _) => Ok(*mode),
            (None, Some(BindSource::Files(from))) => {
                let seen = seen(self.shop, from, source, self.others)?;
                let found = resolve(&*seen.root, Path::new(source), true)?.entry;
                Ok(found.map_or(MODE, |entry| entry.meta.mode))
            }
            (None, _) => Ok(MODE),
        }
    }

    /// A new cache in an empty directory.
    fn fill(&self, into: &Path) -> Result<PathBuf> {
        let shop = self.shop;
        let CacheMount { source, mode, uid, gid, .. } = self.mount;
        let mut meta = Metadata { mode: MODE, mtime: shop.now, ..Metadata::default() };
        let path = match &self.mount.seed {
            Some(BindSource::Files(from)) => {
                let seen = seen(shop, from, source, self.others)?;
                let root = seen.root.clone();
                let original = Original { root, ignore: None, owner: Owner::Keep, path: source };
                let path = original.lay_down(shop, into)?;
                let laid = shop.open_root(&path).with_context(|| {
                    format!("the cache {} cannot begin with `{source}`", self.mount.id)
                })?;
                if let Some(entry) = laid.lstat(Path::new(""))? {
                    meta = entry.meta;
                }
                path
            }
            Some(BindSource::Nothing) | None => {
                let path = into.join("d");
                fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
                path
            }
        };
        meta.mode = mode.unwrap_or(meta.mode);
        meta.uid = uid.unwrap_or(meta.uid);
        meta.gid = gid.unwrap_or(meta.gid);
        shop.open_root(&path)?.set_metadata(Path::new(""), &meta, shop.ownership())?;
        Ok(path)
    }
}

/// Keeps all others out of a directory: a command may leave programs there that run as root. Whoever may
/// write to the directory above could have laid a link here, or a directory of their own, in which they
/// lay links later.
fn make_own(home: &Path) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match open(home, flags, Mode::empty()) {
        Err(Errno::NOTDIR | Errno::LOOP) => bail!("it is a link, or no directory: remove it"),
        opened => fs::File::from(opened.map_err(io::Error::from)?),
    };
    let (owner, own) = (dir.metadata()?.uid(), geteuid().as_raw());
    if owner != own {
        bail!(
            "it belongs to the user {owner}, who could change it at any time, and kiln runs as {own}: \
             remove it, or name another directory with --cache-mount-dir"
        );
    }
    Ok(dir.set_permissions(fs::Permissions::from_mode(0o700))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_can_change_is_not_used() {
        let dir = tempfile::tempdir().expect("temp");
        let own = dir.path().join("own");
        fs::create_dir(&own).expect("made");
        make_own(&own).expect("ours");
        assert_eq!(fs::metadata(&own).expect("there").mode() & 0o777, 0o700);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&own, &link).expect("made");
        assert!(make_own(&link).expect_err("a link").to_string().contains("it is a link"));
        let strange = dir.path().join("strange");
        fs::create_dir(&strange).expect("made");
        // Only root can give files away.
        if std::os::unix::fs::chown(&strange, Some(12_345), None).is_ok() {
            let error = make_own(&strange).expect_err("another's").to_string();
            assert!(error.contains("belongs to the user 12345"), "{error}");
        }
    }
}
