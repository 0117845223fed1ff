//! The same commands make the same layers, whether overlayfs writes down what they change or a scan
//! finds it.
//!
//! Two things are kept out of the commands, because they are not the same on both file systems (see
//! the module's head): a file that has several names in the layers below is only removed or
//! replaced, and a directory is moved to a name that never was. Every time is set, since those of
//! the clock would differ; few values, so that a changed file often has the time it had.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use super::*;
use crate::layer::Timestamp;
use crate::rootfs::overlay_tests::{Mounts, in_namespaces};
use crate::rootfs::properties::Collect;
use crate::rootfs::testing::{Layer, ownership, snapshot};
use crate::rootfs::{Extract, Overlay, Whiteouts, diff_upper, extract};

#[test]
fn overlayfs_and_a_scan_agree() {
    in_namespaces("rootfs::scan::agreement_tests::in_a_mount_namespace");
}

/// One step of a command. Paths are of the image; what cannot be done is left out.
#[derive(Debug, Clone)]
enum Step {
    Write(PathBuf, &'static str),
    Append(PathBuf),
    /// Opened for writing, and nothing written.
    Open(PathBuf),
    Chmod(PathBuf, u32),
    Chown(PathBuf, u32),
    Time(PathBuf, i64),
    Attribute(PathBuf, bool),
    Mkdir(PathBuf),
    Remove(PathBuf),
    Remake(PathBuf),
    RenameFile(PathBuf, PathBuf),
    RenameDir(PathBuf),
    Link(PathBuf, PathBuf),
    Symlink(PathBuf, &'static str),
    Fifo(PathBuf),
    /// Another file in its place that is just like it.
    Copy(PathBuf),
}

fn path() -> impl Strategy<Value = PathBuf> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..=3)
        .prop_map(|names| names.iter().collect())
}

fn step() -> impl Strategy<Value = Step> {
    let text = || prop::sample::select(vec!["", "one", "two", "three"]);
    prop_oneof![
        4 => (path(), text()).prop_map(|(path, text)| Step::Write(path, text)),
        1 => path().prop_map(Step::Append),
        1 => path().prop_map(Step::Open),
        2 => (path(), prop::sample::select(vec![0o644, 0o755, 0o4711]))
            .prop_map(|(path, mode)| Step::Chmod(path, mode)),
        1 => (path(), 0..2_u32).prop_map(|(path, owner)| Step::Chown(path, owner)),
        2 => (path(), 0..3_i64).prop_map(|(path, time)| Step::Time(path, time)),
        1 => (path(), any::<bool>()).prop_map(|(path, set)| Step::Attribute(path, set)),
        4 => path().prop_map(Step::Mkdir),
        3 => path().prop_map(Step::Remove),
        1 => path().prop_map(Step::Remake),
        3 => (path(), path()).prop_map(|(from, to)| Step::RenameFile(from, to)),
        1 => path().prop_map(Step::RenameDir),
        2 => (path(), path()).prop_map(|(from, to)| Step::Link(from, to)),
        1 => (path(), prop::sample::select(vec!["a", "../b", "/c"]))
            .prop_map(|(path, target)| Step::Symlink(path, target)),
        1 => path().prop_map(Step::Fifo),
        1 => path().prop_map(Step::Copy),
    ]
}

fn commands() -> impl Strategy<Value = Vec<Vec<Step>>> {
    prop::collection::vec(prop::collection::vec(step(), 1..12), 1..=4)
}

/// One of the two directories in which the commands run.
struct Place {
    at: PathBuf,
    /// Files with several names from before the command.
    linked: BTreeSet<u64>,
    moved: u32,
}

impl Place {
    /// The files that have several names. In an overlay, that counts names in a layer below which
    /// are not visible any more, so it is asked first and answers for both.
    fn linked_paths(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(dir) = pending.pop() {
            for entry in fs::read_dir(self.full(&dir)).expect("readable") {
                let path = dir.join(entry.expect("readable").file_name());
                let stat = fs::symlink_metadata(self.full(&path)).expect("there");
                match stat.is_dir() {
                    true => pending.push(path),
                    false if stat.nlink() > 1 => found.push(path),
                    false => {}
                }
            }
        }
        found
    }

    fn begin(&mut self, linked: &[PathBuf]) {
        let inode = |path| fs::symlink_metadata(self.full(path)).expect("there").ino();
        self.linked = linked.iter().map(|path| inode(path)).collect();
    }

    fn has_links(&self, dir: &Path) -> bool {
        fs::read_dir(dir).expect("readable").any(|entry| {
            let path = entry.expect("readable").path();
            let stat = fs::symlink_metadata(&path).expect("there");
            let is_linked = || stat.nlink() > 1 || self.linked.contains(&stat.ino());
            if stat.is_dir() { self.has_links(&path) } else { is_linked() }
        })
    }

