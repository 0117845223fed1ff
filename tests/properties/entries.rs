//! What holds for any bytes at all: the doors through which text and archives of strangers come in.
//! Property tests knock with bytes of their own making, the targets of `fuzz/` with libFuzzer's.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, Path};

use kiln::dockerfile::expand::{self, ExpandError};
use kiln::dockerfile::{Dockerfile, Node, parse, print};
use kiln::layer::{Kind, TarReader};
use kiln::rootfs::ignore::{Ignore, Trail};

/// A Dockerfile that is accepted survives being printed, and its printout prints itself.
pub fn parser(bytes: &[u8]) {
    let Ok(file) = parse(bytes) else { return };
    let printed = print(&file);
    let again = match parse(printed.as_bytes()) {
        Ok(again) => again,
        Err(error) => panic!("{error}\n--- printed\n{printed}"),
    };
    assert_eq!(meaning(&again), meaning(&file), "--- printed\n{printed}");
    assert_eq!(print(&again), printed);
}

/// Everything but text, places, layout and warnings.
fn meaning(file: &Dockerfile) -> impl PartialEq + std::fmt::Debug + use<> {
    let instructions =
        |nodes: &[Node]| nodes.iter().map(|node| node.instruction.clone()).collect::<Vec<_>>();
    let stages: Vec<_> =
        file.stages.iter().map(|stage| (stage.from.clone(), instructions(&stage.nodes))).collect();
    let syntax = file.directives.syntax.clone().map(|(name, _)| name);
    let directives = (file.directives.escape, syntax, file.directives.check.clone());
    (directives, instructions(&file.global_args), stages)
}

/// No result is longer than this, whatever its text and its variables are: see
/// `Reason::TooMuch`.
const LONGEST: usize = 64 << 20;

/// Expansion ends, within bounds. The first byte chooses the escape, and what stands before a NUL is
/// the value of a variable.
pub fn expander(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let escape = if text.starts_with('`') { '`' } else { '\\' };
    let (value, text) = text.split_once('\0').unwrap_or(("aXbXc", &text));
    let pairs = [("A", value), ("EMPTY", ""), ("LONG", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")];
    let vars: BTreeMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let bounded = |outcome: Result<usize, ExpandError>| match outcome {
        Ok(length) => assert!(length <= LONGEST, "{length} bytes out of {}", text.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    };
    bounded(expand::word(text, escape, &vars).map(|expanded| expanded.text.len()));
    bounded(expand::heredoc(text, &vars).map(|expanded| expanded.text.len()));
    let words = expand::words(text, escape, &vars);
    bounded(words.map(|words| words.iter().map(String::len).sum()));
}

/// An ignore file has an answer for every path, and the same one when a walk asks on the way down.
/// What stands before a NUL is the file, the rest a path.
pub fn dockerignore(bytes: &[u8]) {
    let middle = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (text, path) = bytes.split_at(middle);
    let Ok(ignore) = Ignore::parse(text) else { return };
    let path = String::from_utf8_lossy(path.get(1..).unwrap_or_default()).into_owned();
    let names = Path::new(&path).components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let path: std::path::PathBuf = names.take(50).collect();
    if path.as_os_str().is_empty() {
        return;
    }
    let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
    parents.pop();
    let trail = parents.iter().rev().fold(Trail::default(), |trail, dir| ignore.enter(&trail, dir));
    match (ignore.matches(&path), ignore.matches_in(&trail, &path)) {
        (Ok(alone), Ok(walking)) => {
            assert_eq!(alone, walking, "{path:?}");
            let reason = ignore.reason(&path).expect("it has just been matched");
            assert_eq!(alone, reason.is_some(), "{path:?}");
            let shown_below = parents.iter().all(|dir| {
                !ignore.matches(dir).unwrap_or(false) || ignore.may_reinclude_below(dir)
            });
            assert!(alone || shown_below, "a walk would not come to {path:?}");
        }
        (Err(_), Err(_)) => {}
        (alone, walking) => panic!("{alone:?} alone, {walking:?} on the way: {path:?}"),
    }
}

/// More of a member is not read here: a sparse one may stand for gigabytes.
const READ: u64 = 1 << 20;

/// An archive ends, its members are in it, and no path leads out of where it is unpacked.
pub fn tar_reader(bytes: &[u8]) {
    let mut reader = TarReader::new(bytes);
    let mut members = 0;
    while let Ok(Some(mut member)) = reader.next() {
        members += 1;
        assert!(members <= bytes.len() / 512, "more members than headers");
        inside(&member.entry.path);
        if let Kind::HardLink(target) = &member.entry.kind {
            inside(target);
        }
        let size = match member.entry.kind {
            Kind::File { size } => size,
            _ => 0,
        };
        if let Some(position) = member.position {
            assert!(position <= bytes.len() as u64);
        }
        let read = std::io::copy(&mut (&mut member).take(READ), &mut std::io::sink());
        if let Ok(read) = read {
            assert_eq!(read, size.min(READ), "{}", member.entry.path.display());
        }
    }
}

fn inside(path: &Path) {
    let leaves = |component: Component<'_>| !matches!(component, Component::Normal(_));
    assert!(!path.components().any(leaves), "{}", path.display());
}

/// What a git server sends as a pack ends or is refused in words, and has no more objects than it has
/// bytes for.
pub fn git_pack(bytes: &[u8]) {
    match kiln::remote::git::testing::survey(bytes, &std::env::temp_dir()) {
        Ok(objects) => assert!(objects <= bytes.len() / 9, "{objects} objects"),
        Err(why) => assert!(!why.is_empty()),
    }
}

/// Compressed data without its header and trailer is as good as a library of another author says, and
/// what comes of it is the same.
pub fn gzip(bytes: &[u8]) {
    let mut library = flate2::bufread::DeflateDecoder::new(bytes);
    let mut plain = Vec::new();
    let is_whole = library.read_to_end(&mut plain).is_ok();
    let length = usize::try_from(library.total_in()).expect("as long as the bytes at most");
    let mut member = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec();
    member.extend_from_slice(if is_whole { &bytes[..length] } else { bytes });
    let mut checksum = flate2::Crc::new();
    checksum.update(&plain);
    member.extend_from_slice(&checksum.sum().to_le_bytes());
    member.extend_from_slice(&checksum.amount().to_le_bytes());
    let mut own = Vec::new();
    let result = kiln::layer::decoder(&member[..]).and_then(|mut it| it.read_to_end(&mut own));
    assert_eq!(result.is_ok(), is_whole, "{result:?}");
    if is_whole {
        assert_eq!(own, plain);
    }
}
