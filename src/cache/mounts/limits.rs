//! How much of a cache is kept: what was used longest ago is left out first.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::scan::Seen;
use crate::layer::Kind;
use crate::request::MountLimits;

/// What was left out, for people.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Files that nobody has used for too long.
    pub(super) old: usize,
    /// Files for which there was no room.
    pub(super) over: usize,
    /// Bytes of these.
    pub(super) over_bytes: u64,
}

/// Takes away what is too old or too much; directories stay. `now` is in hours since 1970.
pub(super) fn apply(seen: Vec<Seen>, limits: &MountLimits, now: u32) -> (Vec<Seen>, LeftOut) {
    let mut left_out = LeftOut::default();
    let oldest = now.saturating_sub(hours(limits.age));
    let mut files: Vec<(u32, u64, &Path)> = Vec::new();
    let mut gone: HashSet<PathBuf> = HashSet::new();
    for Seen { entry, used, .. } in &seen {
        match entry.kind {
            Kind::File { .. } | Kind::Symlink(_) if *used < oldest => {
                left_out.old += 1;
                gone.insert(entry.path.clone());
            }
            Kind::File { size } => files.push((*used, size, &entry.path)),
            _ => {}
        }
    }
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    // Of those that were used at the same time, the largest: fewer are missed.
    files.sort_by(|a, b| (a.0, b.1, a.2).cmp(&(b.0, a.1, b.2)));
    for (_, size, path) in files {
        if total <= limits.size {
            break;
        }
        total -= size;
        left_out.over += 1;
        left_out.over_bytes += size;
        gone.insert(path.to_owned());
    }
    if gone.is_empty() {
        return (seen, left_out);
    }
    let stays = |seen: &Seen| match &seen.entry.kind {
        Kind::HardLink(target) => !gone.contains(target),
        _ => !gone.contains(&seen.entry.path),
    };
    (seen.into_iter().filter(stays).collect(), left_out)
}

fn hours(time: Duration) -> u32 {
    u32::try_from(time.as_secs().div_ceil(3600)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Entry, Metadata, Timestamp};

    fn seen(path: &str, kind: Kind, used: u32) -> Seen {
        let entry = Entry { path: path.into(), meta: Metadata::default(), kind };
        let read_at = Timestamp::default();
        Seen { entry, used, chunks: Vec::new(), stamp: None, read_at }
    }

    fn file(path: &str, size: u64, used: u32) -> Seen {
        seen(path, Kind::File { size }, used)
    }

    fn left(size: u64, age: u64) -> (Vec<String>, LeftOut) {
        let all = vec![
            seen("", Kind::Dir, 0),
            file("a", 10, 100),
            file("b", 20, 50),
            seen("c", Kind::HardLink("b".into()), 0),
            seen("d", Kind::Dir, 1),
            file("d/e", 30, 50),
            seen("d/f", Kind::Symlink("e".into()), 50),
        ];
        let limits = MountLimits { size, age: Duration::from_secs(age * 3600) };
        let (all, left_out) = apply(all, &limits, 100);
        let paths = all.iter().map(|seen| seen.entry.path.display().to_string());
        (paths.collect(), left_out)
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let none = LeftOut::default();
        assert_eq!(left(60, 100), (["", "a", "b", "c", "d", "d/e", "d/f"].map(Into::into).into(), none));
        let over = LeftOut { over: 1, over_bytes: 30, ..none };
        assert_eq!(left(59, 100), (["", "a", "b", "c", "d", "d/f"].map(Into::into).into(), over));
        let over = LeftOut { over: 2, over_bytes: 50, ..none };
        assert_eq!(left(29, 100), (["", "a", "d", "d/f"].map(Into::into).into(), over));
        let old = LeftOut { old: 3, ..none };
        assert_eq!(left(60, 49), (["", "a", "d"].map(Into::into).into(), old));
        assert_eq!(left(60, 50).1, none);
    }
}
