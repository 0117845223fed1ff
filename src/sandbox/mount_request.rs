//! What a command sees at places of its own, for as long as it runs.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Something that a command sees at a place of its own for as long as it runs. Nothing of it enters a
/// layer: neither what is in it nor the empty directories that were made to have a place for it.
///
/// Mounts are applied in the order in which they are given; a later one may lie inside of an earlier
/// one, or cover it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunMount {
    /// Where: an absolute path without `.` and `..`, and not `/`. Links of the image on the way are
    /// followed, inside the image.
    #[serde(with = "any_path")]
    pub target: PathBuf,
    /// What is there.
    pub source: MountSource,
    /// What becomes of what the command writes there.
    pub access: Access,
}

/// What a mount shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum MountSource {
    /// A directory or a regular file of this machine, by its absolute path. Without namespaces it is
    /// copied in, or moved in with [`Access::Keep`], so that only one RUN at a time has it.
    Path(#[serde(with = "any_path")] PathBuf),
    /// A part of layers that are put on one another. In namespaces only.
    Layers {
        /// Directories relative to [`LayeredRoot::base`](super::LayeredRoot::base), lowest first.
        lowers: Vec<PathBuf>,
        /// What of it: relative, without symbolic links; empty for all.
        #[serde(with = "any_path")]
        path: PathBuf,
    },
    /// An empty directory that is gone afterwards: in namespaces in memory, elsewhere on the disk of
    /// the stage. Its mode is that of the directory that it covers, else 1777.
    Tmpfs {
        /// At most so many bytes; without namespaces there is no limit.
        size: Option<u64>,
    },
    /// A file that comes with the request, such as a secret: in namespaces never on a disk, elsewhere
    /// on the disk of the stage while the command runs.
    File {
        /// What is in it.
        content: MountContent,
        /// Its permissions.
        mode: u32,
        /// Its owner, as the command sees ids.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A Unix socket of this machine, by its absolute path, on which somebody listens.
    Socket {
        /// Where it is.
        #[serde(with = "any_path")]
        path: PathBuf,
        /// The permissions that the command sees.
        mode: u32,
        /// The owner, as the command sees ids.
        uid: u32,
        /// The group.
        gid: u32,
    },
}

/// What becomes of what a command writes into a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Writing is refused; where nothing can be mounted it is not, and vanishes.
    ReadOnly,
    /// Writing is possible, and vanishes.
    Discard,
    /// It is written into the source.
    Keep,
}

/// The bytes of a file, which may be a secret: they are not shown.
#[derive(Clone, Serialize, Deserialize)]
pub struct MountContent(Vec<u8>);

impl MountContent {
    /// The bytes themselves.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for MountContent {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for MountContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl RunMount {
    /// What is wrong with it, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        use std::path::Component::{Normal, RootDir};
        let target = self.target.display();
        let mut parts = self.target.components();
        let plain = parts.next() == Some(RootDir) && parts.all(|part| matches!(part, Normal(_)));
        if !plain {
            return Some(format!("the mount target `{target}` is not a plain absolute path"));
        }
        if self.target == Path::new("/") {
            return Some("nothing can be mounted on `/`".to_owned());
        }
        if self.target.starts_with("/proc") || self.target.starts_with("/sys") {
            return Some(format!("`{target}` cannot be a mount target: it is in /proc or /sys"));
        }
        if self.target == Path::new("/dev") {
            return Some("`/dev` cannot be a mount target, though a path below it can".to_owned());
        }
        match &self.source {
            MountSource::Path(path) | MountSource::Socket { path, .. } if !path.is_absolute() => {
                Some(format!("the source `{}` of `{target}` is not absolute", path.display()))
            }
            _ => None,
        }
    }
}

/// Paths need not be text, and serde's own form of them is.
mod any_path {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(from).map(PathBuf::from)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn at(target: &str) -> RunMount {
        RunMount {
            target: target.into(),
            source: MountSource::Tmpfs { size: None },
            access: Access::Discard,
        }
    }

    #[test]
    fn targets_that_cannot_be_are_named() {
        for bad in ["/", "a", "/a/../b", "/proc", "/proc/1", "/sys/x", "/dev"] {
            assert!(at(bad).problem().is_some(), "{bad}");
        }
        for good in ["/a", "/dev/pipes/x", "/dev/shm", "/process"] {
            assert_eq!(at(good).problem(), None, "{good}");
        }
    }

    #[test]
    fn content_is_not_shown_and_paths_need_not_be_text() {
        let name = OsStr::from_bytes(b"/run/\xff");
        let mount = RunMount {
            target: name.into(),
            source: MountSource::File {
                content: b"hunter2".to_vec().into(),
                mode: 0o400,
                uid: 0,
                gid: 0,
            },
            access: Access::ReadOnly,
        };
        let shown = format!("{mount:?}");
        assert!(shown.contains("7 bytes") && !shown.contains("hunter2"), "{shown}");
        let read: RunMount = serde_json::from_slice(&serde_json::to_vec(&mount).unwrap()).unwrap();
        assert_eq!(read.target, Path::new(name));
        let MountSource::File { content, .. } = read.source else { panic!("no file") };
        assert_eq!(content.bytes(), b"hunter2");
    }
}
