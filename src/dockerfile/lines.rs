//! Physical lines, and the logical lines that continuations make of them.

use std::ops::Range;

use super::Span;
use super::error::ParseError;

/// BuildKit reads lines through Go's bufio.Scanner, which refuses longer ones.
const MAX_LINE: usize = 65535;

/// One line of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Physical<'a> {
    /// Where it starts in the text.
    pub start: usize,
    /// With its line end.
    pub raw: &'a str,
}

impl<'a> Physical<'a> {
    /// Without its line end; any number of carriage returns belongs to it.
    pub fn text(&self) -> &'a str {
        self.raw.trim_end_matches(['\r', '\n'])
    }

    pub fn span(&self) -> Span {
        self.start..self.start + self.text().len()
    }

    fn is_comment(&self) -> bool {
        self.text().trim_start().starts_with('#')
    }

    fn is_blank(&self) -> bool {
        self.text().trim_start().is_empty()
    }
}

/// Reads a text line by line.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    /// # Errors
    ///
    /// A line is longer than Docker's parser accepts.
    pub fn new(text: &'a str) -> Result<Self, ParseError> {
        for line in (Self { text, at: 0 }) {
            if line.raw.trim_end_matches('\n').len() > MAX_LINE {
                return Err(ParseError {
                    message: format!("dockerfile line greater than max allowed size of {MAX_LINE}"),
                    span: line.span(),
                    help: Some("put the content into a file and COPY it".into()),
                });
            }
        }
        Ok(Self { text, at: 0 })
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Physical<'a>;

    fn next(&mut self) -> Option<Physical<'a>> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        let line = Physical { start: self.at, raw: &rest[..length] };
        self.at += length;
        Some(line)
    }
}

/// One instruction's text: continuations joined, comments and blank lines between them dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalLine {
    /// The joined text. It starts with a letter; blanks at its end are kept.
    pub text: String,
    pieces: Vec<Piece>,
    end: usize,
}

/// Where a part of the joined text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    joined: usize,
    source: usize,
}

impl LogicalLine {
    /// The place in the source of a range of the joined text.
    pub fn span(&self, range: &Range<usize>) -> Span {
        if range.is_empty() {
            let at = self.source(range.start);
            return at..at;
        }
        self.source(range.start)..self.source(range.end - 1) + 1
    }

    /// The place of the whole line, the name of the instruction first.
    pub fn whole(&self) -> Span {
        let first = self.text.len() - self.text.trim_start().len();
        let start = self.source(first.min(self.text.len().saturating_sub(1)));
        start..self.end.max(start)
    }

    fn source(&self, offset: usize) -> usize {
        let after = self.pieces.partition_point(|piece| piece.joined <= offset);
        let piece = self.pieces[after.saturating_sub(1)];
        piece.source + offset.saturating_sub(piece.joined)
    }

    fn push(&mut self, start: usize, text: &str) {
        self.pieces.push(Piece { joined: self.text.len(), source: start });
        self.text.push_str(text);
        self.end = start + text.len();
    }
}

/// Joins `first` with the lines that continue it. The second value is the first blank line between
/// them: legal, but a line without its escape is easily taken for the end.
pub(super) fn join(
    first: Physical<'_>,
    lines: &mut Lines<'_>,
    escape: char,
) -> (LogicalLine, Option<Span>) {
    let mut joined = LogicalLine { text: String::new(), pieces: Vec::new(), end: first.start };
    let mut blank = None;
    let text = first.text().trim_start();
    let indent = first.text().len() - text.len();
    let (text, mut open) = continued(text, escape);
    joined.push(first.start + indent, text);
    while open {
        let Some(line) = lines.next() else { break };
        if line.is_comment() {
            continue;
        }
        if line.is_blank() {
            blank.get_or_insert(line.span());
            continue;
        }
        // Blanks at the start of a continuation line stay: BuildKit keeps them, and they can stand
        // within quotes.
        let text;
        (text, open) = continued(line.text(), escape);
        joined.push(line.start, text);
    }
    (joined, blank)
}

/// The line without its continuation, and whether it had one: an escape at the end or before
/// blanks at the end, but not after another escape. That `\\\` is not one is BuildKit's (its
/// regular expression cannot look further back).
pub(super) fn continued(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        _ => (line, false),
    }
}

/// What must be added to a line so that it is not continued. An escape can be the last character
/// only if something stood behind it that is no blank to [`continued`], but one to those who trim
/// arguments. A vertical tab is such a thing.
pub(super) fn seal(line: &str, escape: char) -> &'static str {
    if continued(line, escape).1 { "\u{b}" } else { "" }
}

/// What a line means where an instruction may start.
pub(super) enum Start<'a> {
    Nothing,
    /// The text after `#`.
    Comment(&'a str),
    Instruction,
}

pub(super) fn classify<'a>(line: &Physical<'a>) -> Start<'a> {
    let text = line.text().trim_start();
    if text.is_empty() {
        return Start::Nothing;
    }
    text.strip_prefix('#').map_or(Start::Instruction, |comment| Start::Comment(comment.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuations() {
        for (line, rest, open) in [
            (r"a \", "a ", true),
            ("a \\ \t", "a ", true),
            (r"\", "", true),
            (r"a \\", r"a \\", false),
            (r"a \\\", r"a \\\", false),
            (r"\\", r"\\", false),
            ("a \\\u{a0}", "a \\\u{a0}", false),
            ("a", "a", false),
        ] {
            assert_eq!(continued(line, '\\'), (rest, open), "{line:?}");
        }
        assert_eq!(continued("a `", '`'), ("a ", true));
    }

    #[test]
    fn places_survive_joining() {
        let text = "  RUN a \\\r\n# no\r\n\r\n  bc \\\n d\nX";
        let mut lines = Lines::new(text).expect("short lines");
        let first = lines.next().expect("a line");
        let (line, blank) = join(first, &mut lines, '\\');
        assert_eq!(line.text, "RUN a   bc  d");
        assert_eq!(&text[line.span(&(8..10))], "bc");
        assert_eq!(&text[line.span(&(12..13))], "d");
        assert_eq!(&text[line.whole()], &text[2..text.len() - 2]);
        assert_eq!(blank, Some(17..17));
        assert_eq!(lines.next().map(|line| line.text()), Some("X"));
    }

    #[test]
    fn a_line_of_64_kilobytes_is_refused() {
        assert!(Lines::new(&format!("{}\n", "x".repeat(MAX_LINE))).is_ok());
        let error = Lines::new(&format!("a\n{}\n", "x".repeat(MAX_LINE + 1))).expect_err("long");
        assert_eq!(error.span, 2..MAX_LINE + 3);
    }
}
