//! Which of several things go.

use std::collections::BTreeMap;

/// What is to stay. Without a limit it is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// What was used then or later stays: seconds since 1970.
    pub used_since: Option<u64>,
    /// As much of the rest as fits into so many bytes stays.
    pub bytes: Option<u64>,
}

/// Something that takes space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<B> {
    /// When it was last used: seconds since 1970. What is not known does not go by its age, and goes
    /// first where there is too much.
    pub used: Option<u64>,
    /// Its blobs, and their bytes. One that several have counts once, and is gone with the last.
    pub blobs: Vec<(B, u64)>,
}

/// The numbers of those that go, and the bytes of what nobody has any more.
pub fn choose<B: Ord + Clone>(all: &[Candidate<B>], limits: Limits) -> (Vec<usize>, u64) {
    let mut owners: BTreeMap<&B, (usize, u64)> = BTreeMap::new();
    for (blob, bytes) in all.iter().flat_map(|one| &one.blobs) {
        let owner = owners.entry(blob).or_insert((0, *bytes));
        owner.0 += 1;
    }
    let total: u64 = owners.values().map(|(_, bytes)| bytes).sum();
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|&number| all[number].used);
    let (mut gone, mut freed) = (Vec::new(), 0);
    for number in order {
        let one = &all[number];
        if limits.bytes.is_some_and(|limit| total - freed <= limit) {
            break;
        }
        if let Some(since) = limits.used_since
            && one.used.is_none_or(|used| used >= since)
        {
            continue;
        }
        for (blob, bytes) in &one.blobs {
            if let Some((count, _)) = owners.get_mut(blob) {
                *count -= 1;
                freed += if *count == 0 { *bytes } else { 0 };
            }
        }
        gone.push(number);
    }
    gone.sort_unstable();
    (gone, freed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_shared_blobs_count_once() {
        let one = |used, blobs: &[(&'static str, u64)]| Candidate { used, blobs: blobs.to_vec() };
        let all = [
            one(Some(30), &[("a", 10)]),
            one(Some(10), &[("a", 10), ("b", 5)]),
            one(Some(20), &[("c", 7)]),
            one(None, &[("d", 1)]),
        ];
        let limits = |used_since, bytes| Limits { used_since, bytes };
        for (limit, expected) in [
            (limits(None, None), (vec![0, 1, 2, 3], 23)),
            (limits(Some(20), None), (vec![1], 5)),
            (limits(Some(31), None), (vec![0, 1, 2], 22)),
            (limits(None, Some(23)), (vec![], 0)),
            (limits(None, Some(22)), (vec![3], 1)),
            (limits(None, Some(17)), (vec![1, 3], 6)),
            (limits(None, Some(16)), (vec![1, 2, 3], 13)),
            (limits(Some(15), Some(10)), (vec![1], 5)),
            (limits(None, Some(0)), (vec![0, 1, 2, 3], 23)),
        ] {
            assert_eq!(choose(&all, limit), expected, "{limit:?}");
        }
    }
}
