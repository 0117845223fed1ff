#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn node(path: &str, kind: Kind, pieces: &[(u32, u32, u32)]) -> Node {
    let mtime = Timestamp { secs: -5, nanos: 123_456_789 };
    let meta = Metadata { mode: 0o755, uid: 7, gid: 4_000_000_000, mtime, ..Metadata::default() };
    let piece = |(pack, number, length): &(u32, u32, u32)| Piece {
        pack: *pack,
        number: *number,
        length: *length,
    };
    Node {
        entry: Entry { path: path.into(), meta, kind },
        used: 480_000,
        pieces: pieces.iter().map(piece).collect(),
    }
}

fn root() -> Node {
    node("", Kind::Dir, &[])
}

fn file(path: &str, size: u64) -> Node {
    node(path, Kind::File { size }, &[(0, 0, size as u32)])
}

#[test]
fn a_tree_comes_back() {
    let mut linked = node("d/link", Kind::HardLink("d/f".into()), &[]);
    (linked.entry.meta, linked.used) = (Metadata::default(), 0);
    let mut attributes = node("x", Kind::Dir, &[]);
    attributes.entry.meta.xattrs.insert("user.a".into(), b"\0\xff".to_vec());
    let tree = Tree(vec![
        root(),
        node("d", Kind::Dir, &[]),
        node("d/f", Kind::File { size: 30_000 }, &[(3, 9, 20_000), (0, 0, 10_000)]),
        linked,
        node("empty", Kind::File { size: 0 }, &[]),
        node("sym", Kind::Symlink("../../etc".into()), &[]),
        attributes,
        node("x/\u{fffd}", Kind::File { size: 5 }, &[(0, 1, 5)]),
    ]);
    let bytes = tree.encode().unwrap();
    assert_eq!(Tree::decode(&bytes, 1 << 20).unwrap(), tree);
    assert!(matches!(Tree::decode(&bytes, 30_004), Err(MountError::TooLarge(_))));
    // However it is cut off, that is said.
    let plain = unzip(&bytes, PLAIN_MAX).unwrap();
    for end in 0..plain.len() {
        let cut = zstd::bulk::compress(&plain[..end], 1).unwrap();
        assert!(Tree::decode(&cut, 1 << 20).is_err(), "{end}");
    }
}

/// Trees that kiln would not write.
#[test]
fn hostile_trees_are_refused() {
    let long = "n".repeat(256);
    let mut rows: Vec<(&str, Vec<Node>)> = vec![
        ("a way out", vec![root(), file("..", 1)]),
        ("itself", vec![root(), file(".", 1)]),
        ("a long name", vec![root(), file(&long, 1)]),
        ("twice", vec![root(), file("a", 1), file("a", 1)]),
        ("a file and a directory", vec![root(), file("a", 1), node("a", Kind::Dir, &[])]),
        ("below a file", vec![root(), file("a", 1), file("a/b", 1)]),
        (
            "below a link",
            vec![root(), node("a", Kind::Symlink("/etc".into()), &[]), file("a/passwd", 1)],
        ),
        ("a whiteout", vec![root(), file(".wh.a", 1)]),
        ("an opaque directory", vec![root(), file(".wh..wh..opq", 1)]),
        ("no directory", vec![node("", Kind::File { size: 1 }, &[(0, 0, 1)])]),
        (
            "a hard link to a directory",
            vec![root(), node("d", Kind::Dir, &[]), node("l", Kind::HardLink("d".into()), &[])],
        ),
        (
            "too little",
            vec![root(), node("f", Kind::File { size: 40_000 }, &[(0, 0, 20_000), (0, 1, 19_999)])],
        ),
        (
            "too many pieces",
            vec![root(), node("f", Kind::File { size: 8 }, &[(0, 0, 4), (0, 1, 4)])],
        ),
        (
            "too much",
            vec![root(), node("f", Kind::File { size: 40_000 }, &[(0, 0, 20_000), (0, 1, 20_001)])],
        ),
        ("no content", vec![root(), node("f", Kind::File { size: 9 }, &[])]),
        ("a huge piece", vec![root(), file("f", chunks::MAX as u64 + 1)]),
        ("a huge file", vec![root(), file("f", u64::MAX)]),
        ("many huge files", vec![root(), file("f", u64::MAX / 2), file("g", u64::MAX / 2 + 2)]),
        ("a link to nothing", vec![root(), node("l", Kind::Symlink("".into()), &[])]),
        ("a link with a NUL", vec![root(), node("l", Kind::Symlink("a\0b".into()), &[])]),
    ];
    let mut strange = file("mode", 1);
    strange.entry.meta.mode = 0o10_000;
    rows.push(("a mode", vec![root(), strange]));
    for attribute in ["security.capability", "trusted.overlay.opaque", "user.", "user.a\0b"] {
        let mut strange = file("attribute", 1);
        strange.entry.meta.xattrs.insert(attribute.into(), b"x".to_vec());
        rows.push((attribute, vec![root(), strange]));
    }
    let mut strange = file("time", 1);
    strange.entry.meta.mtime.nanos = 1_000_000_000;
    rows.push(("a time", vec![root(), strange]));
    let mut strange = file("owner", 1);
    strange.entry.meta.uid = u32::MAX;
    rows.push(("an owner", vec![root(), strange]));
    for (what, nodes) in rows {
        let bytes = raw(&nodes);
        assert!(Tree::decode(&bytes, 1 << 40).is_err(), "{what}");
    }
}

