//! Properties of what reads strangers' bytes: no panic, no end that does not come. The functions
//! are those of `fuzz/`; here they get bytes that are nearly right, in the time that a test has.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "properties/entries.rs"]
mod entries;

use proptest::prelude::*;
use testkit::tar::TarBytes;

/// Texts made of these parts come far into a parser.
fn parts(parts: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => prop::sample::select(parts).prop_map(|part| part.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
    ];
    prop::collection::vec(part, 0..most).prop_map(|parts| parts.concat())
}

const DOCKERFILE: &[&str] = &[
    "FROM a\n",
    "FROM --platform=b a AS c\n",
    "RUN ",
    "COPY ",
    "ADD ",
    "ENV ",
    "LABEL ",
    "ARG ",
    "CMD ",
    "ONBUILD ",
    "HEALTHCHECK ",
    "SHELL ",
    "EXPOSE ",
    "USER ",
    "VOLUME ",
    "WORKDIR ",
    "STOPSIGNAL ",
    "ENTRYPOINT ",
    "MAINTAINER ",
    "NONE",
    "# escape=`\n",
    "# syntax=a\n",
    "# check=skip=all\n",
    "#",
    "\n",
    "\r\n",
    " ",
    "\t",
    "\\\n",
    "`\n",
    "\\",
    "`",
    "\"",
    "'",
    "[",
    "]",
    ",",
    "=",
    "<<E",
    "<<-'E'",
    "\nE\n",
    "3<<",
    "--",
    "--from=",
    "--chown=",
    "--mount=",
    "--link",
    "--interval=5s",
    "$A",
    "${A:-",
    "}",
    "a",
    "b c",
    "é",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
];

const WORD: &[&str] = &[
    "$", "${", "}", "A", "EMPTY", "LONG", "NONE", ":-", ":+", ":?", "-", "+", "?", "#", "##", "%",
    "%%", "/", "//", "*", "\\", "`", "\"", "'", " ", "\t", "\n", "x", "é", "\0", "1", "@",
];

const IGNORE: &[&str] = &[
    "a", "b", "ab", "*", "**", "/", "?", "!", "[", "]", "^", "-", "\\", "#", "\n", "\r\n", " ",
    ".", "..", "é", "\0", "\0a/b", "\u{feff}",
];

/// An archive of some members.
fn archive() -> impl Strategy<Value = Vec<u8>> {
    let path = prop::sample::select(vec!["a", "a/b", "a/b/c", "./d", "/e", "f/../g", "long/"]);
    let member = (path, 0..6_usize, any::<bool>(), prop::collection::vec(any::<u8>(), 0..600));
    (any::<bool>(), prop::collection::vec(member, 0..5)).prop_map(|(gnu, members)| {
        let tar = if gnu { TarBytes::new().gnu() } else { TarBytes::new() };
        let add = |tar: TarBytes, (path, kind, long, content): (&str, _, bool, Vec<u8>)| {
            let path = if long { format!("{path}{}", "x".repeat(150)) } else { path.to_owned() };
            match kind {
                0 => tar.dir(path),
                1 => tar.symlink(path, "target"),
                2 => tar.hardlink(path, "a"),
                3 => tar.fifo(path),
                4 => tar
                    .file(path, content)
                    .pax("GNU.sparse.major", "1")
                    .pax("GNU.sparse.minor", "0"),
                _ => tar.file(path, content).mtime(1),
            }
        };
        members.into_iter().fold(tar, add).finish()
    })
}

/// Some bytes of it changed, some of it lost.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = prop::collection::vec(change, 0..8);
    (archive(), changes, any::<prop::sample::Index>(), any::<bool>(), any::<bool>()).prop_map(
        |(mut bytes, changes, end, is_cut, repaired)| {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if repaired {
                bytes.chunks_exact_mut(512).for_each(repair);
            }
            if is_cut {
                bytes.truncate(end.index(bytes.len()));
            }
            bytes
        },
    )
}

