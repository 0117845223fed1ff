//! Owners, modes, times, attributes and hard links.

use std::path::Path;

use super::fixture::{CREATED, Fixture};
use crate::layer::Timestamp;
use crate::layer::content::Tree;
use crate::rootfs::copy::Owner;

fn owners(tree: &Tree) -> Vec<(String, u32, u32)> {
    let owner = |(path, node): (&std::path::PathBuf, &crate::layer::Node)| {
        (path.display().to_string(), node.entry.meta.uid, node.entry.meta.gid)
    };
    tree.iter().map(owner).collect()
}

fn all(owner: (u32, u32), paths: &[&str]) -> Vec<(String, u32, u32)> {
    paths.iter().map(|path| ((*path).to_owned(), owner.0, owner.1)).collect()
}

#[test]
fn owners_are_the_contexts_or_the_sources_or_as_told() {
    let source = ["f 644 d/f = x", "l d/l -> f"];
    let paths = ["new", "new/sub", "new/sub/f", "new/sub/l"];
    let plan = |owner| {
        let fixture = Fixture::new(&source, &[]).owned_by(owner);
        owners(&fixture.plan("COPY d /new/sub").expect("copied"))
    };
    assert_eq!(plan(Owner::Context), all((0, 0), &paths));
    assert_eq!(plan(Owner::Fixed(7, 8)), all((7, 8), &paths));
    let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    assert_eq!(plan(Owner::Keep), [all((0, 0), &paths[..2]), all(me, &paths[2..])].concat());
}

#[test]
fn directories_of_the_image_keep_what_they_have() {
    let fixture = Fixture::new(&["f 644 f = x"], &["d 751 a/b"]).owned_by(Owner::Fixed(7, 8));
    let tree = fixture.plan("COPY f /a/b/c/").expect("copied");
    let me = rustix::process::geteuid().as_raw();
    let [a, b, c] = ["a", "a/b", "a/b/c"].map(|path| tree[Path::new(path)].entry.meta.clone());
    assert_eq!((a.uid, b.uid, c.uid), (me, me, 7));
    assert_eq!((a.mode, b.mode), (0o755, 0o751));
    assert!(a.mtime > CREATED && b.mtime > CREATED);
    assert_eq!(c.mtime, CREATED);
}

#[test]
fn the_group_bit_is_handed_on_to_new_directories() {
    let fixture = |owner| Fixture::new(&["d 755 d/sub"], &["d 2775 staff"]).owned_by(owner);
    let group = rustix::process::getegid().as_raw();
    for (owner, gid) in [(Owner::Fixed(7, 8), 8), (Owner::Context, group), (Owner::Keep, group)] {
        let tree = fixture(owner).plan("COPY d /staff/a/b").expect("copied");
        for (path, mode) in [("staff/a", 0o2755), ("staff/a/b", 0o2755), ("staff/a/b/sub", 0o755)] {
            assert_eq!(tree[Path::new(path)].entry.meta.mode, mode, "{path}");
        }
        assert_eq!(tree[Path::new("staff/a/b")].entry.meta.gid, gid, "{owner:?}");
    }
}

#[test]
fn times_are_kept_to_the_nanosecond() {
    let fixture = Fixture::new(&["d 755 d/sub", "f 644 d/sub/f = x"], &[]);
    let time = Timestamp { secs: 1_000_000_000, nanos: 123_456_789 };
    let stamp = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    for path in ["d/sub/f", "d/sub"] {
        let file = std::fs::File::open(fixture.source(path)).expect("opens");
        file.set_modified(stamp).expect("changed");
    }
    let tree = fixture.plan("COPY d <<EOF /new/").expect("copied");
    for (path, expected) in
        [("new", CREATED), ("new/sub", time), ("new/sub/f", time), ("new/EOF", CREATED)]
    {
        assert_eq!(tree[Path::new(path)].entry.meta.mtime, expected, "{path}");
    }
}

#[test]
fn modes_change_for_what_is_copied_only() {
    let source = ["d 755 d/sub", "f 644 d/sub/f = x", "f 755 d/run = x", "l d/l -> run"];
    let fixture = Fixture::new(&source, &["d 750 old"]);
    fixture.gives(
        "COPY --chmod=600 d /a/b",
        &[
            "d 755 a",
            "d 755 a/b",
            "l a/b/l -> run",
            "f 600 a/b/run = x",
            "d 600 a/b/sub",
            "f 600 a/b/sub/f = x",
        ],
    );
    fixture.gives(
        "COPY --chmod=u=rwX,go= d /old",
        &[
            "d 750 old",
            "l old/l -> run",
            "f 700 old/run = x",
            "d 700 old/sub",
            "f 600 old/sub/f = x",
        ],
    );
    fixture.gives("COPY --chmod=4711 d/run /x", &["f 4711 x = x"]);
}

#[test]
fn names_of_one_file_stay_names_of_one_file() {
    let source = ["f 644 d/b = x", "h d/a -> d/b", "h d/sub/c -> d/b", "h outside -> d/b"];
    let fixture = Fixture::new(&source, &[]);
    fixture.gives(
        "COPY --exclude=a --chmod=755 d /o",
        &["d 755 o", "f 755 o/b = x", "d 755 o/sub", "h o/sub/c -> o/b"],
    );
    // As BuildKit does, not across sources.
    fixture.gives("COPY d/a d/b /o/", &["d 755 o", "f 644 o/a = x", "f 644 o/b = x"]);
}

#[test]
fn a_replaced_name_does_not_change_the_others() {
    let source = [
        "f 644 one/a = x",
        "h one/b -> one/a",
        "h one/c -> one/a",
        "f 600 two/a = y",
        "f 600 three/b = z",
    ];
    let fixture = Fixture::new(&source, &[]);
    fixture
        .gives("COPY one two /o/", &["d 755 o", "f 600 o/a = y", "f 644 o/b = x", "h o/c -> o/b"]);
    fixture.gives(
        "COPY one three /o/",
        &["d 755 o", "f 644 o/a = x", "f 600 o/b = z", "h o/c -> o/a"],
    );
    fixture.gives(
        "COPY one two three /o/",
        &["d 755 o", "f 600 o/a = y", "f 600 o/b = z", "f 644 o/c = x"],
    );
}

#[test]
fn attributes_that_images_carry_are_kept() {
    let fixture = Fixture::new(&["d 755 d/sub", "f 644 d/sub/f = x"], &["d 755 o/sub"]);
    let set = |path: &Path, name: &str| {
        rustix::fs::setxattr(path, name, b"1", rustix::fs::XattrFlags::empty())
    };
    let image = fixture.source("../image/o/sub");
    if set(&fixture.source("d/sub"), "user.dir").is_err() {
        return; // A file system without such attributes.
    }
    set(&fixture.source("d/sub/f"), "user.file").expect("set");
    set(&image, "user.old").expect("set");
    let tree = fixture.plan("COPY d /o").expect("copied");
    let names = |path: &str| {
        let names = tree[Path::new(path)].entry.meta.xattrs.keys();
        names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("o/sub"), ["user.dir", "user.old"]);
    assert_eq!(names("o/sub/f"), ["user.file"]);
}
