//! A command line that kiln does not understand.

use std::error::Error;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::ui::diagnostic;

/// A mistake in the command line or in a variable of the environment.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{message}")]
pub struct CliError {
    message: String,
    help: Option<String>,
    exit_code: u8,
}

/// As shells and most programs have it for usage errors.
const USAGE: u8 = 2;
/// kaniko's for everything but a failed RUN.
const KANIKO: u8 = 1;

impl CliError {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()), exit_code: USAGE }
    }

    /// The error as kaniko's programs report it.
    pub(super) fn of_kaniko(self) -> Self {
        Self { exit_code: KANIKO, ..self }
    }

    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// An error whose sentence says what to do.
    pub(super) fn complete(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, exit_code: USAGE }
    }

    /// What is wrong.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The error as it is printed, with the final line break.
    pub fn render(&self, colour: bool) -> String {
        diagnostic::render_message(&self.message, self.help(), colour)
    }

    /// clap's error in kiln's words.
    pub(super) fn from_clap(error: &clap::Error) -> Self {
        let error = ClapError(error);
        Self::new(error.message(), error.help())
    }
}

/// Flags of `docker build` that kiln does not have, and why nobody needs them here.
const OF_DOCKER: [(&[&str], &str); 4] = [
    (&["--provenance", "--sbom", "--attest"], "kiln writes no attestations: leave it out"),
    (&["--builder", "--rm", "--force-rm", "--compress"], "there is no daemon: leave it out"),
    (
        &[
            "--memory",
            "-m",
            "--memory-swap",
            "--cpu-shares",
            "--cpu-period",
            "--cpu-quota",
            "--cpuset-cpus",
            "--cpuset-mems",
            "--cgroup-parent",
            "--resource",
        ],
        "leave it out, and limit the container or job that kiln runs in",
    ),
    (
        &["--security-opt", "--privileged"],
        "leave it out: a RUN never gets more rights than kiln has",
    ),
];

struct ClapError<'a>(&'a clap::Error);

impl ClapError<'_> {
    fn message(&self) -> String {
        let argument = self.text(ContextKind::InvalidArg).unwrap_or_default();
        // `--label <NAME=VALUE>`, `--insecure[=<BOOL>]`
        let flag = argument.split([' ', '[']).next().unwrap_or_default();
        let value = self.text(ContextKind::InvalidValue).unwrap_or_default();
        match self.0.kind() {
            ErrorKind::UnknownArgument if argument.starts_with('-') => {
                format!("there is no flag `{argument}`")
            }
            ErrorKind::UnknownArgument => format!("unexpected argument `{argument}`"),
            ErrorKind::InvalidSubcommand => {
                let command = self.text(ContextKind::InvalidSubcommand).unwrap_or_default();
                format!("there is no command `{command}`")
            }
            ErrorKind::InvalidValue if value.is_empty() => format!("{flag} needs a value"),
            ErrorKind::InvalidValue => {
                let words = self.text(ContextKind::ValidValue).unwrap_or_default();
                format!("invalid value `{value}` for {flag}: expected one of {words}")
            }
            ErrorKind::ValueValidation => {
                // Whose value may be a password.
                let value = match value.split_once('=') {
                    Some((name, _)) if flag == "--build-arg" => format!("{name}=…"),
                    _ => value,
                };
                let why = self.0.source().map(|why| format!(": {why}")).unwrap_or_default();
                format!("invalid value `{value}` for {flag}{why}")
            }
            _ => self.first_line(),
        }
    }

    fn help(&self) -> String {
        let flag = self.text(ContextKind::InvalidArg).unwrap_or_default();
        let of_docker = OF_DOCKER.iter().find(|(flags, _)| flags.contains(&flag.as_str()));
        if let Some((_, why)) = of_docker.filter(|_| self.0.kind() == ErrorKind::UnknownArgument) {
            return (*why).to_owned();
        }
        let suggestion = [
            ContextKind::SuggestedArg,
            ContextKind::SuggestedSubcommand,
            ContextKind::SuggestedValue,
        ]
        .into_iter()
        .find_map(|kind| self.text(kind));
        let usage = self.text(ContextKind::Usage);
        let in_command = usage.as_ref().is_none_or(|usage| usage.contains("build"));
        let other = ["push", "index", "warm", "login", "logout"].into_iter().find(|name| {
            usage.as_ref().is_some_and(|usage| usage.contains(&format!("kiln {name}")))
        });
        match suggestion {
            Some(suggestion) => format!("did you mean `{suggestion}`?"),
            None if other.is_some() => {
                format!("`kiln {} --help` explains all flags", other.unwrap_or_default())
            }
            None if in_command => "`kiln build --help` explains all flags".to_owned(),
            // `kiln -t app .`: the flags are those of a command that was left out.
            None => "an image is built by `kiln build [FLAGS] [CONTEXT]`".to_owned(),
        }
    }

    fn text(&self, kind: ContextKind) -> Option<String> {
        match self.0.get(kind)? {
            ContextValue::String(text) => Some(text.clone()),
            ContextValue::Strings(texts) => Some(texts.join(", ")),
            ContextValue::StyledStr(text) => Some(text.to_string()),
            _ => None,
        }
    }

    fn first_line(&self) -> String {
        let text = self.0.to_string();
        let line = text.lines().next().unwrap_or_default();
        line.trim_start_matches("error: ").to_owned()
    }
}
