use std::path::Path;
use std::process::Command;

use super::*;
use crate::layer::entry::Timestamp;
use crate::layer::tar_header::{
    DEV_MAJOR, GID, GNU_ATIME, GNU_MAGIC, LINK, MAGIC, MODE, MTIME, PREFIX, UID, USTAR_MAGIC,
    put_octal,
};

/// A header, for a test to change before it is sealed.
fn header(name: &[u8], kind: u8, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[NAME][..name.len()].copy_from_slice(name);
    for (field, value) in [(MODE, 0o644), (UID, 0), (GID, 0), (MTIME, 0)] {
        put_octal(&mut block[field], value);
    }
    put_octal(&mut block[SIZE], size);
    block[TYPE] = kind;
    block[MAGIC].copy_from_slice(USTAR_MAGIC);
    block
}

fn seal(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    let (sum, _) = checksums(&block);
    put_octal(&mut block[CHECKSUM], sum);
    block
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(content.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn member(name: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    [&seal(header(name, kind, content.len() as u64))[..], &padded(content)].concat()
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    member(b"PaxHeaders.0/x", b'x', &pax_records(records))
}

fn pax_records(records: &[(&str, &str)]) -> Vec<u8> {
    let text = records.iter().map(|(key, value)| {
        let rest = key.len() + value.len() + 3;
        let len = (rest..).find(|len| rest + len.to_string().len() == *len).expect("some length");
        format!("{len} {key}={value}\n")
    });
    text.collect::<String>().into_bytes()
}

fn archive(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 2 * BLOCK]].concat()
}

/// Every entry with its content.
fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = TarReader::new(bytes);
    let mut entries = Vec::new();
    while let Some(mut member) = reader.next()? {
        let mut content = Vec::new();
        member.read_to_end(&mut content).map_err(TarError::Read)?;
        entries.push((member.entry, content));
    }
    Ok(entries)
}

