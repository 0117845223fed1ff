use std::os::unix::net::UnixListener;

use super::*;
use crate::layer::Kind;
use crate::rootfs::properties::{Collect, changes};
use crate::rootfs::testing::{Layer, Sandbox, overlay, ownership};
use crate::rootfs::{Extract, Index, Whiteouts, extract};

fn unpack(layer: &Layer, whiteouts: Whiteouts) -> Sandbox {
    let sandbox = Sandbox::new();
    let policy = Extract::new(whiteouts, ownership());
    extract(&mut layer.entries(), &sandbox.root, &policy).expect("unpacks");
    sandbox
}

fn lower(layer: &Layer) -> Sandbox {
    unpack(layer, Whiteouts::Apply)
}

fn upper(layer: &Layer) -> Sandbox {
    unpack(layer, Whiteouts::Overlay { userxattr: overlay().userxattr })
}

fn paths(layer: &Layer) -> Vec<&str> {
    layer.0.iter().map(|(entry, _)| entry.path.to_str().expect("text")).collect()
}

fn diff(upper: &Sandbox, lower: &Sandbox, exclude: &[&str]) -> Layer {
    let exclude = exclude.iter().map(PathBuf::from).collect();
    changes(&upper.root, &lower.root, &exclude)
}

#[test]
fn changes_come_in_order_with_their_directories() {
    let base = Layer::default().dir("d").dir("d/e").file("d/e/old", "").file("z", "").dir("same");
    let layer = Layer::default()
        .dir("d")
        .dir("d/e")
        .file("d/e/.wh.old", "")
        .file("d/e/new", "new")
        .file("d-f", "")
        .file(".wh.z", "")
        .file("A", "");
    let found = diff(&upper(&layer), &lower(&base), &[]);
    assert_eq!(paths(&found), ["A", "d", "d/e", "d/e/new", "d/e/.wh.old", "d-f", ".wh.z"]);
}

#[test]
fn what_is_as_below_is_left_out() {
    let base = Layer::default()
        .dir("d")
        .file("d/file", "content")
        .symlink("d/link", "x")
        .kind("d/pipe", Kind::Fifo);
    let (below, same) = (lower(&base), upper(&base));
    assert_eq!(paths(&diff(&same, &below, &[])), [""; 0]);
    let stats =
        diff_upper(&same.root, &below.root, overlay(), &BTreeSet::new(), &mut Collect::default());
    let stats = stats.expect("a layer");
    assert_eq!((stats.entries, stats.unchanged), (0, 4));

    // One difference each; a change of content alone is found although time and size are the same.
    let changed: [fn(&mut Layer); 6] = [
        |layer| layer.0[1].1 = b"CONTENT".to_vec(),
        |layer| layer.0[1].0.meta.mode = 0o600,
        |layer| layer.0[1].0.meta.mtime.nanos += 1,
        |layer| {
            layer.0[1].0.meta.xattrs.insert("user.x".into(), vec![]);
        },
        |layer| layer.0[2].0.kind = Kind::Symlink("y".into()),
        |layer| layer.0[3].0.meta.mtime.secs += 1,
    ];
    for (change, path) in changed.iter().zip([1, 1, 1, 1, 2, 3]) {
        let mut layer = base.clone();
        change(&mut layer);
        let found = diff(&upper(&layer), &below, &[]);
        assert_eq!(found.0, [layer.0[0].clone(), layer.0[path].clone()]);
    }
    // Against names alone, content cannot be compared.
    let mut named = base.clone();
    for (entry, _) in &mut named.0 {
        let owner = same.root.lstat(&entry.path).expect("readable").expect("there").meta;
        (entry.meta.uid, entry.meta.gid) = (owner.uid, owner.gid);
    }
    let mut index = Index::default();
    index.apply(&mut named.entries()).expect("applies");
    let found = changes(&same.root, &index, &BTreeSet::new());
    assert_eq!(paths(&found), ["d", "d/file"]);
}

