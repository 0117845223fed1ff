//! A look that takes over from the one before finds what one finds that knows nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::*;
use crate::rootfs::scan::stamp::Stamp;
use crate::rootfs::scan::tree::{Dir, What};

/// Long enough for every stamp to be in the past.
const PAST: Duration = Duration::from_millis(20);

/// All that a tree says, whatever numbers its directories have.
fn said(tree: &Tree) -> BTreeMap<PathBuf, (Stamp, String, Option<String>)> {
    let all = tree.paths_of(|_| true).into_iter();
    all.map(|(path, node)| {
        let what = match &node.what {
            What::Symlink(target) => target.display().to_string(),
            What::Dir(_) => "a directory".into(),
            What::Other => String::new(),
        };
        let dir = node.dir().map(|id| &tree.dirs[id]);
        let attributes = dir.map(|dir| format!("{:?} {:?}", dir.attributes, dir.covered));
        (path, (node.stamp.clone(), what, attributes))
    })
    .collect()
}

/// One that knows nothing.
fn fresh(fixture: &Fixture) -> Tree {
    Walk::new(&fixture.root, &fixture.scan, None, None).expect("a root").run().expect("looked at")
}

/// The directory at a path, to be compared by its place in memory.
fn shared(fixture: &Fixture, path: &str) -> *const Dir {
    fixture.snapshot.tree.dir(Path::new(path)).expect("a directory")
}

/// Numbers that look like chance and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % end
    }

    fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        let names: Vec<&str> = (0..depth).map(|_| ["a", "b", "c"][self.below(3)]).collect();
        names.join("/")
    }
}

/// What cannot be done does not matter.
fn do_something(fixture: &Fixture, chance: &mut Chance) {
    let (path, other) = (fixture.path(&chance.path()), fixture.path(&chance.path()));
    let size = chance.below(4);
    let _ = match chance.below(11) {
        0 | 1 => fs::write(&path, &b"1234"[..size]),
        2 | 3 => fs::create_dir_all(&path),
        4 => fs::remove_file(&path),
        5 => fs::remove_dir_all(&path),
        6 => fs::rename(&path, &other),
        7 => fs::hard_link(&path, &other),
        // In the place of another link, mostly with its number.
        8 => {
            fs::remove_file(&path).ok();
            symlink(["x", "y", "z/z", "w"][size], &path)
        }
        9 => fs::set_permissions(&path, fs::Permissions::from_mode(0o700 + size as u32)),
        _ if path.is_dir() => {
            let name = path.strip_prefix(fixture.root.path()).expect("inside");
            fixture.set_attribute(name.to_str().expect("text"), ["1", "2", "3", "4"][size]);
            Ok(())
        }
        _ => Ok(()),
    };
}

#[test]
fn it_finds_what_one_finds_that_knows_nothing() {
    let mut fixture = Fixture::new(&base());
    let mut chance = Chance(7);
    for round in 0..200 {
        // Most changes come within one tick of the clock, some later.
        if round % 20 == 0 {
            std::thread::sleep(PAST);
        }
        for _ in 0..=chance.below(3) {
            do_something(&fixture, &mut chance);
        }
        if round % 7 == 0 {
            fixture.snapshot.refresh(&fixture.root, &fixture.scan).expect("taken");
        } else {
            fixture.changes();
        }
        assert_eq!(said(&fixture.snapshot.tree), said(&fresh(&fixture)), "round {round}");
        let inodes: HashSet<u64> = fixture.snapshot.inodes();
        assert!(fixture.ledger.len() <= inodes.len(), "round {round}");
    }
}

#[test]
fn what_has_not_changed_is_there_once() {
    let mut fixture = Fixture::new(&base());
    std::thread::sleep(PAST);
    fixture.changes();
    let before = ["", "d", "d/sub"].map(|path| shared(&fixture, path));
    fs::write(fixture.path("d/one"), "other").expect("written");
    assert_eq!(paths(&fixture.changes()), ["d", "d/one"]);
    let after = ["", "d", "d/sub"].map(|path| shared(&fixture, path));
    assert_eq!([0, 1, 2].map(|at| before[at] == after[at]), [false, false, true]);
}

#[test]
fn a_file_system_that_keeps_no_births_is_looked_at_anew() {
    let mut fixture = Fixture::new(&base());
    std::thread::sleep(PAST);
    fixture.take();
    let tree = &fixture.snapshot.tree;
    let born = tree.find(Path::new("d")).expect("there").stamp.clone();
    let mut unknown = born.clone();
    unknown.identity.born = None;
    assert!(tree.is_untouched(&born, &born) && !tree.is_untouched(&unknown, &unknown));
}

#[test]
fn a_number_has_one_directory() {
    let mut fixture = Fixture::new(&base());
    for _ in 0..3 {
        std::thread::sleep(PAST);
        fs::rename(fixture.path("d"), fixture.path("e")).expect("renamed");
        fs::create_dir_all(fixture.path("d/sub/more")).expect("made");
        fixture.changes();
        let dirs = fixture.snapshot.tree.paths_of(|node| node.dir().is_some());
        let numbers: HashSet<_> = dirs.iter().map(|(_, node)| node.dir()).collect();
        assert_eq!(numbers.len(), dirs.len());
        for (path, node) in dirs {
            let there = fs::metadata(fixture.root.path().join(&path)).expect("there").ino();
            assert_eq!(node.stamp.identity.inode, there, "{}", path.display());
        }
        fs::remove_dir_all(fixture.path("d")).expect("removed");
        fs::rename(fixture.path("e"), fixture.path("d")).expect("renamed");
        fixture.changes();
    }
}
