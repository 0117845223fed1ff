//! ADD of archives.

use std::io::Write;
use std::path::Path;

use super::fixture::{CREATED, Fixture, listing};
use crate::rootfs::copy::Owner;

/// A tar of lines as a fixture has them, with the modes that the lines say. Paths are written as
/// they stand, however hostile.
fn tar(lines: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for line in lines {
        let (kind, rest) = line.split_once(' ').expect("a kind");
        let (mode, rest) = match kind {
            "l" | "h" => ("644", rest),
            _ => rest.split_once(' ').expect("a mode"),
        };
        let (path, target) = rest.split_once(" -> ").unwrap_or((rest, ""));
        let (path, content) = path.split_once(" = ").unwrap_or((path, ""));
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(match kind {
            "d" => tar::EntryType::Directory,
            "l" => tar::EntryType::Symlink,
            "h" => tar::EntryType::Link,
            "c" => tar::EntryType::Char,
            "p" => tar::EntryType::Fifo,
            _ => tar::EntryType::Regular,
        });
        header.set_mode(u32::from_str_radix(mode, 8).expect("octal"));
        header.set_uid(11);
        header.set_gid(12);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_device_major(1).expect("ustar");
        header.set_device_minor(3).expect("ustar");
        header.set_cksum();
        builder.append(&header, content.as_bytes()).expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

fn bzip2(data: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

fn xz(data: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).expect("memory")
}

fn fixture(files: &[(&str, Vec<u8>)], image: &[&str]) -> Fixture {
    let fixture = Fixture::new(&[], image);
    for (name, data) in files {
        std::fs::write(fixture.source(name), data).expect("written");
    }
    fixture
}

#[test]
fn archives_are_known_by_their_content() {
    let tree = ["f 644 d/f = hello", "f 755 g = x"];
    let unpacked = ["d 755 o", "d 755 o/d", "f 644 o/d/f = hello", "f 755 o/g = x"];
    for (name, pack) in [
        ("plain", (|data| data.to_vec()) as fn(&[u8]) -> Vec<u8>),
        ("gzip", gzip),
        ("bzip2", bzip2),
        ("xz", xz),
        ("zstd", zstd),
    ] {
        let fixture = fixture(&[("no.suffix", pack(&tar(&tree)))], &[]);
        for line in ["ADD no.suffix /o", "ADD no.suffix /o/", "ADD no.* /o/"] {
            assert_eq!(listing(&fixture.plan(line).expect(name)), unpacked, "{name} {line}");
        }
        let copied = fixture.plan("COPY no.suffix /o").expect(name);
        assert_eq!(copied.len(), 1, "{name}");
    }
}

#[test]
fn archives_need_no_slash() {
    let files = [("1.tar", tar(&["f 644 a = 1"])), ("2.tar", gzip(&tar(&["f 644 b = 2"])))];
    let fixture = fixture(&files, &[]);
    fixture.gives("ADD *.tar /o", &["d 755 o", "f 644 o/a = 1", "f 644 o/b = 2"]);
}

#[test]
fn other_files_are_copied_as_they_are() {
    let files = [
        ("empty.tar", tar(&[])),
        ("text.gz", gzip(b"text")),
        ("zero", Vec::new()),
        ("cut.gz", gzip(&tar(&["f 644 f = x"]))[..20].to_vec()),
        ("text", b"text".to_vec()),
    ];
    let fixture = fixture(&files, &[]);
    let tree = fixture.plan("ADD empty.tar text.gz zero cut.gz text /").expect("copied");
    let names: Vec<_> = tree.keys().map(|path| path.display().to_string()).collect();
    assert_eq!(names, ["cut.gz", "empty.tar", "text", "text.gz", "zero"]);
}

#[test]
fn a_damaged_archive_is_an_error() {
    let whole = tar(&["f 644 a = x", "f 644 b = y"]);
    let mut bad = whole.clone();
    bad[1024 + 150] ^= 1;
    let fixture = fixture(&[("cut.tar", whole[..1500].to_vec()), ("bad.tar", bad)], &[]);
    for name in ["cut.tar", "bad.tar"] {
        let error = fixture.plan(&format!("ADD {name} /")).expect_err(name).to_string();
        assert!(error.starts_with(&format!("cannot unpack \"/{name}\": ")), "{error}");
    }
}

#[test]
fn members_keep_what_the_archive_says() {
    let members = [
        "d 700 ./",
        "d 711 ./a/",
        "f 4755 ./a/f = hello",
        "f 644 b/c/d = deep",
        "l ln -> /a",
        "f 644 ln/through = t",
        "h h -> a/through",
        "c 600 null",
        "p 600 pipe",
    ];
    let fixture = fixture(&[("x.tar", tar(&members))], &["d 750 o"]);
    let tree = fixture.plan("ADD --chmod=777 x.tar /o").expect("unpacked");
    assert_eq!(
        listing(&tree),
        [
            "d 750 o",
            "d 711 o/a",
            "f 4755 o/a/f = hello",
            "f 644 o/a/through = t",
            "d 755 o/b",
            "d 755 o/b/c",
            "f 644 o/b/c/d = deep",
            "h o/h -> o/a/through",
            "l o/ln -> /a",
            "CharDevice { major: 1, minor: 3 } 600 o/null",
            "p 600 o/pipe",
        ]
    );
    let meta = |path: &str| tree[Path::new(path)].entry.meta.clone();
    assert_eq!((meta("o/a").uid, meta("o/a").gid), (11, 12));
    assert_eq!(meta("o/a").mtime.secs, 1_000_000_000);
    assert_eq!((meta("o/b").uid, meta("o/b").mtime), (0, CREATED));
}

#[test]
fn a_hard_link_changes_what_it_links_to() {
    let fixture = fixture(&[("x.tar", tar(&["f 600 b = x", "h a -> b"]))], &[]);
    fixture.gives("ADD x.tar /", &["f 644 a = x", "h b -> a"]);
    let tree = fixture.plan("ADD x.tar /").expect("unpacked");
    assert_eq!(tree[Path::new("b")].entry.meta, tree[Path::new("a")].entry.meta);
}

#[test]
fn chown_is_for_archives_too() {
    let fixture = fixture(&[("x.tar", tar(&["f 644 d/f = x"]))], &[]).owned_by(Owner::Fixed(3, 4));
    let tree = fixture.plan("ADD x.tar /o").expect("unpacked");
    let uid = |path: &str| tree[Path::new(path)].entry.meta.uid;
    assert_eq!((uid("o"), uid("o/d/f")), (3, 3));
}

#[test]
fn nothing_leaves_the_destination() {
    for (members, image, expected) in [
        (
            ["l esc -> ../../..", "f 644 esc/z = z"].as_slice(),
            [].as_slice(),
            ["d 755 o", "l o/esc -> ../../..", "f 644 o/z = z"].as_slice(),
        ),
        (&["f 644 /abs/f = x"], &[], &["d 755 o", "d 755 o/abs", "f 644 o/abs/f = x"]),
        (
            &["l e -> /etc", "f 644 e/passwd = x"],
            &["f 644 etc/passwd = real"],
            &["d 755 o", "l o/e -> /etc", "d 755 o/etc", "f 644 o/etc/passwd = x"],
        ),
        (
            &["f 644 lib/f = x"],
            &["d 755 o/real", "l o/lib -> ../../o/real", "d 755 o/o"],
            &["d 755 o", "d 755 o/o", "d 755 o/o/real", "f 644 o/o/real/f = x"],
        ),
        (
            // Through a link that was replaced meanwhile.
            &["l a -> b", "f 644 a/1 = 1", "d 700 a", "f 644 a/2 = 2"],
            &[],
            &["d 755 o", "d 700 o/a", "f 644 o/a/2 = 2", "d 755 o/b", "f 644 o/b/1 = 1"],
        ),
    ] {
        let fixture = fixture(&[("x.tar", tar(members))], image);
        let tree = fixture.plan("ADD x.tar /o").expect("unpacked");
        assert_eq!(listing(&tree), expected, "{members:?}");
    }
}

#[test]
fn hostile_members_are_refused() {
    for (member, words) in [
        ("f 644 ../up = x", "`..`"),
        ("f 644 a/../../up = x", "`..`"),
        ("h h -> ../../etc/passwd", "`..`"),
        ("h h -> /etc/passwd", "which is no file of the archive"),
        ("h h -> dir", "which is no file of the archive"),
        ("h dir -> dir/f", "which is no file of the archive"),
        ("f 644 .wh.etc = x", "the order to delete a file"),
        ("f 644 d/.wh..wh..opq = x", "the order to delete a file"),
        ("f 644 .wh.d/f = x", "the order to delete a file"),
        ("f 644 dir/f/below = x", "/o/dir/f is not a directory"),
        ("f 644 loop/x = x", "too many symbolic links"),
    ] {
        let members = tar(&["d 755 dir", "f 644 dir/f = x", "l loop -> loop", member]);
        let fixture = fixture(&[("x.tar", members)], &["f 644 etc/passwd = real"]);
        let error = fixture.plan("ADD x.tar /o").expect_err(member).to_string();
        assert!(error.contains(words), "{member}: {error}");
    }
}

#[test]
fn later_members_win() {
    for (members, expected) in [
        (
            // The content that had two names lives on under the other one.
            ["f 644 q = 1", "h z -> q", "f 600 q = 3"].as_slice(),
            ["f 600 q = 3", "f 644 z = 1"].as_slice(),
        ),
        // A name before the one that has the content.
        (&["f 644 z = 1", "h a -> z", "h m -> a"], &["f 644 a = 1", "h m -> a", "h z -> a"]),
        (&["f 644 d/a = 1", "h x -> d/a", "f 644 d = 2"], &["f 644 d = 2", "f 644 x = 1"]),
        (&["f 644 d = 1", "d 700 d", "f 644 d/a = 2"], &["d 700 d", "f 644 d/a = 2"]),
        (&["f 644 a = 1", "h a -> a"], &["f 644 a = 1"]),
        (&["l l -> x", "h k -> l"], &["l k -> x", "l l -> x"]),
        // What the image has there is replaced: a link that is a directory, a directory that is a
        // file. A directory stays, with another mode.
        (&["d 700 link", "f 644 link/a = 1"], &["d 700 link", "f 644 link/a = 1"]),
        (&["f 644 old = 1"], &["f 644 old = 1"]),
        (&["d 700 old", "f 644 old/b = 1"], &["d 700 old", "f 644 old/b = 1"]),
    ] {
        let image = ["f 644 old/a = old", "l link -> old"];
        let fixture = fixture(&[("x.tar", gzip(&tar(members)))], &image);
        assert_eq!(listing(&fixture.plan("ADD x.tar /").expect("unpacked")), expected);
    }
}

#[test]
fn sparse_members_become_plain() {
    let fixture = Fixture::new(&[], &[]);
    let big = fixture.source("big");
    let file = std::fs::File::create(&big).expect("made");
    std::os::unix::fs::FileExt::write_at(&file, b"end", 1 << 20).expect("written");
    let status = std::process::Command::new("tar")
        .args(["--sparse", "-cf", "x.tar", "big"])
        .current_dir(fixture.source(""))
        .status()
        .expect("tar is installed");
    assert!(status.success());
    let tree = fixture.plan("ADD x.tar /o/").expect("unpacked");
    let mut content = Vec::new();
    let mut reader = tree[Path::new("o/big")].content.open().expect("opens");
    std::io::copy(&mut reader, &mut content).expect("read");
    assert!(content == [vec![0; 1 << 20], b"end".to_vec()].concat());
}
