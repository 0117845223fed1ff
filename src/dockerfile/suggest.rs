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

fn closest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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

/// Levenshtein's distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
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
