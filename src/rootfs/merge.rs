//! Several layers as one: what stays visible of them, entry by entry. Only names are held in memory, and
//! nothing is unpacked.
//!
//! 1. a [`Survey`] is shown every layer, from the bottom;
//! 2. it becomes a [`Merge`], which is shown every layer again and hands on what is to stay.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diff::{ChangeSink, SinkError};
use super::entries::Entries;
use super::index::{Index, IndexError, VisiblePart, Wanted};
use super::place::{PathError, Places, Step};
use super::view::View;
use crate::layer::{Entry, Kind, Whiteout};

/// Layers that could not be merged. Paths are in the image.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The archive, or what it is read from.
    #[error("cannot read the layer: {0}")]
    Read(#[source] io::Error),
    /// A path that cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Layers that make up no file system.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A hard link to something that is in no layer.
    #[error("the hard link `{}` names `{}`, which no layer has", link.display(), target.display())]
    MissingTarget {
        /// The link.
        link: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// Whoever takes the entries.
    #[error("cannot write `{}`: {source}", path.display())]
    Sink {
        /// What was handed on.
        path: PathBuf,
        /// Why.
        source: SinkError,
    },
}

/// What layers have, by their headers.
#[derive(Debug, Default)]
pub struct Survey {
    index: Index,
    /// Where something came that hides, or took away, what is below all these layers.
    covered: BTreeSet<PathBuf>,
}

impl Survey {
    /// Takes note of the next layer.
    pub fn add(&mut self, entries: &mut dyn Entries) -> Result<(), IndexError> {
        let mut noting = Noting { entries, places: Places::default(), covered: &mut self.covered };
        self.index.apply(&mut noting)
    }

    /// Ends the survey.
    pub fn merge(self) -> Result<Merge, MergeError> {
        let index = Arc::new(self.index);
        let everything: Wanted = Arc::new(|_| true);
        Ok(Merge {
            parts: index.visible_parts(&everything)?,
            across: index.links_across(&everything)?,
            removed: removed(&index, &self.covered)?,
            index,
        })
    }
}

/// Passes entries on, and notes which of them cover what is below.
struct Noting<'a> {
    entries: &'a mut dyn Entries,
    places: Places,
    covered: &'a mut BTreeSet<PathBuf>,
}

impl Entries for Noting<'_> {
    fn next_entry(&mut self) -> io::Result<Option<(Entry, Box<dyn Read + '_>)>> {
        let next = self.entries.next_entry()?;
        // What is wrong with a path is said by the index, which sees the same entry.
        let step = next.as_ref().and_then(|(entry, _)| self.places.step(entry).ok());
        match step {
            Some(Step::Put(path)) if !matches!(&next, Some((Entry { kind: Kind::Dir, .. }, _))) => {
                self.covered.insert(path.into_owned());
            }
            Some(Step::Link { path, .. }) => _ = self.covered.insert(path.into_owned()),
            Some(Step::Remove(path) | Step::Opaque(path)) => _ = self.covered.insert(path),
            _ => {}
        }
        Ok(next)
    }
}

/// The whiteouts that the merged layer needs: for what is there no more, and for directories that do
/// not show what the layers below have in them.
fn removed(index: &Index, covered: &BTreeSet<PathBuf>) -> Result<Vec<Whiteout>, MergeError> {
    let mut whiteouts = Vec::new();
    for path in covered {
        if path.ancestors().skip(1).any(|above| covered.contains(above)) {
            // What is below here is gone with that.
            continue;
        }
        match index.lstat(path).ok().flatten().map(|entry| entry.kind) {
            None => whiteouts.push(Whiteout::Remove(path.clone())),
            Some(Kind::Dir) => whiteouts.push(Whiteout::Opaque(path.clone())),
            // Whatever else is there takes the place of what is below.
            Some(_) => {}
        }
    }
    Ok(whiteouts)
}

/// Layers on their way to one.
#[derive(Debug)]
pub struct Merge {
    index: Arc<Index>,
    parts: Vec<VisiblePart>,
    across: Vec<(PathBuf, PathBuf)>,
    removed: Vec<Whiteout>,
}

