//! A directory becomes a snapshot: packs first, then the tree, then the manifest that names them, which
//! puts all of it in the place of the last snapshot at once.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::MountError;
use super::find;
use super::key::MountKey;
use super::manifest::{CONFIG_BYTES, LAYER, Snapshot, config};
use super::memory::{Kept, Memory};
use super::pack::{Pack, PackWriter};
use super::plan::{self, Plan, Wanted};
use super::scan::{self, Seen, side_by_side};
use super::tree::{Node, Piece, Tree};
use crate::cache::CacheError;
use crate::cache::backend::Content;
use crate::cache::library::Place;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::event::Task;
use crate::image::Descriptor;
use crate::rootfs::Root;

/// How often a save begins anew because others were faster.
const TRIES: usize = 3;
/// Packs that are made and sent at the same time.
const AT_ONCE: usize = 4;

/// What is to be saved.
#[derive(Debug)]
pub(super) struct Saving<'a> {
    pub(super) key: &'a MountKey,
    pub(super) root: &'a Root,
    pub(super) seen: &'a [Seen],
    pub(super) content: Digest,
    pub(super) memory: &'a Memory,
    /// A directory for packs.
    pub(super) scratch: &'a Path,
    /// Seconds since 1970.
    pub(super) now: u64,
    pub(super) cancel: &'a Cancel,
    /// Numbers the files of packs.
    pub(super) counter: &'a AtomicUsize,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) kept: Kept,
    /// The packs of the snapshot.
    pub(super) packs: Vec<Pack>,
    /// Bytes that were sent; nothing where the place had it already.
    pub(super) sent: Option<u64>,
}

impl Saving<'_> {
    /// Saves it to a place, unless the place has it already and that is younger than `fresh` (seconds
    /// since 1970).
    pub(super) fn to(&self, place: &Place, fresh: u64, task: &Task) -> Result<Saved, MountError> {
        let tag = self.key.exact_tag(place);
        let mut refused = false;
        for attempt in 0..TRIES {
            let there = find::read(place, &tag)?;
            if let Some(there) = &there
                && there.content == self.content
                && there.saved >= fresh
            {
                let (place, saved) = (place.shown(), there.saved);
                let kept = Kept { place, content: self.content, saved };
                return Ok(Saved { kept, packs: Vec::new(), sent: None });
            }
            let is_own = there.is_some();
            let there = match there {
                Some(there) => Some(there),
                // Brought from there, perhaps, and its packs are in the same repository.
                None => find::read(place, &self.key.kin_tag(place)).unwrap_or_default(),
            };
            // The last attempt relies on nothing that others may take away.
            let there = there.filter(|_| attempt + 1 < TRIES && !refused);
            match self.attempt(place, &tag, there.as_ref(), is_own, task) {
                Err(MountError::Overtaken) => {}
                Err(MountError::Refused(_)) => refused = true,
                outcome => return outcome,
            }
            self.cancel.check()?;
        }
        Err(MountError::Overtaken)
    }

    /// Those packs whose content is known that the place has. A directory says whether it is so, and
    /// keeps them from now on; a registry says it when it gets the manifest.
    fn known(&self, place: &Place, there: Option<&Snapshot>) -> Vec<&Pack> {
        let Some(there) = there else { return Vec::new() };
        let is_there = |pack: &&Pack| {
            there.has([&pack.descriptor].into_iter())
                && place.backend.layer(&pack.descriptor).is_some()
        };
        self.memory.packs.iter().filter(is_there).collect()
    }

    fn attempt(
        &self,
        place: &Place,
        tag: &str,
        there: Option<&Snapshot>,
        is_own: bool,
        task: &Task,
    ) -> Result<Saved, MountError> {
        let known = self.known(place, there);
        let plan = plan::plan(self.seen, &known);
        let sender = Sender { saving: self, place, task, sent: AtomicU64::new(0) };
        let new = sender.packs(&plan)?;
        let kept: Vec<&Pack> = plan.kept.iter().map(|at| known[*at]).collect();
        let packs: Vec<Pack> = kept.iter().copied().cloned().chain(new).collect();
        let tree = sender.tree(&tree(self.seen, &packs)?.encode()?)?;
        if there.is_none() {
            place.backend.keep(&config(), Content::Constant(CONFIG_BYTES), None, &|_| {})?;
        }
        let snapshot = Snapshot {
            tree,
            packs: packs.iter().map(|pack| pack.descriptor.clone()).collect(),
            content: self.content,
            saved: self.now,
        };
        let document = snapshot.document(self.key)?;
        let mut overtaken = false;
        let updated = place.backend.update(tag, &mut |old| {
            // What is taken over must not have been taken away meanwhile.
            overtaken = false;
            if is_own && !kept.is_empty() {
                let old = old.and_then(|old| Snapshot::parse(old, tag).ok());
                let mut taken = kept.iter().map(|pack| &pack.descriptor);
                overtaken = !old.is_some_and(|old| old.has(&mut taken));
            }
            Ok((!overtaken).then(|| document.clone()))
        });
        match updated {
            Err(CacheError::Registry(error)) if !kept.is_empty() && error.refuses_content() => {
                return Err(MountError::Refused(error.into()));
            }
            updated => updated?,
        }
        if overtaken {
            return Err(MountError::Overtaken);
        }
        let kin = self.key.kin_tag(place);
        place.backend.update(&kin, &mut |_| Ok(Some(document.clone())))?;
        let kept = Kept { place: place.shown(), content: self.content, saved: self.now };
        Ok(Saved { kept, packs, sent: Some(sender.sent.into_inner()) })
    }
}

