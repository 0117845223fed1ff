//! From a tree to a directory. Everything is made anew and inside the root; links are made and never
//! followed, since no two things have one name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::budget::Budget;
use super::id::{Id, Kind};
use super::modules;
use super::objects::Objects;
use super::tree::{Mode, entries};
use super::wrong::{Wrong, unusable};
use crate::remote::RemoteError;
use crate::rootfs::{Root, RootError};

const DEPTH_MAX: usize = 512;
/// The longest path that Linux takes at once, and the longest target of a link (PATH_MAX).
const PATH_MAX: usize = 4095;
const ATTRIBUTES: &[u8] = b".gitattributes";
const MODULES: &[u8] = b".gitmodules";
/// What only the program does with files of a repository (gitattributes(5)).
const BEYOND: [&str; 4] = ["filter=", "eol=crlf", "working-tree-encoding=", "ident"];

/// Something that was checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    /// From the repository's top.
    pub(super) path: PathBuf,
    pub(super) mode: Mode,
    pub(super) id: Id,
}

/// What there is besides files.
#[derive(Debug, Default)]
pub(super) struct CheckedOut {
    /// All files, links and submodules; only submodules unless all were asked for.
    pub(super) made: Vec<Made>,
    /// The text of `.gitmodules`.
    pub(super) modules: Option<String>,
    /// `filter=lfs` in `.gitattributes` and the like: what kiln leaves undone.
    pub(super) beyond: Vec<String>,
}

/// Makes the files of a tree in an empty directory, which is a path of the root.
pub(super) fn check_out(
    objects: &mut Objects,
    tree: Id,
    root: &Root,
    top: &Path,
    list_all: bool,
) -> Result<CheckedOut, Wrong> {
    let budget = objects.budget().clone();
    let mut work = Work { root, top, list_all, budget: &budget, found: CheckedOut::default() };
    let mut waiting = vec![(PathBuf::new(), tree, 0)];
    budget.hold(0)?;
    while let Some((dir, id, depth)) = waiting.pop() {
        budget.release(dir.as_os_str().len());
        let content = objects.small(&id, Kind::Tree)?;
        let Some(bytes) = content.bytes() else { return unusable("a directory is too large") };
        for entry in entries(bytes)? {
            budget.file()?;
            let path = dir.join(OsStr::from_bytes(entry.name));
            if depth >= DEPTH_MAX || top.join(&path).as_os_str().len() > PATH_MAX {
                return unusable("the repository has directories that are nested too deeply");
            }
            if entry.mode == Mode::Dir {
                work.dir(&path)?;
                budget.hold(path.as_os_str().len())?;
                waiting.push((path, entry.id, depth + 1));
            } else {
                work.make(objects, Made { path, mode: entry.mode, id: entry.id })?;
            }
        }
    }
    Ok(work.found)
}

struct Work<'a> {
    root: &'a Root,
    top: &'a Path,
    list_all: bool,
    budget: &'a Budget,
    found: CheckedOut,
}

impl Work<'_> {
    fn dir(&self, path: &Path) -> Result<(), Wrong> {
        self.root.create_dir(&self.top.join(path), 0o755).map_err(|error| ours(path, error))
    }

    fn make(&mut self, objects: &mut Objects, made: Made) -> Result<(), Wrong> {
        let place = self.top.join(&made.path);
        match made.mode {
            Mode::File | Mode::Program => {
                let mode = made.mode.bits() & 0o777;
                let file = self.root.create_file(&place, mode);
                let mut file = file.map_err(|error| ours(&place, error))?;
                let length = objects.copy(&made.id, &mut file, &place)?;
                self.look(objects, &made, length)?;
            }
            Mode::Link => {
                let content = objects.small(&made.id, Kind::Blob)?;
                let target = content.bytes().unwrap_or_default();
                if target.is_empty() || target.len() > PATH_MAX || target.contains(&0) {
                    let shown = made.path.display();
                    return unusable(format!(
                        "the repository has a link without a target: `{shown}`"
                    ));
                }
                let target = Path::new(OsStr::from_bytes(target));
                let made = self.root.create_symlink(&place, target);
                made.map_err(|error| ours(&place, error))?;
            }
            Mode::Dir | Mode::Module => self.dir(&made.path)?,
        }
        if self.list_all || made.mode == Mode::Module {
            self.budget.hold(made.path.as_os_str().len())?;
            self.found.made.push(made);
        }
        Ok(())
    }

    /// Reads the two kinds of files that say something of others.
    fn look(&mut self, objects: &mut Objects, made: &Made, length: u64) -> Result<(), Wrong> {
        let name = made.path.file_name().map(OsStr::as_bytes).unwrap_or_default();
        let is_top = made.path.as_os_str().as_bytes() == MODULES;
        if !is_top && name != ATTRIBUTES || length > modules::BYTES_MAX {
            return if is_top { unusable(".gitmodules is too long") } else { Ok(()) };
        }
        let content = objects.small(&made.id, Kind::Blob)?;
        let text = String::from_utf8_lossy(content.bytes().unwrap_or_default()).into_owned();
        if is_top {
            self.found.modules = Some(text);
        } else {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            // The first word of a line is a pattern.
            let words = lines.flat_map(|line| line.split_whitespace().skip(1));
            for word in words.filter(|word| BEYOND.iter().any(|one| is_set(word, one))) {
                let word = word.to_owned();
                if self.found.beyond.len() < 8 && !self.found.beyond.contains(&word) {
                    self.found.beyond.push(word);
                }
            }
        }
        Ok(())
    }
}

fn is_set(word: &str, attribute: &str) -> bool {
    if attribute.ends_with('=') { word.starts_with(attribute) } else { word == attribute }
}

fn ours(path: &Path, error: RootError) -> Wrong {
    Wrong::Ours(RemoteError::io("check out", path)(error.into()))
}
