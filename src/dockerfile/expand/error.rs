//! Why a text cannot be expanded.

/// Why a text cannot be expanded. The wording is BuildKit's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {word:?}: {reason}")]
pub struct ExpandError {
    /// The text, or its beginning if it is long.
    pub word: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A quote is not closed.
    #[error("unexpected end of statement while looking for matching {0}-quote")]
    OpenQuote(&'static str),
    /// `${` is not closed.
    #[error("syntax error: missing '}}'")]
    OpenBrace,
    /// `${NAME/…` has no second slash.
    #[error("syntax error: missing '/' in ${{}}")]
    NoReplacement,
    /// `${}`, `${:…}` or `${{…}`.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// What follows the name is unknown.
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    /// `${NAME?message}` or `${NAME:?message}` of a variable without a value.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the author of the Dockerfile says about it.
        message: String,
    },
    /// A backslash in a pattern stands before something else than `*`, `?` and itself.
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What the backslash stands before; empty at the end.
        escaped: String,
    },
    /// `${A:-${B:-…}}` without end.
    #[error("more than {0} substitutions within each other")]
    TooDeep(usize),
    /// Values within values multiply.
    #[error("the expansion takes too much time or memory")]
    TooMuch,
}

/// Longer texts are cut in messages.
const SHOWN: usize = 80;

impl ExpandError {
    pub(super) fn new(text: &str, reason: Reason) -> Self {
        let word = match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        };
        Self { word, reason }
    }
}
