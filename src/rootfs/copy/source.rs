//! Finds what the source arguments of COPY and ADD name.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::CopyError;
use super::near::nearest;
use crate::layer::content::{Content, Source};
use crate::layer::{Entry, Kind};
use crate::rootfs::glob::{self, Pattern};
use crate::rootfs::ignore::Ignore;
use crate::rootfs::root::Root;
use crate::rootfs::view::{Resolved, View, ViewError, resolve};

/// One object that an argument names.
#[derive(Debug)]
pub(super) struct Match {
    /// Where it is, without links.
    pub(super) path: PathBuf,
    /// The last name of the path as written: what it is called in a destination directory.
    pub(super) name: OsString,
    /// What is there; never a symbolic link.
    pub(super) entry: Entry,
}

/// Where sources are looked for: a root, without what is hidden.
pub(super) struct Sources<'a> {
    pub(super) root: &'a dyn View,
    pub(super) ignore: Option<&'a Ignore>,
}

impl Sources<'_> {
    /// What a source argument names. A path that names nothing is an error, a pattern is not.
    pub(super) fn find(&self, written: &str) -> Result<Vec<Match>, CopyError> {
        let components = components(written);
        let literal = components
            .iter()
            .position(|component| glob::has_meta(component.as_bytes()))
            .unwrap_or(components.len());
        let (start, patterns) = components.split_at(literal);
        let start: PathBuf = start.iter().collect();
        if patterns.is_empty() {
            return Ok(vec![self.literal(written, start)?]);
        }
        let bad = |source| CopyError::Pattern { pattern: written.to_owned(), source };
        let patterns: Vec<_> = patterns
            .iter()
            .map(|pattern| Pattern::new(pattern.as_bytes()))
            .collect::<Result<_, _>>()
            .map_err(bad)?;
        let mut matches = Vec::new();
        match self.at(&start)? {
            Some(base) if base.entry.kind == Kind::Dir => {
                self.expand(&base.path, &patterns, &mut matches)?;
                Ok(matches)
            }
            _ => Err(self.not_found(written, &start)),
        }
    }

    fn literal(&self, written: &str, path: PathBuf) -> Result<Match, CopyError> {
        if let Some(found) = self.at(&path)? {
            return Ok(found);
        }
        // Escapes are needed where a name has wildcard characters, so they may be there for none.
        let plain = glob::unescape(path.as_os_str().as_bytes());
        let plain = PathBuf::from(OsString::from_vec(plain));
        let found = if plain == path { None } else { self.at(&plain)? };
        found.ok_or_else(|| self.not_found(written, &path))
    }

    /// What a path leads to, if it is there and shown.
    fn at(&self, path: &Path) -> Result<Option<Match>, CopyError> {
        let name = path.file_name().unwrap_or_default().to_owned();
        let (path, entry) = match resolve(self, path, true) {
            Ok(Resolved { path, entry: Some(entry) }) => (path, entry),
            Ok(_) | Err(ViewError::NotADirectory(_)) => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        Ok(self.is_shown(&path, &entry)?.then_some(Match { path, name, entry }))
    }

    /// Adds what the patterns, one for each level, match below a directory. Links are not followed
    /// on the way, only at the end.
    fn expand(
        &self,
        dir: &Path,
        patterns: &[Pattern],
        matches: &mut Vec<Match>,
    ) -> Result<(), CopyError> {
        let [pattern, deeper @ ..] = patterns else { return Ok(()) };
        for name in self.root.list(dir).map_err(unreadable)? {
            if !pattern.matches(name.as_bytes()) {
                continue;
            }
            let path = dir.join(&name);
            let Some(entry) = self.lstat(&path).map_err(unreadable)? else { continue };
            if !deeper.is_empty() {
                if entry.kind == Kind::Dir {
                    self.expand(&path, deeper, matches)?;
                }
            } else if self.is_shown(&path, &entry)? {
                let found = self.at(&path)?;
                let written = path.to_string_lossy();
                matches.push(found.ok_or_else(|| self.not_found(&written, &path))?);
            }
        }
        Ok(())
    }

    /// Whether an object is there for the builder: a hidden directory is, if something in it is.
    fn is_shown(&self, path: &Path, entry: &Entry) -> Result<bool, CopyError> {
        let Some(ignore) = self.ignore.filter(|_| !path.as_os_str().is_empty()) else {
            return Ok(true);
        };
        if !ignore.matches(path)? {
            return Ok(true);
        }
        if entry.kind != Kind::Dir || !ignore.may_reinclude_below(path) {
            return Ok(false);
        }
        for name in self.root.list(path).map_err(unreadable)? {
            let path = path.join(name);
            if let Some(entry) = self.root.lstat(&path).map_err(unreadable)?
                && self.is_shown(&path, &entry)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn not_found(&self, written: &str, path: &Path) -> CopyError {
        let mut why = self.hidden_by(path);
        if why.is_none() && leaves_context(written) {
            why = Some(format!("`{written}` is taken from the root of the context, not above it"));
        }
        let help = if why.is_some() { None } else { self.similar(path) };
        CopyError::NotFound { path: Path::new("/").join(path).display().to_string(), why, help }
    }

    /// Which line of the ignore file hides a path that is there.
    fn hidden_by(&self, path: &Path) -> Option<String> {
        let there = resolve(self.root, path, true).ok()?;
        if there.entry.is_none() {
            let link = self.root.lstat(path).ok()??;
            let Kind::Symlink(target) = link.kind else { return None };
            return Some(format!(
                "it is a symbolic link to {}, which is not there",
                target.display()
            ));
        }
        let ignore = self.ignore?;
        let mut reasons =
            [there.path.as_path(), path].into_iter().map(|path| ignore.reason(path).ok().flatten());
        let reason = reasons.find_map(|reason| reason)?;
        let origin = reason.origin.unwrap_or("the ignore file");
        let line = reason.line.map(|line| format!(" in line {line} of")).unwrap_or_default();
        let by = if line.is_empty() { " of" } else { &line };
        Some(format!("it is excluded by `{}`{by} {origin}", reason.pattern))
    }

    /// A name beside a missing one that may have been meant.
    fn similar(&self, path: &Path) -> Option<String> {
        let parent = path.parent()?;
        let dir = resolve(self, parent, true).ok().filter(Resolved::is_dir)?;
        let shown = |name: &OsString| {
            let path = dir.path.join(name);
            let entry = self.root.lstat(&path).ok().flatten();
            entry.is_some_and(|entry| self.is_shown(&path, &entry).unwrap_or(false))
        };
        let names: Vec<_> = self.root.list(&dir.path).ok()?;
        let name = nearest(path.file_name()?, names.iter()).filter(|name| shown(name))?;
        Some(format!("did you mean {}?", Path::new("/").join(parent).join(name).display()))
    }
}

/// The sources as they are seen: of what is hidden, only the directories remain in which something
/// may be shown.
impl View for Sources<'_> {
    fn lstat(&self, path: &Path) -> Result<Option<Entry>, ViewError> {
        let entry = self.root.lstat(path)?;
        let Some(ignore) = self.ignore.filter(|_| !path.as_os_str().is_empty()) else {
            return Ok(entry);
        };
        Ok(entry.filter(|entry| {
            // A pattern that cannot be matched is reported by `is_shown`.
            !ignore.matches(path).unwrap_or(false)
                || (entry.kind == Kind::Dir && ignore.may_reinclude_below(path))
        }))
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, ViewError> {
        let mut names = self.root.list(path)?;
        let mut shown = Vec::with_capacity(names.len());
        for name in names.drain(..) {
            if self.lstat(&path.join(&name))?.is_some() {
                shown.push(name);
            }
        }
        Ok(shown)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ViewError> {
        match self.lstat(path)? {
            Some(_) => self.root.read(path, limit),
            None => Ok(None),
        }
    }
}

/// A source that could not be looked at: a view speaks of an image, this is the context.
fn unreadable(error: ViewError) -> CopyError {
    match error {
        ViewError::Io { path, source } => CopyError::read(&path, source),
        error => error.into(),
    }
}

/// The names in a source argument. `..` stops at the root.
fn components(written: &str) -> Vec<&str> {
    let mut components = Vec::new();
    for component in written.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop();
            }
            name => components.push(name),
        }
    }
    components
}

