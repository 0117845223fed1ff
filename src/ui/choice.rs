//! What the user wants to see.

/// How the build is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputChoice {
    /// Which view.
    pub progress: ProgressChoice,
    /// With colours or without.
    pub color: ColorChoice,
    /// How much.
    pub verbosity: Verbosity,
}

/// Which view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProgressChoice {
    /// `Tty` on a terminal, else `Plain`.
    #[default]
    Auto,
    /// Lines from top to bottom.
    Plain,
    /// Redrawn in place; `Plain` if there is no terminal.
    Tty,
    /// Errors and the digest.
    Quiet,
    /// Sections that GitLab's job log can fold.
    Gitlab,
    /// kaniko's log.
    Log(LogChoice),
}

/// How kaniko's log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogChoice {
    /// The form of a line.
    pub format: LogFormat,
    /// The least level that is shown.
    pub level: LogLevel,
    /// Whether coloured lines have the time of day, instead of seconds since the start.
    pub timestamp: bool,
}

/// The form of a line in kaniko's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `time="…" level=info msg="…"`.
    Text,
    /// `INFO[0004] …` in colours, wherever it goes.
    Color,
    /// An object with `level`, `msg` and `time`.
    Json,
}

/// How much a line matters; the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the words are logrus's")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

/// With colours or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// On a terminal.
    #[default]
    Auto,
    /// Always: some CI systems show colours and are no terminal.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// Whether to colour what goes to a terminal, or to something else.
    pub fn applies(self, is_terminal: bool) -> bool {
        match self {
            Self::Auto => is_terminal,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verbosity {
    /// What most people want.
    #[default]
    Normal,
    /// Also the output of commands that succeeded, and the time of every step.
    Verbose,
}
