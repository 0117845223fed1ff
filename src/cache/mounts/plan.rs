//! Which packs a new snapshot takes over from the last one, and what goes into new ones.
//!
//! New pieces make a new pack. So that packs do not get many, it takes in older ones that are not larger
//! than itself, as a binary counter carries: there are about as many small packs as the size of the cache
//! has digits, and a piece is sent again only that often. A pack of which less than half is still of use
//! is taken in too.

use std::collections::{HashMap, HashSet};

use super::manifest::PACKS_MAX;
use super::pack::{Chunk, Pack};
use super::scan::Seen;
use crate::digest::Digest;

/// Bytes of a new pack's pieces, but for large caches: small enough that several are made and sent at
/// the same time.
const PACK: u64 = 32 << 20;
/// A larger pack is not taken in for being small.
const SMALL: u64 = 16 << 20;
/// A full cache has about so many packs.
const PACKS: u64 = 60;

/// A piece that has to be read again from its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) chunk: Chunk,
    /// The file's number among all.
    pub(super) file: usize,
    /// Where it begins in there.
    pub(super) at: u64,
}

/// See above.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The packs that stay, by their numbers among those that there are.
    pub(super) kept: Vec<usize>,
    /// The new ones.
    pub(super) new: Vec<Vec<Wanted>>,
}

/// Plans a snapshot of these files. `packs` are those that the place has.
pub(super) fn plan(seen: &[Seen], packs: &[&Pack]) -> Plan {
    let wanted = wanted(seen);
    let needed: HashSet<Digest> = wanted.iter().map(|wanted| wanted.chunk.digest).collect();
    // Each piece counts in one pack only.
    let mut had: HashSet<Digest> = HashSet::new();
    let mut live: Vec<u64> = Vec::new();
    for pack in packs {
        let of_use = |chunk: &&Chunk| needed.contains(&chunk.digest) && had.insert(chunk.digest);
        live.push(pack.chunks.iter().filter(of_use).map(|it| u64::from(it.length)).sum());
    }
    let size: u64 = wanted.iter().map(|wanted| u64::from(wanted.chunk.length)).sum();
    let is_kept = |at: &usize| live[*at] > 0 && live[*at] * 2 >= packs[*at].plain_size();
    let mut kept: Vec<usize> = (0..packs.len()).filter(is_kept).collect();
    let mut new = size - kept.iter().map(|at| live[*at]).sum::<u64>();
    // The smallest first, so that each makes the new pack large enough for the next.
    kept.sort_by_key(|at| (live[*at], *at));
    let full = (size / PACKS).max(PACK);
    let carried = |at: usize, new: u64, left: usize| {
        let small = new > 0 && live[at] <= new.min(SMALL);
        small || left as u64 + new.div_ceil(full) > PACKS_MAX as u64
    };
    let mut first = 0;
    while first < kept.len() && carried(kept[first], new, kept.len() - first) {
        new += live[kept[first]];
        first += 1;
    }
    let mut kept = kept.split_off(first);
    kept.sort_unstable();
    let has: HashSet<Digest> =
        kept.iter().flat_map(|at| &packs[*at].chunks).map(|chunk| chunk.digest).collect();
    let missing = wanted.into_iter().filter(|wanted| !has.contains(&wanted.chunk.digest));
    Plan { kept, new: divide(missing, full) }
}

/// Each piece once, where it is first.
fn wanted(seen: &[Seen]) -> Vec<Wanted> {
    let mut known = HashSet::new();
    let mut wanted = Vec::new();
    for (file, seen) in seen.iter().enumerate() {
        let mut at = 0;
        for chunk in &seen.chunks {
            if known.insert(chunk.digest) {
                wanted.push(Wanted { chunk: *chunk, file, at });
            }
            at += u64::from(chunk.length);
        }
    }
    wanted
}

fn divide(wanted: impl Iterator<Item = Wanted>, full: u64) -> Vec<Vec<Wanted>> {
    let mut packs = Vec::new();
    let mut pack = Vec::new();
    let mut size = 0;
    for one in wanted {
        size += u64::from(one.chunk.length);
        pack.push(one);
        if size >= full {
            packs.push(std::mem::take(&mut pack));
            size = 0;
        }
    }
    if !pack.is_empty() {
        packs.push(pack);
    }
    packs
}

