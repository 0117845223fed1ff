//! One rule each. The directories are on the file system of the machine's temporary files, which
//! mostly uses inode numbers again at once.

mod again;
mod fixture;
mod links;
mod places;
mod racy;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::*;
use crate::layer::Kind;
use crate::rootfs::testing::Layer;
use crate::rootfs::view::View;
use fixture::{Fixture, paths};

fn base() -> Layer {
    Layer::default()
        .dir("d")
        .file("d/one", "1")
        .file("d/two", "2")
        .dir("d/sub")
        .file("d/sub/deep", "deep")
        .file("file", "content")
        .symlink("link", "file")
        .kind("pipe", Kind::Fifo)
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

#[test]
fn nothing_is_no_change() {
    let mut fixture = Fixture::new(&base());
    assert_eq!(paths(&fixture.changes()), [""; 0]);
    fixture.pass_time();
    assert_eq!(paths(&fixture.changes()), [""; 0]);
}

#[test]
fn each_change_is_found_once() {
    let mut fixture = Fixture::new(&base());
    type Change = fn(&Fixture);
    let rows: &[(Change, &[&str])] = &[
        (|f| fs::write(f.path("d/one"), "longer").expect("written"), &["d", "d/one"]),
        (|f| fs::write(f.path("d/one"), "LONGER").expect("written"), &["d", "d/one"]),
        (|f| chmod(&f.path("file"), 0o600), &["file"]),
        (|f| chmod(&f.path("d/sub"), 0o700), &["d", "d/sub"]),
        (|f| f.touch("file", 5), &["file"]),
        (|f| f.touch("d/sub", 5), &["d", "d/sub"]),
        (|f| f.touch("link", 5), &["link"]),
        (|f| f.touch("pipe", 5), &["pipe"]),
        (|f| f.set_attribute("file", "1"), &["file"]),
        (|f| f.set_attribute("file", "2"), &["file"]),
        (|f| f.set_attribute("d/sub", "1"), &["d", "d/sub"]),
        (
            |f| fs::rename(f.path("d/one"), f.path("file")).expect("renamed"),
            &["d", "d/.wh.one", "file"],
        ),
        (|f| fs::remove_file(f.path("d/two")).expect("removed"), &["d", "d/.wh.two"]),
        (|f| fs::remove_dir_all(f.path("d/sub")).expect("removed"), &["d", "d/.wh.sub"]),
        (|f| fs::create_dir_all(f.path("new/dir")).expect("made"), &["new", "new/dir"]),
        (
            |f| fs::rename(f.path("new"), f.path("d/new")).expect("renamed"),
            &["d", "d/new", "d/new/dir", ".wh.new"],
        ),
        (|f| fs::remove_file(f.path("pipe")).expect("removed"), &[".wh.pipe"]),
    ];
    for (number, (change, expected)) in rows.iter().enumerate() {
        change(&fixture);
        assert_eq!(paths(&fixture.changes()), *expected, "row {number}");
        assert_eq!(paths(&fixture.changes()), [""; 0], "row {number}, again");
    }
}

#[test]
fn what_was_undone_is_no_change() {
    let mut fixture = Fixture::new(&base());
    let old = fixture.mtime("file");
    chmod(&fixture.path("file"), 0o600);
    chmod(&fixture.path("file"), 0o644);
    fs::rename(fixture.path("link"), fixture.path("away")).expect("renamed");
    fs::rename(fixture.path("away"), fixture.path("link")).expect("renamed");
    fs::rename(fixture.path("d"), fixture.path("away")).expect("renamed");
    fs::rename(fixture.path("away"), fixture.path("d")).expect("renamed");
    fixture.set_attribute("d/sub/deep", "x");
    fixture.remove_attribute("d/sub/deep");
    assert_eq!(paths(&fixture.changes()), [""; 0]);
    // Another file with the same content, as `cp -p` and `mv` make it.
    fs::write(fixture.path("copy"), "content").expect("written");
    chmod(&fixture.path("copy"), 0o644);
    fixture.set_mtime("copy", old);
    fs::rename(fixture.path("copy"), fixture.path("file")).expect("renamed");
    assert_eq!(paths(&fixture.changes()), [""; 0]);
    // And one that only looks like it: its content is still known.
    fs::write(fixture.path("copy"), "CONTENT").expect("written");
    chmod(&fixture.path("copy"), 0o644);
    fixture.set_mtime("copy", old);
    fs::rename(fixture.path("copy"), fixture.path("file")).expect("renamed");
    assert_eq!(fixture.changes().0[0].1, b"CONTENT");
}

#[test]
fn a_directory_made_anew_hides_what_was_in_it() {
    let mut fixture = Fixture::new(&base());
    fixture.pass_time();
    for _ in 0..3 {
        fs::remove_dir_all(fixture.path("d")).expect("removed");
        fs::create_dir(fixture.path("d")).expect("made");
        fs::write(fixture.path("d/one"), "1").expect("written");
        let found = fixture.changes();
        assert_eq!(paths(&found), ["d", "d/.wh..wh..opq", "d/one"]);
        fixture.pass_time();
    }
    // What comes from elsewhere is new there with all that is in it.
    fs::create_dir_all(fixture.path("e/f")).expect("made");
    fs::write(fixture.path("e/f/x"), "").expect("written");
    assert_eq!(paths(&fixture.changes()), ["e", "e/f", "e/f/x"]);
    fs::remove_dir_all(fixture.path("d")).expect("removed");
    fs::rename(fixture.path("e"), fixture.path("d")).expect("renamed");
    assert_eq!(paths(&fixture.changes()), ["d", "d/.wh..wh..opq", "d/f", "d/f/x", ".wh.e"]);
}

#[test]
fn one_kind_takes_the_place_of_another() {
    let mut fixture = Fixture::new(&base());
    fs::remove_dir_all(fixture.path("d")).expect("removed");
    fs::write(fixture.path("d"), "a file").expect("written");
    fs::remove_file(fixture.path("file")).expect("removed");
    fs::create_dir(fixture.path("file")).expect("made");
    fs::remove_file(fixture.path("link")).expect("removed");
    symlink("d", fixture.path("link")).expect("made");
    let found = fixture.changes();
    assert_eq!(paths(&found), ["d", "file", "link"]);
    let kinds: Vec<_> = found.0.iter().map(|(entry, _)| entry.kind.clone()).collect();
    assert_eq!(kinds, [Kind::File { size: 6 }, Kind::Dir, Kind::Symlink("d".into())]);
    assert_eq!(paths(&fixture.changes()), [""; 0]);
}

#[test]
fn what_a_layer_cannot_carry_is_counted_once() {
    let mut fixture = Fixture::new(&base());
    fs::remove_file(fixture.path("file")).expect("removed");
    let _socket = UnixListener::bind(fixture.path("file")).expect("made");
    fs::create_dir(fixture.path(".wh.dir")).expect("made");
    fs::write(fixture.path(".wh.dir/x"), "").expect("written");
    let (found, stats) = fixture.changes_and_stats();
    assert_eq!(paths(&found), [".wh.file"]);
    assert_eq!((stats.sockets, stats.whiteouts), (1, 1));
    assert_eq!(stats.reserved, [Path::new(".wh.dir")]);
    let (found, stats) = fixture.changes_and_stats();
    assert_eq!(paths(&found), [""; 0]);
    assert_eq!(stats, DiffStats::default());
    // They were in no layer, so nothing has to take them away.
    fs::remove_file(fixture.path("file")).expect("removed");
    fs::remove_dir_all(fixture.path(".wh.dir")).expect("removed");
    assert_eq!(paths(&fixture.changes()), [""; 0]);
}

#[test]
fn a_view_shows_what_was_there() {
    let fixture = Fixture::new(&base().file("private", "x").meta(|meta| {
        meta.xattrs.insert("user.x".into(), b"y".to_vec());
    }));
    let view = fixture.snapshot.view(&fixture.root);
    let of_root = crate::rootfs::testing::snapshot(&fixture.root, true);
    assert_eq!(crate::rootfs::testing::snapshot(&view, true), of_root);
    assert_eq!(fixture.snapshot.len(), of_root.len());
    let has = |path: &str, mut text: &[u8]| {
        view.has_content(Path::new(path), &mut text).expect("readable")
    };
    assert!(has("file", b"content") && !has("file", b"other") && !has("d", b"") && !has("no", b""));
    assert!(matches!(
        view.list(Path::new("file")),
        Err(crate::rootfs::ViewError::NotADirectory(_))
    ));
    assert!(view.list(Path::new("none")).is_err());
    // It does not follow what happens to the directory.
    fs::remove_file(fixture.path("file")).expect("removed");
    assert!(view.lstat(Path::new("file")).expect("readable").is_some());
}

#[test]
fn deep_trees_cost_no_descriptors_and_too_deep_ones_are_an_error() {
    let mut fixture = Fixture::new(&Layer::default());
    let deep = vec!["d"; 1500].join("/");
    fixture.root.create_dir_all(Path::new(&deep), 0o755).expect("made");
    fixture.root.write_file(&Path::new(&deep).join("file"), b"x", 0o644).expect("written");
    assert_eq!(fixture.changes().0.len(), 1501);
    fixture.root.remove_file(&Path::new(&deep).join("file")).expect("removed");
    let found = fixture.changes();
    assert_eq!(found.0.len(), 1501);
    let mut dir = fixture.root.open_dir(Path::new(&deep)).expect("opens");
    for _ in 0..20 {
        let name = "n".repeat(250);
        let mode = rustix::fs::Mode::from_raw_mode(0o755);
        rustix::fs::mkdirat(&dir, &*name, mode).expect("made");
        dir =
            rustix::fs::openat(&dir, &*name, crate::rootfs::root::DIRECTORY, mode).expect("opens");
    }
    let mut sink = fixture::Collect::default();
    let result =
        fixture.snapshot.changes(&fixture.root, &fixture.scan, &BTreeSet::new(), &mut sink);
    assert!(matches!(result, Err(DiffError::TooLong { .. })), "{result:?}");
    fixture.root.remove_tree(Path::new("d")).expect("removed");
}

#[test]
fn order_and_result_do_not_depend_on_threads() {
    let found = [1, 2, 7].map(|threads| {
        let mut fixture = Fixture::new(&base());
        fixture.scan.threads = NonZeroUsize::new(threads).expect("some");
        for number in 0..200 {
            let dir = format!("dir{}/{}", number % 13, number % 7);
            fixture.root.create_dir_all(Path::new(&dir), 0o755).expect("made");
            let file = format!("{dir}/{number}");
            fixture.root.write_file(Path::new(&file), b"x", 0o644).expect("written");
        }
        fs::remove_dir_all(fixture.path("d")).expect("removed");
        fixture
            .changes()
            .0
            .into_iter()
            .map(|(entry, text)| (entry.path, entry.kind, text))
            .collect::<Vec<_>>()
    });
    assert!(found[0].len() > 290, "{}", found[0].len());
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0], found[2]);
}