    fn full(&self, path: &Path) -> PathBuf {
        self.at.join(path)
    }

    /// The file at a path, if it may be changed.
    fn file(&self, path: &Path) -> Option<PathBuf> {
        let path = self.leaf(path)?;
        fs::symlink_metadata(&path).ok()?.is_file().then_some(path)
    }

    /// What is at a path, if it may be changed and is no directory.
    fn leaf(&self, path: &Path) -> Option<PathBuf> {
        let path = self.any(path)?;
        (!fs::symlink_metadata(&path).ok()?.is_dir()).then_some(path)
    }

    fn any(&self, path: &Path) -> Option<PathBuf> {
        let full = self.parent_of(path)?;
        let stat = fs::symlink_metadata(&full).ok()?;
        let is_linked = !stat.is_dir() && self.linked.contains(&stat.ino());
        (!is_linked).then_some(full)
    }

    /// A path in a directory that can be reached without links.
    fn parent_of(&self, path: &Path) -> Option<PathBuf> {
        let is_dir =
            |dir: &Path| fs::symlink_metadata(self.full(dir)).is_ok_and(|stat| stat.is_dir());
        path.ancestors().skip(1).all(is_dir).then(|| self.full(path))
    }

    /// A path at which nothing but a leaf is.
    fn room(&self, path: &Path) -> Option<PathBuf> {
        let full = self.parent_of(path)?;
        let is_dir = fs::symlink_metadata(&full).is_ok_and(|stat| stat.is_dir());
        (!is_dir).then_some(full)
    }

    /// A path at which nothing is.
    fn free(&self, path: &Path) -> Option<PathBuf> {
        self.parent_of(path).filter(|full| fs::symlink_metadata(full).is_err())
    }

    /// Does it, and gives everything that it touches a time of its own.
    fn run(&mut self, number: usize, step: &Step) {
        let touched = self.act(step).unwrap_or_default();
        let time = if matches!(step, Step::Time(..)) { None } else { Some(number as i64 % 4) };
        for path in touched {
            if let Some(time) = time {
                set_time(&path, time);
            }
            let parent = path.parent().expect("a parent");
            if parent.starts_with(&self.at) && parent.exists() {
                set_time(parent, time.unwrap_or(number as i64 % 4));
            }
        }
    }

    /// The paths that were touched; nothing where it could not be done.
    fn act(&mut self, step: &Step) -> Option<Vec<PathBuf>> {
        Some(match step {
            Step::Write(path, text) => {
                let full = self.file(path).or_else(|| self.free(path))?;
                fs::write(&full, text).expect("written");
                vec![full]
            }
            Step::Append(path) => {
                let full = self.file(path)?;
                let text = fs::read_to_string(&full).expect("readable") + "+";
                fs::write(&full, text).expect("written");
                vec![full]
            }
            Step::Open(path) => {
                let full = self.file(path)?;
                drop(fs::OpenOptions::new().append(true).open(full).expect("opens"));
                vec![]
            }
            Step::Chmod(path, mode) => {
                let full = self.any(path)?;
                if fs::symlink_metadata(&full).expect("there").is_symlink() {
                    return None;
                }
                fs::set_permissions(full, fs::Permissions::from_mode(*mode)).expect("set");
                vec![]
            }
            Step::Chown(path, owner) => {
                let full = self.any(path)?;
                // Refused where the other one does not exist.
                let _ = std::os::unix::fs::lchown(full, Some(*owner), Some(*owner));
                vec![]
            }
            Step::Time(path, time) => {
                set_time(&self.any(path)?, *time);
                vec![]
            }
            Step::Attribute(path, set) => {
                let full = self.any(path)?;
                let stat = fs::symlink_metadata(&full).expect("there");
                if !stat.is_file() && !stat.is_dir() {
                    return None;
                }
                let file = fs::File::open(full).expect("opens");
                let _ = match set {
                    true => {
                        rustix::fs::fsetxattr(file.as_fd(), "user.test", b"x", XattrFlags::empty())
                    }
                    false => rustix::fs::fremovexattr(file.as_fd(), "user.test"),
                };
                vec![]
            }
            Step::Mkdir(path) => {
                let full = self.free(path)?;
                fs::create_dir(&full).expect("made");
                vec![full]
            }
            Step::Remove(path) => {
                let full = self.parent_of(path)?;
                if fs::symlink_metadata(&full).ok()?.is_dir() {
                    fs::remove_dir_all(&full).expect("removed");
                } else {
                    fs::remove_file(&full).expect("removed");
                }
                vec![full]
            }
            Step::Remake(path) => {
                let full = self.parent_of(path)?;
                if !fs::symlink_metadata(&full).ok()?.is_dir() {
                    return None;
                }
                fs::remove_dir_all(&full).expect("removed");
                fs::create_dir(&full).expect("made");
                vec![full]
            }
            Step::RenameFile(from, to) => {
                let (from, to) = (self.leaf(from)?, self.room(to)?);
                fs::rename(&from, &to).expect("renamed");
                vec![from, to]
            }
            Step::RenameDir(from) => {
                let from = self.any(from)?;
                if !fs::symlink_metadata(&from).expect("there").is_dir() || self.has_links(&from) {
                    return None;
                }
                self.moved += 1;
                let to = self.at.join(format!("moved{}", self.moved));
                move_dir(&from, &to);
                set_time(&from, 0);
                vec![from, to]
            }
            Step::Link(from, to) => {
                let (from, to) = (self.leaf(from)?, self.free(to)?);
                fs::hard_link(&from, &to).expect("linked");
                vec![from, to]
            }
            Step::Symlink(path, target) => {
                let full = self.free(path)?;
                symlink(target, &full).expect("made");
                vec![full]
            }
            Step::Fifo(path) => {
                let full = self.free(path)?;
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(CWD, &full, FileType::Fifo, mode, 0).expect("made");
                vec![full]
            }
            Step::Copy(path) => {
                let full = self.file(path)?;
                let copy = self.free(Path::new("copy"))?;
                copy_object(&full, &copy);
                fs::rename(&copy, &full).expect("renamed");
                set_time(&self.at, 1);
                let parent = full.parent().expect("a parent");
                set_time(parent, 1);
                vec![]
            }
        })
    }
}

