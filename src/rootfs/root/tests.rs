use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::mkdirat;

use super::*;
use crate::layer::{Kind, Metadata, Timestamp};
use crate::rootfs::settle::Ownership;
use crate::rootfs::testing::{Sandbox, text};
use crate::rootfs::{View, ViewError};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("etc/sub")).expect("made");
    std::fs::write(sandbox.path("etc/file"), "inside").expect("written");
    for (link, target) in [
        ("to-file", "/etc/file"),
        ("to-dir", "etc"),
        ("out", "/../../secret"),
        ("up", "../../.."),
        ("loop", "loop"),
        ("dangling", "etc/new"),
    ] {
        symlink(target, sandbox.path(link)).expect("made");
    }
    sandbox
}

#[test]
fn files_open_through_links_that_stay_inside() {
    let sandbox = sandbox();
    for path in ["etc/file", "/etc/file", "to-file", "to-dir/file", "up/etc/file", "../etc/file"] {
        let mut content = String::new();
        let mut file = sandbox.root.open_file(Path::new(path)).expect("opens");
        file.read_to_string(&mut content).expect("readable");
        assert_eq!(content, "inside", "{path}");
    }
    for path in ["out", "up/secret", "../secret", "loop", "etc/file/x", "nothing"] {
        assert!(sandbox.root.open_file(Path::new(path)).is_err(), "{path}");
    }
}

#[test]
fn only_regular_files_are_opened() {
    let sandbox = sandbox();
    let pipe = sandbox.path("pipe");
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, mode, 0).expect("made");
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.path("socket")).expect("made");
    symlink("pipe", sandbox.path("to-pipe")).expect("made");
    for path in ["etc", "pipe", "to-pipe", "socket", "to-dir"] {
        match sandbox.root.open_file(Path::new(path)) {
            Err(RootError::NotAFile(named)) => assert_eq!(named, Path::new(path)),
            other => panic!("{path}: {other:?}"),
        }
    }
    for path in ["etc", "pipe", "to-file"] {
        assert_eq!(text(&sandbox.root, path), None, "{path}");
    }
    assert_eq!(sandbox.root.lstat(Path::new("socket")).expect("readable"), None);
}

#[test]
fn looking_takes_paths_literally() {
    let sandbox = sandbox();
    let root = &sandbox.root;
    let kind = |path: &str| root.lstat(Path::new(path)).expect("readable").map(|entry| entry.kind);
    assert_eq!(kind(""), Some(Kind::Dir));
    assert_eq!(kind("etc/file"), Some(Kind::File { size: 6 }));
    assert_eq!(kind("to-file"), Some(Kind::Symlink("/etc/file".into())));
    for path in ["to-dir/file", "etc/file/x", "nothing", "loop/x", &"n".repeat(300)] {
        assert_eq!(kind(path), None, "{path}");
    }
    assert_eq!(root.read_link(Path::new("up")).expect("a link"), Path::new("../../.."));
    assert!(root.read_link(Path::new("etc/file")).is_err());
    assert_eq!(root.list(Path::new("etc")).expect("a directory"), ["file", "sub"]);
    for path in ["to-dir", "etc/file"] {
        let result = root.list(Path::new(path));
        assert!(matches!(result, Err(ViewError::NotADirectory(_))), "{path}: {result:?}");
    }
    assert!(matches!(root.list(Path::new("nothing")), Err(ViewError::Io { .. })));
    assert_eq!(root.read(Path::new("etc/file"), 3).expect("readable"), Some(b"ins".to_vec()));
}

#[test]
fn content_is_compared_to_the_last_byte() {
    let sandbox = sandbox();
    let large = vec![7_u8; 200_000];
    std::fs::write(sandbox.path("large"), &large).expect("written");
    let has = |path: &str, content: &[u8]| {
        sandbox.root.has_content(Path::new(path), &mut &*content).expect("readable")
    };
    assert!(has("large", &large));
    assert!(!has("large", &large[..199_999]));
    assert!(!has("large", &[&large[..], b"x"].concat()));
    let mut other = large.clone();
    other[150_000] = 8;
    assert!(!has("large", &other));
    assert!(has("etc/file", b"inside"));
    for path in ["to-file", "etc", "nothing"] {
        assert!(!has(path, b""), "{path}");
    }
}

#[test]
fn directories_are_made_as_far_as_they_are_missing() {
    let sandbox = sandbox();
    let made = |path: &str| sandbox.root.create_dir_all(Path::new(path), 0o750);
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    assert_eq!(made("etc/a/b").expect("made"), paths(&["etc/a", "etc/a/b"]));
    assert_eq!(made("etc/a/b").expect("made"), paths(&[]));
    assert_eq!(made("up/x/y").expect("made"), paths(&["up/x", "up/x/y"]));
    assert_eq!(made("/to-dir/sub/z").expect("made"), paths(&["to-dir/sub/z"]));
    let mode = |path: &str| {
        std::fs::metadata(sandbox.path(path)).expect("there").permissions().mode() & 0o7777
    };
    assert_eq!((mode("x/y"), mode("etc/a"), mode("etc/sub/z")), (0o750, 0o750, 0o750));
    for path in ["etc/file", "etc/file/x", "dangling", "loop/x"] {
        assert!(made(path).is_err(), "{path}");
    }
    sandbox.assert_outside_untouched();
}

