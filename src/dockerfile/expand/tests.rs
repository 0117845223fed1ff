use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn text(word_text: &str, pairs: &[(&str, &str)]) -> Result<String, String> {
    word(word_text, '\\', &vars(pairs))
        .map(|expanded| expanded.text)
        .map_err(|error| error.reason.to_string())
}

#[test]
fn backtick_escapes_where_the_file_says_so() {
    let vars = vars(&[("A", "1")]);
    assert_eq!(word("`$A \\$A", '`', &vars).expect("expands").text, "$A \\1");
}

#[test]
fn a_body_keeps_its_quotes() {
    let vars = vars(&[("A", "1")]);
    let body = "\"$A\" '$A' \\$A \\\\ it's\n\\\n";
    assert_eq!(heredoc(body, &vars).expect("expands").text, "\"1\" '1' $A \\ it's\n\n");
}

#[test]
fn later_pairs_win() {
    let pairs = vec![("A".to_owned(), "1".to_owned()), ("A".to_owned(), "2".to_owned())];
    assert_eq!(Variables::get(&pairs, "A"), Some("2"));
    assert_eq!(Variables::get(&pairs.as_slice(), "A"), Some("2"));
}

#[test]
fn wording() {
    for (input, message) in [
        ("'a", "unexpected end of statement while looking for matching single-quote"),
        ("\"a", "unexpected end of statement while looking for matching double-quote"),
        ("${A", "syntax error: missing '}'"),
        ("${A:-\"x}", "syntax error: missing '}'"),
        ("${A/b}", "syntax error: missing '/' in ${}"),
        ("${}", "syntax error: bad substitution"),
        ("${A^^}", "unsupported modifier (^) in substitution"),
        ("${A:=b}", "unsupported modifier (:=) in substitution"),
        ("${A:#b}", "unsupported modifier (:#) in substitution"),
        ("${A?}", "A: is not allowed to be unset"),
        ("${E:?}", "E: is not allowed to be empty"),
        ("${A?set it}", "A: set it"),
        ("${E#\\x}", "invalid pattern (\\x) in substitution: invalid escape '\\x'"),
    ] {
        assert_eq!(text(input, &[("E", "")]), Err(message.to_owned()), "{input}");
    }
    let error = word(&"'x".repeat(99), '\\', &vars(&[])).expect_err("an open quote");
    assert!(error.to_string().starts_with("failed to process \"'x'x"), "{error}");
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn replacements_follow_gos_rules() {
    for (input, value, expected) in [
        ("${A//b/[$$0]}", "abcb", "a[0]c[0]"),
        ("${A//b/$R}", "abcb", "a<b>c<b>"),
        ("${A//$E/-}", "ab", "-a-b-"),
        ("${A//\\*/-}", "a*b*", "a-b-"),
        ("${A//*/-}", "ab", "-"),
        ("${A/b*c/-}", "abbcdcd", "a-d"),
        ("${A/b/$R}", "ab", "a<$0>"),
        ("${A//?/x}", "a\nb", "x\nx"),
        ("${A##*a}", "b\naac", "b\naac"),
    ] {
        let pairs = [("A", value), ("R", "<$0>"), ("E", "")];
        assert_eq!(text(input, &pairs).as_deref(), Ok(expected), "{input}");
    }
}

#[test]
fn depth_and_work_are_limited() {
    let nest = |n: usize| format!("{}x{}", "${A:-".repeat(n), "}".repeat(n));
    assert_eq!(text(&nest(100), &[]).as_deref(), Ok("x"));
    assert!(text(&nest(101), &[]).is_err());
    assert!(text(&nest(13000), &[]).is_err());

    let value = "a".repeat(1000);
    let multiply = "${A//a/${A//a/${A//a/$A}}}";
    assert!(text(multiply, &[("A", &value)]).is_err());
    let slow = format!("${{A/{}b/}}", "a*".repeat(20000));
    assert!(text(&slow, &[("A", &"a".repeat(60000))]).is_err());
    assert!(text(&"$A".repeat(30000), &[("A", &"a".repeat(60000))]).is_err());
}

/// What a `*` and `?` pattern means, said the slow way.
fn matches(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=text.len()).any(|n| matches(rest, &text[n..])),
        (Some(('?', rest)), Some((_, more))) => matches(rest, more),
        (Some((c, rest)), Some((d, more))) => c == d && matches(rest, more),
        _ => false,
    }
}

proptest! {
    #[test]
    fn any_text_ends_in_time(input in "[$}{:?#%/+=A-C0-9'\"\\\\*! -]{0,60}", value in "[ab$*/\\\\]{0,20}") {
        let vars = vars(&[("A", &value), ("B", "b")]);
        let _ = word(&input, '\\', &vars);
        let _ = words(&input, '`', &vars);
        let _ = heredoc(&input, &vars);
    }

    #[test]
    fn any_unicode_ends_in_time(input in any::<String>()) {
        let _ = word(&input, '\\', &vars(&[]));
    }

    #[test]
    fn text_without_signs_is_itself(input in "[^$'\"\\\\]*") {
        prop_assert_eq!(text(&input, &[]), Ok(input.clone()));
        let cut: Vec<&str> = input.split_whitespace().collect();
        prop_assert_eq!(words(&input, '\\', &vars(&[])).expect("no sign"), cut);
    }

    #[test]
    fn stripping_agrees_with_the_definition(value in "[ab]{0,8}", pattern in "[ab*?]{0,5}") {
        let text_chars: Vec<char> = value.chars().collect();
        let pattern_chars: Vec<char> = pattern.chars().collect();
        let n = text_chars.len();
        let prefixes: Vec<usize> = (0..=n).filter(|&i| matches(&pattern_chars, &text_chars[..i])).collect();
        let suffixes: Vec<usize> = (0..=n).filter(|&i| matches(&pattern_chars, &text_chars[i..])).collect();
        let pairs = [("A", value.as_str()), ("P", pattern.as_str())];
        let from = |i: Option<&usize>| value[i.copied().unwrap_or(0)..].to_owned();
        let to = |i: Option<&usize>| value[..i.copied().unwrap_or(n)].to_owned();
        prop_assert_eq!(text("${A#$P}", &pairs), Ok(from(prefixes.first())));
        prop_assert_eq!(text("${A##$P}", &pairs), Ok(from(prefixes.last())));
        prop_assert_eq!(text("${A%$P}", &pairs), Ok(to(suffixes.last())));
        prop_assert_eq!(text("${A%%$P}", &pairs), Ok(to(suffixes.first())));
        let found = (0..=n).find_map(|i| {
            let end = (i..=n).rev().find(|&j| matches(&pattern_chars, &text_chars[i..j]))?;
            Some(format!("{}-{}", &value[..i], &value[end..]))
        });
        prop_assert_eq!(text("${A/$P/-}", &pairs), Ok(found.unwrap_or(value.clone())));
    }
}