#[test]
fn a_directory_with_another_time_is_a_change() {
    let base = Layer::default().dir("d").dir("d/e");
    let mut layer = base.clone();
    layer.0[1].0.meta.mtime.secs += 1;
    assert_eq!(diff(&upper(&layer), &lower(&base), &[]).0, layer.0);
}

#[test]
fn replaced_directories_hide_what_was_in_them() {
    let base = Layer::default().dir("d").file("d/old", "").dir("e").file("f", "");
    let layer = Layer::default()
        .dir("d")
        .file("d/.wh..wh..opq", "")
        .file("d/new", "")
        .file("e", "now a file")
        .dir("f")
        .file("f/.wh..wh..opq", "")
        .dir("new")
        .file("new/.wh..wh..opq", "");
    let found = diff(&upper(&layer), &lower(&base), &[]);
    // Where no directory is below, there is nothing to hide.
    assert_eq!(paths(&found), ["d", "d/.wh..wh..opq", "d/new", "e", "f", "new"]);
}

#[test]
fn what_came_and_went_is_left_out() {
    let layer = Layer::default().file(".wh.gone", "").file("d/.wh.gone", "");
    let found = diff(&upper(&layer), &lower(&Layer::default()), &[]);
    assert_eq!(paths(&found), ["d"]);
}

#[test]
fn names_of_one_file_stay_so_even_if_one_is_as_below() {
    let base = Layer::default().file("a", "content");
    let layer = Layer(base.0.clone()).hard("b/link", "a").hard("c", "a");
    let found = diff(&upper(&layer), &lower(&base), &[]);
    let kinds: Vec<_> = found.0.iter().map(|(entry, _)| entry.kind.clone()).collect();
    let link = || Kind::HardLink("a".into());
    assert_eq!(paths(&found), ["a", "b", "b/link", "c"]);
    assert_eq!(kinds, [Kind::File { size: 7 }, Kind::Dir, link(), link()]);
}

#[test]
fn what_a_layer_cannot_carry_is_counted_and_hides_what_it_hid() {
    let base = Layer::default().file("socket", "was a file");
    let upper = upper(&Layer::default());
    std::fs::create_dir(upper.path("d")).expect("made");
    std::fs::write(upper.path("d/.wh.x"), "").expect("written");
    let _one = UnixListener::bind(upper.path("socket")).expect("made");
    let _other = UnixListener::bind(upper.path("d/new-socket")).expect("made");
    let lower = lower(&base);
    let mut sink = Collect::default();
    let none = BTreeSet::new();
    let stats = diff_upper(&upper.root, &lower.root, overlay(), &none, &mut sink);
    let stats = stats.expect("a layer");
    assert_eq!(paths(&sink.0), ["d", ".wh.socket"]);
    assert_eq!((stats.entries, stats.whiteouts, stats.sockets), (1, 1, 2));
    assert_eq!(stats.reserved, [PathBuf::from("d/.wh.x")]);
}

#[test]
fn the_sandboxs_mount_points_are_no_changes() {
    let exclude = ["dev", "etc", "etc/hosts", "etc/resolv.conf", "proc", "sys"];
    let placed = Layer::default()
        .dir("dev")
        .dir("etc")
        .file("etc/hosts", "")
        .file("etc/resolv.conf", "")
        .dir("proc");
    let nothing = lower(&Layer::default());
    assert_eq!(paths(&diff(&upper(&placed), &nothing, &exclude)), [""; 0]);
    assert_eq!(
        paths(&diff(&upper(&placed), &nothing, &[])),
        ["dev", "etc", "etc/hosts", "etc/resolv.conf", "proc"]
    );
    // What a command has put beside or into them is one.
    let used = Layer(placed.0.clone()).file("etc/hosts", "127.0.0.1 me").file("dev/x", "");
    let found = diff(&upper(&used), &nothing, &exclude);
    assert_eq!(paths(&found), ["dev", "dev/x", "etc", "etc/hosts"]);
    // A directory that was there before has another time because of them, and that alone.
    let mut base = Layer::default().dir("etc").dir("run");
    for (entry, _) in &mut base.0 {
        entry.meta.mtime.secs = 5;
    }
    assert_eq!(paths(&diff(&upper(&placed), &lower(&base), &exclude)), [""; 0]);
    let run = Layer(placed.0.clone()).dir("run");
    assert_eq!(paths(&diff(&upper(&run), &lower(&base), &exclude)), ["run"]);
    let chmod = Layer(placed.0).dir("etc").meta(|meta| meta.mode = 0o700);
    assert_eq!(paths(&diff(&upper(&chmod), &lower(&base), &exclude)), ["etc"]);
}