/// Sends what a place does not have.
struct Sender<'a> {
    saving: &'a Saving<'a>,
    place: &'a Place,
    task: &'a Task,
    sent: AtomicU64,
}

impl Sender<'_> {
    /// Makes the new packs and sends them, several at a time.
    fn packs(&self, plan: &Plan) -> Result<Vec<Pack>, MountError> {
        let next = AtomicUsize::new(0);
        let made: Mutex<Vec<(usize, Pack)>> = Mutex::default();
        side_by_side(AT_ONCE.min(plan.new.len()), &|| {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(wanted) = plan.new.get(at) else { return Ok(()) };
                let pack = self.pack(wanted).inspect_err(|_| {
                    next.store(plan.new.len(), Ordering::Relaxed);
                })?;
                made.lock().unwrap_or_else(PoisonError::into_inner).push((at, pack));
            }
        })?;
        let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
        made.sort_by_key(|(at, _)| *at);
        Ok(made.into_iter().map(|(_, pack)| pack).collect())
    }

    fn pack(&self, wanted: &[Wanted]) -> Result<Pack, MountError> {
        let Saving { root, seen, scratch, cancel, counter, .. } = self.saving;
        let number = counter.fetch_add(1, Ordering::Relaxed);
        let path = Temporary(scratch.join(format!("new-{number}")));
        let mut writer = PackWriter::create(&path.0)?;
        let mut open: Option<(usize, File)> = None;
        let mut bytes = Vec::new();
        for Wanted { chunk, file, at } in wanted {
            cancel.check()?;
            let name = &seen[*file].entry.path;
            let source = match open.take() {
                Some((number, source)) if number == *file => source,
                _ => scan::open(root, name)?,
            };
            bytes.resize(chunk.length as usize, 0);
            let read = source.read_exact_at(&mut bytes, *at);
            open = Some((*file, source));
            if read.is_err() || Digest::of(&bytes) != chunk.digest {
                return Err(MountError::Changed(name.clone()));
            }
            writer.add(*chunk, &bytes)?;
        }
        let pack = writer.finish()?;
        self.send(&pack.descriptor, Content::File(&path.0))?;
        Ok(pack)
    }

    fn tree(&self, bytes: &[u8]) -> Result<Descriptor, MountError> {
        let blob = Descriptor::new(LAYER, Digest::of(bytes), bytes.len() as u64);
        self.send(&blob, Content::Bytes(bytes))?;
        Ok(blob)
    }

    fn send(&self, blob: &Descriptor, content: Content<'_>) -> Result<(), MountError> {
        let progress = |bytes: u64| {
            let sent = self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
            self.task.progress(sent, None);
        };
        Ok(self.place.backend.keep(blob, content, None, &progress)?)
    }
}

/// The files with the places of their pieces.
fn tree(seen: &[Seen], packs: &[Pack]) -> Result<Tree, MountError> {
    let places: HashMap<Digest, (u32, u32)> = plan::places(packs.iter());
    let node = |seen: &Seen| -> Result<Node, MountError> {
        let piece = |chunk: &super::pack::Chunk| {
            let missing = || MountError::damaged("a piece is in no pack");
            let (pack, number) = *places.get(&chunk.digest).ok_or_else(missing)?;
            Ok(Piece { pack, number, length: chunk.length })
        };
        let pieces = seen.chunks.iter().map(piece).collect::<Result<_, MountError>>()?;
        Ok(Node { entry: seen.entry.clone(), used: seen.used, pieces })
    };
    seen.iter().map(node).collect::<Result<_, _>>().map(Tree)
}

/// A file that goes with this value.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}
