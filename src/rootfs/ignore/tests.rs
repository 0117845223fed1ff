use std::path::PathBuf;

use serde_json::Value;

use super::*;

#[test]
fn a_broken_pattern_that_decides_nothing_is_no_error() {
    let list = Ignore::parse(b"*\n[b-a]\n").expect("accepted when built");
    assert_eq!(list.matches(Path::new("x")), Ok(true));
}

#[test]
fn a_file_is_parsed_with_its_oddities() {
    let text = b"\xef\xbb\xbf/first\r\n # no comment\n\n#comment\n./a/../b/\n! /b/keep \n*.log\n";
    let list = Ignore::parse(text).expect("a list");
    for (path, hidden) in [
        ("first", true),
        ("first/below", true),
        ("# no comment", true),
        ("b", true),
        ("b/x", true),
        ("b/keep", false),
        ("b/keep/x", false),
        ("x.log", true),
        ("sub/x.log", false),
    ] {
        assert_eq!(list.matches(Path::new(path)), Ok(hidden), "{path}");
    }
}

#[test]
fn errors_name_line_and_pattern() {
    let error = Ignore::parse(b"a\n!\n").expect_err("a lone !");
    assert_eq!(error.to_string(), "illegal exclusion pattern: \"!\" in line 2");
    let error = Ignore::parse(b"a\n[x\n").expect_err("a bad pattern");
    assert_eq!(error.to_string(), "syntax error in pattern: `[x` in line 2");
}

#[test]
fn the_reason_is_the_last_rule() {
    let list = Ignore::parse(b"*\n!a\na/*.txt\n").expect("a list").with_origin(".dockerignore");
    let reason = list.reason(Path::new("a/x.txt")).expect("good patterns").expect("hidden");
    assert_eq!((reason.origin, reason.line), (Some(".dockerignore"), Some(3)));
    assert_eq!(reason.pattern, "a/*.txt");
    assert_eq!(list.reason(Path::new("a/x.md")), Ok(None));
}

#[test]
fn only_directories_that_may_show_something_are_entered() {
    for (exclusion, directory, may) in [
        ("!a/b/c", "a", true),
        ("!a/b/c", "a/b", true),
        ("!a/b/c", "a/c", false),
        ("!a/b/c", "a/b/c", false),
        ("!a/b/c", "a/b/cc", false),
        ("!*.txt", "a", false),
        ("!a/*.txt", "a", true),
        ("!a/*.txt", "a/b", false),
        ("!**/x", "deep/down", true),
        ("!**x", "deep/down", true),
        ("!a/**/x", "a/b/c", true),
        ("!a/**/x", "b", false),
        ("!a/**", "a/b", true),
        ("!a/b/**", "a", true),
        ("!a/b/**", "c", false),
        ("!a/[bc]/d", "a/b", true),
        ("!a/[bc]/d", "a/d", false),
    ] {
        let list = Ignore::from_patterns(&["**".to_owned(), exclusion.to_owned()]).expect("a list");
        assert_eq!(list.may_reinclude_below(Path::new(directory)), may, "{exclusion} {directory}");
    }
}

#[test]
fn names_are_cleaned_as_in_go() {
    for (path, cleaned) in [
        ("a//b/", "a/b"),
        ("./a", "a"),
        ("a/../../b", "../b"),
        ("/../a", "/a"),
        ("a/..", "."),
        ("/", "/"),
        ("../..", "../.."),
    ] {
        assert_eq!(clean(path.as_bytes()), cleaned.as_bytes(), "{path}");
    }
}

/// Conformance rows, which are not part of the repository.
mod vectors {
    use super::*;

    fn vectors() -> Value {
        let dir = std::env::var_os("KILN_VECTORS")
            .map(PathBuf::from)
            .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"));
        let text = std::fs::read(dir.join("dockerignore.json")).expect("the conformance rows");
        serde_json::from_slice(&text).expect("json")
    }

