//! `$NAME`, `${NAME…}` and quotes, once the values are known.
//!
//! Source: BuildKit's frontend/dockerfile/shell/lex.go and the tests beside it. It looks like a
//! shell and is none: a value is never looked at again, so there is no second expansion, no
//! command substitution and no arithmetic.

mod error;
mod pattern;
mod scanner;
mod variables;
mod words;

#[cfg(test)]
pub(super) use pattern::{Token, parse as parse_pattern};

pub use error::{ExpandError, Reason};
pub use variables::Variables;

use std::collections::BTreeSet;

use scanner::Scanner;
pub(super) use variables::Nothing;

/// An expanded text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    /// The result.
    pub text: String,
    /// Names that were looked up and not found.
    pub unmatched: BTreeSet<String>,
    /// Names that were looked up and found.
    pub matched: BTreeSet<String>,
}

/// Expands one word and removes its quotes and escapes, as for the values of ENV and the words of
/// COPY. Blanks outside quotes stay where they are.
///
/// # Errors
///
/// The text breaks the rules, a `${NAME?…}` found nothing, or the result would be huge.
pub fn word(text: &str, escape: char, vars: &dyn Variables) -> Result<Expanded, ExpandError> {
    scan(text, Mode::new(escape), vars).map(Expanded::from)
}

/// Expands a text, then cuts it into words at the white space that is not quoted, as for EXPOSE.
///
/// # Errors
///
/// As [`word`].
pub fn words(text: &str, escape: char, vars: &dyn Variables) -> Result<Vec<String>, ExpandError> {
    scan(text, Mode::new(escape), vars).map(|output| output.words)
}

/// Expands a heredoc's body: quotes are letters like any other, the escape is always a backslash,
/// and it disappears before every character.
///
/// # Errors
///
/// As [`word`].
pub fn heredoc(body: &str, vars: &dyn Variables) -> Result<Expanded, ExpandError> {
    scan(body, Mode { plain_quotes: true, ..Mode::new('\\') }, vars).map(Expanded::from)
}

/// How a text is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    pub escape: char,
    /// Quotes quote, and stay.
    pub raw_quotes: bool,
    /// Escapes escape, and stay.
    pub raw_escapes: bool,
    /// Quotes are no quotes.
    pub plain_quotes: bool,
    /// What names an unset variable stays as it is.
    pub keep_unset: bool,
}

impl Mode {
    pub fn new(escape: char) -> Self {
        Self {
            escape,
            raw_quotes: false,
            raw_escapes: false,
            plain_quotes: false,
            keep_unset: false,
        }
    }
}

/// What a text becomes, whole and in words.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub text: String,
    pub words: Vec<String>,
    pub matched: BTreeSet<String>,
    pub unmatched: BTreeSet<String>,
}

impl From<Output> for Expanded {
    fn from(output: Output) -> Self {
        Self { text: output.text, unmatched: output.unmatched, matched: output.matched }
    }
}

pub(super) fn scan(text: &str, mode: Mode, vars: &dyn Variables) -> Result<Output, ExpandError> {
    Scanner::new(text, mode, vars).run().map_err(|reason| ExpandError::new(text, reason))
}

#[cfg(test)]
mod tests;
