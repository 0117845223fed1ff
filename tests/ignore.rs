//! The rows of patternmatcher's own tests for ignore files, read from the folder that KILN_VECTORS
//! names or from `../shared/vectors` beside the package.

#![allow(clippy::unwrap_used, reason = "tests")]

mod vectors {
    use std::path::{Component, Path, PathBuf};

    use kiln::rootfs::ignore::{Ignore, Trail};
    use serde_json::Value;

    fn rows(list: &str) -> Vec<Value> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
        let folder = std::env::var_os("KILN_VECTORS").map_or(beside, PathBuf::from);
        let path = folder.join("dockerignore.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!(
                "the conformance rows are not at {} ({error}): set KILN_VECTORS to their folder",
                path.display()
            )
        });
        let mut file: Value = serde_json::from_str(&text).unwrap();
        let rows = std::mem::take(&mut file[list]);
        serde_json::from_value(rows).unwrap_or_else(|_| panic!("there is no list {list}"))
    }

    fn patterns(row: &Value) -> Vec<String> {
        serde_json::from_value(row["patterns"].clone()).unwrap()
    }

    fn path(row: &Value) -> &str {
        row["path"].as_str().unwrap()
    }

    /// Alone, and on a walk that hands down what the parents fit.
    fn matches(patterns: &[String], path: &str) -> Result<bool, String> {
        let ignore = Ignore::from_patterns(patterns).map_err(|error| error.to_string())?;
        let alone = ignore.matches(Path::new(path)).map_err(|error| error.to_string())?;
        let mut trail = Trail::default();
        for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
            trail = ignore.enter(&trail, Path::new(&path[..at]));
        }
        assert_eq!(ignore.matches_in(&trail, Path::new(path)), Ok(alone), "{path} on a walk");
        Ok(alone)
    }

    /// As Go's filepath.Clean.
    fn clean(path: &str) -> String {
        let mut parts: Vec<&str> = Vec::new();
        for part in Path::new(path).components() {
            match part {
                Component::ParentDir if parts.last().is_some_and(|last| *last != "..") => {
                    parts.pop();
                }
                Component::ParentDir => parts.push(".."),
                Component::Normal(name) => parts.push(name.to_str().unwrap()),
                _ => {}
            }
        }
        let root = if path.starts_with('/') { "/" } else { "" };
        format!("{root}{}", parts.join("/"))
    }

    #[test]
    fn paths_and_their_parents() {
        for row in ["single", "multi"].iter().flat_map(|list| rows(list)) {
            let found = matches(&patterns(&row), path(&row));
            assert_eq!(found, Ok(row["matches"].as_bool().unwrap()), "{row}");
        }
    }

    #[test]
    fn cleaned_paths() {
        for row in ["match_tests", "basic"].iter().flat_map(|list| rows(list)) {
            let path = clean(path(&row));
            let found = matches(&patterns(&row), &path);
            if row["error"].is_object() {
                assert!(found.is_err(), "{row}");
            } else {
                let expected = row["matches"].as_bool().unwrap();
                assert_eq!(found.map(|hidden| hidden && !path.is_empty()), Ok(expected), "{row}");
            }
        }
    }

    /// A list that upstream refuses when it is used may be refused when it is read.
    #[test]
    fn lists_that_are_refused() {
        for row in rows("invalid") {
            let found = matches(&patterns(&row), row["path"].as_str().unwrap_or("x"));
            let error = found.expect_err("refused");
            let text = row["error"]["text"].as_str().unwrap_or_default();
            assert!(error.contains(text), "{error}: {row}");
        }
    }

    /// Upstream counts what is left of a list; here it is seen in what the list hides.
    #[test]
    fn patterns_are_cleaned() {
        for row in rows("clean") {
            let hidden = |path: &str| matches(&patterns(&row), path).unwrap();
            assert!(hidden("docs/x"), "{row}");
            let is_shown = row["exclusions"].as_bool().unwrap_or_default();
            assert_eq!(hidden("docs/README.md"), !is_shown, "{row}");
        }
    }

    /// How upstream compiles a pattern is its own affair: the names that it chose them for.
    #[test]
    fn patterns_that_upstream_compiles() {
        for row in rows("compile") {
            let pattern = row["pattern"].as_str().unwrap();
            let list = [pattern.to_owned()];
            if row["match_type"] == "exact" {
                assert_eq!(matches(&list, pattern), Ok(true), "{row}");
                assert_eq!(matches(&list, &format!("{pattern}x")), Ok(false), "{row}");
            }
            let sample = pattern.replace("**/", "any/").replace("**", "any").replace('*', "any");
            let sample = sample.replace("[b-d]", "c").replace('?', "x");
            assert_eq!(matches(&list, &sample), Ok(true), "{sample}: {row}");
        }
    }

    /// The file and the list that upstream reads from it hide the same.
    #[test]
    fn files() {
        for row in rows("ignorefile") {
            // Upstream keeps lines with `!` alone for the matcher to refuse; here the file is.
            let text = row["content"].as_str().unwrap_or_default();
            let (good, lone): (Vec<&str>, Vec<&str>) =
                text.lines().partition(|line| line.trim() != "!");
            let refused = Ignore::parse(text.as_bytes()).is_err();
            assert_eq!(refused, !lone.is_empty(), "{row}");
            let file = Ignore::parse(good.join("\n").as_bytes()).unwrap();
            let mut list = patterns(&row);
            list.retain(|pattern| pattern != "!");
            for pattern in &list {
                let path = pattern.trim_start_matches('!');
                assert_eq!(
                    file.matches(Path::new(path)).unwrap(),
                    matches(&list, path).unwrap(),
                    "{path} of {row}"
                );
            }
        }
    }
}
