use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::layer::{Entry, Kind, Metadata};
use crate::rootfs::testing::{Layer, Sandbox, ownership, snapshot};
use crate::rootfs::{Extract, View, ViewError, Whiteouts, extract};

fn index(layers: &[&Layer]) -> Index {
    let mut index = Index::default();
    for layer in layers {
        index.apply(&mut layer.entries()).expect("applies");
    }
    index
}

fn everything() -> crate::rootfs::Wanted {
    Arc::new(|_: &Path| true)
}

#[test]
fn upper_layers_hide_what_lower_ones_have() {
    let lower = Layer::default()
        .dir("d")
        .meta(|meta| meta.mode = 0o1777)
        .file("d/same", "lower")
        .file("d/gone", "")
        .symlink("lib", "usr/lib")
        .file("usr/lib/x", "")
        .file("full/a", "");
    let upper = Layer::default()
        .file("d/same", "upper!")
        .file("d/.wh.gone", "")
        .file("lib/y", "")
        .file("full/.wh..wh..opq", "")
        .file("full/b", "")
        .hard("link", "usr/lib/x");
    let index = index(&[&lower, &upper]);
    let kind = |path: &str| index.lstat(Path::new(path)).expect("readable").map(|e| e.kind);
    let origin = |path: &str| index.origin(Path::new(path));
    assert_eq!(kind("d/same"), Some(Kind::File { size: 6 }));
    assert_eq!((origin("d/same"), origin("d"), origin("d/gone")), (Some(1), Some(0), None));
    // A directory that a layer does not mention keeps what the lower one says of it.
    let dir = index.lstat(Path::new("d")).expect("readable").expect("there");
    assert_eq!(dir.meta.mode, 0o1777);
    // A lower layer's link is no way to anywhere.
    assert_eq!((kind("lib"), kind("lib/x"), kind("usr/lib/y")), (Some(Kind::Dir), None, None));
    assert_eq!(index.list(Path::new("full")).expect("a directory"), ["b"]);
    assert_eq!((kind("link"), origin("link")), (Some(Kind::File { size: 0 }), Some(1)));
    assert!(matches!(index.list(Path::new("link")), Err(ViewError::NotADirectory(_))));
    assert!(matches!(index.list(Path::new("nothing")), Err(ViewError::Io { .. })));
}

#[test]
fn the_accounts_are_readable_and_other_content_is_not() {
    let lower = Layer::default().file("etc/passwd", "lower").file("etc/group", "group");
    let upper = Layer::default()
        .file("etc/passwd", "upper")
        .hard("etc/passwd-", "etc/passwd")
        .file("etc/.wh.group", "")
        .file("etc/other", "other")
        .file("etc/empty", "")
        .file("nix/store/x/etc/passwd", "elsewhere")
        .dir("usr/etc/passwd");
    let mut index = index(&[&lower, &upper]);
    let read = |index: &Index, path: &str| index.read(Path::new(path), 4);
    let known = |index: &Index, path: &str| read(index, path).expect("known");
    assert_eq!(known(&index, "etc/passwd"), Some(b"uppe".to_vec()));
    assert_eq!(known(&index, "etc/passwd-"), Some(b"uppe".to_vec()));
    assert_eq!(known(&index, "nix/store/x/etc/passwd"), Some(b"else".to_vec()));
    assert_eq!(known(&index, "etc/empty"), Some(vec![]));
    for path in ["etc/group", "usr/etc/passwd", "etc", "nothing"] {
        assert_eq!(known(&index, path), None, "{path}");
    }
    match read(&index, "etc/other") {
        Err(ViewError::Io { source, .. }) => {
            assert_eq!(source.kind(), io::ErrorKind::Unsupported);
        }
        other => panic!("{other:?}"),
    }
    let has = |path: &str, content: &[u8]| {
        index.has_content(Path::new(path), &mut &*content).expect("readable")
    };
    assert!(has("etc/passwd", b"upper"));
    assert!(!has("etc/passwd", b"upper+") && !has("etc/passwd", b"uppe"));
    assert!(!has("etc/other", b"other"));
    index.remove(Path::new("etc"));
    assert_eq!(known(&index, "etc/passwd"), None);
    assert_eq!(index.contents.len(), 1);
}

