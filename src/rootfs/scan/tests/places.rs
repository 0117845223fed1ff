//! What the sandbox put there, and where nobody looks.

use std::io::Read;

use super::*;
use crate::layer::{Entry, Whiteout};
use crate::rootfs::diff::SinkError;
use crate::rootfs::{Extract, Ownership, Whiteouts, extract};

fn placeholders() -> BTreeSet<PathBuf> {
    ["dev", "etc", "etc/hosts", "etc/resolv.conf"].map(PathBuf::from).into()
}

#[test]
fn the_sandboxs_own_places_are_in_no_layer() {
    let mut fixture = Fixture::new(&Layer::default().dir("run"));
    fixture.exclude = placeholders();
    fs::create_dir(fixture.path("dev")).expect("made");
    fs::create_dir(fixture.path("etc")).expect("made");
    fs::write(fixture.path("etc/hosts"), "").expect("written");
    assert_eq!(paths(&fixture.changes()), [""; 0]);
    // They stay where they are for the next command, and are still in no layer.
    assert_eq!(paths(&fixture.changes()), [""; 0]);
    let view = fixture.snapshot.view(&fixture.root);
    assert_eq!(view.list(Path::new("")).expect("a directory"), ["run"]);
    fixture.snapshot.refresh(&fixture.root, &fixture.scan).expect("taken");
    let view = fixture.snapshot.view(&fixture.root);
    assert_eq!(view.lstat(Path::new("etc/hosts")).expect("readable"), None);
    // What a command puts into them brings them along.
    fs::write(fixture.path("etc/passwd"), "").expect("written");
    assert_eq!(paths(&fixture.changes()), ["etc", "etc/passwd"]);
    fs::write(fixture.path("etc/hosts"), "127.0.0.1 me").expect("written");
    assert_eq!(paths(&fixture.changes()), ["etc", "etc/hosts"]);
    // What was in no layer leaves nothing behind; what was in one does.
    fs::remove_dir(fixture.path("dev")).expect("removed");
    fs::remove_file(fixture.path("etc/hosts")).expect("removed");
    assert_eq!(paths(&fixture.changes()), ["etc", "etc/.wh.hosts"]);
}

#[test]
fn a_directory_whose_time_alone_differs_because_of_them_is_no_change() {
    let mut fixture = Fixture::new(&Layer::default().dir("etc").dir("run"));
    fixture.exclude = placeholders();
    fs::write(fixture.path("etc/hosts"), "").expect("written");
    assert_eq!(paths(&fixture.changes()), [""; 0]);
    fs::write(fixture.path("run/x"), "").expect("written");
    fs::remove_file(fixture.path("run/x")).expect("removed");
    assert_eq!(paths(&fixture.changes()), ["run"]);
}

#[test]
fn nobody_looks_where_it_was_said_not_to() {
    let mut fixture = Fixture::filled(&base());
    fixture.scan.skip = ["d/sub", "file", "kiln"].map(PathBuf::from).into();
    fixture.take();
    fs::write(fixture.path("d/sub/deep"), "other").expect("written");
    fs::write(fixture.path("file"), "other").expect("written");
    fs::create_dir(fixture.path("kiln")).expect("made");
    fs::write(fixture.path("kiln/secret"), "x").expect("written");
    fs::write(fixture.path("d/one"), "other").expect("written");
    assert_eq!(paths(&fixture.changes()), ["d", "d/one"]);
    fs::remove_dir_all(fixture.path("d/sub")).expect("removed");
    fs::remove_file(fixture.path("file")).expect("removed");
    // The directory's own time is in sight, what was in it is not.
    assert_eq!(paths(&fixture.changes()), ["d"]);
}

#[test]
fn owners_beside_the_files_are_those_of_the_layer() {
    let owned = |meta: &mut crate::layer::Metadata| (meta.uid, meta.gid) = (7, 8);
    let layer = Layer::default().dir("d").meta(owned).file("d/file", "x").meta(owned);
    let mut fixture = Fixture::filled(&Layer::default());
    fixture.root = Root::open(fixture.root.path()).expect("opens").with_owners(Ownership::Ignore);
    let policy = Extract {
        ledger: Some(fixture.ledger.clone()),
        ..Extract::new(Whiteouts::Apply, Ownership::Ignore)
    };
    extract(&mut layer.entries(), &fixture.root, &policy).expect("unpacks");
    fixture.take();
    let view = fixture.snapshot.view(&fixture.root);
    let found = view.lstat(Path::new("d/file")).expect("readable").expect("there").meta;
    assert_eq!((found.uid, found.gid, found.xattrs.len()), (7, 8, 0));
    // Nothing comes of this, which shows that the owner beside it is compared as well.
    chmod(&fixture.path("d/file"), 0o600);
    chmod(&fixture.path("d/file"), 0o644);
    assert_eq!(paths(&fixture.changes()), [""; 0]);
    chmod(&fixture.path("d/file"), 0o600);
    fs::write(fixture.path("new"), "").expect("written");
    let mut owners = Owners::default();
    let none = BTreeSet::new();
    fixture.snapshot.changes(&fixture.root, &fixture.scan, &none, &mut owners).expect("a layer");
    assert_eq!(owners.0, [("d".into(), 7, 8), ("d/file".into(), 7, 8), ("new".into(), 0, 0)]);
}

#[derive(Default)]
struct Owners(Vec<(PathBuf, u32, u32)>);

impl ChangeSink for Owners {
    fn file(&mut self, entry: &Entry, _: &mut dyn Read) -> Result<(), SinkError> {
        self.0.push((entry.path.clone(), entry.meta.uid, entry.meta.gid));
        Ok(())
    }

    fn whiteout(&mut self, whiteout: &Whiteout) -> Result<(), SinkError> {
        Err(format!("{whiteout:?}").into())
    }
}