fn one(parts: &[Vec<u8>]) -> (Entry, Vec<u8>) {
    let mut entries = read(&archive(parts)).expect("valid");
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

#[test]
fn paths_are_cleaned_or_refused() {
    for (raw, expected) in [
        (&b"a"[..], Some("a")),
        (b"./a/b", Some("a/b")),
        (b"/etc/x", Some("etc/x")),
        (b"//a//.//b", Some("a/b")),
        (b"..a/b..", Some("..a/b..")),
        (b"../a", None),
        (b"a/../b", None),
        (b"a/..", None),
        (b"/..", None),
        (b"..", None),
        (b"", None),
        (b".", None),
    ] {
        let name = String::from_utf8_lossy(raw);
        let found = read(&archive(&[member(raw, b'6', b"")]));
        let link = seal({
            let mut block = header(b"link", b'1', 0);
            block[LINK][..raw.len()].copy_from_slice(raw);
            block
        });
        let linked = read(&archive(&[link.to_vec()]));
        match expected {
            Some(path) => {
                assert_eq!(found.expect("valid")[0].0.path, Path::new(path));
                assert_eq!(linked.expect("valid")[0].0.kind, Kind::HardLink(path.into()));
            }
            None if raw.windows(2).any(|pair| pair == b"..") => {
                for error in [found.expect_err("refused"), linked.expect_err("refused")] {
                    assert!(matches!(error, TarError::Escapes { .. }), "{name}: {error}");
                }
            }
            None => assert!(found.is_err() && linked.is_err(), "{name}"),
        }
    }
    let error = read(&archive(&[member(b"a/../../etc/passwd", b'0', b"")])).expect_err("refused");
    assert!(error.to_string().contains("a/../../etc/passwd"), "{error}");
}

#[test]
fn the_root_and_directories() {
    for name in [&b"./"[..], b"/", b"."] {
        let (entry, _) = one(&[member(name, b'5', b"")]);
        assert_eq!((entry.path.as_os_str().len(), entry.kind), (0, Kind::Dir));
    }
    // BSD's and v7's way.
    for kind in *b"0\0" {
        assert_eq!(one(&[member(b"d/", kind, b"")]).0.kind, Kind::Dir);
        assert!(read(&archive(&[member(b"d/", kind, b"content")])).is_err());
    }
}

#[test]
fn types() {
    assert_eq!(one(&[member(b"f", b'7', b"abc")]).1, b"abc");
    assert_eq!(one(&[member(b"f", b'\0', b"abc")]).1, b"abc");
    assert_eq!(one(&[member(b"vol", b'V', b""), member(b"f", b'0', b"abc")]).1, b"abc");
    let error = read(&archive(&[member(b"f", b'D', b"")])).expect_err("refused").to_string();
    assert!(error.contains('f') && error.contains("`D`"), "{error}");
    // A link's or a directory's size is not followed by content.
    for kind in *b"125" {
        let mut block = header(b"l", kind, 700);
        block[LINK][0] = b't';
        let entries = read(&archive(&[seal(block).to_vec(), member(b"f", b'0', b"abc")]));
        assert_eq!(entries.expect("valid")[1].1, b"abc");
    }
    assert!(read(&archive(&[member(b"l", b'2', b"")])).is_err(), "a link to nothing");
}

#[test]
fn every_way_to_say_a_long_name() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(90));
    let gnu = member(b"././@LongLink", b'L', format!("{long}\0").as_bytes());
    assert_eq!(one(&[gnu, member(b"cut", b'0', b"abc")]).0.path, Path::new(&long));
    assert_eq!(one(&[pax(&[("path", &long)]), member(b"cut", b'6', b"")]).0.path, Path::new(&long));
    let mut prefixed = header("f".repeat(90).as_bytes(), b'0', 0);
    prefixed[PREFIX][..120].fill(b'd');
    assert_eq!(one(&[seal(prefixed).to_vec()]).0.path, Path::new(&long));
    // star: a shorter prefix, then times.
    let mut star = prefixed;
    star[476..500].copy_from_slice(b"00000000001 00000000002 ");
    star[508..].copy_from_slice(b"tar\0");
    assert_eq!(one(&[seal(star).to_vec()]).0.path, Path::new(&long));
    // GNU: no prefix but times, unless an old Go wrote it.
    let mut times = header(b"f", b'0', 0);
    times[MAGIC].copy_from_slice(GNU_MAGIC);
    put_octal(&mut times[GNU_ATIME], 5);
    assert_eq!(one(&[seal(times).to_vec()]).0.path, Path::new("f"));
    prefixed[MAGIC].copy_from_slice(GNU_MAGIC);
    assert_eq!(one(&[seal(prefixed).to_vec()]).0.path, Path::new(&long));
    // v7 has no prefix at all.
    let mut v7 = prefixed;
    v7[MAGIC].fill(0);
    assert_eq!(one(&[seal(v7).to_vec()]).0.path, Path::new(&"f".repeat(90)));

    let link = member(b"././@LongLink", b'K', long.as_bytes());
    let target = Kind::Symlink(long.clone().into());
    assert_eq!(one(&[link, member(b"l", b'2', b"")]).0.kind, target);
    assert_eq!(one(&[pax(&[("linkpath", &long)]), member(b"l", b'2', b"")]).0.kind, target);
}

#[test]
fn records_override_the_header() {
    let records = [
        ("uid", "3000000"),
        ("gid", "4294967295"),
        ("mtime", "-1.5"),
        ("size", "3"),
        ("comment", "ignored"),
        ("path", ""),
        ("SCHILY.xattr.user.a", "1=\n"),
        ("SCHILY.xattr.user.empty", ""),
    ];
    let mut block = header(b"kept", b'0', 999);
    block[SIZE].fill(b'0');
    let (entry, content) = one(&[pax(&records), seal(block).to_vec(), padded(b"abc")]);
    assert_eq!((entry.path.as_path(), &content[..]), (Path::new("kept"), &b"abc"[..]));
    assert_eq!(entry.kind, Kind::File { size: 3 });
    assert_eq!((entry.meta.uid, entry.meta.gid), (3_000_000, u32::MAX));
    assert_eq!(entry.meta.mtime, Timestamp { secs: -2, nanos: 500_000_000 });
    let xattrs: Vec<_> = entry.meta.xattrs.into_iter().collect();
    assert_eq!(xattrs, [("user.a".into(), b"1=\n".to_vec()), ("user.empty".into(), Vec::new())]);
}

