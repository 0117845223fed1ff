use std::path::PathBuf;

use super::*;
use crate::layer::entry::Metadata;
use crate::layer::tar_header::number;
use crate::layer::tar_read::TarReader;

fn entry(path: &str, kind: Kind) -> Entry {
    Entry { path: path.into(), meta: Metadata { mode: 0o644, ..Metadata::default() }, kind }
}

fn archive(entries: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (entry, content) in entries {
        writer.append(entry, &mut &content[..]).expect("representable");
    }
    writer.finish().expect("memory")
}

/// What is written for one entry without content: the blocks before the end.
fn blocks(entry: Entry) -> Vec<u8> {
    let mut bytes = archive(&[(entry, b"")]);
    bytes.truncate(bytes.len() - 2 * BLOCK);
    bytes
}

#[test]
fn a_plain_entry_is_one_ustar_header() {
    let mut plain = entry("a/b", Kind::File { size: 0 });
    plain.meta.uid = 1000;
    plain.meta.mtime = Timestamp::from_secs(1_700_000_000);
    let header = blocks(plain);
    assert_eq!(header.len(), BLOCK);
    assert_eq!(&header[..4], b"a/b\0");
    assert_eq!(&header[MODE], b"0000644\0");
    assert_eq!(&header[UID], b"0001750\0");
    assert_eq!(&header[SIZE], b"00000000000\0");
    assert_eq!(&header[MTIME], b"14524770400\0");
    assert_eq!(header[TYPE], b'0');
    assert_eq!(&header[MAGIC], b"ustar\x0000");
    assert_eq!(&header[DEV_MAJOR], b"0000000\0");
    assert_eq!(
        number(&header[CHECKSUM]),
        Some(checksums(header[..].try_into().expect("512")).0 as i64)
    );
}

#[test]
fn names_of_directories_and_of_the_root() {
    assert!(blocks(entry("a", Kind::Dir)).starts_with(b"a/\0"));
    assert!(blocks(entry("", Kind::Dir)).starts_with(b"./\0"));
}

#[test]
fn records_appear_only_where_they_are_needed() {
    let long = "x".repeat(101);
    let with = |change: &dyn Fn(&mut Entry)| {
        let mut entry = entry("f", Kind::File { size: 0 });
        change(&mut entry);
        entry
    };
    let mtime = |secs, nanos| move |e: &mut Entry| e.meta.mtime = Timestamp { secs, nanos };
    for (entry, expected) in [
        (entry(&long[..100], Kind::Fifo), ""),
        (entry(&long[..99], Kind::Dir), ""),
        (entry(&long[..100], Kind::Dir), &*format!("111 path={}/\n", &long[..100])),
        (entry(&long, Kind::Fifo), &*format!("111 path={long}\n")),
        (entry("ü", Kind::Fifo), "11 path=ü\n"),
        (entry("l", Kind::Symlink(long.clone().into())), &*format!("115 linkpath={long}\n")),
        (entry("l", Kind::HardLink("ü".into())), "15 linkpath=ü\n"),
        (with(&|e| e.meta.uid = 0o7_777_777), ""),
        (with(&|e| e.meta.uid = 0o10_000_000), "15 uid=2097152\n"),
        (with(&|e| e.meta.gid = u32::MAX), "18 gid=4294967295\n"),
        (with(&mtime(0o77_777_777_777, 0)), ""),
        (with(&mtime(0o100_000_000_000, 0)), "20 mtime=8589934592\n"),
        (with(&mtime(5, 120_000_000)), "14 mtime=5.12\n"),
        (with(&mtime(-1, 0)), "12 mtime=-1\n"),
        (with(&mtime(-2, 500_000_000)), "14 mtime=-1.5\n"),
        (with(&mtime(-1, 1)), "22 mtime=-0.999999999\n"),
        (
            with(&|e| {
                e.meta.mtime.nanos = 1;
                e.meta.xattrs.insert("user.b".into(), b"\0=\n".to_vec());
                e.meta.xattrs.insert("user.a".into(), Vec::new());
            }),
            "24 SCHILY.xattr.user.a=\n27 SCHILY.xattr.user.b=\0=\n\n21 mtime=0.000000001\n",
        ),
    ] {
        let name = entry.path.display().to_string();
        let bytes = blocks(entry);
        if expected.is_empty() {
            assert_eq!(bytes.len(), BLOCK, "{name}");
            continue;
        }
        assert_eq!((bytes.len(), bytes[TYPE]), (3 * BLOCK, b'x'), "{name}");
        let size = number(&bytes[SIZE]).expect("octal") as usize;
        let records = String::from_utf8_lossy(&bytes[BLOCK..BLOCK + size]);
        assert_eq!(records, expected, "{name}");
        // The ustar header itself stays valid and ASCII.
        assert!(bytes[2 * BLOCK..][NAME].is_ascii());
    }
}

