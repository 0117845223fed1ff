//! Trees, commits and tags: what objects say (gitformat-index(5) has the modes; git-fsck(1) the rules).

use std::collections::HashSet;

use super::id::{Id, Kind};
use super::wrong::{Wrong, unusable};

/// The longest name that Linux has (NAME_MAX).
const NAME_MAX: usize = 255;

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    File,
    Program,
    Link,
    Dir,
    /// A commit of another repository.
    Module,
}

impl Mode {
    /// As in an index.
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::File => 0o100_644,
            Self::Program => 0o100_755,
            Self::Link => 0o120_000,
            Self::Dir => 0o040_000,
            Self::Module => 0o160_000,
        }
    }

    /// Old repositories have modes that git no longer writes, such as 0100664.
    fn of(text: &[u8]) -> Option<Self> {
        let bits = u32::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok()?;
        match bits & 0o170_000 {
            0o100_000 if bits & 0o100 == 0 => Some(Self::File),
            0o100_000 => Some(Self::Program),
            0o120_000 => Some(Self::Link),
            0o040_000 => Some(Self::Dir),
            0o160_000 => Some(Self::Module),
            _ => None,
        }
    }
}

/// One entry of a tree. Its name can be a file's, and is nobody else's in this tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TreeEntry<'a> {
    pub(super) mode: Mode,
    pub(super) name: &'a [u8],
    pub(super) id: Id,
}

/// Reads a tree.
pub(super) fn entries(tree: &[u8]) -> Result<Vec<TreeEntry<'_>>, Wrong> {
    let mut found: Vec<TreeEntry<'_>> = Vec::new();
    let mut names = HashSet::new();
    let mut rest = tree;
    while !rest.is_empty() {
        let Some((entry, behind)) = entry(rest) else {
            return unusable("a directory of the repository is damaged");
        };
        let shown = || String::from_utf8_lossy(entry.name).escape_debug().to_string();
        if !is_allowed(entry.name, entry.mode) {
            return unusable(format!(
                "the repository has a file named `{}`, as no file may be",
                shown()
            ));
        }
        if !names.insert(entry.name) {
            return unusable(format!(
                "the repository has two files named `{}` in one place",
                shown()
            ));
        }
        found.push(entry);
        rest = behind;
    }
    Ok(found)
}

fn entry(bytes: &[u8]) -> Option<(TreeEntry<'_>, &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let (mode, rest) = (Mode::of(&bytes[..space])?, &bytes[space + 1..]);
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (name, rest) = (&rest[..end], &rest[end + 1..]);
    let id = Id::from_start(rest)?;
    Some((TreeEntry { mode, name, id }, &rest[Id::LENGTH..]))
}

/// Refuses names that lead elsewhere, and those that some file system takes for `.git`: what comes from
/// here goes into images, and onto other systems.
fn is_allowed(name: &[u8], mode: Mode) -> bool {
    let is_name = !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_MAX;
    // A link there would have its target read as settings (git's CVE-2018-11235 and its like).
    let is_settings = mode == Mode::Link && is_like(name, "gitmodules", "gitmod~");
    let parts = || name.split(|byte| *byte == b'\\');
    is_name
        && !name.contains(&b'/')
        && !is_settings
        && !parts().any(|part| is_like(part, "git", "git~"))
}

/// Whether a name is `.word` to HFS+, which ignores some characters and the case, or to NTFS, which
/// ignores dots and spaces at the end and what is behind a colon, and has short names (CVE-2014-9390).
fn is_like(name: &[u8], word: &str, short: &str) -> bool {
    let ignored = |c: &char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let text = String::from_utf8_lossy(name);
    let plain: String = text.chars().filter(|c| !ignored(c)).collect::<String>().to_lowercase();
    let plain = plain.split(':').next().unwrap_or_default().trim_end_matches([' ', '.']);
    let is_short = |rest: &str| rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_digit());
    plain.strip_prefix('.') == Some(word) || plain.strip_prefix(short).is_some_and(is_short)
}

/// What kiln asks of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) tree: Id,
    /// Seconds since 1970; none where it says none.
    pub(super) time: Option<i64>,
}

