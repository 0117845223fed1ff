//! The objects of a pack: where they are, and their content with deltas resolved.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::ZlibDecoder;

use super::budget::Budget;
use super::content::Content;
use super::delta;
use super::id::{Id, Kind, Sha1};
use super::pack::{self, Entry, Listed, NOTHING};
use super::wrong::{Wrong, unusable, written};
use crate::cancel::Cancel;
use crate::remote::RemoteError;

/// What is remembered while deltas are resolved.
const KEPT_BYTES: usize = 64 << 20;
const KEPT: usize = 256;
/// A tree, commit or tag of more bytes is nobody's.
const SMALL: u64 = 16 << 20;

/// A pack whose objects all have their names.
#[derive(Debug)]
pub(super) struct Objects {
    file: Rc<File>,
    /// Where contents go that are too large for memory.
    dir: PathBuf,
    entries: Vec<Entry>,
    /// Numbers of the entries in the order of their names.
    by_id: Vec<u32>,
    checksum: Id,
    kept: Kept,
    budget: Rc<Budget>,
    cancel: Cancel,
}

/// A delta and what it builds on, in the order in which children are looked up.
struct Children {
    by_number: Vec<(u32, u32)>,
    by_name: Vec<(Id, u32)>,
    /// Which of them were handed out; the first of a name stands for all.
    taken: Vec<bool>,
}

impl Objects {
    /// Receives a pack into an empty file, and finds out what is in it.
    pub(super) fn receive(
        from: impl Read,
        file: File,
        dir: &Path,
        budget: Rc<Budget>,
        cancel: &Cancel,
        progress: &dyn Fn(u64),
    ) -> Result<Self, Wrong> {
        let Listed { entries, by_name, checksum } =
            pack::list(from, &file, dir, &budget, cancel, progress)?;
        let mut objects = Self {
            file: Rc::new(file),
            dir: dir.to_owned(),
            entries,
            by_id: Vec::new(),
            checksum,
            kept: Kept::default(),
            budget,
            cancel: cancel.clone(),
        };
        objects.resolve(by_name)?;
        Ok(objects)
    }

    /// Gives every delta its name. Bases come before what builds on them, so most are still at hand.
    fn resolve(&mut self, mut by_name: Vec<(Id, u32)>) -> Result<(), Wrong> {
        by_name.sort_unstable();
        let numbered = || (0_u32..).zip(&self.entries);
        let mut by_number: Vec<(u32, u32)> = numbered()
            .filter(|(_, entry)| entry.base != NOTHING)
            .map(|(number, entry)| (entry.base, number))
            .collect();
        by_number.sort_unstable();
        let mut waiting: Vec<u32> = numbered()
            .filter(|(_, entry)| entry.kind.is_some())
            .map(|(number, _)| number)
            .collect();
        waiting.reverse();
        let mut missing = self.entries.len() - waiting.len();
        let taken = vec![false; by_name.len()];
        let mut children = Children { by_number, by_name, taken };
        while let Some(base) = waiting.pop() {
            for number in children.take(base, self.entries[base as usize].id) {
                self.cancel.check()?;
                if self.entries[number as usize].kind.is_some() {
                    continue;
                }
                let content = self.settle(base, number)?;
                missing -= 1;
                if children.has(number, self.entries[number as usize].id) {
                    self.kept.keep(number, content);
                }
                waiting.push(number);
            }
        }
        if missing > 0 {
            return unusable(format!(
                "the pack is damaged: {missing} of its objects build on others that are not in it"
            ));
        }
        let entries = &self.entries;
        self.by_id = (0_u32..).zip(entries).map(|(number, _)| number).collect();
        self.by_id.sort_by_key(|number| entries[*number as usize].id);
        Ok(())
    }

    /// Resolves one delta whose base is.
    fn settle(&mut self, base: u32, number: u32) -> Result<Rc<Content>, Wrong> {
        let (kind, depth) = {
            let base = &self.entries[base as usize];
            (base.kind, base.depth + 1)
        };
        if depth >= self.budget.limits.chain {
            return unusable("the pack has deltas upon deltas without end");
        }
        let entry = &mut self.entries[number as usize];
        entry.base = base;
        entry.depth = depth;
        let content = self.content(number)?;
        let mut hash = Sha1::of_object(kind.unwrap_or(Kind::Blob), content.len());
        let hashed = content.part(0, content.len(), |bytes| {
            hash.update(bytes);
            Ok(())
        });
        hashed.map_err(Wrong::of_stream)?;
        let entry = &mut self.entries[number as usize];
        entry.id = hash.finish();
        entry.kind = kind;
        Ok(content)
    }

