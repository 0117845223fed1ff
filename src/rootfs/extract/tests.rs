use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::*;
use crate::layer::Timestamp;
use crate::rootfs::testing::{Layer, Sandbox, is_root, overlay, ownership, snapshot, text};
use crate::rootfs::{View, xattr};

fn apply(sandbox: &Sandbox, layer: &Layer) -> Result<Extracted, ExtractError> {
    let policy = Extract::new(Whiteouts::Apply, ownership());
    extract(&mut layer.entries(), &sandbox.root, &policy)
}

fn unpack(sandbox: &Sandbox, layer: &Layer) -> Result<Extracted, ExtractError> {
    let whiteouts = Whiteouts::Overlay { userxattr: overlay().userxattr };
    extract(&mut layer.entries(), &sandbox.root, &Extract::new(whiteouts, ownership()))
}

fn stat(sandbox: &Sandbox, path: &str) -> std::fs::Metadata {
    std::fs::symlink_metadata(sandbox.path(path)).expect("there")
}

#[test]
fn metadata_survives() {
    let sandbox = Sandbox::new();
    let (uid, gid) = if is_root() { (12, 34) } else { (0, 0) };
    let owned = |meta: &mut Metadata| (meta.uid, meta.gid) = (uid, gid);
    // cap_net_bind_service+ep, as setcap(8) writes it.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
    let layer = Layer::default()
        .dir("shared")
        .meta(|meta| (meta.mode, meta.gid) = (0o2775, gid))
        .dir("shared/plain")
        .file("shared/ping", "binary")
        .meta(owned)
        .meta(|meta| {
            meta.mode = 0o4755;
            if is_root() {
                meta.xattrs.insert("security.capability".into(), capability);
            }
            meta.xattrs.insert("user.note".into(), vec![b'x'; 1000]);
            meta.mtime = Timestamp { secs: -5, nanos: 999_999_999 };
        })
        .file("read-only", "text")
        .meta(|meta| {
            meta.mode = 0o400;
            meta.xattrs.insert("user.note".into(), b"x".to_vec());
        })
        .symlink("link", "nowhere")
        .meta(owned)
        .kind("pipe", Kind::Fifo)
        .meta(owned)
        .meta(|meta| meta.mode = 0o622);
    let done = apply(&sandbox, &layer).expect("unpacks");
    assert_eq!((done.entries, done.bytes, done.xattrs_refused), (6, 10, 0));
    let found = snapshot(&sandbox.root, false);
    for (entry, _) in &layer.0 {
        assert_eq!(&found[&entry.path].0, entry);
    }
    assert_eq!(found.len(), layer.0.len());
}

#[test]
fn what_marks_an_overlay_or_belongs_to_the_machine_is_not_taken_from_a_layer() {
    let sandbox = Sandbox::new();
    let marks = |meta: &mut Metadata| {
        for name in ["user.overlay.opaque", "trusted.overlay.opaque", "user.overlay.redirect"] {
            meta.xattrs.insert(name.into(), b"y".to_vec());
        }
        meta.xattrs.insert("security.selinux".into(), b"label".to_vec());
    };
    let layer = Layer::default().dir("dir").meta(marks).file("file", "").meta(marks);
    let done = unpack(&sandbox, &layer).expect("unpacks");
    assert_eq!(done.xattrs_refused, 0);
    for path in ["dir", "file"] {
        let file = std::fs::File::open(sandbox.path(path)).expect("opens");
        let names = xattr::names(&file).expect("readable");
        assert!(!names.iter().any(|name| name.as_bytes().starts_with(b"user.")), "{names:?}");
        assert!(!names.contains(&"trusted.overlay.opaque".into()), "{names:?}");
    }
}