/// Reads a commit.
pub(super) fn commit(text: &[u8]) -> Result<Commit, Wrong> {
    let Some(tree) = header(text, "tree").and_then(|value| Id::parse(&value)) else {
        return unusable("the commit is damaged: it has no tree");
    };
    let committer = header(text, "committer");
    let time = committer.and_then(|line| {
        let (before, _zone) = line.rsplit_once(' ')?;
        before.rsplit(' ').next()?.parse().ok()
    });
    Ok(Commit { tree, time })
}

/// What a tag leads to.
pub(super) fn tag(text: &[u8]) -> Result<(Id, Kind), Wrong> {
    let kind = match header(text, "type").as_deref() {
        Some("commit") => Some(Kind::Commit),
        Some("tag") => Some(Kind::Tag),
        Some("tree") => Some(Kind::Tree),
        Some("blob") => Some(Kind::Blob),
        _ => None,
    };
    match (header(text, "object").and_then(|value| Id::parse(&value)), kind) {
        (Some(id), Some(kind)) => Ok((id, kind)),
        _ => unusable("the tag is damaged: it leads to nothing"),
    }
}

/// The value of a line before the first empty one.
fn header(text: &[u8], name: &str) -> Option<String> {
    let mut lines = text.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b" "))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let one =
            |(mode, name): &(&str, &[u8])| [mode.as_bytes(), b" ", name, b"\0", &[7; 20]].concat();
        entries.iter().flat_map(one).collect()
    }

    #[test]
    fn trees_are_read() {
        let bytes = tree(&[
            ("100644", b"a b\n\xc3\xa9"),
            ("100664", b".gitmodules"),
            ("100755", b"run"),
            ("120000", b"link"),
            ("40000", b".github"),
            ("160000", b"mod"),
        ]);
        let modes: Vec<_> =
            entries(&bytes).expect("a tree").iter().map(|entry| entry.mode).collect();
        let expected = [Mode::File, Mode::File, Mode::Program, Mode::Link, Mode::Dir, Mode::Module];
        assert_eq!(modes, expected);
        for cut in [1, 8, 20] {
            assert!(entries(&bytes[..bytes.len() - cut]).is_err());
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            &b""[..],
            b".",
            b"..",
            b"a/b",
            b"/a",
            b".git",
            b".GIT",
            b".Git ",
            b".git...",
            b".git. .",
            b".git::$INDEX_ALLOCATION",
            b".git:x",
            b"git~1",
            b"GIT~2",
            b"a\\.git",
            b".git\\config",
            b"..\\.git\\x",
            ".g\u{200c}it".as_bytes(),
            "\u{feff}.git".as_bytes(),
            &[b'a'; 256],
        ] {
            let wrong = entries(&tree(&[("100644", name)])).map(drop);
            assert!(matches!(wrong, Err(Wrong::Unusable(_))), "{}", String::from_utf8_lossy(name));
        }
        for name in
            [&b".gitignore"[..], b"git", b".git2", b"x.git", b"...", b"git~10", b"\xff\xfe", b"-rf"]
        {
            assert!(
                entries(&tree(&[("100644", name)])).is_ok(),
                "{}",
                String::from_utf8_lossy(name)
            );
        }
        for name in [&b".gitmodules"[..], b".GITMODULES ", b"gitmod~1"] {
            assert!(entries(&tree(&[("120000", name)])).is_err());
        }
        let twice = entries(&tree(&[("120000", b"a"), ("40000", b"a")])).expect_err("twice");
        assert!(twice.to_string().contains("two files named `a`"), "{twice}");
        assert!(entries(&tree(&[("170000", b"a")])).is_err());
    }

    #[test]
    fn commits_and_tags_are_read() {
        let id = "1".repeat(40);
        let text = format!(
            "tree {id}\nparent {id}\nauthor A <a> 1 +0000\ncommitter A b <c> 981173106 +0200\n\n\
             tree no\n"
        );
        let found = commit(text.as_bytes()).expect("a commit");
        assert_eq!((found.tree.to_string(), found.time), (id.clone(), Some(981_173_106)));
        assert!(commit(b"author x\n\ntree 1").is_err());
        let text = format!("object {id}\ntype tag\ntag v1\n\nx");
        assert_eq!(tag(text.as_bytes()).expect("a tag").1, Kind::Tag);
        assert!(tag(b"object 1\ntype commit\n\n").is_err());
    }
}
