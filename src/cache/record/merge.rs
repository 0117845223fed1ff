//! Records of several builds become one.

use std::cmp::Reverse;

use super::{Entry, Record};

/// What happens where there is a result already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rivals {
    /// It stays: what was built on it would be lost with it.
    Keep,
    /// The new one takes its place: the user wanted it made anew.
    Replace,
}

impl Record {
    /// Takes in what a build found or made. Each step has one result on the same files: of two builds
    /// that made it at the same time, the one that comes second gives its own up, and with it nothing
    /// is found that was built on that.
    pub fn merge(&mut self, new: Vec<Entry>, rivals: Rivals) {
        for entry in new {
            match self.entries.iter_mut().find(|old| old.is_rival_of(&entry)) {
                None => self.entries.push(entry),
                Some(old) if rivals == Rivals::Replace => *old = entry,
                Some(old) => {
                    old.used = old.used.max(entry.used);
                    if old.about.step.is_empty() {
                        old.about = entry.about;
                    }
                }
            }
        }
    }

    /// Forgets what was last used before then (seconds since 1970).
    pub fn drop_older(&mut self, than: u64) {
        self.entries.retain(|entry| entry.used >= than);
    }

    /// Forgets what was used longest ago until so many are left.
    pub fn keep_newest(&mut self, count: usize) {
        // The order stays where nothing goes: what is written again is the same, and need not be sent.
        if self.entries.len() > count {
            self.entries.sort_by_key(|entry| Reverse(entry.used));
            self.entries.truncate(count);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cache::facts::Facts;
    use crate::cache::key::Key;
    use crate::cache::record::About;
    use crate::digest::Digest;

    pub(in crate::cache::record) fn entry(key: &str, below: &str, used: u64) -> Entry {
        Entry {
            key: Key(Digest::of(key.as_bytes())),
            below: Digest::of(below.as_bytes()),
            sources: Vec::new(),
            layer: None,
            facts: Facts::default(),
            created: format!("made {used}"),
            used,
            about: About::default(),
        }
    }

    #[test]
    fn the_first_result_stays_unless_it_was_to_be_made_anew() {
        let mut record = Record { entries: vec![entry("a", "x", 1)] };
        record
            .merge(vec![entry("a", "x", 5), entry("a", "y", 5), entry("b", "x", 5)], Rivals::Keep);
        assert_eq!(record.entries.len(), 3);
        assert_eq!((record.entries[0].created.as_str(), record.entries[0].used), ("made 1", 5));
        record.merge(vec![entry("a", "x", 6)], Rivals::Replace);
        assert_eq!(record.entries[0].created, "made 6");
        assert_eq!(record.find(Key(Digest::of(b"a"))).len(), 2);
    }

    #[test]
    fn what_is_old_or_too_much_goes() {
        let all = (0..10).map(|n| entry(&n.to_string(), "x", n)).collect();
        let mut record = Record { entries: all };
        record.drop_older(3);
        assert_eq!(record.entries.len(), 7);
        record.keep_newest(2);
        assert_eq!(record.entries.iter().map(|e| e.used).collect::<Vec<_>>(), [9, 8]);
    }
}
