//! What a COPY asked of the files below it, kept with its result.
//!
//! Where the destination is, whether a directory is there and whose, who `--chown=app` is: a few
//! answers, for which otherwise all layers below would have to be here. On the same state the answers
//! are the same, whatever is copied this time.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::layer::{Entry, Kind, Metadata, Timestamp};
use crate::rootfs::{View, ViewError};

/// Bytes of facts, as JSON, that are worth keeping: they are read by every build.
const MAX: usize = 1024;
/// Names of a directory that is worth listing.
const NAMES: usize = 32;

/// Answers about one state. Paths that are not UTF-8 are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// What is at a path, without what is in it.
    #[serde(rename = "e", default, skip_serializing_if = "BTreeMap::is_empty")]
    there: BTreeMap<String, There>,
    /// All names in a directory.
    #[serde(rename = "l", default, skip_serializing_if = "BTreeMap::is_empty")]
    lists: BTreeMap<String, Vec<String>>,
    /// Who a word of `--chown` is.
    #[serde(rename = "o", default, skip_serializing_if = "BTreeMap::is_empty")]
    owners: BTreeMap<String, (u32, u32)>,
}

/// An object: mode, owner, group, seconds and nanoseconds, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct There(u32, u32, u32, i64, u32, What);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    #[serde(rename = "d")]
    Dir,
    #[serde(rename = "l")]
    Link(String),
    #[serde(rename = "f")]
    File(u64),
}

impl Facts {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds those of another copy onto the same state.
    pub fn extend(&mut self, other: &Self) {
        self.there.extend(other.there.clone());
        self.lists.extend(other.lists.clone());
        self.owners.extend(other.owners.clone());
    }

    /// Who a word of `--chown` is.
    pub fn owner(&self, spec: &str) -> Option<(u32, u32)> {
        self.owners.get(spec).copied()
    }

    /// The same, if they are small enough to be kept.
    pub fn small(self) -> Self {
        let size = serde_json::to_vec(&self).map_or(usize::MAX, |text| text.len());
        if size > MAX { Self::default() } else { self }
    }
}

/// A view that knows only facts; [`Known::was_asked_more`] tells when that was not enough.
#[derive(Debug)]
pub struct Known<'a> {
    facts: &'a Facts,
    more: AtomicBool,
}

impl<'a> Known<'a> {
    /// Answers from these.
    pub fn new(facts: &'a Facts) -> Self {
        Self { facts, more: AtomicBool::new(false) }
    }

    /// Whether something was asked that is not known: what came of it is of no use.
    pub fn was_asked_more(&self) -> bool {
        self.more.load(Ordering::Relaxed)
    }

    fn unknown<T>(&self, path: &Path) -> Result<T, ViewError> {
        self.more.store(true, Ordering::Relaxed);
        let source = std::io::Error::other("it is not known without the layers");
        Err(ViewError::Io { path: path.to_owned(), source })
    }
}

impl View for Known<'_> {
    fn lstat(&self, path: &Path) -> Result<Option<Entry>, ViewError> {
        let Some(name) = path.to_str() else { return self.unknown(path) };
        if let Some(there) = self.facts.there.get(name) {
            return Ok(Some(there.entry(path)));
        }
        // Nothing is in what is not there, or is no directory, or does not list it.
        for (above, below) in path.ancestors().skip(1).zip(path.ancestors()) {
            let Some(above) = above.to_str() else { break };
            if matches!(self.facts.there.get(above), Some(there) if there.5 != What::Dir) {
                return Ok(None);
            }
            let Some(names) = self.facts.lists.get(above) else { continue };
            let name = below.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| !names.iter().any(|known| known == name)) {
                return Ok(None);
            }
            break;
        }
        self.unknown(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, ViewError> {
        match path.to_str().and_then(|path| self.facts.lists.get(path)) {
            Some(names) => Ok(names.iter().map(OsString::from).collect()),
            None => self.unknown(path),
        }
    }

    fn read(&self, path: &Path, _: u64) -> Result<Option<Vec<u8>>, ViewError> {
        self.unknown(path)
    }
}

impl There {
    fn of(entry: &Entry) -> Option<Self> {
        let Metadata { mode, uid, gid, mtime, xattrs } = &entry.meta;
        let what = match &entry.kind {
            Kind::Dir => What::Dir,
            Kind::Symlink(target) => What::Link(target.to_str()?.to_owned()),
            Kind::File { size } => What::File(*size),
            _ => return None,
        };
        xattrs.is_empty().then_some(Self(*mode, *uid, *gid, mtime.secs, mtime.nanos, what))
    }

