//! A directory that was filled from a layer, and a snapshot of it.

use std::fs;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, XattrFlags};

use super::*;
use crate::layer::Timestamp;
pub(super) use crate::rootfs::properties::Collect;
use crate::rootfs::testing::ownership;
use crate::rootfs::{Extract, Whiteouts, extract};

pub(super) struct Fixture {
    pub(super) dir: tempfile::TempDir,
    pub(super) root: Root,
    pub(super) scan: Scan,
    pub(super) ledger: Arc<Ledger>,
    pub(super) snapshot: Snapshot,
    pub(super) exclude: BTreeSet<PathBuf>,
}

impl Fixture {
    pub(super) fn new(layer: &Layer) -> Self {
        let mut fixture = Self::filled(layer);
        fixture.take();
        fixture
    }

    /// Without a snapshot of what the layer has put there.
    pub(super) fn filled(layer: &Layer) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["root", "scratch"] {
            fs::create_dir(dir.path().join(name)).expect("made");
        }
        let root = Root::open(&dir.path().join("root")).expect("opens").with_owners(ownership());
        let scan = Scan {
            skip: BTreeSet::new(),
            threads: NonZeroUsize::new(2).expect("some"),
            scratch: dir.path().join("scratch"),
        };
        let ledger = Arc::new(Ledger::default());
        let snapshot = Snapshot::take(&root, ledger.clone(), &scan).expect("taken");
        let fixture = Self { dir, root, scan, ledger, snapshot, exclude: BTreeSet::new() };
        fixture.apply(layer);
        fixture
    }

    pub(super) fn take(&mut self) {
        self.snapshot = Snapshot::take(&self.root, self.ledger.clone(), &self.scan).expect("taken");
    }

    /// As COPY does.
    pub(super) fn apply(&self, layer: &Layer) {
        let policy = Extract {
            ledger: Some(self.ledger.clone()),
            ..Extract::new(Whiteouts::Apply, ownership())
        };
        extract(&mut layer.entries(), &self.root, &policy).expect("unpacks");
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(super) fn changes(&mut self) -> Layer {
        self.changes_and_stats().0
    }

    pub(super) fn changes_and_stats(&mut self) -> (Layer, DiffStats) {
        let mut sink = Collect::default();
        let stats = self.snapshot.changes(&self.root, &self.scan, &self.exclude, &mut sink);
        (sink.0, stats.expect("a layer"))
    }

    /// Until no stamp is doubtful any more, and then a snapshot.
    pub(super) fn pass_time(&mut self) {
        std::thread::sleep(Duration::from_millis(20));
        self.take();
        assert!(self.snapshot.tree.nodes().all(|node| !node.racy));
    }

    pub(super) fn mtime(&self, path: &str) -> Timestamp {
        self.root.lstat(Path::new(path)).expect("readable").expect("there").meta.mtime
    }

    pub(super) fn set_mtime(&self, path: &str, mtime: Timestamp) {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: mtime.secs, tv_nsec: mtime.nanos.into() },
        };
        rustix::fs::utimensat(CWD, self.path(path), &times, AtFlags::SYMLINK_NOFOLLOW)
            .expect("set");
    }

    pub(super) fn touch(&self, path: &str, secs: i64) {
        self.set_mtime(path, Timestamp { secs, nanos: 0 });
    }

    pub(super) fn set_attribute(&self, path: &str, value: &str) {
        let file = fs::File::open(self.path(path)).expect("opens");
        rustix::fs::fsetxattr(file.as_fd(), "user.test", value.as_bytes(), XattrFlags::empty())
            .expect("set");
    }

    pub(super) fn remove_attribute(&self, path: &str) {
        let file = fs::File::open(self.path(path)).expect("opens");
        rustix::fs::fremovexattr(file.as_fd(), "user.test").expect("removed");
    }
}

pub(super) fn paths(layer: &Layer) -> Vec<&str> {
    layer.0.iter().map(|(entry, _)| entry.path.to_str().expect("text")).collect()
}
