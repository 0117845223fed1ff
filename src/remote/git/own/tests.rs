//! Packs: those of git, in every form that it writes, and those of somebody who means harm.

use std::fs;
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::budget::{Budget, Limits};
use super::checkout::{CheckedOut, check_out};
use super::id::{Id, Kind, Sha1};
use super::objects::Objects;
use super::wrong::Wrong;
use crate::cancel::Cancel;
use crate::rootfs::Root;

fn git(dir: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "safe.directory=*"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git");
    child.stdin.take().expect("piped").write_all(input).expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "git {args:?}");
    output.stdout
}

fn received(pack: &[u8], limits: Limits) -> Result<Objects, Wrong> {
    read(pack, &Rc::new(Budget::new(limits)))
}

fn read(pack: impl Read, budget: &Rc<Budget>) -> Result<Objects, Wrong> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = tempfile::tempfile().expect("a file");
    Objects::receive(pack, file, dir.path(), budget.clone(), &Cancel::default(), &|_| {})
}

/// A pack of entries that are complete with their heads.
fn pack(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"PACK\0\0\0\x02".to_vec();
    bytes.extend_from_slice(&(entries.len() as u32).to_be_bytes());
    entries.iter().for_each(|entry| bytes.extend_from_slice(entry));
    summed(bytes)
}

fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut hash = Sha1::new();
    hash.update(&bytes);
    bytes.extend_from_slice(hash.finish().as_bytes());
    bytes
}

/// An entry that announces a size, with a base between head and bytes.
fn entry(kind: u8, size: u64, base: &[u8], content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut byte, mut rest) = (kind << 4 | (size & 0x0f) as u8, size >> 4);
    while rest > 0 {
        bytes.push(byte | 0x80);
        (byte, rest) = ((rest & 0x7f) as u8, rest >> 7);
    }
    bytes.push(byte);
    bytes.extend_from_slice(base);
    let mut encoder = ZlibEncoder::new(bytes, Compression::fast());
    encoder.write_all(content).expect("written");
    encoder.finish().expect("finished")
}

fn whole(kind: u8, content: &[u8]) -> Vec<u8> {
    entry(kind, content.len() as u64, &[], content)
}

fn name(kind: Kind, content: &[u8]) -> Id {
    let mut hash = Sha1::of_object(kind, content.len() as u64);
    hash.update(content);
    hash.finish()
}

/// A delta that copies its base once, with these sizes.
fn delta(from: u8, to: u8) -> Vec<u8> {
    vec![from, to, 0x90, from]
}

#[test]
fn packs_of_git_are_read_in_every_form() {
    let dir = tempfile::tempdir().expect("a directory");
    git(dir.path(), &["init", "--quiet", "."], b"");
    let mut text = String::new();
    for round in 0..12 {
        text = format!("{text}\nline {round} {}", "words ".repeat(30 * round));
        fs::write(dir.path().join("grows"), &text).expect("written");
        fs::write(dir.path().join(format!("copy{round}")), format!("{round}{text}"))
            .expect("written");
        git(dir.path(), &["add", "."], b"");
        git(dir.path(), &["commit", "--quiet", "-m", "round"], b"");
    }
    let all = git(dir.path(), &["rev-list", "--objects", "--all"], b"");
    let names: Vec<u8> = all
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .flat_map(|line| {
            [line.split(|byte| *byte == b' ').next().unwrap_or_default(), b"\n"].concat()
        })
        .collect();
    for options in [
        &["--window=0"][..],
        &["--delta-base-offset", "--depth=50"],
        &["--depth=4095", "--window=50"],
        &["--compression=0", "--delta-base-offset"],
        &["--compression=9", "--no-reuse-delta"],
    ] {
        let args: Vec<&str> =
            ["pack-objects", "--stdout", "-q"].iter().chain(options).copied().collect();
        let bytes = git(dir.path(), &args, &names);
        let mut objects =
            received(&bytes, Limits::default()).unwrap_or_else(|e| panic!("{options:?}: {e}"));
        for line in String::from_utf8_lossy(&names).lines().filter(|line| !line.is_empty()) {
            let id = Id::parse(line).expect("a name");
            let (_, kind) = objects.find(&id).unwrap_or_else(|| panic!("{options:?}: no {line}"));
            let content = objects.small(&id, kind).expect("content");
            let expected = git(dir.path(), &["cat-file", kind.name(), line], b"");
            assert_eq!(content.bytes(), Some(expected.as_slice()), "{options:?}: {line}");
        }
        // The same index that git makes.
        let file = dir.path().join("x.pack");
        fs::write(&file, &bytes).expect("written");
        git(dir.path(), &["index-pack", "-o", "x.idx", "x.pack"], b"");
        let expected = fs::read(dir.path().join("x.idx")).expect("an index");
        let mut index = Vec::new();
        super::git_dir::pack_index(&objects, &mut index).expect("written");
        assert_eq!(index, expected[..expected.len() - 20], "{options:?}");
    }
}