#[test]
fn a_length_that_grows_by_counting_itself() {
    for len in 0..1200 {
        let mut data = Vec::new();
        push_record(&mut data, b"k", &vec![b'v'; len]);
        let space = data.iter().position(|byte| *byte == b' ').expect("there");
        let claimed = std::str::from_utf8(&data[..space]).expect("digits").parse();
        assert_eq!(claimed, Ok(data.len()));
    }
}

#[test]
fn the_helper_header_stands_beside_its_member() {
    let long = "d/".repeat(60);
    for (member, expected) in [
        ("f", "PaxHeaders.0/f".to_owned()),
        ("a/ü", "a/PaxHeaders.0".to_owned()),
        ("a/b/", "a/b/PaxHeaders.0".to_owned()),
        (&*long, long[..99].to_owned()),
    ] {
        assert_eq!(String::from_utf8_lossy(&extended_name(member.as_bytes())), expected);
    }
}

#[test]
fn large_files_have_their_size_in_a_record() {
    let mut writer = TarWriter::new(io::sink());
    let size = 8 << 30;
    let large = entry("large", Kind::File { size });
    let (header, records) = encode(&large).expect("representable");
    assert_eq!(&header[SIZE], b"00000000000\0");
    assert_eq!(records[&b"size"[..]], b"8589934592");
    // Not written here: the content ends at once, and the message has the path.
    let error = writer.append(&large, &mut io::empty()).expect_err("too short").to_string();
    assert!(error.contains("large") && error.contains("8589934592"), "{error}");
}

#[test]
fn a_file_that_changes_breaks_the_archive() {
    for content in [&b"12"[..], b"1234"] {
        let mut writer = TarWriter::new(Vec::new());
        let file = entry("log", Kind::File { size: 3 });
        let error = writer.append(&file, &mut &content[..]).expect_err("another size");
        assert!(matches!(error, TarError::Changed { .. }), "{error}");
        assert!(matches!(writer.append(&file, &mut &b"123"[..]), Err(TarError::Broken)));
        assert!(writer.finish().is_err());
    }
}

#[test]
fn what_tar_cannot_say_is_refused_before_anything_is_written() {
    let mut equals = entry("f", Kind::Fifo);
    equals.meta.xattrs.insert("user.a=b".into(), Vec::new());
    let mut huge = entry("f", Kind::Fifo);
    for index in 0..20 {
        huge.meta.xattrs.insert(format!("user.{index}").into(), vec![0; 60_000]);
    }
    let device = entry("d", Kind::CharDevice { major: 1 << 21, minor: 0 });
    for entry in [equals, huge, device, entry("a\0b", Kind::Fifo)] {
        let mut writer = TarWriter::new(Vec::new());
        let error = writer.append(&entry, &mut io::empty()).expect_err("refused");
        assert!(matches!(error, TarError::Unrepresentable { .. }), "{error}");
        writer.append(&self::entry("ok", Kind::Fifo), &mut io::empty()).expect("still whole");
        assert_eq!(writer.finish().expect("memory").len(), 3 * BLOCK);
    }
}

