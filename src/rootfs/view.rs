//! Looking at a file system without saying how it is stored: unpacked in a directory
//! ([`super::Root`]) or known only from its layers' headers ([`super::Index`]).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::layer::{Entry, Kind};

/// A file system that could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The system refused.
    #[error("cannot read `{}` in the image: {source}", path.display())]
    Io {
        /// Relative to the image's root.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Symbolic links that never end.
    #[error("`{}` leads through too many symbolic links", .0.display())]
    Loop(PathBuf),
    /// A component that is no directory.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
}

/// Look-ups in an image's file system. Paths are relative to its root (`etc/passwd`; empty for the
/// root) and are taken literally: [`resolve`] is what follows symbolic links.
pub trait View: Send + Sync {
    /// The object at a path whose parents are no symbolic links; nothing if there is none, or if a
    /// parent is no directory.
    fn lstat(&self, path: &Path) -> Result<Option<Entry>, ViewError>;

    /// The names in a directory, sorted by byte.
    fn list(&self, path: &Path) -> Result<Vec<OsString>, ViewError>;

    /// The content of a small file such as `etc/passwd`; nothing if it is no regular file. Longer
    /// files are cut off at `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ViewError>;

    /// Whether there is a regular file with exactly this content. False where the view does not
    /// have the content to compare.
    fn has_content(&self, path: &Path, content: &mut dyn Read) -> Result<bool, ViewError> {
        let _ = (path, content);
        Ok(false)
    }
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The path without symbolic links, relative to the root.
    pub path: PathBuf,
    /// What is there, if anything.
    pub entry: Option<Entry>,
}

impl Resolved {
    /// Whether a directory is there.
    pub fn is_dir(&self) -> bool {
        matches!(&self.entry, Some(entry) if entry.kind == Kind::Dir)
    }
}

/// As many as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Follows a path from the image's root as the kernel would in a chroot: `..` stops at the root,
/// absolute links start there. The last component's link is followed only where `follow` says so.
/// Components that do not exist are kept as written.
pub fn resolve(view: &dyn View, path: &Path, follow: bool) -> Result<Resolved, ViewError> {
    let mut pending: VecDeque<OsString> = components(path).collect();
    let mut resolved = PathBuf::new();
    let mut entry = view.lstat(&resolved)?;
    let mut links = 0;
    while let Some(name) = pending.pop_front() {
        if name == ".." {
            resolved.pop();
            entry = view.lstat(&resolved)?;
            continue;
        }
        if matches!(&entry, Some(parent) if parent.kind != Kind::Dir) {
            return Err(ViewError::NotADirectory(resolved));
        }
        let next = resolved.join(&name);
        let found = if entry.is_some() { view.lstat(&next)? } else { None };
        match found.as_ref().map(|found| &found.kind) {
            Some(Kind::Symlink(target)) if follow || !pending.is_empty() => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(ViewError::Loop(path.to_owned()));
                }
                if target.is_absolute() {
                    resolved.clear();
                }
                entry = view.lstat(&resolved)?;
                for component in components(target).collect::<Vec<_>>().into_iter().rev() {
                    pending.push_front(component);
                }
            }
            _ => {
                resolved = next;
                entry = found;
            }
        }
    }
    Ok(Resolved { path: resolved, entry })
}

fn components(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests;
