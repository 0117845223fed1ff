//! Ranges of ids that an account may use in user namespaces: /etc/subuid and /etc/subgid (subuid(5)).

use std::io;
use std::path::Path;

/// Ids that are mapped together: as seen inside, as seen outside, how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

/// Root inside is the account itself, the ids from 1 on are its ranges in the file's order.
pub(super) fn map(id: u32, table: &str, name: Option<&str>, uid: u32) -> Vec<Range> {
    let mut map = vec![Range { inside: 0, outside: id, count: 1 }];
    let mut inside: u32 = 1;
    for (outside, count) in ranges(table, name, uid) {
        let count = count.min(u32::MAX - inside);
        map.push(Range { inside, outside, count });
        inside += count;
    }
    map
}

/// The ranges of an account, which a line names by name or by uid.
fn ranges(table: &str, name: Option<&str>, uid: u32) -> impl Iterator<Item = (u32, u32)> {
    table.lines().filter_map(move |line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        if Some(owner) != name && owner.parse() != Ok(uid) {
            return None;
        }
        let start = fields.next()?.parse().ok()?;
        let count = fields.next()?.parse().ok()?;
        (count > 0).then_some((start, count))
    })
}

/// The ids that are mapped in the present namespace, each to itself: what root without CAP_SYS_ADMIN
/// can map into a new one (/proc/PID/uid_map: inside, outside, count).
pub(super) fn identity(table: &Path) -> io::Result<Vec<Range>> {
    let table = std::fs::read_to_string(table)?;
    let ranges = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let inside = fields.next()?.parse().ok()?;
        let count = fields.nth(1)?.parse().ok()?;
        Some(Range { inside, outside: inside, count })
    });
    Ok(ranges.collect())
}

/// The name of an account, from the text of /etc/passwd: the static binary has no other source.
pub fn account(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_the_ranges_of_its_name_and_of_its_number() {
        let table = "other:1:1\nme:100000:65536\n\nbroken\n1000:300000:10\nme:5:0\nme:x:1\n";
        let expected = [(0, 1000, 1), (1, 100_000, 65536), (65537, 300_000, 10)];
        let found: Vec<_> = map(1000, table, Some("me"), 1000)
            .iter()
            .map(|range| (range.inside, range.outside, range.count))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(map(7, table, None, 7).len(), 1);
    }

    #[test]
    fn ranges_that_exceed_the_ids_end_with_them() {
        let table = "me:1:4294967295\nme:1:4294967295\n";
        let map = map(1, table, Some("me"), 1);
        let last = map[map.len() - 1];
        assert!(last.inside.checked_add(last.count).is_some());
    }

    #[test]
    fn an_account_is_found_by_its_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nme:x:1000:100::/:/bin/sh\n";
        assert_eq!(account(passwd, 1000), Some("me"));
        assert_eq!(account(passwd, 100), None);
    }
}
