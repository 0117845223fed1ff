//! Files with several names.

use super::*;

fn linked() -> Layer {
    Layer::default()
        .file("a", "content")
        .dir("d")
        .hard("d/b", "a")
        .hard("d/c", "a")
        .file("other", "other")
}

fn kinds(layer: &Layer) -> Vec<(&str, bool)> {
    let kind = |kind: &Kind| matches!(kind, Kind::HardLink(_));
    layer
        .0
        .iter()
        .map(|(entry, _)| (entry.path.to_str().expect("text"), kind(&entry.kind)))
        .collect()
}

#[test]
fn a_new_name_brings_all_of_them() {
    let mut fixture = Fixture::new(&linked());
    fs::hard_link(fixture.path("d/c"), fixture.path("new")).expect("linked");
    let expected = [("a", false), ("d", false), ("d/b", true), ("d/c", true), ("new", true)];
    assert_eq!(kinds(&fixture.changes()), expected);
    assert_eq!(kinds(&fixture.changes()), []);
}

#[test]
fn a_name_that_goes_or_comes_and_goes_leaves_the_others_alone() {
    let mut fixture = Fixture::new(&linked());
    fs::hard_link(fixture.path("a"), fixture.path("new")).expect("linked");
    fs::remove_file(fixture.path("new")).expect("removed");
    fs::hard_link(fixture.path("other"), fixture.path("new")).expect("linked");
    fs::remove_file(fixture.path("new")).expect("removed");
    assert_eq!(kinds(&fixture.changes()), []);
    fs::remove_file(fixture.path("d/b")).expect("removed");
    assert_eq!(kinds(&fixture.changes()), [("d", false), ("d/.wh.b", false)]);
}

#[test]
fn a_change_through_one_name_is_one_of_all() {
    let mut fixture = Fixture::new(&linked());
    let expected = [("a", false), ("d", false), ("d/b", true), ("d/c", true)];
    let old = fixture.mtime("a");
    fs::write(fixture.path("d/c"), "CONTENT").expect("written");
    fixture.set_mtime("a", old);
    let found = fixture.changes();
    assert_eq!(kinds(&found), expected);
    assert_eq!(found.0[0].1, b"CONTENT");
    chmod(&fixture.path("d/b"), 0o600);
    assert_eq!(kinds(&fixture.changes()), expected);
    fixture.set_attribute("a", "1");
    assert_eq!(kinds(&fixture.changes()), expected);
    chmod(&fixture.path("d/b"), 0o644);
    chmod(&fixture.path("d/b"), 0o600);
    assert_eq!(kinds(&fixture.changes()), []);
}

#[test]
fn a_name_that_moves_to_another_file_brings_both_groups_into_order() {
    let mut fixture = Fixture::new(&linked());
    fs::remove_file(fixture.path("d/c")).expect("removed");
    fs::hard_link(fixture.path("other"), fixture.path("d/c")).expect("linked");
    let found = fixture.changes();
    assert_eq!(kinds(&found), [("d", false), ("d/c", false), ("other", true)]);
    assert_eq!(found.0[1].1, b"other");
}

#[test]
fn names_in_a_directory_made_anew_have_their_target_in_the_layer() {
    let mut fixture = Fixture::new(&linked());
    fixture.pass_time();
    fs::remove_dir_all(fixture.path("d")).expect("removed");
    fs::create_dir(fixture.path("d")).expect("made");
    fs::hard_link(fixture.path("a"), fixture.path("d/b")).expect("linked");
    let expected = [("a", false), ("d", false), ("d/.wh..wh..opq", false), ("d/b", true)];
    assert_eq!(kinds(&fixture.changes()), expected);
}

#[test]
fn symbolic_links_and_pipes_have_several_names_too() {
    let mut fixture = Fixture::new(&base());
    for (old, new) in [("link", "link2"), ("pipe", "pipe2")] {
        fs::hard_link(fixture.path(old), fixture.path(new)).expect("linked");
    }
    let expected = [("link", false), ("link2", true), ("pipe", false), ("pipe2", true)];
    assert_eq!(kinds(&fixture.changes()), expected);
    fs::rename(fixture.path("link2"), fixture.path("z")).expect("renamed");
    fs::rename(fixture.path("z"), fixture.path("link2")).expect("renamed");
    fixture.touch("pipe", 5);
    assert_eq!(kinds(&fixture.changes()), [("pipe", false), ("pipe2", true)]);
}