#[test]
fn records_hold_for_one_member_and_globals_for_all() {
    let global =
        member(b"pax_global_header", b'g', &pax_records(&[("uid", "5"), ("comment", "x")]));
    let parts = [
        global,
        pax(&[("uid", "7"), ("path", "renamed")]),
        member(b"a", b'6', b""),
        member(b"b", b'6', b""),
    ];
    let entries = read(&archive(&parts)).expect("valid");
    let seen: Vec<_> =
        entries.iter().map(|(e, _)| (e.path.to_str().expect("text"), e.meta.uid)).collect();
    assert_eq!(seen, [("renamed", 7), ("b", 5)]);
    for key in ["path", "linkpath", "size", "GNU.sparse.size", "GNU.sparse.offset"] {
        let global = member(b"pax_global_header", b'g', &pax_records(&[(key, "1")]));
        assert!(read(&archive(&[global, member(b"a", b'6', b"")])).is_err(), "{key}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bad = |records: &[(&str, &str)]| read(&archive(&[pax(records), member(b"f", b'0', b"")]));
    for records in [
        [("uid", "-1")],
        [("uid", "4294967296")],
        [("gid", "x")],
        [("size", "-5")],
        [("size", "99999999999999999999")],
        [("size", "9223372036854775807")],
        [("mtime", "soon")],
        [("path", "a\0b")],
        [("path", "../x")],
        [("GNU.sparse.name", "../x")],
    ] {
        assert!(bad(&records).is_err(), "{records:?}");
    }
    for field in [MODE, UID, GID, SIZE, MTIME] {
        let mut block = header(b"f", b'0', 0);
        block[field.start] = b'x';
        assert!(read(&archive(&[seal(block).to_vec()])).is_err(), "{field:?}");
    }
    // A device number matters to a device only.
    for (kind, valid) in [(b'3', false), (b'0', true)] {
        let mut block = header(b"f", kind, 0);
        block[DEV_MAJOR].fill(b'x');
        assert_eq!(read(&archive(&[seal(block).to_vec()])).is_ok(), valid);
    }
}

#[test]
fn limits() {
    let long = "x/".repeat(2100);
    let many = "v".repeat(65_537);
    for (parts, what) in [
        (vec![pax(&[("path", &long)]), member(b"f", b'0', b"")], "4096"),
        (vec![pax(&[("linkpath", &long)]), member(b"f", b'2', b"")], "4095"),
        (vec![pax(&[("SCHILY.xattr.user.x", &many)]), member(b"f", b'0', b"")], "attribute"),
        (vec![seal(header(b"x", b'x', (1 << 20) + 1)).to_vec()], "1 MiB"),
        (vec![seal(header(b"x", b'L', u64::from(u32::MAX))).to_vec()], "1 MiB"),
    ] {
        let error = read(&archive(&parts)).expect_err(what);
        assert!(matches!(error, TarError::Limit { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    // Global headers must not add up.
    let value = "v".repeat(60_000);
    let globals = (0..40).map(|index| {
        let key = format!("SCHILY.xattr.user.{index}");
        member(b"g", b'g', &pax_records(&[(&key, &value)]))
    });
    let parts: Vec<_> = globals.collect();
    assert!(matches!(read(&archive(&parts)), Err(TarError::Limit { .. })));
    let exactly = "x".repeat(4096);
    assert!(read(&archive(&[pax(&[("path", &exactly)]), member(b"f", b'0', b"")])).is_ok());
}

#[test]
fn ends() {
    let file = member(b"f", b'0', b"content");
    assert_eq!(read(&[]).expect("an empty archive").len(), 0);
    assert_eq!(read(&file).expect("without an end").len(), 1);
    assert_eq!(read(&[&file[..], &[0; BLOCK]].concat()).expect("half an end").len(), 1);
    assert_eq!(
        read(&[&archive(std::slice::from_ref(&file))[..], b"junk"].concat()).expect("junk").len(),
        1
    );
    assert!(read(&[&file[..], &[0; BLOCK], &file].concat()).is_err(), "a hole");
    for len in 1..file.len() {
        if len == BLOCK {
            continue;
        }
        assert!(read(&file[..len]).is_err(), "{len}");
    }
    assert!(read(&file[..BLOCK]).is_err(), "no content");
    assert!(read(&pax(&[("path", "x")])).is_err(), "records of nothing");
    let mut flipped = archive(&[file]);
    flipped[3] ^= 1;
    let error = read(&flipped).expect_err("a wrong checksum").to_string();
    assert!(error.contains("checksum"), "{error}");
    assert!(read(&[b'x'; 2000]).is_err() && !looks_like_tar(&[b'x'; 512]));
}

#[test]
fn a_skipped_member_that_is_cut_off_is_an_error_too() {
    let file = member(b"f", b'0', &[7; 2000]);
    let mut reader = TarReader::new(&file[..1000]);
    assert!(reader.next().expect("the header is whole").is_some());
    assert!(matches!(reader.next(), Err(TarError::Damaged { .. })));
    assert!(matches!(reader.next(), Err(TarError::Broken)));
}

#[test]
fn draining_reads_what_is_behind_the_end() {
    let bytes = [archive(&[member(b"f", b'0', b"abc")]), vec![0; 9000]].concat();
    let mut reader = TarReader::new(io::Cursor::new(&bytes));
    while reader.next().expect("valid").is_some() {}
    let end = reader.drain().expect("memory").position();
    assert_eq!(end, bytes.len() as u64);
}

#[test]
fn hostile_names_do_not_reach_the_terminal() {
    let error = read(&archive(&[member(b"a\x1b[2J/../b", b'0', b"")])).expect_err("refused");
    assert!(!error.to_string().contains('\x1b'), "{error}");
}

mod sparse_files {
    use super::*;

    /// A member of format 1.0.
    fn version_1(list: &str, data: &[u8], size: &str) -> Vec<Vec<u8>> {
        let content = [padded(list.as_bytes()), data.to_vec()].concat();
        let records = [
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "real"),
            ("GNU.sparse.realsize", size),
        ];
        vec![pax(&records), member(b"GNUSparseFile.0/real", b'0', &content)]
    }

    fn version_0(map: &str, data: &[u8], size: &str) -> Vec<Vec<u8>> {
        let records = [("GNU.sparse.size", size), ("GNU.sparse.map", map)];
        vec![pax(&records), member(b"f", b'0', data)]
    }

    #[test]
    fn become_plain_data() {
        let expected = b"\0\0abc\0\0de\0";
        let mut repeated = vec![("GNU.sparse.size", "10"), ("GNU.sparse.numblocks", "2")];
        for (offset, len) in [("2", "3"), ("7", "2")] {
            repeated.extend([("GNU.sparse.offset", offset), ("GNU.sparse.numbytes", len)]);
        }
        let old = seal({
            let mut block = header(b"f", b'S', 5);
            block[MAGIC].copy_from_slice(GNU_MAGIC);
            for (index, number) in [2, 3, 7, 2].into_iter().enumerate() {
                put_octal(&mut block[386 + 12 * index..][..12], number);
            }
            put_octal(&mut block[483..495], 10);
            block
        });
        for parts in [
            vec![pax(&repeated), member(b"f", b'0', b"abcde")],
            version_0("2,3,7,2", b"abcde", "10"),
            version_1("3\n2\n3\n7\n2\n10\n0\n", b"abcde", "10"),
            vec![old.to_vec(), padded(b"abcde")],
        ] {
            let parts = [parts, vec![member(b"next", b'0', b"next")]].concat();
            let entries = read(&archive(&parts)).expect("valid");
            assert_eq!(entries[0].1, expected);
            assert_eq!(entries[0].0.kind, Kind::File { size: 10 });
            assert_eq!(entries[1].1, b"next");
            let bytes = archive(&parts);
            let mut reader = TarReader::new(&bytes[..]);
            assert_eq!(reader.next().expect("valid").expect("a member").position, None);
            assert!(reader.next().expect("skipped").expect("a member").position.is_some());
        }
        assert_eq!(one(&version_1("0\n", b"", "3")).1, b"\0\0\0");
        assert_eq!(one(&version_1("0\n", b"", "3")).0.path, Path::new("real"));
    }

    #[test]
    fn that_make_no_sense_are_refused() {
        for parts in [
            version_0("2,3,4,2", b"abcde", "10"),
            version_0("2,3,7,2", b"abcdef", "10"),
            version_0("2,3,7,2", b"abcd", "10"),
            version_0("2,3,9,2", b"abcde", "10"),
            version_0("2,3,7", b"abcde", "10"),
            version_0("2,x,7,2", b"abcde", "10"),
            version_0("18446744073709551615,2", b"ab", "10"),
            version_0("0,5", b"abcde", ""),
            version_1("9\n2\n3\n", b"abcde", "10"),
            version_1("-1\n", b"", "10"),
            version_1("99999999999\n", b"", "10"),
            version_1("", b"abcde", "10"),
            version_1("1\n0\n5\n", b"abcde", ""),
            vec![pax(&[("GNU.sparse.major", "2")]), member(b"f", b'0', b"")],
            vec![
                pax(&[("GNU.sparse.offset", "1"), ("GNU.sparse.offset", "2")]),
                member(b"f", b'0', b""),
            ],
            vec![
                pax(&[("GNU.sparse.size", "10"), ("GNU.sparse.map", "0,0")]),
                member(b"f", b'5', b""),
            ],
        ] {
            assert!(read(&archive(&parts)).is_err());
        }
    }

    #[test]
    fn cannot_ask_for_exabytes_of_zeros() {
        for size in ["9223372036854775807", "18446744073709551615", "70000000000"] {
            let mut reader = version_0("0,0", b"", size).concat();
            reader.extend([0; 2 * BLOCK]);
            let error = TarReader::new(&reader[..]).next().expect_err("refused");
            assert!(matches!(error, TarError::Limit { .. }), "{error}");
        }
    }

    /// Many pieces, so that every format has its list continued.
    #[test]
    fn of_gnu_tar_are_read_in_all_formats() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut plain = vec![0; 4 << 20];
        for piece in 0..60 {
            plain[piece * 65536 + 4096..][..4096].fill(b'a' + (piece % 26) as u8);
        }
        std::fs::write(dir.path().join("plain"), &plain).expect("written");
        std::fs::write(dir.path().join("next"), "next").expect("written");
        let copied = Command::new("cp")
            .args(["--sparse=always", "plain", "sparse"])
            .current_dir(dir.path())
            .status();
        assert!(copied.expect("cp is installed").success());
        for format in [
            &["--format=oldgnu"][..],
            &["--format=gnu"],
            &["--format=posix", "--sparse-version=0.0"],
            &["--format=posix", "--sparse-version=0.1"],
            &["--format=posix", "--sparse-version=1.0"],
        ] {
            let made = Command::new("tar")
                .args(format)
                .args(["--sparse", "--hole-detection=raw", "-cf", "a.tar", "sparse", "next"])
                .current_dir(dir.path())
                .status();
            assert!(made.expect("tar is installed").success());
            let bytes = std::fs::read(dir.path().join("a.tar")).expect("there");
            assert!(bytes.len() < plain.len() / 4, "{format:?} is sparse");
            let entries = read(&bytes).expect("valid");
            assert_eq!(entries[0].0.path, Path::new("sparse"), "{format:?}");
            assert!(entries[0].1 == plain && entries[1].1 == b"next", "{format:?}");
        }
    }
}

#[test]
fn gnu_tars_other_formats() {
    let dir = tempfile::tempdir().expect("a directory");
    // As long as v7 can say it; for ustar and later there is `every_way_to_say_a_long_name`.
    let long = "n".repeat(80);
    let nested = dir.path().join(&long).join("sub");
    std::fs::create_dir_all(&nested).expect("made");
    std::fs::write(nested.join("file"), "content").expect("written");
    std::os::unix::fs::symlink("target", nested.join("link")).expect("made");
    std::fs::hard_link(nested.join("file"), nested.join("other")).expect("made");
    for format in ["v7", "oldgnu", "gnu", "ustar", "posix"] {
        let output = Command::new("tar")
            .args(["--format", format, "--sort=name", "--mtime=@1000000000", "-C"])
            .arg(dir.path())
            .args(["-c", "."])
            .output()
            .expect("tar is installed");
        assert!(output.status.success());
        let entries = read(&output.stdout).expect("valid");
        let paths: Vec<_> =
            entries.iter().map(|(e, _)| e.path.to_str().expect("text").to_owned()).collect();
        let sub = format!("{long}/sub");
        let names = ["", &long, &sub].map(str::to_owned);
        assert_eq!(paths[..3], names, "{format}");
        assert_eq!(paths[3..], ["file", "link", "other"].map(|name| format!("{sub}/{name}")));
        assert_eq!(entries[3].1, b"content");
        assert_eq!(entries[4].0.kind, Kind::Symlink("target".into()));
        assert_eq!(entries[5].0.kind, Kind::HardLink(paths[3].clone().into()), "{format}");
        assert_eq!(entries[3].0.meta.mtime, Timestamp::from_secs(1_000_000_000));
    }
}

mod arbitrary_bytes {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// No panic, no endless loop, whatever a header says.
        #[test]
        fn are_survived(
            kind in prop::sample::select(&b"0\x0012345670SxgLKVD"[..]),
            size in 0..3000_u64,
            changes in prop::collection::vec((0..BLOCK, any::<u8>()), 0..6),
            data in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            let mut block = header(b"name", kind, size);
            for (index, byte) in changes {
                block[index] = byte;
            }
            let bytes = [&seal(block)[..], &data, &member(b"f", b'0', b"abc")].concat();
            let mut reader = TarReader::new(&bytes[..]);
            while let Ok(Some(mut member)) = reader.next() {
                let limit = bytes.len() as u64;
                let _ = io::copy(&mut member.by_ref().take(limit), &mut io::sink());
                prop_assert!(!member.entry.path.is_absolute());
            }
        }
    }
}
