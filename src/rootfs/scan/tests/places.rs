//! What the sandbox put there, and where nobody looks.

use super::*;

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