    fn rows(list: &str) -> Vec<Value> {
        vectors()[list].as_array().expect("a list").clone()
    }

    fn patterns(row: &Value) -> Vec<String> {
        let list = row["patterns"].as_array().expect("patterns");
        list.iter().map(|pattern| pattern.as_str().expect("text").to_owned()).collect()
    }

    fn path(row: &Value) -> &Path {
        Path::new(row["path"].as_str().expect("a path"))
    }

    /// What upstream's older function does with the path before it matches.
    fn matches_cleaned(row: &Value) -> Result<bool, IgnoreError> {
        let list = Ignore::from_patterns(&patterns(row))?;
        let cleaned = clean(path(row).as_os_str().as_bytes());
        if cleaned == b"." {
            return Ok(false);
        }
        list.matches(Path::new(std::ffi::OsStr::from_bytes(&cleaned)))
    }

    /// A walk from the root to the path.
    fn matches_by_walk(list: &Ignore, path: &Path) -> bool {
        let mut trail = Trail::default();
        let bytes = path.as_os_str().as_bytes();
        for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let parent = Path::new(std::ffi::OsStr::from_bytes(&bytes[..at]));
            trail = list.enter(&trail, parent);
        }
        list.matches_in(&trail, path).expect("good patterns")
    }

    #[test]
    fn paths_are_hidden_as_in_docker() {
        for row in rows("single").into_iter().chain(rows("multi")) {
            let list = Ignore::from_patterns(&patterns(&row)).expect("good patterns");
            let expected = row["matches"].as_bool();
            assert_eq!(list.matches(path(&row)).ok(), expected, "{row}");
            assert_eq!(Some(matches_by_walk(&list, path(&row))), expected, "in a walk: {row}");
        }
    }

    #[test]
    fn cleaned_paths_are_hidden_as_in_docker() {
        for row in rows("match_tests").into_iter().chain(rows("basic")) {
            match row.get("error").and_then(|error| error["text"].as_str()) {
                Some(text) => {
                    let error = matches_cleaned(&row).expect_err("a bad pattern").to_string();
                    assert!(error.starts_with(text), "{error}: {row}");
                }
                None => assert_eq!(matches_cleaned(&row).ok(), row["matches"].as_bool(), "{row}"),
            }
        }
    }

    #[test]
    fn malformed_lists_are_refused_where_docker_does() {
        for row in rows("invalid") {
            let built = Ignore::from_patterns(&patterns(&row));
            match row["stage"].as_str() {
                Some("new") => assert!(built.is_err(), "{row}"),
                Some("match") => {
                    let list = built.expect("accepted when built");
                    for _ in 0..2 {
                        assert!(list.matches(path(&row)).is_err(), "{row}");
                    }
                }
                _ => assert!(built.and_then(|list| list.matches(path(&row))).is_err(), "{row}"),
            }
        }
    }

    #[test]
    fn blank_patterns_are_dropped() {
        for row in rows("clean") {
            let list = Ignore::from_patterns(&patterns(&row)).expect("good patterns");
            if let Some(count) = row["count"].as_u64() {
                assert_eq!(list.rules.len() as u64, count, "{row}");
            }
            if let Some(exclusions) = row["exclusions"].as_bool() {
                assert_eq!(list.rules.iter().any(|rule| rule.shows), exclusions, "{row}");
            }
        }
    }

    #[test]
    fn files_are_read_as_in_docker() {
        for row in rows("ignorefile") {
            let text = row["content"].as_str().unwrap_or_default();
            let lines = text.split('\n').filter(|line| !line.starts_with('#'));
            let read: Vec<_> = lines
                .filter_map(|line| pattern_of_line(line.as_bytes()))
                .map(|pattern| String::from_utf8(pattern).expect("text"))
                .collect();
            assert_eq!(read, patterns(&row));
        }
    }
}
