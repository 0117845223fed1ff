//! Owners where there is one id only: every file belongs to it, and the owner that the image gives a
//! file stands beside it, in an attribute.
//!
//! overlayfs copies attributes up together with the file (Documentation/filesystems/overlayfs.rst),
//! so a file that a RUN changes keeps its owner in the layer, and one that it makes is root's.
//! Links, pipes and devices cannot have attributes (xattr(7)): they are root's.

use std::borrow::Cow;
use std::ffi::OsStr;

use super::settle::Ownership;
use crate::layer::Metadata;

/// Holds `UID:GID`. Never in a layer that is written here, and not believed of one that is read.
const NAME: &str = "user.kiln.owner";

/// The metadata to give to an object of the file system.
pub(super) fn to_disk(meta: &Metadata, ownership: Ownership) -> Cow<'_, Metadata> {
    let has_one = || meta.xattrs.contains_key(OsStr::new(NAME));
    if ownership == Ownership::Keep || ((meta.uid, meta.gid) == (0, 0) && !has_one()) {
        return Cow::Borrowed(meta);
    }
    let mut meta = meta.clone();
    let owner = format!("{}:{}", meta.uid, meta.gid).into_bytes();
    meta.xattrs.insert(NAME.into(), owner);
    Cow::Owned(meta)
}

/// The metadata in the image of an object whose own is `meta`, attributes included.
pub(super) fn from_disk(meta: &mut Metadata, ownership: Ownership) {
    if ownership == Ownership::Keep {
        return;
    }
    let recorded = meta.xattrs.remove(OsStr::new(NAME));
    (meta.uid, meta.gid) = recorded.as_deref().and_then(parse).unwrap_or((0, 0));
}

fn parse(value: &[u8]) -> Option<(u32, u32)> {
    let (uid, gid) = std::str::from_utf8(value).ok()?.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::layer::{Entry, Kind};
    use crate::rootfs::testing::{Layer, Sandbox};
    use crate::rootfs::{Extract, Root, View, Whiteouts, extract};

    fn entry(path: &str, kind: Kind, uid: u32, gid: u32) -> (Entry, Vec<u8>) {
        let meta = Metadata { mode: 0o755, uid, gid, ..Metadata::default() };
        (Entry { path: path.into(), meta, kind }, Vec::new())
    }

    #[test]
    fn an_owner_that_cannot_be_given_is_found_again() {
        let mut forged = entry("forged", Kind::File { size: 0 }, 0, 0);
        forged.0.meta.xattrs.insert(NAME.into(), b"1:1".to_vec());
        let layer = Layer(vec![
            entry("dir", Kind::Dir, 7, 8),
            entry("dir/file", Kind::File { size: 0 }, 4_000_000_000, 0),
            entry("dir/link", Kind::Symlink("file".into()), 9, 9),
            entry("plain", Kind::File { size: 0 }, 0, 0),
            forged,
        ]);
        let sandbox = Sandbox::new();
        let policy = Extract::new(Whiteouts::Apply, Ownership::Ignore);
        extract(&mut layer.entries(), &sandbox.root, &policy).expect("unpacks");
        let root = Root::open(sandbox.root.path()).expect("opens").with_owners(Ownership::Ignore);
        let rows = [
            ("dir", (7, 8)),
            ("dir/file", (4_000_000_000, 0)),
            ("dir/link", (0, 0)),
            ("plain", (0, 0)),
            ("forged", (0, 0)),
        ];
        for (path, owner) in rows {
            let meta = root.lstat(Path::new(path)).expect("readable").expect("there").meta;
            assert_eq!((meta.uid, meta.gid), owner, "{path}");
            assert!(meta.xattrs.is_empty(), "{path}: {:?}", meta.xattrs);
        }
    }

    #[test]
    fn what_is_no_owner_is_roots() {
        for value in ["", "1", "1:", ":1", "1:2:3", "-1:0", "4294967296:0", "a:b"] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
        assert_eq!(parse(b"1:2"), Some((1, 2)));
    }
}