/// Gives a header the right checksum, so that what else is wrong with it is looked at.
fn repair(header: &mut [u8]) {
    if header[257..262] != *b"ustar" {
        return;
    }
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Compressed data, some bits of it changed.
fn compressed() -> impl Strategy<Value = Vec<u8>> {
    let part = (prop::collection::vec(any::<u8>(), 1..20), 1..300_usize);
    let change = (any::<prop::sample::Index>(), 0..8_u8);
    let changes = prop::collection::vec(change, 0..4);
    (prop::collection::vec(part, 0..30), changes, 0..10_u32).prop_map(|(parts, changes, level)| {
        let plain: Vec<u8> =
            parts.into_iter().flat_map(|(bytes, times)| bytes.repeat(times)).collect();
        let level = flate2::Compression::new(level);
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
        std::io::Write::write_all(&mut encoder, &plain).unwrap();
        let mut bytes = encoder.finish().unwrap();
        for (at, bit) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        bytes
    })
}

/// An object of a pack: its kind and content, or a delta to one of those before.
fn packed(kind: u8, content: &[u8], back: u8, announced: u8) -> Vec<u8> {
    let mut bytes = vec![kind << 4 | announced & 0x0f];
    match kind {
        6 => bytes.push(back),
        7 => bytes.extend_from_slice(&[back; 20]),
        _ => {}
    }
    let mut encoder = flate2::write::ZlibEncoder::new(bytes, flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, content).unwrap();
    encoder.finish().unwrap()
}

/// A pack in packet lines, of objects whose sizes are mostly right.
fn pack() -> impl Strategy<Value = Vec<u8>> {
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..15),
        prop::sample::select(vec![
            &b"tree 1\n\n"[..],
            b"100644 a\0",
            b"\x03\x03\x90\x03",
            b"\x03\x06\x90\x03\x90\x03",
            b"[a \"b\"]\nurl=x",
            b"\x00\x00",
            b"abc",
            b"\x03\x02\x02xy",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    let kind = prop::sample::select(vec![1_u8, 2, 3, 3, 4, 6, 6, 7, 5]);
    let object =
        (kind, content, 0..40_u8, prop_oneof![9 => Just(None), 1 => any::<u8>().prop_map(Some)]);
    let damage =
        prop_oneof![3 => Just(None), 1 => any::<(prop::sample::Index, u8)>().prop_map(Some)];
    (prop::collection::vec(object, 0..6), damage, 1..60_usize).prop_map(
        |(objects, damage, step)| {
            let mut bytes = b"PACK\0\0\0\x02".to_vec();
            bytes.extend_from_slice(&(objects.len() as u32).to_be_bytes());
            for (kind, content, back, announced) in &objects {
                let announced = announced.unwrap_or(content.len() as u8);
                bytes.extend_from_slice(&packed(*kind, content, *back, announced));
            }
            if let Some((at, byte)) = damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let sum = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
            bytes.extend_from_slice(sum.as_ref());
            let line =
                |part: &[u8]| [format!("{:04x}\x01", part.len() + 5).as_bytes(), part].concat();
            let mut lines: Vec<u8> = bytes.chunks(step).flat_map(line).collect();
            lines.extend_from_slice(b"0000");
            lines
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dockerfile_is_parsed_and_printed(bytes in parts(DOCKERFILE, 40)) {
        entries::parser(&[b"FROM a\n", bytes.as_slice()].concat());
        entries::parser(&bytes);
    }

    #[test]
    fn a_word_is_expanded_within_bounds(bytes in parts(WORD, 60)) {
        entries::expander(&bytes);
    }

    #[test]
    fn an_ignore_file_answers_for_every_path(bytes in parts(IGNORE, 40)) {
        entries::dockerignore(&bytes);
    }

    #[test]
    fn a_pack_is_read_to_its_end_or_refused(bytes in pack()) {
        entries::git_pack(&bytes);
    }

    #[test]
    fn compressed_data_is_what_a_library_makes_of_it(bytes in compressed()) {
        entries::gzip(&bytes);
    }

    #[test]
    fn an_archive_is_read_to_its_end_or_refused(bytes in damaged()) {
        entries::tar_reader(&bytes);
    }
}

/// Substitutions within substitutions, each of which multiplies what the one inside gives.
#[test]
fn expansion_does_not_explode() {
    let mut word = "x".to_owned();
    for _ in 0..80 {
        word = format!("${{LONG//a/{word}}}");
    }
    entries::expander(word.as_bytes());
    entries::expander("${A:-".repeat(10_000).as_bytes());
    entries::expander(format!("${{LONG#{}b}}", "*a".repeat(2_000)).as_bytes());
}

/// Stars that a careless matcher would try in every combination.
#[test]
fn matching_does_not_explode() {
    let pattern = "*a".repeat(500) + "b";
    entries::dockerignore(format!("{pattern}\0{}", "a".repeat(2_000)).as_bytes());
    let deep = "**/a/".repeat(100) + "b";
    entries::dockerignore(format!("{deep}\0{}", "a/".repeat(50)).as_bytes());
}