#[test]
fn packs_that_mean_harm_are_refused() {
    let blob = whole(3, b"abc");
    let id = name(Kind::Blob, b"abc");
    let good = pack(std::slice::from_ref(&blob));
    let mut wrong_sum = good.clone();
    *wrong_sum.last_mut().expect("bytes") ^= 1;
    let mut wrong_byte = good.clone();
    wrong_byte[14] ^= 0xff;
    let ones: Vec<Vec<u8>> = {
        // Deltas that build on each other: 1 on 2, 2 on 1.
        let named = |id: &Id| entry(7, 4, id.as_bytes(), &delta(3, 3));
        vec![named(&name(Kind::Blob, b"x")), named(&name(Kind::Blob, b"y"))]
    };
    let head = |count: u32| [&b"PACK\0\0\0\x02"[..], &count.to_be_bytes()].concat();
    let limits = Limits { object: 1 << 30, objects: 1000, ..Limits::default() };
    for (what, bytes, words) in [
        ("nothing", Vec::new(), "ended before"),
        ("no pack", b"<html></html>".to_vec(), "is no pack"),
        ("cut", good[..good.len() - 25].to_vec(), "ended before"),
        ("cut in the sum", good[..good.len() - 5].to_vec(), "ended before"),
        ("wrong sum", wrong_sum, "checksum is another"),
        ("wrong byte", wrong_byte, "damaged"),
        ("more behind", [&good[..], b"x"].concat(), "behind its end"),
        ("fewer objects", summed(head(2)), "damaged"),
        ("many objects", head(u32::MAX), "and kiln takes 1000"),
        ("a huge size", pack(&[entry(3, 1 << 40, &[], b"abc")]), "and kiln takes 1073741824"),
        ("an endless size", [head(1), vec![0xff; 20]].concat(), "no number"),
        ("a size too large", pack(&[entry(3, 5, &[], b"abc")]), "too few bytes"),
        ("a size too small", pack(&[entry(3, 2, &[], b"abc")]), "too many bytes"),
        ("a kind of nothing", pack(&[entry(5, 3, &[], b"abc")]), "means nothing"),
        ("a delta to itself", pack(&[entry(6, 4, &[0], &delta(3, 3))]), "is no object"),
        ("a delta to before", pack(&[entry(6, 4, &[100], &delta(3, 3))]), "is no object"),
        (
            "a delta into the middle",
            pack(&[blob.clone(), entry(6, 4, &[1], &delta(3, 3))]),
            "is no object",
        ),
        ("deltas in a circle", pack(&ones), "2 of its objects build on others"),
        (
            "a delta to another",
            pack(&[blob.clone(), entry(7, 4, id.as_bytes(), &delta(9, 9))]),
            "for another object",
        ),
        (
            "a delta that promises gigabytes",
            pack(&[blob.clone(), entry(7, 7, id.as_bytes(), &[3, 255, 255, 255, 255, 127, 0])]),
            "more bytes than kiln takes",
        ),
        (
            "a delta beyond its base",
            pack(&[blob.clone(), entry(7, 4, id.as_bytes(), &[3, 9, 0x90, 9])]),
            "copies what is not there",
        ),
        (
            "a delta that is cut",
            pack(&[blob.clone(), entry(7, 2, id.as_bytes(), &[3, 0x83])]),
            "cut off",
        ),
    ] {
        let wrong = received(&bytes, limits).expect_err(what).to_string();
        assert!(wrong.contains(words), "{what}: {wrong}");
    }
    assert!(received(&good, limits).expect("good").find(&id).is_some());
}