#[test]
fn no_program_becomes_another_user_s() {
    let with = |mut node: Node, mode| {
        node.entry.meta.mode = mode;
        node
    };
    let tree = [root(), with(file("f", 1), 0o7755), with(node("d", Kind::Dir, &[]), 0o3775)];
    let modes: Vec<u32> = Tree::decode(&raw(&tree), 1 << 20).unwrap().0[1..]
        .iter()
        .map(|node| node.entry.meta.mode)
        .collect();
    assert_eq!(modes, [0o1755, 0o3775]);
}

/// Encodes without minding what it is; a name may have anything but a slash.
fn raw(nodes: &[Node]) -> Vec<u8> {
    Tree(nodes.to_vec()).encode().unwrap()
}

#[test]
fn names_with_slashes_and_references_ahead_are_refused() {
    let column = |parts: &[&dyn Fn(&mut Writer)]| {
        let mut writer = Writer::default();
        parts.iter().for_each(|part| part(&mut writer));
        writer.0
    };
    let build = |name: &[u8], back: u64| {
        let meta = |writer: &mut Writer| (0..3).for_each(|_| writer.number(0));
        let columns = [
            column(&[&|w| w.number(DIR), &|w| w.number(DIR), &|w| w.number(back)]),
            column(&[&|w| w.text(name)]),
            column(&[&meta, &meta]),
            vec![0; 4],
            vec![0; 2],
            Vec::new(),
            vec![0; 2],
        ];
        let mut all = Writer::default();
        all.number(VERSION);
        all.number(2);
        columns.iter().for_each(|column| all.text(column));
        zstd::bulk::compress(&all.0, 1).unwrap()
    };
    assert!(Tree::decode(&build(b"fine", 1), 0).is_ok());
    for name in [&b"a/b"[..], b"/etc", b"../a", b"", b"a\0b"] {
        assert!(Tree::decode(&build(name, 1), 0).is_err(), "{name:?}");
    }
    for back in [0, 2, u64::MAX] {
        assert!(Tree::decode(&build(b"fine", back), 0).is_err(), "{back}");
    }
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let bomb = zstd::bulk::compress(&vec![0; PLAIN_MAX + 1], 1).unwrap();
    assert!(matches!(Tree::decode(&bomb, 0), Err(MountError::TooLarge(_))));
    let mut many = Writer::default();
    many.number(VERSION);
    many.number(NODES_MAX as u64 + 1);
    let many = zstd::bulk::compress(&many.0, 1).unwrap();
    assert!(matches!(Tree::decode(&many, 0), Err(MountError::TooLarge(_))));
    assert!(Tree::decode(b"no zstd", 0).is_err());
    // Long paths, each below the last one, and many files there.
    let mut nodes = vec![root()];
    let mut path = PathBuf::new();
    for _ in 0..15 {
        path.push("n".repeat(255));
        nodes.push(node(path.to_str().unwrap(), Kind::Dir, &[]));
    }
    let files = (0..75_000).map(|name| {
        node(path.join(name.to_string()).to_str().unwrap(), Kind::File { size: 0 }, &[])
    });
    nodes.extend(files);
    let bytes = raw(&nodes);
    assert!(bytes.len() < 1 << 20);
    assert!(matches!(Tree::decode(&bytes, 0), Err(MountError::TooLarge(_))));
}