#[test]
fn an_overlay_that_was_mounted_otherwise_is_refused() {
    for (mark, path) in [("redirect", "d"), ("metacopy", "d/file")] {
        let upper = upper(&Layer::default().dir("d").file("d/file", ""));
        let name = overlay().name(mark);
        let file = std::fs::File::open(upper.path(path)).expect("opens");
        rustix::fs::fsetxattr(&file, &name, b"x", rustix::fs::XattrFlags::empty()).expect("set");
        let none = BTreeSet::new();
        let lower = lower(&Layer::default());
        let result =
            diff_upper(&upper.root, &lower.root, overlay(), &none, &mut Collect::default());
        assert!(
            matches!(&result, Err(DiffError::NotALayer { path: found, .. }) if found == Path::new(path)),
            "{result:?}"
        );
    }
}

#[test]
fn paths_that_no_container_can_open_are_an_error_and_deep_ones_are_none() {
    let (upper, lower) = (upper(&Layer::default()), lower(&Layer::default()));
    let deep = PathBuf::from(vec!["d"; 300].join("/"));
    upper.root.create_dir_all(&deep, 0o755).expect("made");
    for dir in [deep.ancestors().nth(250), deep.ancestors().nth(3), Some(&*deep)] {
        let file = dir.expect("so deep").join("file");
        upper.root.write_file(&file, b"x", 0o644).expect("written");
    }
    let found = diff(&upper, &lower, &[]);
    assert_eq!(found.0.len(), 303);
    let is_sorted = found.0.windows(2).all(|pair| pair[0].0.path < pair[1].0.path);
    assert!(is_sorted, "{:?}", paths(&found));

    let mut dir = upper.root.open_dir(&deep).expect("opens");
    for _ in 0..20 {
        let name = "n".repeat(250);
        let mode = rustix::fs::Mode::from_raw_mode(0o755);
        rustix::fs::mkdirat(&dir, &*name, mode).expect("made");
        dir =
            rustix::fs::openat(&dir, &*name, crate::rootfs::root::DIRECTORY, mode).expect("opens");
    }
    let none = BTreeSet::new();
    let result = diff_upper(&upper.root, &lower.root, overlay(), &none, &mut Collect::default());
    assert!(matches!(result, Err(DiffError::TooLong { .. })), "{result:?}");
    upper.root.remove_tree(Path::new("d")).expect("removed");
}

#[test]
fn a_sinks_error_names_the_path() {
    struct Full;
    impl ChangeSink for Full {
        fn file(&mut self, _: &Entry, _: &mut dyn Read) -> Result<(), SinkError> {
            Err("no space".into())
        }
        fn whiteout(&mut self, _: &Whiteout) -> Result<(), SinkError> {
            Ok(())
        }
    }
    let (upper, lower) = (upper(&Layer::default().file("x", "")), lower(&Layer::default()));
    let none = BTreeSet::new();
    let error = diff_upper(&upper.root, &lower.root, overlay(), &none, &mut Full);
    let error = error.expect_err("full").to_string();
    assert_eq!(error, "cannot write `x` to the layer: no space");
}
