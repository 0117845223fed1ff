//! Sources of COPY and ADD that the ignore file hides.

use std::path::Path;

use crate::context::ignore::Ignore;

/// The source in its shortest spelling, if a file of the context and hidden.
///
/// As in BuildKit, a list with exceptions hides nothing for certain: a file in a hidden directory may
/// be shown again.
pub(super) fn ignored(ignore: &Ignore, source: &str) -> Option<String> {
    if ignore.is_empty() || ignore.has_exceptions() || is_remote(source) {
        return None;
    }
    let parts: Vec<&str> =
        source.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() {
        let root = if source.starts_with('/') { "/" } else { "." };
        return ignore.hides_everything().then(|| root.to_owned());
    }
    let cleaned = parts.join("/");
    // A list that cannot be used is an error of the build.
    ignore.matches(Path::new(&cleaned)).is_ok_and(|hidden| hidden).then_some(cleaned)
}

/// URLs and git repositories, which no ignore file is about.
fn is_remote(source: &str) -> bool {
    source.contains("://") || source.starts_with("git@") || source.starts_with("github.com/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &str, source: &str) -> Option<String> {
        ignored(&Ignore::parse(patterns.as_bytes()).expect("patterns"), source)
    }

    #[test]
    fn what_is_hidden() {
        for (patterns, source, hidden) in [
            ("a", "a", Some("a")),
            ("a", "./a/", Some("a")),
            ("a", "/a/b", Some("a/b")),
            ("*.tmp", "*.tmp", Some("*.tmp")),
            ("a", "b", None),
            ("a\n!a/b", "a", None),
            ("a", ".", None),
            ("*", ".", Some(".")),
            ("**", "/", Some("/")),
            ("**/a", ".", None),
            ("*", "https://example.com/a", None),
            ("", "a", None),
        ] {
            assert_eq!(check(patterns, source).as_deref(), hidden, "{patterns:?} {source}");
        }
    }
}