impl Merge {
    /// What the merged layer takes away from the layers below it.
    pub fn removed(&self) -> &[Whiteout] {
        &self.removed
    }

    /// Every directory but the root, each before what is in it; those too that no layer mentions.
    pub fn directories(&self) -> impl Iterator<Item = Entry> {
        let below_root = |entry: &Entry| !entry.path.as_os_str().is_empty();
        self.index.entries().filter(|entry| entry.kind == Kind::Dir).filter(below_root)
    }

    /// Hands on what stays of a layer, by its number from the bottom. The layers come in their order.
    pub fn hand_on(
        &self,
        layer: usize,
        entries: &mut dyn Entries,
        sink: &mut dyn ChangeSink,
    ) -> Result<(), MergeError> {
        let Some(part) = self.parts.get(layer) else { return Ok(()) };
        let relocate = part.relocate.clone();
        let mut sieve = Sieve { part, relocate, hidden: HashMap::new(), sink };
        let mut places = Places::default();
        while let Some((entry, mut content)) = entries.next_entry().map_err(MergeError::Read)? {
            match places.step(&entry)? {
                Step::Put(path) => sieve.put(&path, &entry, &mut *content)?,
                Step::Link { path, target } => sieve.link(&path, &target, &entry)?,
                Step::Root | Step::Remove(_) | Step::Opaque(_) | Step::Nothing => {}
            }
        }
        Ok(())
    }

    /// Hands on the hard links from one layer to another, when all layers were.
    pub fn hand_on_links(&self, sink: &mut dyn ChangeSink) -> Result<(), MergeError> {
        for (link, target) in &self.across {
            let found = self.index.lstat(link).ok().flatten();
            let meta = found.map(|entry| entry.meta).unwrap_or_default();
            let kind = Kind::HardLink(target.clone());
            give(sink, &Entry { path: link.clone(), meta, kind }, &mut io::empty())?;
        }
        Ok(())
    }
}

/// What stays of one layer.
struct Sieve<'a> {
    part: &'a VisiblePart,
    /// What is left of the part's.
    relocate: BTreeMap<PathBuf, PathBuf>,
    /// What was not handed on, and where its content is all the same; for hard links to it.
    hidden: HashMap<PathBuf, Option<PathBuf>>,
    sink: &'a mut dyn ChangeSink,
}

impl Sieve<'_> {
    fn put(
        &mut self,
        path: &Path,
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<(), MergeError> {
        let mut path = path.to_owned();
        if !(self.part.filter)(&path, &entry.kind) {
            if entry.kind == Kind::Dir {
                return Ok(());
            }
            let moved = self.relocate.get(&path).cloned();
            self.hidden.insert(path, moved.clone());
            let Some(moved) = moved else { return Ok(()) };
            path = moved;
        }
        let entry = Entry { path, meta: entry.meta.clone(), kind: entry.kind.clone() };
        give(self.sink, &entry, content)
    }

    fn link(&mut self, path: &Path, target: &Path, entry: &Entry) -> Result<(), MergeError> {
        let moved = self.hidden.get(target).cloned();
        if !(self.part.filter)(path, &entry.kind) {
            if path != target {
                let content = moved.unwrap_or_else(|| Some(target.to_owned()));
                self.hidden.insert(path.to_owned(), content);
            }
            return Ok(());
        }
        let target = match moved {
            None => target.to_owned(),
            Some(Some(moved)) => {
                // A second file of the first one's name would not be this link's content.
                self.relocate.remove(target);
                moved
            }
            Some(None) => {
                let (link, target) = (path.to_owned(), target.to_owned());
                return Err(MergeError::MissingTarget { link, target });
            }
        };
        if path == target {
            // The content was handed on under this name.
            return Ok(());
        }
        let kind = Kind::HardLink(target);
        let entry = Entry { path: path.to_owned(), meta: entry.meta.clone(), kind };
        give(self.sink, &entry, &mut io::empty())
    }
}

fn give(
    sink: &mut dyn ChangeSink,
    entry: &Entry,
    content: &mut dyn Read,
) -> Result<(), MergeError> {
    sink.file(entry, content)
        .map_err(|source| MergeError::Sink { path: entry.path.clone(), source })
}