#[test]
fn work_and_depth_have_an_end() {
    // Each doubles what is before it: 2^30 bytes out of a few hundred.
    let mut content = vec![b'x'; 0xffff];
    let mut entries = vec![whole(3, &content)];
    for _ in 0..6 {
        let (size, id) = (content.len() as u64, name(Kind::Blob, &content));
        let mut delta = Vec::new();
        for mut number in [size, 2 * size] {
            while number > 0x7f {
                delta.push(number as u8 | 0x80);
                number >>= 7;
            }
            delta.push(number as u8);
        }
        let copy = [0xf0, size as u8, (size >> 8) as u8, (size >> 16) as u8];
        delta.extend_from_slice(&[copy, copy].concat());
        entries.push(entry(7, delta.len() as u64, id.as_bytes(), &delta));
        content = content.repeat(2);
    }
    let bytes = pack(&entries);
    let limit = |limits: Limits| received(&bytes, limits).expect_err("too much").to_string();
    assert!(limit(Limits { work: 4 << 20, ..Limits::default() }).contains("more bytes than kiln"));
    assert!(limit(Limits { chain: 3, ..Limits::default() }).contains("without end"));
    assert!(limit(Limits { bytes: 100, ..Limits::default() }).contains("larger than kiln takes"));
    let objects = received(&bytes, Limits::default()).expect("read");
    assert!(objects.find(&name(Kind::Blob, &content)).is_some());
}

/// What the checkout of a tree says, and that nothing came of it outside.
fn checked_out(entries: &[Vec<u8>], tree: Id) -> String {
    let mut objects = received(&pack(entries), Limits::default()).expect("a pack");
    let dir = tempfile::tempdir().expect("a directory");
    let top = dir.path().join("top");
    fs::create_dir(&top).expect("made");
    let root = Root::open(&top).expect("a root");
    let outcome = check_out(&mut objects, tree, &root, Path::new(""), true);
    let names: Vec<_> =
        fs::read_dir(dir.path()).expect("read").map(|e| e.expect("one").file_name()).collect();
    assert_eq!(names, ["top"]);
    assert!(!top.join(".git").exists());
    outcome.expect_err("refused").to_string()
}

#[test]
fn trees_that_mean_harm_are_refused() {
    let blob = whole(3, b"abc");
    let id = name(Kind::Blob, b"abc");
    let one = |mode: &str, name: &str, id: &Id| {
        [mode.as_bytes(), b" ", name.as_bytes(), b"\0", id.as_bytes()].concat()
    };
    for (what, tree, words) in [
        ("up", one("100644", "..", &id), "as no file may be"),
        ("a path", one("100644", "../x", &id), "as no file may be"),
        ("git", one("100644", ".Git", &id), "as no file may be"),
        ("git as a directory", one("40000", ".git", &id), "as no file may be"),
        (
            "through a link",
            [one("120000", "a", &id), one("100644", "a", &id)].concat(),
            "two files named `a`",
        ),
        ("a link to nothing", one("120000", "a", &name(Kind::Blob, b"")), "left out the blob"),
        ("a file that is a tree", one("40000", "a", &id), "is a blob and was to be a tree"),
        ("nothing", one("100644", "a", &name(Kind::Blob, b"no")), "left out the blob"),
        ("nonsense", b"100644 a".to_vec(), "is damaged"),
    ] {
        let top = name(Kind::Tree, &tree);
        let said = checked_out(&[blob.clone(), whole(2, &tree)], top);
        assert!(said.contains(words), "{what}: {said}");
    }
    // A directory within a directory, many times.
    let mut entries = vec![blob];
    let mut tree = one("100644", "f", &id);
    for _ in 0..600 {
        entries.push(whole(2, &tree));
        tree = one("40000", "d", &name(Kind::Tree, &tree));
    }
    entries.push(whole(2, &tree));
    let said = checked_out(&entries, name(Kind::Tree, &tree));
    assert!(said.contains("nested too deeply"), "{said}");
}

