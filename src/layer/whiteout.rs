//! Whiteouts: names by which a layer says that something below it is gone.
//!
//! Source: OCI image-spec layer.md#whiteouts; the `.wh..wh.` names are those of aufs.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

const PREFIX: &[u8] = b".wh.";
const META_PREFIX: &[u8] = b".wh..wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// What a whiteout's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whiteout {
    /// This path, with all below it, is gone.
    Remove(PathBuf),
    /// All that lower layers put into this directory is gone; what this layer puts there stays.
    Opaque(PathBuf),
    /// Says nothing: aufs' own bookkeeping (`.wh..wh.plnk`), or a name that would delete its own
    /// directory or one above it (`.wh.`, `.wh..`, `.wh...`). The path is the one in the archive.
    Ignored(PathBuf),
}

impl Whiteout {
    /// Reads a path of a layer. `None` where it is the path of an ordinary object.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?;
        let parent = path.parent().unwrap_or(Path::new(""));
        let below_meta = || parent.iter().any(|part| part.as_bytes().starts_with(META_PREFIX));
        if name == OPAQUE {
            return Some(Self::Opaque(parent.to_owned()));
        }
        if name.as_bytes().starts_with(META_PREFIX) || below_meta() {
            return Some(Self::Ignored(path.to_owned()));
        }
        match name.as_bytes().strip_prefix(PREFIX)? {
            b"" | b"." | b".." => Some(Self::Ignored(path.to_owned())),
            hidden => Some(Self::Remove(parent.join(OsStr::from_bytes(hidden)))),
        }
    }

    /// The path that says this in a layer.
    pub fn to_path(&self) -> PathBuf {
        match self {
            Self::Remove(path) => {
                let mut name = OsString::from_vec(PREFIX.to_vec());
                name.push(path.file_name().unwrap_or_default());
                path.with_file_name(name)
            }
            Self::Opaque(dir) => dir.join(OPAQUE),
            Self::Ignored(path) => path.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_meanings() {
        let remove = |path: &str| Some(Whiteout::Remove(path.into()));
        let opaque = |path: &str| Some(Whiteout::Opaque(path.into()));
        let ignored = |path: &str| Some(Whiteout::Ignored(path.into()));
        for (path, expected) in [
            ("a/.wh.b", remove("a/b")),
            (".wh.b", remove("b")),
            (".wh..b", remove(".b")),
            ("a/.wh..wh", remove("a/.wh")),
            ("a/.wh..wh..opq", opaque("a")),
            (".wh..wh..opq", opaque("")),
            (".wh..wh.plnk", ignored(".wh..wh.plnk")),
            (".wh..wh.plnk/1.2", ignored(".wh..wh.plnk/1.2")),
            ("a/.wh..wh.aufs", ignored("a/.wh..wh.aufs")),
            ("a/.wh.", ignored("a/.wh.")),
            ("a/.wh..", ignored("a/.wh..")),
            ("a/.wh...", ignored("a/.wh...")),
            ("a/b.wh.", None),
            ("a/.whb", None),
            ("", None),
        ] {
            let found = Whiteout::of(Path::new(path));
            assert_eq!(found, expected, "{path}");
            if let Some(found) = found {
                assert_eq!(found.to_path(), Path::new(path), "{path}");
            }
        }
    }
}
