//! How much of a cache is kept: what was used longest ago is left out first.
//!
//! A file is left out alone, but for those that belong together: a program that finds one of them takes
//! for granted that all are there.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;
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

/// What is left out as a whole.
#[derive(Debug, Default, Clone, Copy)]
struct Unit {
    /// When one of its files was last used.
    used: u32,
    size: u64,
    files: usize,
}

/// Takes away what is too old or too much; directories stay. `now` is in hours since 1970.
pub(super) fn apply(seen: Vec<Seen>, limits: &MountLimits, now: u32) -> (Vec<Seen>, LeftOut) {
    let wholes = Wholes::of(&seen);
    let mut units: HashMap<&Path, Unit> = HashMap::new();
    for Seen { entry, used, .. } in &seen {
        let size = match entry.kind {
            Kind::File { size } => size,
            Kind::Symlink(_) => 0,
            _ => continue,
        };
        let unit = units.entry(wholes.unit(&entry.path)).or_default();
        unit.used = unit.used.max(*used);
        unit.size += size;
        unit.files += 1;
    }
    let (gone, left_out) = choose(units, limits, now);
    if gone.is_empty() {
        return (seen, left_out);
    }
    let is_gone = |path: &Path| gone.contains(wholes.unit(path));
    let stays: Vec<bool> = seen
        .iter()
        .map(|seen| match &seen.entry.kind {
            Kind::Dir => true,
            // Their content is where the first name is.
            Kind::HardLink(target) => !is_gone(target),
            _ => !is_gone(&seen.entry.path),
        })
        .collect();
    let kept = seen.into_iter().zip(stays).filter_map(|(seen, stays)| stays.then_some(seen));
    (kept.collect(), left_out)
}

fn choose(
    units: HashMap<&Path, Unit>,
    limits: &MountLimits,
    now: u32,
) -> (HashSet<PathBuf>, LeftOut) {
    let mut left_out = LeftOut::default();
    let oldest = now.saturating_sub(hours(limits.age));
    let (old, mut rest): (Vec<_>, Vec<_>) =
        units.into_iter().partition(|(_, unit)| unit.used < oldest);
    left_out.old = old.iter().map(|(_, unit)| unit.files).sum();
    let mut gone: HashSet<PathBuf> = old.into_iter().map(|(path, _)| path.to_owned()).collect();
    let mut total: u64 = rest.iter().map(|(_, unit)| unit.size).sum();
    // Of those that were used at the same time, the largest: fewer are missed.
    rest.sort_by(|(a_path, a), (b_path, b)| {
        (a.used, b.size, a_path).cmp(&(b.used, a.size, b_path))
    });
    for (path, unit) in rest {
        if total <= limits.size {
            break;
        }
        if unit.size > 0 {
            total -= unit.size;
            left_out.over += unit.files;
            left_out.over_bytes += unit.size;
            gone.insert(path.to_owned());
        }
    }
    (gone, left_out)
}

/// Directories whose files belong together.
struct Wholes<'a>(HashSet<&'a Path>);

impl<'a> Wholes<'a> {
    fn of(seen: &'a [Seen]) -> Self {
        let mut wholes = HashSet::new();
        let (mut heads, mut objects) = (HashSet::new(), HashSet::new());
        for Seen { entry, .. } in seen {
            let (Some(above), Some(name)) = (entry.path.parent(), entry.path.file_name()) else {
                continue;
            };
            match (name.as_bytes(), &entry.kind) {
                // A crate that Cargo has unpacked, or a checkout: it does not look again.
                (b".cargo-ok" | b".ok", _) => _ = wholes.insert(above),
                // A git repository.
                (b"HEAD", Kind::File { .. }) => _ = heads.insert(above),
                (b"objects", Kind::Dir) => _ = objects.insert(above),
                (b"node_modules", Kind::Dir) => _ = wholes.insert(&entry.path),
                // A module that go has unpacked: `mod/example.com/name@v1.2.3`.
                // But `cache/download/…/@v` has files that stand alone.
                (name, Kind::Dir) if name != b"@v" && name.windows(2).any(|part| part == b"@v") => {
                    wholes.insert(&entry.path);
                }
                _ => {}
            }
        }
        wholes.extend(heads.intersection(&objects));
        // The cache as a whole may be one, but then there is nothing to choose.
        wholes.remove(Path::new(""));
        Self(wholes)
    }

    /// The outermost of them that has this path, or the path itself.
    fn unit<'p>(&self, path: &'p Path) -> &'p Path {
        if self.0.is_empty() {
            return path;
        }
        path.ancestors().filter(|above| self.0.contains(above)).last().unwrap_or(path)
    }
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

    fn dir(path: &str) -> Seen {
        seen(path, Kind::Dir, 0)
    }

    fn left(all: Vec<Seen>, size: u64, age: u64) -> (String, LeftOut) {
        let limits = MountLimits { size, age: Duration::from_secs(age * 3600) };
        let (all, left_out) = apply(all, &limits, 100);
        let is_dir = |seen: &&Seen| seen.entry.kind != Kind::Dir;
        let paths = all.iter().filter(is_dir).map(|seen| seen.entry.path.display().to_string());
        (paths.collect::<Vec<_>>().join(" "), left_out)
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let all = || {
            vec![
                dir(""),
                file("a", 10, 100),
                file("b", 20, 50),
                seen("c", Kind::HardLink("b".into()), 0),
                dir("d"),
                file("d/e", 30, 50),
                seen("d/f", Kind::Symlink("e".into()), 50),
            ]
        };
        let none = LeftOut::default();
        let over = |over, over_bytes| LeftOut { over, over_bytes, ..none };
        assert_eq!(left(all(), 60, 100), ("a b c d/e d/f".into(), none));
        assert_eq!(left(all(), 59, 100), ("a b c d/f".into(), over(1, 30)));
        assert_eq!(left(all(), 29, 100), ("a d/f".into(), over(2, 50)));
        assert_eq!(left(all(), 60, 49), ("a".into(), LeftOut { old: 3, ..none }));
        assert_eq!(left(all(), 60, 50).1, none);
    }

    #[test]
    fn what_belongs_together_stays_or_goes_together() {
        let all = || {
            vec![
                dir(""),
                dir("git"),
                file("git/HEAD", 1, 1),
                dir("git/objects"),
                file("git/objects/pack", 10, 90),
                dir("go"),
                dir("go/@v"),
                file("go/@v/list", 1, 1),
                dir("go/mod@v1.0.0"),
                file("go/mod@v1.0.0/README", 1, 1),
                file("go/mod@v1.0.0/a.go", 1, 100),
                dir("src"),
                file("src/.cargo-ok", 1, 1),
                dir("src/tests"),
                file("src/tests/a.rs", 1, 1),
            ]
        };
        let kept = "git/HEAD git/objects/pack go/mod@v1.0.0/README go/mod@v1.0.0/a.go";
        let old = LeftOut { old: 3, ..LeftOut::default() };
        assert_eq!(left(all(), 100, 50), (kept.into(), old));
        let over = LeftOut { over: 5, over_bytes: 14, ..LeftOut::default() };
        let (kept, left_out) = left(all(), 2, 100);
        assert_eq!((kept.as_str(), left_out), ("go/mod@v1.0.0/README go/mod@v1.0.0/a.go", over));
    }
}