fn set_time(path: &Path, secs: i64) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: 1000 + secs, tv_nsec: 0 },
    };
    // What is gone has no time.
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}

/// As mv(1) does: overlayfs does not rename a directory that is in a layer below (EXDEV).
fn move_dir(from: &Path, to: &Path) {
    match fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            copy_object(from, to);
            fs::remove_dir_all(from).expect("removed");
        }
        result => result.expect("renamed"),
    }
}

fn copy_object(from: &Path, to: &Path) {
    let stat = fs::symlink_metadata(from).expect("there");
    let kind = stat.file_type();
    if kind.is_dir() {
        fs::create_dir(to).expect("made");
        for entry in fs::read_dir(from).expect("readable") {
            let name = entry.expect("readable").file_name();
            copy_object(&from.join(&name), &to.join(&name));
        }
    } else if kind.is_symlink() {
        symlink(fs::read_link(from).expect("a link"), to).expect("made");
    } else if kind.is_file() {
        fs::write(to, fs::read(from).expect("readable")).expect("written");
    } else {
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, to, FileType::Fifo, mode, 0).expect("made");
    }
    std::os::unix::fs::lchown(to, Some(stat.uid()), Some(stat.gid())).expect("given");
    if kind.is_dir() || kind.is_file() {
        let source = fs::File::open(from).expect("opens");
        let found = crate::rootfs::xattr::read(&source).expect("readable");
        crate::rootfs::xattr::write(fs::File::open(to).expect("opens"), &found).expect("written");
    }
    if !kind.is_symlink() {
        fs::set_permissions(to, stat.permissions()).expect("set");
    }
    set_time(to, stat.mtime() - 1000);
}

/// What a command did in an overlay.
struct Overlaid {
    layer: Layer,
    upper: Root,
    /// The files that it was kept from changing.
    linked: Vec<PathBuf>,
}

fn overlaid(
    mounts: &Mounts,
    number: usize,
    lower: &[Root],
    place: &mut Place,
    steps: &[Step],
) -> Overlaid {
    let upper = mounts.dir(&format!("upper{number}"));
    let lower: Vec<_> = lower.iter().collect();
    // What is below, for the comparison.
    let none = mounts.dir(&format!("none{number}"));
    let below = mounts.overlay(&format!("below{number}"), &lower, &none);
    let merged = mounts.overlay(&format!("merged{number}"), &lower, &upper);
    place.at = merged.path().to_owned();
    let linked = place.linked_paths();
    place.begin(&linked);
    for (number, step) in steps.iter().enumerate() {
        place.run(number, step);
    }
    let mut sink = Collect::default();
    let style = Overlay { userxattr: mounts.userxattr };
    diff_upper(&upper, &below, style, &BTreeSet::new(), &mut sink).expect("a layer");
    for root in [below, merged] {
        unmount(root.path(), UnmountFlags::DETACH).expect("unmounted");
    }
    Overlaid { layer: sink.0, upper, linked }
}

fn scan(mounts: &Mounts, skip: &[&str]) -> Scan {
    Scan {
        skip: skip.iter().map(PathBuf::from).collect(),
        threads: NonZeroUsize::new(2).expect("some"),
        scratch: mounts.dir("scratch").path().to_owned(),
    }
}