/// A source argument in its shortest spelling, without a leading slash.
pub(super) fn clean(written: &str) -> String {
    components(written).join("/")
}

fn leaves_context(written: &str) -> bool {
    let mut depth = 0_usize;
    written.split('/').filter(|component| !matches!(*component, "" | ".")).any(|component| {
        if component != ".." {
            depth += 1;
            return false;
        }
        depth == 0 || {
            depth -= 1;
            false
        }
    })
}

/// A file of the sources, opened when its turn comes: a context has more files than a process may
/// have open.
#[derive(Debug)]
pub(super) struct SourceFile {
    root: Arc<Root>,
    path: PathBuf,
}

impl SourceFile {
    pub(super) fn content(root: &Arc<Root>, path: &Path) -> Content {
        Content::Source(Box::new(Self { root: root.clone(), path: path.to_owned() }))
    }
}

impl Source for SourceFile {
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.root.open_seen_file(&self.path)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_dot_stops_at_the_root() {
        for (written, path, leaves) in [
            ("a/b", "a/b", false),
            ("/a//./b/", "a/b", false),
            ("../a", "a", true),
            ("a/../b", "b", false),
            ("a/../../b", "b", true),
            (".", "", false),
            ("/", "", false),
        ] {
            assert_eq!(clean(written), path, "{written}");
            assert_eq!(leaves_context(written), leaves, "{written}");
        }
    }
}