/// One of each kind, with everything that needs a record.
fn everything() -> Vec<(Entry, &'static [u8])> {
    let long = |name: &str| format!("dir/{}/{name}", "long-component".repeat(12));
    let mut rich = entry(&long("file"), Kind::File { size: 5 });
    rich.meta = Metadata {
        mode: 0o4755,
        uid: 3_000_000,
        gid: 4_000_000,
        mtime: Timestamp { secs: 1_600_000_000, nanos: 250_000_000 },
        xattrs: [("user.kiln".into(), b"\0\xff".to_vec())].into(),
    };
    vec![
        (entry("dir", Kind::Dir), b""),
        (rich, b"hello"),
        (entry("dir/ünï", Kind::File { size: 3 }), b"abc"),
        (entry("dir/hard", Kind::HardLink(long("file").into())), b""),
        (entry("dir/soft", Kind::Symlink(long("../x").into())), b""),
        (entry("null", Kind::CharDevice { major: 1, minor: 3 }), b""),
        (entry("disk", Kind::BlockDevice { major: 8, minor: 1_000_000 }), b""),
        (entry("pipe", Kind::Fifo), b""),
    ]
}

fn run(program: &str, args: &[&str], bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("written");
    let output = std::process::Command::new(program)
        .args(args)
        .arg(file.path())
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("the program is installed");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn gnu_tar_reads_it() {
    let bytes = archive(&everything());
    let listing = run("tar", &["--numeric-owner", "--full-time", "-tvf"], &bytes);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let long = "long-component".repeat(12);
    for expected in [
        "drw-r--r-- 0/0 0 1970-01-01 00:00:00 dir/".to_owned(),
        format!("-rwsr-xr-x 3000000/4000000 5 2020-09-13 12:26:40.25 dir/{long}/file"),
        format!("hrw-r--r-- 0/0 0 1970-01-01 00:00:00 dir/hard link to dir/{long}/file"),
        format!("lrw-r--r-- 0/0 0 1970-01-01 00:00:00 dir/soft -> dir/{long}/../x"),
        "crw-r--r-- 0/0 1,3 1970-01-01 00:00:00 null".to_owned(),
        "brw-r--r-- 0/0 8,1000000 1970-01-01 00:00:00 disk".to_owned(),
        "prw-r--r-- 0/0 0 1970-01-01 00:00:00 pipe".to_owned(),
    ] {
        assert!(
            listing.lines().any(|line| words(line) == expected),
            "{expected}\nnot in\n{listing}"
        );
    }
    assert!(listing.contains("dir/\\303\\274n\\303\\257") || listing.contains("dir/ünï"));
    let names = run("tar", &["--xattrs", "-tvvf"], &bytes);
    assert!(names.contains("user.kiln"), "{names}");
}

#[test]
fn pythons_tarfile_reads_it() {
    let script = "\
import sys, tarfile
for m in tarfile.open(sys.argv[1]):
    print(m.name, m.type.decode(), oct(m.mode), m.uid, m.gid, m.size, m.mtime, m.linkname,
          m.devmajor, m.devminor, sorted(k for k in m.pax_headers if 'xattr' in k))
";
    let listing = run("python3", &["-c", script], &archive(&everything()));
    let long = "long-component".repeat(12);
    let expected = format!(
        "dir 5 0o644 0 0 0 0  0 0 []\n\
         dir/{long}/file 0 0o4755 3000000 4000000 5 1600000000.25  0 0 ['SCHILY.xattr.user.kiln']\n\
         dir/ünï 0 0o644 0 0 3 0  0 0 []\n\
         dir/hard 1 0o644 0 0 0 0 dir/{long}/file 0 0 []\n\
         dir/soft 2 0o644 0 0 0 0 dir/{long}/../x 0 0 []\n\
         null 3 0o644 0 0 0 0  1 3 []\n\
         disk 4 0o644 0 0 0 0  8 1000000 []\n\
         pipe 6 0o644 0 0 0 0  0 0 []\n"
    );
    assert_eq!(listing, expected);
}

#[test]
fn our_own_reader_reads_it() {
    let bytes = archive(&everything());
    let mut reader = TarReader::new(&bytes[..]);
    for (entry, content) in everything() {
        let mut member = reader.next().expect("valid").expect("not the end");
        assert_eq!(member.entry, entry);
        let position = member.position.expect("plain data") as usize;
        let mut read = Vec::new();
        member.read_to_end(&mut read).expect("whole");
        assert_eq!(read, content);
        assert_eq!(&bytes[position..position + content.len()], content);
    }
    assert!(reader.next().expect("valid").is_none());
}

mod round_trip {
    use super::*;
    use proptest::prelude::*;

    fn path() -> impl Strategy<Value = PathBuf> {
        // Any bytes that may be in a name, ASCII more often; lengths on both sides of 100.
        let name = prop_oneof!["[a-z. =\n]{1,60}", "\\PC{1,20}"];
        proptest::collection::vec(name, 1..5).prop_filter_map("no dots", |names| {
            let special = |name: &String| matches!(&**name, "." | "..") || name.contains('/');
            (!names.iter().any(special)).then(|| names.iter().collect())
        })
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Dir),
            Just(Kind::Fifo),
            (0..3000_u64).prop_map(|size| Kind::File { size }),
            path().prop_map(Kind::HardLink),
            "[^\0]{1,200}".prop_map(|target| Kind::Symlink(target.into())),
            (0..4096_u32, 0..1_048_576_u32)
                .prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        ]
    }

    fn metadata() -> impl Strategy<Value = Metadata> {
        let xattrs = proptest::collection::btree_map(
            "(user|security)\\.[a-z]{1,20}".prop_map(Into::into),
            proptest::collection::vec(any::<u8>(), 0..40),
            0..3,
        );
        let seconds =
            prop_oneof![0..2_000_000_000_i64, any::<i32>().prop_map(|s| i64::from(s) * 99)];
        (0..=0o7777_u32, any::<u32>(), 0..3000_u32, seconds, 0..1_000_000_000_u32, xattrs).prop_map(
            |(mode, uid, gid, secs, nanos, xattrs)| {
                let mtime = Timestamp { secs, nanos: if nanos % 2 == 0 { 0 } else { nanos } };
                Metadata { mode, uid, gid, mtime, xattrs }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            entries in proptest::collection::vec((path(), metadata(), kind()), 0..8),
            seed in any::<u64>(),
        ) {
            let entries: Vec<Entry> = entries
                .into_iter()
                .map(|(path, meta, kind)| Entry { path, meta, kind })
                .collect();
            let mut random = fastrand::Rng::with_seed(seed);
            let mut contents = Vec::new();
            let mut writer = TarWriter::new(Vec::new());
            for entry in &entries {
                let size = if let Kind::File { size } = entry.kind { size } else { 0 };
                let content: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
                writer.append(entry, &mut &content[..]).expect("representable");
                contents.push(content);
            }
            let bytes = writer.finish().expect("memory");
            let mut reader = TarReader::new(&bytes[..]);
            for (entry, content) in entries.iter().zip(&contents) {
                let mut member = reader.next().expect("valid").expect("not the end");
                prop_assert_eq!(&member.entry, entry);
                // Content that is not read must be skipped.
                if random.bool() {
                    let mut read = Vec::new();
                    member.read_to_end(&mut read).expect("whole");
                    prop_assert_eq!(&read, content);
                }
            }
            prop_assert!(reader.next().expect("valid").is_none());
        }
    }
}