    fn entry(&self, path: &Path) -> Entry {
        let Self(mode, uid, gid, secs, nanos, what) = self;
        let mtime = Timestamp { secs: *secs, nanos: *nanos };
        let (mode, uid, gid) = (*mode, *uid, *gid);
        let meta = Metadata { mode, uid, gid, mtime, ..Metadata::default() };
        let kind = match what {
            What::Dir => Kind::Dir,
            What::Link(target) => Kind::Symlink(target.into()),
            What::File(size) => Kind::File { size: *size },
        };
        Entry { path: path.to_owned(), meta, kind }
    }
}

/// A view that remembers what it was asked.
pub struct Noting<'a> {
    view: &'a dyn View,
    asked: Mutex<BTreeSet<PathBuf>>,
}

impl std::fmt::Debug for Noting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Noting").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl<'a> Noting<'a> {
    /// Asks this one.
    pub fn new(view: &'a dyn View) -> Self {
        Self { view, asked: Mutex::default() }
    }

    /// What it was asked, and what else is in the directories that were asked about: another copy to
    /// the same place may have other names.
    pub fn facts(&self, owner: Option<(&str, (u32, u32))>) -> Facts {
        let mut facts = Facts::default();
        facts.owners.extend(owner.map(|(spec, ids)| (spec.to_owned(), ids)));
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for path in &asked {
            let (Some(name), Ok(Some(entry))) = (path.to_str(), self.view.lstat(path)) else {
                continue;
            };
            let Some(there) = There::of(&entry) else { continue };
            let is_dir = there.5 == What::Dir;
            facts.there.insert(name.to_owned(), there);
            if is_dir && !self.is_on_the_way(path, &asked) {
                self.add_list(&mut facts, path, name);
            }
        }
        facts.small()
    }

    /// Whether a directory was asked about only for the sake of directories in it.
    fn is_on_the_way(&self, path: &Path, asked: &BTreeSet<PathBuf>) -> bool {
        let is_dir = |path: &PathBuf| {
            matches!(self.view.lstat(path), Ok(Some(Entry { kind: Kind::Dir, .. })))
        };
        let mut below = asked.iter().filter(|below| below.parent() == Some(path)).peekable();
        below.peek().is_some() && below.all(is_dir)
    }

    fn add_list(&self, facts: &mut Facts, path: &Path, name: &str) {
        let Ok(names) = self.view.list(path) else { return };
        let names: Option<Vec<String>> =
            names.into_iter().map(|name| name.into_string().ok()).collect();
        if let Some(names) = names.filter(|names| names.len() <= NAMES) {
            facts.lists.insert(name.to_owned(), names);
        }
    }
}

impl View for Noting<'_> {
    fn lstat(&self, path: &Path) -> Result<Option<Entry>, ViewError> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        self.view.lstat(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, ViewError> {
        self.view.list(path)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ViewError> {
        self.view.read(path, limit)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::rootfs::Index;

    fn dir(path: &str) -> Entry {
        let meta = Metadata { mode: 0o755, uid: 7, ..Metadata::default() };
        Entry { path: path.into(), meta, kind: Kind::Dir }
    }

    fn image() -> Index {
        let mut index = Index::default();
        for path in ["app", "usr", "usr/lib"] {
            index.insert(&dir(path)).unwrap();
        }
        let meta = Metadata::default();
        let file = Entry { path: "app/old".into(), meta, kind: Kind::File { size: 3 } };
        index.insert(&file).unwrap();
        index
    }

    #[test]
    fn what_was_not_asked_is_not_known() {
        let image = image();
        let noting = Noting::new(&image);
        for path in ["", "app", "app/new"] {
            noting.lstat(Path::new(path)).unwrap();
        }
        let facts = noting.facts(Some(("app", (5, 6))));
        let text = serde_json::to_string(&facts).unwrap();
        let facts: Facts = serde_json::from_str(&text).unwrap();
        let known = Known::new(&facts);
        assert_eq!(known.lstat(Path::new("app")).unwrap(), Some(dir("app")));
        // Its directory was listed.
        assert_eq!(known.lstat(Path::new("app/other")).unwrap(), None);
        assert_eq!(known.lstat(Path::new("app/other/below")).unwrap(), None);
        assert_eq!(facts.owner("app"), Some((5, 6)));
        assert!(!known.was_asked_more());
        // That one was not asked about, nor is the root listed.
        for path in ["app/old", "usr", "nowhere"] {
            let known = Known::new(&facts);
            assert!(known.lstat(Path::new(path)).is_err(), "{path}");
            assert!(known.was_asked_more(), "{path}");
        }
    }

    #[test]
    fn many_names_are_not_kept() {
        let mut image = image();
        for number in 0..100 {
            image.insert(&dir(&format!("app/{number}"))).unwrap();
        }
        let noting = Noting::new(&image);
        noting.lstat(Path::new("app")).unwrap();
        let facts = noting.facts(None);
        assert_eq!(Known::new(&facts).lstat(Path::new("app")).unwrap(), Some(dir("app")));
        assert!(Known::new(&facts).lstat(Path::new("app/new")).is_err());
    }
}
