//! Layers and trees for this module's tests.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use super::{Entries, Overlay, Ownership, Root, View};
use crate::layer::{Entry, Kind, Metadata, Timestamp};

/// A layer in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer(pub(super) Vec<(Entry, Vec<u8>)>);

impl Layer {
    fn with(mut self, path: &str, mode: u32, kind: Kind, content: &[u8]) -> Self {
        let mtime = Timestamp { secs: 1_000_000 + self.0.len() as i64, nanos: 5 };
        let meta = Metadata { mode, mtime, ..Metadata::default() };
        self.0.push((Entry { path: path.into(), meta, kind }, content.to_vec()));
        self
    }

    pub(super) fn dir(self, path: &str) -> Self {
        self.with(path, 0o755, Kind::Dir, b"")
    }

    pub(super) fn file(self, path: &str, content: &str) -> Self {
        let size = content.len() as u64;
        self.with(path, 0o644, Kind::File { size }, content.as_bytes())
    }

    pub(super) fn symlink(self, path: &str, target: &str) -> Self {
        self.with(path, 0o777, Kind::Symlink(target.into()), b"")
    }

    pub(super) fn hard(self, path: &str, target: &str) -> Self {
        self.with(path, 0o644, Kind::HardLink(target.into()), b"")
    }

    pub(super) fn kind(self, path: &str, kind: Kind) -> Self {
        self.with(path, 0o600, kind, b"")
    }

    /// Changes the metadata of the last entry.
    pub(super) fn meta(mut self, change: impl FnOnce(&mut Metadata)) -> Self {
        change(&mut self.0.last_mut().expect("an entry").0.meta);
        self
    }

    pub(super) fn entries(&self) -> Reader<'_> {
        Reader(self.0.iter().collect())
    }
}

pub(super) struct Reader<'a>(VecDeque<&'a (Entry, Vec<u8>)>);

impl Entries for Reader<'_> {
    fn next_entry(&mut self) -> io::Result<Option<(Entry, Box<dyn Read + '_>)>> {
        let next = self.0.pop_front();
        Ok(next.map(|(entry, content)| {
            (entry.clone(), Box::new(Cursor::new(content)) as Box<dyn Read>)
        }))
    }
}

/// What is at each path, with the content of files.
pub(super) type Snapshot = BTreeMap<PathBuf, (Entry, Option<Vec<u8>>)>;

/// Everything below the root. Owners are left out where this process cannot give any; sizes of
/// directories and hard links are no part of an entry anyway.
pub(super) fn snapshot(view: &dyn View, with_content: bool) -> Snapshot {
    let mut found = Snapshot::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        for name in view.list(&dir).expect("a directory") {
            let path = dir.join(name);
            let mut entry = view.lstat(&path).expect("readable").expect("listed");
            if !is_root() {
                (entry.meta.uid, entry.meta.gid) = (0, 0);
            }
            if entry.kind == Kind::Dir {
                pending.push(path.clone());
            }
            let content = match entry.kind {
                Kind::File { .. } if with_content => view.read(&path, 1 << 20).expect("readable"),
                _ => None,
            };
            found.insert(path, (entry, content));
        }
    }
    found
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What this process may do.
pub(super) fn ownership() -> Ownership {
    if is_root() { Ownership::Keep } else { Ownership::Ignore }
}

/// `trusted.*` is for root.
pub(super) fn overlay() -> Overlay {
    Overlay { userxattr: !is_root() }
}

/// A root in a new directory, inside one that nothing but that root may be in.
pub(super) struct Sandbox {
    pub(super) outside: tempfile::TempDir,
    pub(super) root: Root,
}

impl Sandbox {
    pub(super) fn new() -> Self {
        let outside = tempfile::tempdir().expect("a directory");
        let inside = outside.path().join("root");
        std::fs::create_dir(&inside).expect("made");
        std::fs::write(outside.path().join("secret"), "outside").expect("written");
        let root = Root::open(&inside).expect("openat2");
        Self { outside, root }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Fails if anything but the root itself has changed.
    pub(super) fn assert_outside_untouched(&self) {
        let mut names: Vec<_> = std::fs::read_dir(self.outside.path())
            .expect("readable")
            .map(|entry| entry.expect("readable").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["root", "secret"]);
        let secret = self.outside.path().join("secret");
        assert_eq!(std::fs::read_to_string(&secret).expect("readable"), "outside");
        use std::os::unix::fs::MetadataExt;
        let stat = std::fs::symlink_metadata(&secret).expect("there");
        assert_eq!((stat.nlink(), stat.mode() & 0o7000), (1, 0));
    }
}

pub(super) fn text(root: &Root, path: &str) -> Option<String> {
    let content = root.read(Path::new(path), 1 << 20).expect("readable")?;
    Some(String::from_utf8(content).expect("text"))
}