    /// The number and kind of an object.
    pub(super) fn find(&self, id: &Id) -> Option<(u32, Kind)> {
        let place = self.by_id.partition_point(|number| self.entries[*number as usize].id < *id);
        let number = *self.by_id.get(place)?;
        let entry = &self.entries[number as usize];
        (entry.id == *id).then_some((number, entry.kind?))
    }

    /// The content of an object that is small by its nature.
    pub(super) fn small(&mut self, id: &Id, kind: Kind) -> Result<Rc<Content>, Wrong> {
        let number = self.number(id, kind)?;
        if self.size(number)? > SMALL {
            return unusable(format!("the {} {id} has more bytes than kiln takes", kind.name()));
        }
        self.content(number)
    }

    /// Writes a blob into a file, which is at `place`; its length in bytes.
    pub(super) fn copy(&mut self, id: &Id, into: &mut File, place: &Path) -> Result<u64, Wrong> {
        let write = |bytes: &[u8]| into.write_all(bytes).map_err(written("write", place));
        let number = self.number(id, Kind::Blob)?;
        let entry = self.entries[number as usize];
        if entry.base == NOTHING {
            let file = self.file.clone();
            let (size, body) = pack::body(&file, &entry)?;
            self.spend(size)?;
            pack::inflate(body, size, write)?;
            return Ok(size);
        }
        let content = self.content(number)?;
        // It may have been at hand, and is written all the same.
        self.spend(content.len())?;
        content.part(0, content.len(), write).map_err(Wrong::of_stream)?;
        Ok(content.len())
    }

    fn number(&self, id: &Id, kind: Kind) -> Result<u32, Wrong> {
        match self.find(id) {
            Some((number, found)) if found == kind => Ok(number),
            Some((_, found)) => {
                let (found, wanted) = (found.name(), kind.name());
                unusable(format!("the object {id} is a {found} and was to be a {wanted}"))
            }
            None => unusable(format!("the server has left out the {} {id}", kind.name())),
        }
    }

    /// Of the content.
    fn size(&self, number: u32) -> Result<u64, Wrong> {
        let entry = &self.entries[number as usize];
        let (size, body) = pack::body(&self.file, entry)?;
        if entry.base == NOTHING {
            return Ok(size);
        }
        let (_, size) = delta::sizes(&mut BufReader::new(ZlibDecoder::new(body)))?;
        Ok(size)
    }

    fn content(&mut self, number: u32) -> Result<Rc<Content>, Wrong> {
        let mut chain = Vec::new();
        let mut next = number;
        let mut content = loop {
            if let Some(kept) = self.kept.get(next) {
                break kept;
            }
            let entry = self.entries[next as usize];
            if entry.base == NOTHING {
                break self.whole(&entry)?;
            }
            chain.push(next);
            next = entry.base;
        };
        for number in chain.into_iter().rev() {
            self.cancel.check()?;
            let base = next;
            self.kept.keep(base, content.clone());
            content = self.applied(number, &content)?;
            next = number;
        }
        Ok(content)
    }

    fn whole(&mut self, entry: &Entry) -> Result<Rc<Content>, Wrong> {
        let file = self.file.clone();
        let (size, body) = pack::body(&file, entry)?;
        self.spend(size)?;
        let mut content = Content::new(size, &self.dir)?;
        pack::inflate(body, size, |bytes| content.write_all(bytes))?;
        Ok(Rc::new(content))
    }

    fn applied(&mut self, number: u32, base: &Content) -> Result<Rc<Content>, Wrong> {
        let entry = self.entries[number as usize];
        // Borrowed apart from the rest, which counts what is unpacked.
        let file = self.file.clone();
        let (_, body) = pack::body(&file, &entry)?;
        let mut delta = BufReader::new(ZlibDecoder::new(body));
        let (of_base, size) = delta::sizes(&mut delta)?;
        if of_base != base.len() {
            return unusable("the pack is damaged: a delta is for another object than its base");
        }
        if size > self.budget.limits.object {
            return unusable("a delta makes more bytes than kiln takes");
        }
        // Two numbers that stand for gigabytes are sent in ten bytes.
        self.spend(size)?;
        let mut content = Content::new(size, &self.dir)?;
        delta::apply(base, &mut delta, size, &mut content)?;
        Ok(Rc::new(content))
    }