#[test]
fn what_is_large_is_not_held_in_memory() {
    let large = vec![7_u8; (17 << 20) + 1];
    let id = name(Kind::Blob, &large);
    let mut delta = Vec::new();
    let size = large.len() as u64;
    for mut number in [size, 100] {
        while number > 0x7f {
            delta.push(number as u8 | 0x80);
            number >>= 7;
        }
        delta.push(number as u8);
    }
    delta.extend_from_slice(&[0x90, 100]);
    let bytes = pack(&[whole(3, &large), entry(7, delta.len() as u64, id.as_bytes(), &delta)]);
    let mut objects = received(&bytes, Limits::default()).expect("a pack");
    let small = name(Kind::Blob, &[7; 100]);
    assert_eq!(objects.small(&small, Kind::Blob).expect("small").bytes(), Some(&[7; 100][..]));
    let wrong = objects.small(&id, Kind::Blob).expect_err("large").to_string();
    assert!(wrong.contains("more bytes than kiln takes"), "{wrong}");
    let mut out = tempfile::tempfile().expect("a file");
    assert_eq!(objects.copy(&id, &mut out, Path::new("out")).expect("copied"), size);
    // What fails here is this machine's doing, and says where.
    let mut full = fs::File::options().write(true).open("/dev/full").expect("a full disk");
    let wrong = objects.copy(&id, &mut full, Path::new("/out/file")).expect_err("full");
    assert!(matches!(wrong, Wrong::Ours(_)), "{wrong}");
    assert!(wrong.to_string().starts_with("cannot write /out/file: No space"), "{wrong}");
    let dir = Path::new("/some/dir");
    let budget = Rc::new(Budget::default());
    let wrong = Objects::receive(&bytes[..], full, dir, budget, &Cancel::default(), &|_| {});
    let wrong = wrong.expect_err("full");
    assert!(matches!(wrong, Wrong::Ours(_)), "{wrong}");
    assert!(wrong.to_string().starts_with("cannot write in /some/dir: No space"), "{wrong}");
}

#[test]
fn an_object_that_never_ends_is_refused() {
    let mut head = b"PACK\0\0\0\x02\0\0\0\x01".to_vec();
    // A blob of no bytes, in blocks of no bytes.
    head.extend_from_slice(&[0x30, 0x78, 0x01]);
    let block = [0, 0, 0, 0xff, 0xff];
    let blocks: Vec<u8> = block.repeat(1 << 20);
    let sent = head.len() as u64 + (64 << 20);
    let mut left = head.chain(Cycle { bytes: &blocks, at: 0 }).take(sent);
    let wrong = read(&mut left, &Rc::default()).expect_err("endless").to_string();
    assert!(wrong.contains("takes more bytes than it has"), "{wrong}");
    assert!(sent - left.limit() < 1 << 20, "{} bytes were read", sent - left.limit());
}

/// Bytes, again and again.
struct Cycle<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Read for Cycle<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = (&self.bytes[self.at..]).read(into)?;
        self.at = (self.at + length) % self.bytes.len();
        Ok(length)
    }
}

#[test]
fn deltas_that_make_their_base_anew_are_read_once() {
    let id = name(Kind::Blob, b"abc");
    let mut entries = vec![whole(3, b"abc")];
    entries.resize(3000, entry(7, 4, id.as_bytes(), &delta(3, 3)));
    let objects = received(&pack(&entries), Limits::default()).expect("a pack");
    assert_eq!(objects.listed().filter(|(one, ..)| *one == id).count(), 3000);
}