/// What the commands find.
fn image() -> Layer {
    let timed = |layer: Layer| layer.meta(|meta| meta.mtime = Timestamp { secs: 1000, nanos: 0 });
    let layer = timed(Layer::default().dir("a"));
    let layer = timed(layer.file("a/a", "one"));
    let layer = timed(timed(layer.dir("a/b")).file("a/b/a", "two"));
    let layer = timed(layer.file("a/b/b", "one").meta(|meta| {
        meta.xattrs.insert("user.test".into(), b"x".to_vec());
    }));
    let layer = timed(layer.hard("a/c", "a/b/a"));
    timed(timed(layer.file("b", "three")).symlink("c", "b"))
}

fn agree(commands: &[Vec<Step>]) {
    let mounts = Mounts::new();
    let (plain, base) = (mounts.dir("plain"), mounts.dir("base"));
    let ledger = Arc::new(Ledger::default());
    for (root, ledger) in [(&base, None), (&plain, Some(ledger.clone()))] {
        let policy = Extract { ledger, ..Extract::new(Whiteouts::Apply, ownership()) };
        extract(&mut image().entries(), root, &policy).expect("unpacks");
    }
    let scan = scan(&mounts, &[]);
    let mut snapshot = Snapshot::take(&plain, ledger, &scan).expect("taken");
    let start = |at: &Path| Place { at: at.to_owned(), linked: BTreeSet::new(), moved: 0 };
    let (mut over, mut bare) = (start(Path::new("")), start(plain.path()));
    let mut lower = vec![base];
    let mut layers = vec![image()];
    for (number, steps) in commands.iter().enumerate() {
        let expected = overlaid(&mounts, number, &lower, &mut over, steps);
        lower.insert(0, expected.upper);
        bare.begin(&expected.linked);
        for (number, step) in steps.iter().enumerate() {
            bare.run(number, step);
        }
        let mut sink = Collect::default();
        snapshot.changes(&plain, &scan, &BTreeSet::new(), &mut sink).expect("a layer");
        assert_eq!(sink.0.0, expected.layer.0, "layer {number}");
        layers.push(sink.0);
    }
    // And the layers are what is there.
    let again = mounts.dir("again");
    for layer in &layers {
        let policy = Extract::new(Whiteouts::Apply, ownership());
        extract(&mut layer.entries(), &again, &policy).expect("unpacks");
    }
    assert_eq!(self::snapshot(&again, true), self::snapshot(&plain, true));
}

#[test]
#[ignore = "run by `overlayfs_and_a_scan_agree` in a mount namespace"]
fn in_a_mount_namespace() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&commands(), |commands| {
        agree(&commands);
        Ok(())
    });
    result.expect("the same layers");
}

#[test]
fn mounts_are_not_looked_into() {
    in_namespaces("rootfs::scan::agreement_tests::with_mounts_inside");
}

#[test]
#[ignore = "run by `mounts_are_not_looked_into` in a mount namespace"]
fn with_mounts_inside() {
    let mounts = Mounts::new();
    let (root, scan) = (mounts.dir("root"), scan(&mounts, &[]));
    for dir in ["root/d/tmpfs", "root/d/bound", "elsewhere"] {
        mounts.dir(dir);
    }
    let (at, elsewhere) = (root.path().join("d"), mounts.dir("elsewhere"));
    fs::write(at.join("file"), "hidden").expect("written");
    fs::write(elsewhere.path().join("file"), "").expect("written");
    let take = || Snapshot::take(&root, Arc::default(), &scan).expect("taken");
    let changes = |snapshot: &mut Snapshot| {
        let mut sink = Collect::default();
        snapshot.changes(&root, &scan, &BTreeSet::new(), &mut sink).expect("a layer");
        let paths = sink.0.0.into_iter().map(|(entry, _)| entry.path.display().to_string());
        paths.collect::<Vec<_>>()
    };
    let mut snapshot = take();
    // One of another file system, and a directory and a file of the same.
    mount("tmpfs", at.join("tmpfs"), "tmpfs", MountFlags::empty(), None).expect("tmpfs");
    mount_bind(elsewhere.path(), at.join("bound")).expect("bound");
    mount_bind(elsewhere.path().join("file"), at.join("file")).expect("bound");
    for path in ["tmpfs/somebodys", "bound/somebodys", "file", "new"] {
        fs::write(at.join(path), "somebody's").expect("written");
    }
    // What they hide is neither changed nor gone.
    assert_eq!(changes(&mut snapshot), ["d", "d/new"]);
    let mut with_mounts = take();
    assert_eq!(with_mounts.len(), 2);
    fs::write(at.join("tmpfs/more"), "").expect("written");
    assert_eq!(changes(&mut with_mounts), [""; 0]);
}
