//! Finds the name that was probably meant.

use std::ffi::{OsStr, OsString};

/// The closest of some names, if it is close: the same but for case, or one change in three
/// characters at most.
pub(super) fn nearest<'n>(
    wanted: &OsStr,
    names: impl Iterator<Item = &'n OsString>,
) -> Option<&'n OsString> {
    let wanted = wanted.to_str()?.to_lowercase();
    let allowed = wanted.chars().count() / 3;
    names
        .filter_map(|name| Some((distance(&wanted, &name.to_str()?.to_lowercase()), name)))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many characters have to be inserted, removed or replaced (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_close_names_are_near() {
        let names: Vec<OsString> =
            ["package.json", "Package-lock.json", "src", "README.md"].map(OsString::from).into();
        for (wanted, found) in [
            ("packge.json", Some("package.json")),
            ("readme.md", Some("README.md")),
            ("package-lock.json", Some("Package-lock.json")),
            ("scr", None),
            ("sr", None),
            ("lib", None),
            ("srcs", Some("src")),
        ] {
            let near = nearest(OsStr::new(wanted), names.iter());
            assert_eq!(near, found.map(OsString::from).as_ref(), "{wanted}");
        }
    }
}