#[test]
fn new_things_never_go_through_a_link_of_their_own_name() {
    let sandbox = sandbox();
    let root = &sandbox.root;
    for path in ["out", "to-file", "dangling", "etc"] {
        let path = Path::new(path);
        assert!(root.create_file(path, 0o600).is_err(), "{path:?}");
        assert!(root.create_dir(path, 0o700).is_err(), "{path:?}");
        assert!(root.create_symlink(path, Path::new("x")).is_err(), "{path:?}");
    }
    root.write_file(Path::new("out"), b"new", 0o640).expect("written");
    root.write_file(Path::new("to-file"), b"new", 0o4755).expect("written");
    assert_eq!(text(root, "out").as_deref(), Some("new"));
    assert_eq!(text(root, "etc/file").as_deref(), Some("inside"));
    let entry = root.lstat(Path::new("to-file")).expect("readable").expect("there");
    assert_eq!((entry.meta.mode, entry.kind), (0o4755, Kind::File { size: 3 }));
    root.create_file(Path::new("up/made"), 0o600).expect("made").write_all(b"x").expect("written");
    assert_eq!(text(root, "made").as_deref(), Some("x"));
    root.create_hard_link(Path::new("second"), Path::new("to-dir")).expect("linked");
    assert_eq!(root.read_link(Path::new("second")).expect("a link"), Path::new("etc"));
    assert!(root.create_hard_link(Path::new("third"), Path::new("to-dir/file")).is_err());
    for path in ["", "/", "..", "etc/.."] {
        let result = root.create_file(Path::new(path), 0o600);
        assert!(matches!(result, Err(RootError::BadPath(_))), "{path:?}: {result:?}");
    }
    sandbox.assert_outside_untouched();
}

#[test]
fn metadata_is_set_whole() {
    let sandbox = sandbox();
    let root = &sandbox.root;
    let mut meta = Metadata { mode: 0o2751, ..Metadata::default() };
    meta.mtime = Timestamp { secs: 77, nanos: 88 };
    meta.xattrs.insert("user.a".into(), b"1".to_vec());
    root.set_metadata(Path::new("etc"), &meta, Ownership::Ignore).expect("set");
    meta.xattrs = [(OsString::from("user.b"), b"2".to_vec())].into();
    root.set_metadata(Path::new("etc"), &meta, Ownership::Ignore).expect("set");
    let found = root.lstat(Path::new("etc")).expect("readable").expect("there").meta;
    assert_eq!(Metadata { uid: 0, gid: 0, ..found }, meta);
    for path in ["to-file", "nothing", "to-dir/file"] {
        assert!(root.set_metadata(Path::new(path), &meta, Ownership::Ignore).is_err(), "{path}");
    }
}

#[test]
fn a_removed_tree_takes_nothing_else_with_it() {
    let sandbox = sandbox();
    for (name, target) in [("a", "/"), ("b", ".."), ("c", "../../secret"), ("d", "/etc")] {
        symlink(target, sandbox.path("etc/sub").join(name)).expect("made");
    }
    symlink(sandbox.outside.path(), sandbox.path("etc/outside")).expect("made");
    for path in ["etc", "up", "out", "nothing", "nothing/x"] {
        sandbox.root.remove_tree(Path::new(path)).expect("removed");
    }
    let left = sandbox.root.list(Path::new("")).expect("a directory");
    assert_eq!(left, ["dangling", "loop", "to-dir", "to-file"]);
    assert!(matches!(sandbox.root.remove_tree(Path::new("..")), Err(RootError::BadPath(_))));
    sandbox.assert_outside_untouched();
}

#[test]
fn a_tree_deeper_than_any_path_is_removed() {
    let sandbox = sandbox();
    let name = "d".repeat(200);
    let mut dir = sandbox.root.open_dir(Path::new("etc")).expect("opens");
    for _ in 0..3000 {
        mkdirat(&dir, &*name, Mode::from_raw_mode(0o700)).expect("made");
        dir = rustix::fs::openat(&dir, &*name, DIRECTORY, Mode::empty()).expect("opens");
    }
    drop(dir);
    sandbox.root.remove_tree(Path::new("etc")).expect("removed");
    assert_eq!(sandbox.root.lstat(Path::new("etc")).expect("readable"), None);
}

#[test]
fn errors_say_what_and_where() {
    let sandbox = sandbox();
    let error = Root::open(&sandbox.path("etc/file")).expect_err("a file");
    assert!(error.to_string().starts_with("cannot open the directory `/"), "{error}");
    let error = sandbox.root.open_file(Path::new("nothing")).expect_err("not there");
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        "cannot open `nothing` in the image: No such file or directory (os error 2)"
    );
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
}
