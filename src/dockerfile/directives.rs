//! `# escape=`, `# syntax=` and `# check=` in the first lines of a file.
//!
//! Source: BuildKit's frontend/dockerfile/parser/directives.go. Two readers look at the same
//! lines there: the parser, which wants the escape, and the search for one key, which runs before
//! a frontend is chosen and so accepts other comment styles too.

use super::error::ParseError;
use super::{Directives, Span};

const KEYS: [&str; 3] = ["escape", "syntax", "check"];

/// Reads the directives of a text without its byte order mark.
pub(super) fn read(text: &str, escape: char) -> Directives {
    Directives {
        escape,
        syntax: detect_syntax(text),
        check: find(text, "check", "#").map(|(value, span)| (value.to_owned(), span)),
    }
}

/// The frontend that the text asks for, with the place: `# syntax=`, `// syntax=`, or a JSON
/// document with the key `syntax`; the first line may be `#!…`.
///
/// This needs no parse: a text for another frontend need not be a Dockerfile.
pub fn detect_syntax(text: &str) -> Option<(String, Span)> {
    if let Some((value, span)) = find(text, "syntax", "#").or_else(|| find(text, "syntax", "//")) {
        let name = value.split(' ').next().unwrap_or_default();
        return Some((name.to_owned(), span.start..span.start + name.len()));
    }
    let (body, skipped) = without_shebang(text);
    if !body.trim_start().starts_with('{') {
        return None;
    }
    let document: serde_json::Map<String, serde_json::Value> = serde_json::from_str(body).ok()?;
    let name = document.get("syntax")?.as_str()?;
    Some((name.to_owned(), skipped..text.len()))
}

fn without_shebang(text: &str) -> (&str, usize) {
    match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#!") => (rest, first.len() + 1),
        _ => (text, 0),
    }
}

/// The value of one key in the leading directives, with its place.
fn find<'a>(text: &'a str, key: &str, comment: &str) -> Option<(&'a str, Span)> {
    let (body, skipped) = without_shebang(text);
    let mut seen = Vec::new();
    let mut start = skipped;
    for line in body.split_inclusive('\n') {
        let (name, value, at) = directive(line, comment)?;
        if seen.contains(&name) {
            return None;
        }
        if name == key {
            return Some((value, start + at..start + at + value.len()));
        }
        seen.push(name);
        start += line.len();
    }
    None
}

/// Reads the escape directive while the parser reads the first lines.
#[derive(Debug)]
pub(super) struct EscapeReader {
    /// Backslash or backtick.
    pub escape: char,
    seen: Vec<&'static str>,
    done: bool,
}

impl EscapeReader {
    pub fn new() -> Self {
        Self { escape: '\\', seen: Vec::new(), done: false }
    }

    /// Looks at a line that starts at `start` and says whether it is a directive. The first one that
    /// is none ends the search.
    ///
    /// # Errors
    ///
    /// A directive stands twice, or the escape is neither a backslash nor a backtick.
    pub fn line(&mut self, line: &str, start: usize) -> Result<bool, ParseError> {
        let trimmed = line.trim_start();
        let found = (!self.done).then(|| directive(trimmed, "#")).flatten();
        let Some((name, value, at)) = found else {
            self.done = true;
            return Ok(false);
        };
        let at = start + line.len() - trimmed.len() + at;
        let error =
            |message: String| ParseError { message, span: at..at + value.len(), help: None };
        if self.seen.contains(&name) {
            return Err(error(format!("only one {name} parser directive can be used")));
        }
        self.seen.push(name);
        if name == "escape" {
            self.escape = match value {
                "\\" => '\\',
                "`" => '`',
                _ => {
                    let message = format!("invalid escape token '{value}' does not match ` or \\");
                    return Err(error(message));
                }
            };
        }
        Ok(true)
    }
}

/// Key (one of [`KEYS`]), value, and where the value starts in the line.
fn directive<'a>(line: &'a str, comment: &str) -> Option<(&'static str, &'a str, usize)> {
    let text = line.strip_prefix(comment)?.trim_start();
    let (name, value) = text.split_once('=')?;
    let name = name.trim_end().to_ascii_lowercase();
    let key = KEYS.into_iter().find(|key| *key == name)?;
    let trimmed = value.trim();
    let start = line.len() - value.trim_start().len();
    (!trimmed.is_empty()).then_some((key, trimmed, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax(text: &str) -> Option<String> {
        let (name, span) = detect_syntax(text)?;
        assert!(text[span].contains(&name));
        Some(name)
    }

    #[test]
    fn syntax_in_all_its_forms() {
        for (text, expected) in [
            ("# syntax=docker/dockerfile:1\nFROM a", Some("docker/dockerfile:1")),
            ("#Syntax = a/b  c\nFROM a", Some("a/b")),
            ("# escape=`\n# syntax=x", Some("x")),
            ("#!/bin/sh\n# syntax=x\n", Some("x")),
            ("// syntax=x\nanything", Some("x")),
            ("{\"syntax\": \"x\"}", Some("x")),
            ("#!/bin/sh\n{\"syntax\": \"x\"}", Some("x")),
            ("{\"syntax\": 1}", None),
            ("# a comment\n# syntax=x", None),
            ("\n# syntax=x", None),
            (" # syntax=x", None),
            ("# unknown=1\n# syntax=x", None),
            ("# escape=`\n# escape=`\n# syntax=x", None),
            ("# syntax=\nFROM a", None),
            ("", None),
        ] {
            assert_eq!(syntax(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_parser_wants_each_directive_once() {
        let read = |text: &str| {
            let mut reader = EscapeReader::new();
            let mut start = 0;
            for line in text.split_inclusive('\n') {
                reader.line(line, start)?;
                start += line.len();
            }
            Ok::<char, ParseError>(reader.escape)
        };
        assert_eq!(read("# syntax=a\n  # escape = `  \n"), Ok('`'));
        assert_eq!(read("# no directive\n# escape=`\n"), Ok('\\'));
        let twice = read("# escape=`\n# escape=\\\n").expect_err("twice");
        assert_eq!(twice.message, "only one escape parser directive can be used");
        let wrong = read("# escape=x\n").expect_err("x");
        assert_eq!(wrong.message, "invalid escape token 'x' does not match ` or \\");
        assert_eq!(wrong.span, 9..10);
    }
}
