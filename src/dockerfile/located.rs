//! An error and its place in a Dockerfile.

use std::sync::Arc;

use super::Span;

/// A failure that the author of the Dockerfile can see in its text.
#[derive(Debug, thiserror::Error)]
#[error("{path}:{}: {message}", line_of(.text, .span.start))]
pub struct Located {
    /// The file, as the user named it.
    pub path: String,
    /// Its whole text.
    pub text: Arc<str>,
    /// The part to show and underline.
    pub span: Span,
    /// What failed, one sentence without its full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// What led to it.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The number of the line, from 1, that holds the byte at `offset`.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
