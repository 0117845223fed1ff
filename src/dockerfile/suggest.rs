//! "did you mean": the one candidate that is a typing slip away.

/// More edits than this are another word, not a slip.
const MAX_EDITS: usize = 2;
/// Longer words are not names; their distance would cost time for nothing.
const MAX_LENGTH: usize = 64;

/// ` (did you mean NAME?)`, or nothing. Case does not matter; the answer has the candidate's.
pub(super) fn did_you_mean<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match closest(word, names) {
        Some(name) => format!(" (did you mean {name}?)"),
        None => String::new(),
    }
}

/// The one name that a word is a slip away from.
pub fn closest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_LENGTH {
        return None;
    }
    let word = word.to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    let mut tie = false;
    for name in names {
        let edits = distance(&word, &name.to_lowercase());
        if edits > MAX_EDITS || edits >= name.len() {
            continue;
        }
        match best {
            Some((least, _)) if edits > least => {}
            Some((least, _)) if edits == least => tie = true,
            _ => (best, tie) = (Some((edits, name)), false),
        }
    }
    best.filter(|_| !tie).map(|(_, name)| name)
}

/// How many characters are to be inserted, removed, replaced or swapped with their neighbour
/// (Levenshtein's distance, with Damerau's addition).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let above = &rows[i - 1];
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_has_one_answer_or_none() {
        let names = ["RUN", "ADD", "ARG", "COPY", "ENV"];
        for (word, answer) in [
            ("RUNN", Some("RUN")),
            ("coyp", Some("COPY")),
            ("ENV", Some("ENV")),
            ("NEV", Some("ENV")),
            ("AD", Some("ADD")),
            ("AAG", Some("ARG")),
            ("FOO", None),
            ("", None),
            ("WORKDIR", None),
        ] {
            assert_eq!(closest(word, names), answer, "{word}");
        }
    }
}