    fn spend(&self, bytes: u64) -> Result<(), Wrong> {
        self.cancel.check()?;
        self.budget.spend(bytes)
    }

    /// What the whole fetch may still cost.
    pub(super) fn budget(&self) -> &Rc<Budget> {
        &self.budget
    }

    /// The pack's own name.
    pub(super) fn checksum(&self) -> Id {
        self.checksum
    }

    /// Name, CRC-32 and offset of all objects, in the order of their names.
    pub(super) fn listed(&self) -> impl ExactSizeIterator<Item = (Id, u32, u64)> {
        self.by_id.iter().map(|number| {
            let entry = &self.entries[*number as usize];
            (entry.id, entry.crc, entry.offset)
        })
    }
}

impl Children {
    /// The deltas to an entry. Those to its name are there once, however many entries have that name:
    /// a thousand deltas that each make their base anew would be looked through a million times.
    fn take(&mut self, number: u32, id: Id) -> Vec<u32> {
        let mut found: Vec<u32> = of(&self.by_number, number).map(|(_, child)| *child).collect();
        let first = self.by_name.partition_point(|(base, _)| *base < id);
        // Where there are none, the first place is another name's.
        let is_there = self.by_name.get(first).is_some_and(|(base, _)| *base == id);
        let is_new = is_there && !std::mem::replace(&mut self.taken[first], true);
        if is_new {
            found.extend(of(&self.by_name, id).map(|(_, child)| *child));
        }
        found
    }

    /// Whether there are any.
    fn has(&self, number: u32, id: Id) -> bool {
        of(&self.by_number, number).next().is_some() || of(&self.by_name, id).next().is_some()
    }
}

/// The pairs of a key, out of pairs in their order.
fn of<K: Ord + Copy>(pairs: &[(K, u32)], key: K) -> impl Iterator<Item = &(K, u32)> {
    let first = pairs.partition_point(|(one, _)| *one < key);
    pairs[first..].iter().take_while(move |(one, _)| *one == key)
}

/// Contents that others build on, as many as memory is for.
#[derive(Debug, Default)]
struct Kept {
    contents: HashMap<u32, (Rc<Content>, u64)>,
    weight: usize,
    clock: u64,
}

impl Kept {
    fn get(&mut self, number: u32) -> Option<Rc<Content>> {
        self.clock += 1;
        let (content, used) = self.contents.get_mut(&number)?;
        *used = self.clock;
        Some(content.clone())
    }

    fn keep(&mut self, number: u32, content: Rc<Content>) {
        self.clock += 1;
        let weight = content.weight();
        if self.contents.insert(number, (content, self.clock)).is_none() {
            self.weight += weight;
        }
        while self.weight > KEPT_BYTES || self.contents.len() > KEPT {
            let oldest = self.contents.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(number, _)| *number) else { break };
            if let Some((content, _)) = self.contents.remove(&oldest) {
                self.weight -= content.weight();
            }
        }
    }
}

/// A file for a pack, which is gone when nobody keeps it.
pub(super) fn pack_file(dir: &Path) -> Result<tempfile::NamedTempFile, Wrong> {
    let made = tempfile::Builder::new().prefix(".pack-").tempfile_in(dir);
    Ok(made.map_err(RemoteError::io("make a file in", dir))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_children_once() {
        let other = Id::parse(&"f".repeat(40)).expect("a name");
        let named = (0..1000).map(|number| (Id::NONE, number));
        let by_name: Vec<(Id, u32)> = named.chain([(other, 3000)]).collect();
        let taken = vec![false; by_name.len()];
        let mut children = Children { by_number: vec![(7, 2000)], by_name, taken };
        let all: usize = (0..1000).map(|number| children.take(number, Id::NONE).len()).sum();
        assert_eq!(all, 1000 + 1);
        // A name between them takes nothing from who is behind it.
        assert!(children.take(1, name()).is_empty());
        assert_eq!(children.take(1, other), [3000]);
        assert!(children.has(1, Id::NONE) && children.has(7, name()) && !children.has(8, name()));
    }

    fn name() -> Id {
        Sha1::new().finish()
    }
}
