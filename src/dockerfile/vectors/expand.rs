use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::dockerfile::expand::{self, Token, Variables};

/// Rows of `reverse_pattern` that are no patterns: a backslash stands before a letter or nothing.
/// BuildKit reverses texts, this module reverses parsed patterns and refuses these before.
const NO_PATTERNS: [&str; 3] = [r"\\\ab", r"ab\", r"👽\🚀🖖"];

fn vars(env: &Value) -> BTreeMap<String, String> {
    let pair = |entry: String| {
        let (key, value) = entry.split_once('=').unwrap_or((&entry, ""));
        (key.to_owned(), value.to_owned())
    };
    texts(env).into_iter().map(pair).collect()
}

#[test]
fn env_var_test() {
    let file = file("expand.json");
    let vars = vars(&file["env_var_test"]["env"]);
    // Platform W: names of variables are compared without case, on Windows only.
    let linux = |row: &&Value| row["platform"] != "W";
    for row in rows(&file["env_var_test"], "rows").iter().filter(linux) {
        let outcome = expand::word(text(row, "input"), '\\', &vars);
        if let Some(expanded) = judge(row, outcome.map_err(|error| error.to_string())) {
            assert_eq!(expanded.text, text(row, "expected"), "{row}");
        }
    }
}

#[test]
fn process_word() {
    let file = file("expand.json");
    for row in rows(&file, "process_word") {
        let outcome = expand::word(text(row, "input"), '\\', &vars(&row["env"]));
        let Some(expanded) = judge(row, outcome.map_err(|error| error.to_string())) else {
            continue;
        };
        assert_eq!(expanded.text, text(row, "expected"), "{row}");
        for (names, key) in [(&expanded.matched, "matched"), (&expanded.unmatched, "unmatched")] {
            if !row[key].is_null() {
                let expected: BTreeSet<String> = texts(&row[key]).into_iter().collect();
                assert_eq!(*names, expected, "{key} of {row}");
            }
        }
    }
}

#[test]
fn get_env() {
    let file = file("expand.json");
    for row in rows(&file, "get_env") {
        let vars = vars(&row["env"]);
        let pairs: Vec<(String, String)> = vars.clone().into_iter().collect();
        let name = text(row, "name");
        for vars in [&vars as &dyn Variables, &pairs] {
            assert_eq!(vars.get(name).unwrap_or_default(), text(row, "expected"), "{row}");
        }
        let word = expand::word(&format!("${name}"), '\\', &vars).expect("a name");
        assert_eq!(word.text, text(row, "expected"), "{row}");
    }
}

#[test]
fn words() {
    let file = file("words.json");
    for row in rows(&file, "words") {
        let outcome = expand::words(text(row, "input"), '\\', &vars(&row["env"]));
        if let Some(words) = judge(row, outcome.map_err(|error| error.to_string())) {
            assert_eq!(words, texts(&row["expected"]), "{row}");
        }
    }
}

#[test]
fn patterns() {
    let file = file("expand.json");
    for row in rows(&file, "pattern_to_regex") {
        let outcome = expand::parse_pattern(text(row, "pattern"));
        if let Some(tokens) = judge(row, outcome.map_err(|error| error.to_string())) {
            assert_eq!(regex(&tokens), text(row, "regex"), "{row}");
        }
    }
}

/// The regular expression that BuildKit makes of a pattern.
fn regex(tokens: &[Token]) -> String {
    let parts = tokens.iter().map(|token| match token {
        Token::Any => ".*".to_owned(),
        Token::One => ".".to_owned(),
        Token::Char(c) if "[]{}.+()|^$*?\\".contains(*c) => format!("\\{c}"),
        Token::Char(c) => c.to_string(),
    });
    format!("^{}", parts.collect::<String>())
}

#[test]
fn patterns_backwards() {
    let file = file("expand.json");
    for row in rows(&file, "reverse_pattern") {
        let input = text(row, "input");
        let parsed = expand::parse_pattern(input);
        if NO_PATTERNS.contains(&input) {
            assert!(parsed.is_err(), "{row}");
            continue;
        }
        let mut tokens = parsed.expect("a pattern");
        tokens.reverse();
        let expected = expand::parse_pattern(text(row, "expected")).expect("a pattern");
        assert_eq!(tokens, expected, "{row}");
    }
}

#[test]
fn texts_backwards() {
    // There is no function of its own for it here: `%` shows that characters are not torn.
    let file = file("expand.json");
    for row in rows(&file, "reverse_string") {
        let (input, expected) = (text(row, "input"), text(row, "expected"));
        let last = expected.chars().next().expect("not empty");
        let vars = BTreeMap::from([("A".to_owned(), input.to_owned())]);
        let word = expand::word(&format!("${{A%{last}}}"), '\\', &vars).expect("a pattern");
        assert_eq!(Some(word.text.as_str()), input.strip_suffix(last), "{row}");
    }
}