/// Where each piece is, in these packs.
pub(super) fn places<'a>(packs: impl Iterator<Item = &'a Pack>) -> HashMap<Digest, (u32, u32)> {
    let mut places = HashMap::new();
    for (pack, it) in packs.enumerate() {
        for (number, chunk) in it.chunks.iter().enumerate() {
            places.entry(chunk.digest).or_insert((pack as u32, number as u32));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Descriptor;
    use crate::layer::{Entry, Kind, Metadata, Timestamp};

    fn chunk(name: u64, length: u32) -> Chunk {
        Chunk { digest: Digest::of(&name.to_le_bytes()), length }
    }

    fn file(name: u64, chunks: Vec<Chunk>) -> Seen {
        let size = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
        let path = name.to_string().into();
        let entry = Entry { path, meta: Metadata::default(), kind: Kind::File { size } };
        Seen { entry, used: 0, chunks, stamp: None, read_at: Timestamp::default() }
    }

    fn pack(chunks: Vec<Chunk>) -> Pack {
        let name: Vec<u8> = chunks.iter().flat_map(|it| *it.digest.as_bytes()).collect();
        Pack { descriptor: Descriptor::new("x", Digest::of(&name), 1), chunks }
    }

    /// Carries a plan out.
    fn apply(plan: &Plan, packs: &[Pack]) -> Vec<Pack> {
        let kept = plan.kept.iter().map(|at| packs[*at].clone());
        let new = plan.new.iter();
        kept.chain(new.map(|it| pack(it.iter().map(|one| one.chunk).collect()))).collect()
    }

    fn sent(plan: &Plan) -> u64 {
        plan.new.iter().flatten().map(|one| u64::from(one.chunk.length)).sum()
    }

    #[test]
    fn packs_stay_few_and_little_is_sent_again() {
        let mut files: Vec<Seen> =
            (0..1000).map(|name| file(name, vec![chunk(name, 100_000)])).collect();
        let mut packs: Vec<Pack> = Vec::new();
        let first = plan(&files, &[]);
        assert_eq!(sent(&first), 100_000_000);
        packs = apply(&first, &packs);
        assert_eq!(packs.len(), 3);
        let mut again = 0;
        for name in 1000..1500 {
            files.push(file(name, vec![chunk(name, 1000)]));
            let next = plan(&files, &packs.iter().collect::<Vec<_>>());
            again += sent(&next);
            packs = apply(&next, &packs);
            let places = places(packs.iter());
            let all = files.iter().flat_map(|file| &file.chunks);
            assert!(all.clone().all(|chunk| places.contains_key(&chunk.digest)));
        }
        assert!(packs.len() <= 3 + 10, "{}", packs.len());
        assert!(again <= 500 * 1000 * 10, "{again}");
        // Nothing new: nothing is sent.
        let next = plan(&files, &packs.iter().collect::<Vec<_>>());
        assert_eq!((sent(&next), next.kept.len()), (0, packs.len()));
    }

    #[test]
    fn packs_that_are_mostly_dead_are_written_anew() {
        let files: Vec<Seen> = (0..10).map(|name| file(name, vec![chunk(name, 1000)])).collect();
        let all = pack((0..10).map(|name| chunk(name, 1000)).collect());
        for (left, sent_again) in [(10, 0), (5, 0), (4, 4000), (0, 0)] {
            let plan = plan(&files[..left], &[&all]);
            assert_eq!(sent(&plan), sent_again, "{left}");
            assert_eq!(plan.kept.len(), usize::from(left >= 5), "{left}");
        }
    }

    #[test]
    fn a_manifest_never_names_too_many_packs() {
        let files: Vec<Seen> = (0..400).map(|name| file(name, vec![chunk(name, 1000)])).collect();
        let packs: Vec<Pack> = (0..400).map(|name| pack(vec![chunk(name, 1000)])).collect();
        let next = plan(&files, &packs.iter().collect::<Vec<_>>());
        assert!(apply(&next, &packs).len() <= PACKS_MAX, "{}", next.kept.len());
        // However large the cache is.
        let huge: Vec<Seen> =
            (0..40_000).map(|name| file(name, vec![chunk(name, 512 << 10)])).collect();
        assert!(plan(&huge, &[]).new.len() <= PACKS as usize + 1);
    }

    #[test]
    fn the_same_piece_is_kept_once() {
        let one = chunk(1, 1000);
        let plan = plan(&[file(1, vec![one, one]), file(2, vec![one])], &[]);
        assert_eq!(plan.new, [[Wanted { chunk: one, file: 0, at: 0 }]]);
    }
}
