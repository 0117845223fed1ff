//! Where an entry of a layer lands: the part of applying a layer that needs no file system, shared
//! by unpacking ([`super::extract()`]) and by [`super::Index`] so that they cannot disagree.
//!
//! Docker and containerd unpack each layer into a directory of its own and let overlayfs put them on
//! top of each other. So a symbolic link in the middle of a path is followed if the same layer made
//! it, and is replaced by a directory if it comes from a layer below.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::layer::{Entry, Kind, Whiteout};

/// A path in a layer that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathError {
    /// `..`, `.`, an empty name, a NUL byte, or no name at all where one is needed.
    #[error("the layer has an entry `{}`, which is no path inside an image", .0.display())]
    NotInside(PathBuf),
    /// More than Linux takes (`NAME_MAX`, `PATH_MAX`): no container could open it.
    #[error(
        "the layer has a path of {length} bytes that starts with `{}`: names end at 255 bytes \
         and paths at 4095", start.display()
    )]
    TooLong {
        /// Its first bytes.
        start: PathBuf,
        /// Its length.
        length: usize,
    },
    /// Symbolic links of the layer that never end.
    #[error("`{}` leads through too many symbolic links of its layer", .0.display())]
    Loop(PathBuf),
}

/// Longest name (`NAME_MAX`).
const MAX_NAME: usize = 255;
/// Longest path that a system call takes (`PATH_MAX` counts the NUL).
pub(super) const MAX_PATH: usize = 4095;
/// As many as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What an entry does. Paths have no symbolic links of this layer in them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'e> {
    /// Metadata of the root itself.
    Root,
    /// An object at this path.
    Put(Cow<'e, Path>),
    /// Another name at `path` for the object at `target`.
    Link { path: Cow<'e, Path>, target: Cow<'e, Path> },
    /// What the layers below have here is gone.
    Remove(PathBuf),
    /// What the layers below have in this directory is gone.
    Opaque(PathBuf),
    /// Nothing: bookkeeping of aufs.
    Nothing,
}

/// The symbolic links of the layer that is being applied.
#[derive(Debug, Default)]
pub(super) struct Places {
    links: BTreeMap<PathBuf, PathBuf>,
    /// The last directory that was asked for and where it is; layers come directory by directory.
    last: Option<(PathBuf, PathBuf)>,
}

impl Places {
    /// Where the next entry of the layer lands.
    pub(super) fn step<'e>(&mut self, entry: &'e Entry) -> Result<Step<'e>, PathError> {
        if entry.path.as_os_str().is_empty() {
            return match entry.kind {
                Kind::Dir => Ok(Step::Root),
                _ => Err(PathError::NotInside(entry.path.clone())),
            };
        }
        check(&entry.path)?;
        if let Some(whiteout) = Whiteout::of(&entry.path) {
            return self.whiteout(whiteout);
        }
        let path = self.place(&entry.path)?;
        match &entry.kind {
            // What overlayfs would take for a whiteout is one, however the layer came by it.
            Kind::CharDevice { major: 0, minor: 0 } => {
                return Ok(Step::Remove(path.into_owned()));
            }
            Kind::HardLink(target) => {
                check(target)?;
                let target = self.place(target)?;
                let link = self.links.get(&*target).cloned();
                if path != target {
                    self.put(&path, link);
                }
                return Ok(Step::Link { path, target });
            }
            Kind::Symlink(target) => self.put(&path, Some(target.clone())),
            Kind::Dir => {
                if self.links.remove(&*path).is_some() {
                    self.last = None;
                }
            }
            _ => self.put(&path, None),
        }
        Ok(Step::Put(path))
    }

    fn whiteout(&mut self, whiteout: Whiteout) -> Result<Step<'static>, PathError> {
        match whiteout {
            Whiteout::Ignored(_) => Ok(Step::Nothing),
            Whiteout::Remove(path) => {
                check(&path)?;
                Ok(Step::Remove(self.place(&path)?.into_owned()))
            }
            Whiteout::Opaque(dir) if dir.as_os_str().is_empty() => Ok(Step::Opaque(dir)),
            Whiteout::Opaque(dir) => {
                check(&dir)?;
                Ok(Step::Opaque(self.resolve(&dir)?))
            }
        }
    }

    /// Something else than a directory comes to a path: whatever was there is replaced.
    fn put(&mut self, path: &Path, link: Option<PathBuf>) {
        if !self.links.is_empty() {
            remove_below(&mut self.links, path);
            self.last = None;
        }
        if let Some(target) = link {
            self.links.insert(path.to_owned(), target);
            self.last = None;
        }
    }

    /// A path with the links in its directory followed.
    fn place<'p>(&mut self, path: &'p Path) -> Result<Cow<'p, Path>, PathError> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(PathError::NotInside(path.to_owned()));
        };
        if self.links.is_empty() || dir.as_os_str().is_empty() {
            return Ok(Cow::Borrowed(path));
        }
        if !matches!(&self.last, Some((from, _)) if from == dir) {
            self.last = Some((dir.to_owned(), self.resolve(dir)?));
        }
        match &self.last {
            Some((from, to)) if from != to => {
                let path = to.join(name);
                check(&path)?;
                Ok(Cow::Owned(path))
            }
            _ => Ok(Cow::Borrowed(path)),
        }
    }

    /// Follows this layer's links. `..` can be taken by name: what is before it has no links left.
    fn resolve(&self, path: &Path) -> Result<PathBuf, PathError> {
        let mut pending: VecDeque<Component<'_>> = path.components().collect();
        let mut resolved = PathBuf::new();
        let mut followed = 0;
        while let Some(component) = pending.pop_front() {
            match component {
                Component::Normal(name) => resolved.push(name),
                Component::ParentDir => {
                    resolved.pop();
                    continue;
                }
                Component::RootDir => {
                    resolved.clear();
                    continue;
                }
                Component::CurDir | Component::Prefix(_) => continue,
            }
            if let Some(target) = self.links.get(&resolved) {
                followed += 1;
                if followed > MAX_LINKS {
                    return Err(PathError::Loop(path.to_owned()));
                }
                resolved.pop();
                for component in target.components().rev() {
                    pending.push_front(component);
                }
            }
        }
        Ok(resolved)
    }
}

/// Removes a path and everything below it from a sorted map of paths.
pub(super) fn remove_below<V>(map: &mut BTreeMap<PathBuf, V>, path: &Path) {
    let from = (Bound::Included(path), Bound::Unbounded);
    let below: Vec<PathBuf> = map
        .range::<Path, _>(from)
        .map(|(key, _)| key)
        .take_while(|key| key.starts_with(path))
        .cloned()
        .collect();
    for key in below {
        map.remove(&key);
    }
}

/// Refuses what is no plain relative path. The names are looked at as bytes: [`Path::components`]
/// would hide a `.` from us that the kernel sees.
pub(super) fn check(path: &Path) -> Result<(), PathError> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > MAX_PATH || bytes.split(|byte| *byte == b'/').any(|n| n.len() > MAX_NAME) {
        let start = OsStr::from_bytes(&bytes[..bytes.len().min(60)]);
        return Err(PathError::TooLong { start: start.into(), length: bytes.len() });
    }
    let bad = |name: &[u8]| matches!(name, b"" | b"." | b"..") || name.contains(&0);
    if bytes.split(|byte| *byte == b'/').any(bad) {
        return Err(PathError::NotInside(path.to_owned()));
    }
    Ok(())
}

/// The directory and the name of a path that [`check`] has passed.
pub(super) fn split(path: &Path) -> (&Path, &OsStr) {
    (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default())
}
