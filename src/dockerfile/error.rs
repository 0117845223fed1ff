//! Why a text is no Dockerfile.

use std::ops::Range;

use super::Span;

/// Why a text is no Dockerfile, with the place.
///
/// Messages are BuildKit's where it has one, because people search for them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dockerfile parse error: {message}")]
pub struct ParseError {
    /// One sentence without its full stop.
    pub message: String,
    /// The offending word if known, else the instruction; a range of the text without its byte
    /// order mark.
    pub span: Span,
    /// What to do.
    pub help: Option<String>,
}

/// A [`ParseError`] whose place is still a range of the logical line.
#[derive(Debug)]
pub(super) struct Fault {
    pub message: String,
    /// `None`: the whole instruction.
    pub at: Option<Range<usize>>,
    pub help: Option<String>,
}

impl Fault {
    /// About the whole instruction.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: None, help: None }
    }

    /// About a part of it.
    pub fn at(mut self, range: &Range<usize>) -> Self {
        self.at = Some(range.clone());
        self
    }

    /// With advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