#[test]
fn links_of_a_layer_lead_nowhere_outside() {
    for target in ["/", "..", "../..", "../../../../../..", "/../..", "a/../../.."] {
        let sandbox = Sandbox::new();
        let layer = Layer::default()
            .symlink("up", target)
            .file("up/secret", "overwritten")
            .symlink("up/link", "x")
            .dir("up/dir")
            .hard("copy", "up/secret");
        apply(&sandbox, &layer).expect("unpacks");
        sandbox.assert_outside_untouched();
        assert_eq!(text(&sandbox.root, "secret").as_deref(), Some("overwritten"), "{target}");
        assert_eq!(text(&sandbox.root, "copy").as_deref(), Some("overwritten"), "{target}");
        assert_eq!(stat(&sandbox, "up").mode() & 0o170_000, 0o120_000);
    }
}

#[test]
fn links_that_were_there_before_are_replaced_not_followed() {
    for target in ["..", "/", "dir"] {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("dir")).expect("made");
        std::os::unix::fs::symlink(target, sandbox.path("link")).expect("made");
        let outside = sandbox.outside.path().join("secret");
        std::os::unix::fs::symlink(outside, sandbox.path("file")).expect("made");
        let layer = Layer::default().file("link/secret", "inside").file("file", "inside too");
        apply(&sandbox, &layer).expect("unpacks");
        sandbox.assert_outside_untouched();
        assert_eq!(text(&sandbox.root, "link/secret").as_deref(), Some("inside"));
        assert_eq!(text(&sandbox.root, "file").as_deref(), Some("inside too"));
        assert!(stat(&sandbox, "link").is_dir());
        assert_eq!(std::fs::read_dir(sandbox.path("dir")).expect("there").count(), 0);
    }
}

#[test]
fn a_directory_that_becomes_a_link_between_entries_is_looked_up_again() {
    let sandbox = Sandbox::new();
    let layer = Layer::default()
        .file("a/b/one", "1")
        .symlink("a/b", "/..")
        .file("a/b/secret", "2")
        .dir("a/b")
        .file("a/b/secret", "3");
    apply(&sandbox, &layer).expect("unpacks");
    sandbox.assert_outside_untouched();
    assert_eq!(text(&sandbox.root, "secret").as_deref(), Some("2"));
    assert_eq!(text(&sandbox.root, "a/b/secret").as_deref(), Some("3"));
    assert_eq!(text(&sandbox.root, "a/b/one"), None);
}

#[test]
fn paths_that_are_no_paths_are_refused() {
    let not_inside = |path: &str| PathError::NotInside(path.into());
    for path in ["..", "../x", "a/../../x", "a/..", "/etc/x", "./x", "a//b", "a/", "x\0y"] {
        let layers = [
            Layer::default().file(path, "x"),
            Layer::default().symlink(path, "x"),
            Layer::default().file("x", "").hard("y", path),
        ];
        for layer in layers {
            let sandbox = Sandbox::new();
            match apply(&sandbox, &layer) {
                Err(ExtractError::Path(error)) => assert_eq!(error, not_inside(path)),
                other => panic!("{path}: {other:?}"),
            }
            sandbox.assert_outside_untouched();
        }
    }
    assert!(matches!(
        apply(&Sandbox::new(), &Layer::default().file("", "x")),
        Err(ExtractError::Path(PathError::NotInside(_)))
    ));
}