/// A pack with a tree that has one blob, a delta, under many names; the tree, and bytes of the blob.
fn one_blob_many_times(count: usize) -> (Vec<u8>, Id, u64) {
    let base = [b'x'; 0xffff];
    let blob = &base[1..];
    // Copies all but the first byte.
    let order = [0xff, 0xff, 0x03, 0xfe, 0xff, 0x03, 0xb1, 1, 0xfe, 0xff];
    let base_id = name(Kind::Blob, &base);
    let id = name(Kind::Blob, blob);
    let tree: Vec<u8> = (0..count)
        .flat_map(|number| [format!("100644 f{number:04}\0").as_bytes(), id.as_bytes()].concat())
        .collect();
    let delta = entry(7, order.len() as u64, base_id.as_bytes(), &order);
    // It has a child, so it is at hand when it is written.
    let child = entry(7, 6, id.as_bytes(), &[0xfe, 0xff, 0x03, 3, 0x90, 3]);
    let bytes = pack(&[whole(3, &base), delta, child, whole(2, &tree)]);
    (bytes, name(Kind::Tree, &tree), blob.len() as u64)
}

fn unfolded(pack: &[u8], tree: Id, budget: &Rc<Budget>) -> Result<CheckedOut, Wrong> {
    let mut objects = read(pack, budget)?;
    let dir = tempfile::tempdir().expect("a directory");
    let root = Root::open(dir.path()).expect("a root");
    check_out(&mut objects, tree, &root, Path::new(""), true)
}

#[test]
fn what_is_written_counts_and_all_repositories_count_together() {
    let (bytes, tree, size) = one_blob_many_times(50);
    let run = |budget: &Rc<Budget>| {
        unfolded(&bytes, tree, budget).map(|out| out.made.len()).map_err(|wrong| wrong.to_string())
    };
    let of = |limits: Limits| Rc::new(Budget::new(limits));
    let enough = Limits { work: 60 * size, ..Limits::default() };
    assert_eq!(run(&of(enough)), Ok(50));
    for (limits, words) in [
        // Of which reading the pack takes 4.
        (Limits { work: 30 * size, ..enough }, "more bytes than kiln takes"),
        (Limits { files: 49, ..enough }, "more than 49 files"),
        (Limits { paths: 49 * 69, ..enough }, "longer names than kiln has memory for"),
        (Limits { bytes: bytes.len() as u64 - 21, ..enough }, "larger than kiln takes"),
    ] {
        let wrong = run(&of(limits)).expect_err(words);
        assert!(wrong.contains(words), "{wrong}");
    }
    // A second repository finds only what the first has left.
    for (limits, words) in [
        (enough, "more bytes than kiln takes"),
        (Limits { files: 99, ..Limits::default() }, "more than 99 files"),
        (Limits { paths: 99 * 69, ..Limits::default() }, "longer names"),
        (Limits { bytes: 2 * bytes.len() as u64 - 21, ..Limits::default() }, "larger than kiln"),
    ] {
        let budget = of(limits);
        assert_eq!(run(&budget), Ok(50), "{words}");
        let wrong = run(&budget).expect_err(words);
        assert!(wrong.contains(words), "{wrong}");
    }
}

#[test]
fn directories_that_wait_are_counted_while_they_wait() {
    let blob = whole(3, b"abc");
    let id = name(Kind::Blob, b"abc");
    let file = [b"100644 f\0".as_slice(), id.as_bytes()].concat();
    let inner = name(Kind::Tree, &file);
    let dirs = |count: usize| -> Vec<u8> {
        let one = |number| [format!("40000 d{number:03}\0").as_bytes(), inner.as_bytes()].concat();
        (0..count).flat_map(one).collect()
    };
    let tree = dirs(100);
    let bytes = pack(&[blob, whole(2, &file), whole(2, &tree)]);
    for (paths, is_enough) in [(100 * 68, true), (100 * 68 - 1, false)] {
        let budget = Rc::new(Budget::new(Limits { paths, ..Limits::default() }));
        let mut objects = read(&bytes[..], &budget).expect("a pack");
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::open(dir.path()).expect("a root");
        let top = name(Kind::Tree, &tree);
        let outcome = check_out(&mut objects, top, &root, Path::new(""), false);
        assert_eq!(outcome.is_ok(), is_enough);
    }
}