#[test]
fn what_is_copied_in_can_be_inserted() {
    let mut index = index(&[&Layer::default().file("a", "")]);
    assert_eq!(index.next_layer(), 1);
    let entry = |path: &str, kind: Kind| Entry {
        path: path.into(),
        meta: Metadata { mode: 0o600, ..Metadata::default() },
        kind,
    };
    index.insert(&entry("etc/passwd", Kind::File { size: 4 })).expect("inserted");
    index.insert_content(Path::new("etc/passwd"), b"a:b:");
    index.insert(&entry("a", Kind::Dir)).expect("inserted");
    index.insert(&entry("a/.wh.b", Kind::Fifo)).expect("inserted");
    index.insert(&entry("link", Kind::HardLink("etc/passwd".into()))).expect("inserted");
    index.insert(&entry("", Kind::Dir)).expect("inserted");
    let paths: Vec<_> = index.entries().map(|entry| entry.path).collect();
    let expected = ["", "a", "a/.wh.b", "etc", "etc/passwd", "link"];
    assert_eq!(paths, expected.map(PathBuf::from));
    assert_eq!(index.read(Path::new("link"), 9).expect("known"), Some(b"a:b:".to_vec()));
    assert_eq!(index.origin(Path::new("a")), Some(1));
    assert_eq!(index.lstat(Path::new("")).expect("readable").expect("there").meta.mode, 0o600);
    for path in ["..", "a/../b", "/a"] {
        let result = index.insert(&entry(path, Kind::Fifo));
        assert!(matches!(result, Err(IndexError::Path(_))), "{path}: {result:?}");
    }
}

#[test]
fn nodes_that_are_gone_are_used_again() {
    let mut index = Index::default();
    for round in 0..50 {
        let layer = Layer::default()
            .file("d/x/y", "")
            .file("d/z", &"z".repeat(round))
            .file("etc/passwd", "content");
        index.apply(&mut layer.entries()).expect("applies");
        let removal = Layer::default().file(".wh.d", "").file(".wh.etc", "");
        index.apply(&mut removal.entries()).expect("applies");
    }
    assert_eq!((index.len(), index.layers(), index.is_empty()), (1, 100, true));
    assert_eq!(index.contents.len(), 0);
    assert_eq!(index.entries().count(), 1);
}

#[test]
fn layers_that_fit_nothing_are_errors() {
    let missing = Layer::default().hard("x", "nothing");
    let to_dir = Layer::default().dir("d").hard("x", "d");
    let apply = |layer: &Layer| Index::default().apply(&mut layer.entries());
    assert!(matches!(apply(&missing), Err(IndexError::MissingTarget { .. })));
    assert!(matches!(apply(&to_dir), Err(IndexError::LinkToDirectory { .. })));
    assert!(matches!(apply(&Layer::default().dir("../x")), Err(IndexError::Path(_))));
    struct Broken;
    impl crate::rootfs::Entries for Broken {
        fn next_entry(&mut self) -> io::Result<Option<(Entry, Box<dyn io::Read + '_>)>> {
            Err(io::Error::other("broken"))
        }
    }
    assert!(matches!(Index::default().apply(&mut Broken), Err(IndexError::Read(_))));
}

#[test]
fn parts_of_layers_make_up_the_whole_image() {
    let lower = Layer::default()
        .dir("d")
        .meta(|meta| meta.mode = 0o711)
        .file("d/first", "content")
        .hard("kept", "d/first")
        .file("hidden", "large and never written")
        .file("later", "linked from above");
    let upper = Layer::default()
        .file("d/.wh.first", "")
        .file("d/new", "new")
        .file("hidden", "visible")
        .hard("across", "later")
        .file(".wh.later", "");
    let index = Arc::new(index(&[&lower, &upper]));
    let sandbox = Sandbox::new();
    let parts = index.visible_parts(&everything()).expect("parts");
    let bytes: u64 = std::thread::scope(|scope| {
        let unpack = |(part, layer): (VisiblePart, Layer)| {
            let root = &sandbox.root;
            scope.spawn(move || {
                let policy = Extract {
                    filter: Some(part.filter),
                    relocate: part.relocate,
                    ..Extract::new(Whiteouts::Skip, ownership())
                };
                extract(&mut layer.entries(), root, &policy).expect("unpacks").bytes
            })
        };
        let running: Vec<_> = parts.into_iter().zip([lower, upper]).map(unpack).collect();
        running.into_iter().map(|thread| thread.join().expect("unpacks")).sum()
    });
    index.complete(&sandbox.root, ownership(), &everything()).expect("completes");
    assert_eq!(snapshot(&sandbox.root, false), snapshot(&*index, false));
    let written = ["content", "new", "visible", "linked from above"];
    assert_eq!(bytes, written.map(str::len).iter().sum::<usize>() as u64);
}

#[test]
fn a_layer_that_has_two_files_of_one_name_and_a_link_has_no_parts() {
    let layer = Layer::default().file("x", "1").hard("link", "x").file("x", "2");
    let result = Arc::new(index(&[&layer])).visible_parts(&everything());
    assert!(matches!(result, Err(IndexError::Ambiguous { .. })), "{result:?}");
}

#[test]
fn a_node_is_small() {
    assert!(size_of::<super::tree::Node>() <= 112, "{}", size_of::<super::tree::Node>());
}