#[test]
fn names_and_depths_beyond_the_systems_are_refused_and_those_within_work() {
    let sandbox = Sandbox::new();
    let deep = vec!["d"; 2048].join("/");
    let name = "n".repeat(255);
    let layer = Layer::default().file(&deep, "deep").file(&name, "long").dir(&deep);
    let done = apply(&sandbox, &layer).expect("unpacks");
    assert_eq!(done.implicit_dirs.len(), 2047);
    assert_eq!(text(&sandbox.root, &name).as_deref(), Some("long"));
    for path in [format!("{deep}/d"), "n".repeat(256), "n".repeat(1 << 20), "d/".repeat(100_000)] {
        match apply(&sandbox, &Layer::default().file(&path, "")) {
            Err(ExtractError::Path(error @ PathError::TooLong { .. })) => {
                assert!(error.to_string().len() < 300, "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    // A link must not make a path longer than it may be.
    let long = vec!["l".repeat(250); 15].join("/");
    let layer = Layer::default().symlink("to", &long).file(&format!("to/{long}"), "");
    assert!(matches!(apply(&sandbox, &layer), Err(ExtractError::Path(PathError::TooLong { .. }))));
    sandbox.root.remove_tree(Path::new("d")).expect("removes");
}

#[test]
fn links_of_a_layer_that_never_end_are_an_error() {
    let layer = Layer::default().symlink("a", "b").symlink("b", "a").file("a/x", "");
    assert!(matches!(
        apply(&Sandbox::new(), &layer),
        Err(ExtractError::Path(PathError::Loop(path))) if path == Path::new("a")
    ));
}

#[test]
fn later_entries_replace_earlier_ones_of_any_kind() {
    let kinds: [fn(Layer) -> Layer; 5] = [
        |layer| layer.file("x", "file"),
        |layer| layer.dir("x").file("x/inside", ""),
        |layer| layer.symlink("x", "y"),
        |layer| layer.kind("x", Kind::Fifo),
        |layer| layer.hard("x", "y"),
    ];
    for first in kinds {
        for second in kinds {
            let sandbox = Sandbox::new();
            let alone = Sandbox::new();
            let base = Layer::default().file("y", "target");
            apply(&sandbox, &first(base.clone())).expect("unpacks");
            let layer = second(base.clone());
            apply(&alone, &layer).expect("unpacks");
            apply(&sandbox, &layer).expect("unpacks");
            assert_eq!(snapshot(&sandbox.root, true), snapshot(&alone.root, true));
            // And within one layer.
            let both = Layer(first(base).0.into_iter().chain(layer.0).collect());
            let sandbox = Sandbox::new();
            apply(&sandbox, &both).expect("unpacks");
            assert_eq!(snapshot(&sandbox.root, true), snapshot(&alone.root, true));
        }
    }
}

#[test]
fn a_whiteout_removes_what_is_below_and_not_what_is_beside_it() {
    let sandbox = Sandbox::new();
    let lower = Layer::default()
        .file("d/old", "")
        .file("d/sub/old", "")
        .file("gone/x", "")
        .file("kept", "")
        .file("o/old", "");
    apply(&sandbox, &lower).expect("unpacks");
    let layer = Layer::default()
        .file("d/new", "")
        .file("d/sub/new", "")
        .file(".wh.d", "")
        .file(".wh.gone", "")
        .file(".wh.never", "")
        .file("o/new", "")
        .file("o/.wh..wh..opq", "");
    apply(&sandbox, &layer).expect("unpacks");
    let paths: Vec<_> = snapshot(&sandbox.root, false).into_keys().collect();
    let expected = ["d", "d/new", "d/sub", "d/sub/new", "kept", "o", "o/new"];
    assert_eq!(paths, expected.map(PathBuf::from));
}

#[test]
fn whiteouts_become_the_marks_of_overlayfs() {
    let sandbox = Sandbox::new();
    let layer = Layer::default()
        .file("a/.wh.gone", "")
        .file("b/.wh..wh..opq", "")
        .file(".wh.c", "")
        .file("c/again", "")
        .file(".wh..wh..opq", "");
    let done = unpack(&sandbox, &layer).expect("unpacks");
    assert!(done.opaque_root);
    assert_eq!(done.implicit_dirs, ["a", "b", "c"].map(PathBuf::from));
    let gone = stat(&sandbox, "a/gone");
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    for (path, opaque) in [("a", false), ("b", true), ("c", true)] {
        let dir = std::fs::File::open(sandbox.path(path)).expect("opens");
        let names = xattr::names(&dir).expect("readable");
        assert_eq!(overlay().is_opaque(&dir, &names).expect("readable"), opaque, "{path}");
    }
}

#[test]
fn odd_whiteouts_do_nothing() {
    let names =
        [".wh.", ".wh..", ".wh...", ".wh..wh.aufs", ".wh..wh.plnk/x", "d/.wh..", "d/.wh..."];
    for name in names {
        for run in [apply, unpack] {
            let sandbox = Sandbox::new();
            run(&sandbox, &Layer::default().file("d/kept", "")).expect("unpacks");
            run(&sandbox, &Layer::default().file(name, "")).expect("unpacks");
            assert_eq!(text(&sandbox.root, "d/kept").as_deref(), Some(""), "{name}");
            assert_eq!(snapshot(&sandbox.root, false).len(), 2, "{name}");
            sandbox.assert_outside_untouched();
        }
    }
}

#[test]
fn hard_links_across_layers_are_the_callers_for_overlayfs_and_made_otherwise() {
    let layer = Layer::default().file("d/x", "").hard("link", "below").hard("again", "link");
    let sandbox = Sandbox::new();
    let done = unpack(&sandbox, &layer).expect("unpacks");
    let links: Vec<_> = done.foreign_links.iter().map(|(link, to, _)| (&**link, &**to)).collect();
    let below = Path::new("below");
    assert_eq!(links, [(Path::new("again"), below), (Path::new("link"), below)]);

    apply(&sandbox, &Layer::default().file("below", "content")).expect("unpacks");
    apply(&sandbox, &layer).expect("unpacks");
    assert_eq!(text(&sandbox.root, "again").as_deref(), Some("content"));
    assert_eq!(stat(&sandbox, "below").nlink(), 3);
}

#[test]
fn hard_links_that_cannot_be() {
    let missing = [
        Layer::default().hard("x", "nothing"),
        Layer::default().hard("x", "x"),
        Layer::default().symlink("up", "..").hard("x", "up/../secret"),
        Layer::default().file("d/inside", "").hard("d", "d/inside"),
    ];
    for layer in missing {
        let sandbox = Sandbox::new();
        match apply(&sandbox, &layer) {
            Err(ExtractError::MissingTarget { .. } | ExtractError::Path(_)) => {}
            other => panic!("{other:?}"),
        }
        sandbox.assert_outside_untouched();
    }
    let to_dir = Layer::default().dir("d").hard("x", "d");
    assert!(matches!(apply(&Sandbox::new(), &to_dir), Err(ExtractError::LinkToDirectory { .. })));
    let to_itself = Layer::default().file("x", "kept").hard("x", "x");
    let sandbox = Sandbox::new();
    apply(&sandbox, &to_itself).expect("unpacks");
    assert_eq!(text(&sandbox.root, "x").as_deref(), Some("kept"));
}

#[test]
fn only_wanted_entries_are_written_and_hidden_content_where_it_is_wanted() {
    let layer = Layer::default()
        .dir("d")
        .file("d/hidden", "content")
        .hard("link", "d/hidden")
        .hard("second", "link")
        .file("e/wanted", "other")
        .file("unwanted", "other");
    let mut policy = Extract::new(Whiteouts::Skip, ownership());
    policy.filter = Some(Box::new(|path, _| {
        ["link", "second", "e/wanted"].iter().any(|wanted| path == Path::new(wanted))
    }));
    let sandbox = Sandbox::new();
    assert!(matches!(
        extract(&mut layer.entries(), &sandbox.root, &policy),
        Err(ExtractError::FilteredTarget { .. })
    ));
    policy.relocate.insert("d/hidden".into(), "link".into());
    let sandbox = Sandbox::new();
    let done = extract(&mut layer.entries(), &sandbox.root, &policy).expect("unpacks");
    assert_eq!((done.entries, done.bytes), (6, 12));
    let found = snapshot(&sandbox.root, true);
    let paths: Vec<_> = found.keys().collect();
    assert_eq!(
        paths,
        ["e", "e/wanted", "link", "second"].map(PathBuf::from).iter().collect::<Vec<_>>()
    );
    assert_eq!(text(&sandbox.root, "second").as_deref(), Some("content"));
    assert_eq!(stat(&sandbox, "link").nlink(), 2);
}

#[test]
fn broken_layers_are_errors() {
    let mut short = Layer::default().file("x", "content");
    short.0[0].0.kind = Kind::File { size: 10 };
    match apply(&Sandbox::new(), &short) {
        Err(error @ ExtractError::Short { size: 10, got: 7, .. }) => {
            assert_eq!(error.to_string(), "the layer ends after 7 of the 10 bytes of `x`");
        }
        other => panic!("{other:?}"),
    }
    let mut policy = Extract::new(Whiteouts::Apply, ownership());
    policy.max_entries = 2;
    let many = Layer::default().dir("a").dir("b").dir("c");
    let sandbox = Sandbox::new();
    assert!(matches!(
        extract(&mut many.entries(), &sandbox.root, &policy),
        Err(ExtractError::TooMany(2))
    ));
}

#[test]
fn devices_are_made_or_counted() {
    let sandbox = Sandbox::new();
    let layer = Layer::default()
        .kind("null", Kind::CharDevice { major: 1, minor: 3 })
        .kind("disk", Kind::BlockDevice { major: 7, minor: 300 })
        .hard("zero", "null");
    let done = apply(&sandbox, &layer).expect("unpacks");
    let found = snapshot(&sandbox.root, false);
    if done.devices_refused == 0 {
        assert_eq!(found[Path::new("null")].0, layer.0[0].0);
        assert_eq!(found[Path::new("disk")].0, layer.0[1].0);
        assert_eq!(found[Path::new("zero")].0.kind, layer.0[0].0.kind);
    } else {
        assert_eq!(done.devices_refused, 3);
        assert_eq!(found.len(), 0);
    }
}

#[test]
fn directories_that_lock_their_owner_out_are_filled_all_the_same() {
    let sandbox = Sandbox::new();
    let layer = Layer::default().dir("d").meta(|meta| meta.mode = 0o500).file("d/x", "");
    apply(&sandbox, &layer).expect("unpacks");
    let found = stat(&sandbox, "d");
    assert_eq!((found.mode() & 0o7777, found.mtime()), (0o500, layer.0[0].0.meta.mtime.secs));
    // So that the test's directory can be removed.
    let meta = Metadata { mode: 0o700, ..Metadata::default() };
    sandbox.root.set_metadata(Path::new("d"), &meta, ownership()).expect("set");
}

#[test]
fn the_root_can_be_mentioned() {
    let sandbox = Sandbox::new();
    let layer = Layer::default().dir("").meta(|meta| meta.mode = 0o711).file("x", "");
    apply(&sandbox, &layer).expect("unpacks");
    let root = sandbox.root.lstat(Path::new("")).expect("readable").expect("there");
    assert_eq!((root.meta.mode, root.meta.mtime), (0o711, layer.0[0].0.meta.mtime));
}

#[test]
fn a_tar_can_be_unpacked() {
    let mut tar = crate::layer::TarWriter::new(Vec::new());
    let layer = Layer::default().dir("d").file("d/x", "content").symlink("l", "d");
    for (entry, content) in &layer.0 {
        tar.append(entry, &mut &content[..]).expect("written");
    }
    let tar = tar.finish().expect("written");
    let sandbox = Sandbox::new();
    let policy = Extract::new(Whiteouts::Apply, ownership());
    let mut reader = crate::layer::TarReader::new(&tar[..]);
    extract(&mut reader, &sandbox.root, &policy).expect("unpacks");
    let direct = Sandbox::new();
    apply(&direct, &layer).expect("unpacks");
    assert_eq!(snapshot(&sandbox.root, true), snapshot(&direct.root, true));
}
