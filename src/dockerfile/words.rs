//! How the instructions cut their text into words. There are four ways, and they differ.
//!
//! Source: BuildKit's frontend/dockerfile/parser (split_command.go, line_parsers.go).

use std::ops::Range;

use serde_json::Value;

/// What separates words where quotes mean nothing. No other white space does.
const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// A part of a logical line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it says, after the quotes were removed if its instruction does that.
    pub text: String,
    /// Its place in the logical line.
    pub at: Range<usize>,
}

/// A part of a logical line, not cut yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub text: &'a str,
    /// Where it starts in the logical line.
    pub start: usize,
}

impl<'a> Part<'a> {
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    pub fn word(&self) -> Word {
        Word { text: self.text.to_owned(), at: self.range() }
    }

    pub fn slice(&self, range: Range<usize>) -> Part<'a> {
        Part { text: &self.text[range.clone()], start: self.start + range.start }
    }

    pub fn from(&self, start: usize) -> Part<'a> {
        self.slice(start..self.text.len())
    }

    pub fn trim(&self) -> Part<'a> {
        let start = self.text.len() - self.text.trim_start().len();
        Part { text: self.text.trim(), start: self.start + start }
    }

    /// The text before the first run of blanks and the text after it, which is `None` if there is
    /// no blank.
    pub fn split_once(&self) -> (Part<'a>, Option<Part<'a>>) {
        let Some(end) = self.text.find(BLANKS) else { return (*self, None) };
        let after = &self.text[end..];
        let skipped = after.len() - after.trim_start_matches(BLANKS).len();
        (self.slice(0..end), Some(self.from(end + skipped)))
    }
}

/// Words between blanks; quotes and escapes are letters like any other.
pub(super) fn plain(part: Part<'_>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = (!part.text.is_empty()).then_some(part);
    while let Some(part) = rest {
        let (word, after) = part.split_once();
        words.push(word.word());
        rest = after;
    }
    words
}

/// Words between white space that is neither quoted nor escaped. Quotes and escapes stay: the
/// expansion removes them. An escape at the very end is dropped.
pub(super) fn quoted(part: Part<'_>, escape: char) -> Vec<Word> {
    let mut words = Vec::new();
    let mut chars = part.text.char_indices().peekable();
    loop {
        while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let Some(&(start, _)) = chars.peek() else { return words };
        let mut text = String::new();
        let mut quote = None;
        while let Some((_, c)) = chars.next_if(|(_, c)| quote.is_some() || !c.is_whitespace()) {
            if c == escape && quote != Some('\'') {
                if let Some((_, next)) = chars.next() {
                    text.extend([c, next]);
                }
                continue;
            }
            match quote {
                None if c == '\'' || c == '"' => quote = Some(c),
                Some(open) if c == open => quote = None,
                _ => {}
            }
            text.push(c);
        }
        let end = chars.peek().map_or(part.text.len(), |(end, _)| *end);
        if !text.is_empty() {
            words.push(Word { text, at: part.start + start..part.start + end });
        }
    }
}

/// The flags that stand before the arguments, without quotes and escapes, and the arguments.
/// The escape is always a backslash, whatever the file directs.
pub(super) fn leading_flags(part: Part<'_>) -> (Vec<Word>, Part<'_>) {
    let mut flags = Vec::new();
    let mut at = 0;
    loop {
        at += part.text[at..].len() - part.text[at..].trim_start().len();
        if !part.text[at..].starts_with("--") {
            return (flags, part.from(at));
        }
        let (text, length) = unquote(&part.text[at..]);
        if text == "--" {
            return (flags, part.from(at + length));
        }
        flags.push(Word { text, at: part.start + at..part.start + at + length });
        at += length;
    }
}

/// The first word without its quotes and escapes, and its length with them.
fn unquote(text: &str) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, at),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == '\\' => word.extend(chars.next().map(|(_, next)| next)),
            _ => word.push(c),
        }
    }
    (word, text.len())
}

/// What a text that may be in exec form is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// Not JSON: the shell form.
    No,
    /// An array, but with something else than strings in it.
    NotStrings,
    Strings(Vec<String>),
}

pub(super) fn json_array(text: &str) -> Json {
    if !text.starts_with('[') {
        return Json::No;
    }
    let Ok(values) = serde_json::from_str::<Vec<Value>>(text) else { return Json::No };
    let strings = values.into_iter().map(|value| match value {
        Value::String(text) => Some(text),
        _ => None,
    });
    strings.collect::<Option<_>>().map_or(Json::NotStrings, Json::Strings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[Word]) -> Vec<&str> {
        words.iter().map(|word| word.text.as_str()).collect()
    }

    fn part(text: &str) -> Part<'_> {
        Part { text, start: 0 }
    }

    #[test]
    fn quoted_words_keep_their_quotes() {
        for (text, expected) in [
            ("a=b c=d", vec!["a=b", "c=d"]),
            ("a='b c' d", vec!["a='b c'", "d"]),
            ("a=\"b\\\" c\" d", vec!["a=\"b\\\" c\"", "d"]),
            (r"a='b\' c", vec![r"a='b\'", "c"]),
            (r"a=b\ c", vec![r"a=b\ c"]),
            ("a \\", vec!["a"]),
            ("\\", vec![]),
            ("''", vec!["''"]),
            ("a 'b c", vec!["a", "'b c"]),
            ("  a\u{a0}b  ", vec!["a", "b"]),
            ("", vec![]),
        ] {
            assert_eq!(texts(&quoted(part(text), '\\')), expected, "{text:?}");
        }
        let words = quoted(part("é  'x y'"), '\\');
        assert_eq!(words[1].at, 4..9);
    }

    #[test]
    fn flags_lose_their_quotes() {
        for (text, flags, rest) in [
            ("--a --b=c d", vec!["--a", "--b=c"], "d"),
            ("--a='b c' d --e", vec!["--a=b c"], "d --e"),
            (r"--a=b\ c d", vec!["--a=b c"], "d"),
            ("--a -- --b", vec!["--a"], " --b"),
            ("--", vec![], ""),
            ("--a='b", vec!["--a=b"], ""),
            ("-a", vec![], "-a"),
            ("--é x", vec!["--é"], "x"),
        ] {
            let (found, after) = leading_flags(part(text));
            assert_eq!((texts(&found), after.text), (flags, rest), "{text:?}");
        }
    }

    #[test]
    fn only_an_array_of_strings_is_the_exec_form() {
        assert_eq!(json_array(r#"["a", "\u00e9"]"#), Json::Strings(vec!["a".into(), "é".into()]));
        assert_eq!(json_array(r#"["a", 1]"#), Json::NotStrings);
        assert_eq!(json_array(r#"["a"] b"#), Json::No);
        assert_eq!(json_array(r#"{"a": 1}"#), Json::No);
        assert_eq!(json_array(&"[".repeat(60000)), Json::No);
    }
}
