//! Stamps that are not to be believed, and content that is known or not.

use std::time::Duration;

use super::*;

/// Writes in place, with the time put back, until the change has the same stamp as before. Where the
/// kernel is so exact that this does not happen, the change is found by its stamp.
fn rewrite(fixture: &mut Fixture, texts: [&str; 2]) {
    let old = fixture.mtime("file");
    let write = |fixture: &Fixture, text: &str| {
        fs::write(fixture.path("file"), text).expect("written");
        fixture.set_mtime("file", old);
    };
    for _ in 0..20 {
        write(fixture, texts[0]);
        assert_eq!(paths(&fixture.changes()), ["file"]);
        write(fixture, texts[1]);
        let found = fixture.changes();
        assert_eq!(paths(&found), ["file"]);
        assert_eq!(found.0[0].1, texts[1].as_bytes());
    }
}

#[test]
fn a_change_within_one_tick_of_the_clock_is_found() {
    rewrite(&mut Fixture::new(&base()), ["CONTENT", "cONTENt"]);
}

fn hash(fixture: &Fixture, content: &str) -> crate::rootfs::scan::contents::Hash {
    fixture.ledger.hashing().of(&mut content.as_bytes()).expect("memory")
}

#[test]
fn a_stamp_in_the_future_is_never_believed() {
    let mut fixture = Fixture::new(&base());
    fixture.pass_time();
    // As if the clock had been put back: everything is newer than now.
    fixture.snapshot.settle(&fixture.root, Timestamp { secs: 0, nanos: 0 }).expect("settled");
    assert!(fixture.snapshot.tree.find(Path::new("file")).expect("there").racy);
    assert_eq!(paths(&fixture.changes()), [""; 0]);
    // The same stamp with other content, which no system call can make at will.
    let node = fixture.snapshot.tree.find_mut(Path::new("file")).expect("there");
    node.racy = true;
    let stamp = node.stamp.clone();
    let other = Known { content: Some(hash(&fixture, "CONTENT")), attributes: None };
    fixture.ledger.note(&stamp, other);
    assert_eq!(paths(&fixture.changes()), ["file"]);
}

#[test]
fn what_nobody_knew_is_read_while_it_is_doubtful() {
    let mut fixture = Fixture::filled(&Layer::default());
    fs::write(fixture.path("file"), "content").expect("written");
    fixture.take();
    let node = fixture.snapshot.tree.find(Path::new("file")).expect("there");
    if node.racy {
        let known = fixture.ledger.known(&node.stamp).expect("known");
        assert_eq!(known.content, Some(hash(&fixture, "content")));
    }
    // Later, it is not: its attributes are known, its content counts as another one.
    fs::write(fixture.path("other"), "other").expect("written");
    fixture.set_attribute("other", "1");
    fixture.pass_time();
    let node = fixture.snapshot.tree.find(Path::new("other")).expect("there");
    let known = fixture.ledger.known(&node.stamp).expect("known");
    assert_eq!((known.content, known.attributes.map(|found| found.len())), (None, Some(1)));
    assert_eq!(paths(&fixture.changes()), [""; 0]);
    chmod(&fixture.path("other"), 0o644);
    assert_eq!(paths(&fixture.changes()), ["other"]);
    chmod(&fixture.path("other"), 0o644);
    assert_eq!(paths(&fixture.changes()), [""; 0]);
}

#[test]
fn the_ledger_knows_what_was_unpacked_and_what_was_handed_on() {
    let mut fixture = Fixture::new(&base());
    assert_eq!(fixture.ledger.len(), 4);
    let known = |fixture: &Fixture, path: &str| {
        let node = fixture.snapshot.tree.find(Path::new(path)).expect("there");
        fixture.ledger.known(&node.stamp).and_then(|known| known.content)
    };
    assert_eq!(known(&fixture, "file"), Some(hash(&fixture, "content")));
    fs::write(fixture.path("new"), "new").expect("written");
    fs::remove_file(fixture.path("d/one")).expect("removed");
    fixture.changes();
    assert_eq!(fixture.ledger.len(), 4);
    assert_eq!(known(&fixture, "new"), Some(hash(&fixture, "new")));
}

#[test]
fn what_kiln_lays_down_between_commands_is_no_change() {
    let mut fixture = Fixture::new(&base());
    let copied = Layer::default().file("file", "copied").file("d/.wh.one", "").file("e/new", "");
    fixture.apply(&copied);
    fixture.snapshot.refresh(&fixture.root, &fixture.scan).expect("taken");
    assert_eq!(paths(&fixture.changes()), [""; 0]);
    assert_eq!(fixture.ledger.len(), 4);
    std::thread::sleep(Duration::from_millis(20));
    let old = fixture.mtime("file");
    fs::write(fixture.path("file"), "COPIED").expect("written");
    fixture.set_mtime("file", old);
    chmod(&fixture.path("e/new"), 0o600);
    chmod(&fixture.path("e/new"), 0o644);
    assert_eq!(paths(&fixture.changes()), ["file"]);
}

#[test]
fn a_number_that_is_used_again_is_not_taken_for_the_file_that_had_it() {
    let mut fixture = Fixture::new(&base());
    // Nobody notes what this is, on the number that was just given back.
    fs::remove_file(fixture.path("file")).expect("removed");
    fs::write(fixture.path("file"), "unknown").expect("written");
    fixture.pass_time();
    let node = fixture.snapshot.tree.find(Path::new("file")).expect("there");
    assert_eq!(fixture.ledger.known(&node.stamp).and_then(|known| known.content), None);
}

#[test]
fn a_clock_is_that_of_the_same_file_system() {
    let mut fixture = Fixture::new(&base());
    fixture.scan.scratch = "/proc/self".into();
    let error = Snapshot::take(&fixture.root, fixture.ledger.clone(), &fixture.scan);
    let error = error.expect_err("another one").to_string();
    assert_eq!(
        error,
        "cannot learn what time the file system has from a file made in `/proc/self`: it is on \
         another file system than the image's files"
    );
    fixture.scan.scratch = fixture.dir.path().join("none");
    let result = fixture.snapshot.refresh(&fixture.root, &fixture.scan);
    assert!(matches!(result, Err(DiffError::Clock { .. })), "{result:?}");
}
