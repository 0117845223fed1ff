//! A command line that kiln does not understand.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::ui::diagnostic;

/// A mistake in the command line or in a variable of the environment.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{message}")]
pub struct CliError {
    message: String,
    help: Option<String>,
}

impl CliError {
    /// What the process exits with: 2, as shells and most programs do for usage errors.
    pub const EXIT_CODE: u8 = 2;

    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The error as it is printed, with the final line break.
    pub fn render(&self, colour: bool) -> String {
        diagnostic::render_message(&self.message, self.help(), colour)
    }

    /// clap's error in kiln's form: its sentence, and its suggestion as help.
    pub(super) fn from_clap(error: &clap::Error) -> Self {
        let text = error.to_string();
        let mut paragraph = text.trim_start_matches("error: ").lines();
        let mut message = paragraph.next().unwrap_or_default().trim().to_owned();
        for line in paragraph.by_ref().take_while(|line| !line.is_empty()) {
            message.push_str(&format!(" {}", line.trim()));
        }
        Self { message, help: Some(help(error, &text)) }
    }
}

fn help(error: &clap::Error, text: &str) -> String {
    if let Some(tip) = text.lines().find_map(|line| line.trim().strip_prefix("tip: ")) {
        return tip.to_owned();
    }
    // `kiln -t app .`: the flags are those of a command that was left out.
    let outside = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
    match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) if outside && !usage.to_string().contains("build") => {
            "an image is built by `kiln build [FLAGS] [CONTEXT]`".to_owned()
        }
        _ => "`kiln build --help` explains all flags".to_owned(),
    }
}
