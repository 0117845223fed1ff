//! Flags and environment → a typed request.
//!
//! In two steps: `flags` holds what was typed, `resolve` makes it ready to use. Nothing outside
//! this module sees clap or a variable of the environment.

mod context;
mod credentials;
mod doctor;
mod env;
mod error;
mod flags;
mod outputs;
mod resolve;
mod values;

#[cfg(test)]
mod tests;

pub use env::Environment;
pub use error::CliError;

use std::ffi::OsString;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use crate::request::{DoctorRequest, Request};
pub use crate::ui::OutputChoice;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Build an image.
    Build {
        /// What, and where it goes.
        request: Box<Request>,
        /// How it is shown.
        output: OutputChoice,
    },
    /// Say what this machine allows.
    Doctor {
        /// What is asked about.
        request: Box<DoctorRequest>,
        /// Whether a program reads the answer.
        json: bool,
    },
    /// Print this text to standard output.
    Help(String),
    /// Print this text to standard output.
    Version(String),
}

/// Reads a command line; the first argument is the program's name. Looks at the file system only
/// to see whether what was named is there.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: &Environment,
) -> Result<Invocation, CliError> {
    let mut command = flags::command();
    let matches = match command.try_get_matches_from_mut(args) {
        Ok(matches) => matches,
        Err(error) => return from_clap(&error),
    };
    let flags = match flags::Flags::from_arg_matches(&matches) {
        Ok(flags) => flags,
        Err(error) => return from_clap(&error.format(&mut command)),
    };
    match flags.command {
        None => Ok(Invocation::Help(command.render_help().to_string())),
        Some(flags::Command::Build(flags)) => {
            let output = resolve::output(&flags.output, env);
            let request = Box::new(resolve::request(*flags, env)?);
            Ok(Invocation::Build { request, output })
        }
        Some(flags::Command::Doctor(flags)) => {
            let json = flags.json;
            let request = Box::new(doctor::request(flags, env)?);
            Ok(Invocation::Doctor { request, json })
        }
    }
}

/// clap reports a wish for help as an error too.
fn from_clap(error: &clap::Error) -> Result<Invocation, CliError> {
    match error.kind() {
        ErrorKind::DisplayHelp => Ok(Invocation::Help(error.to_string())),
        ErrorKind::DisplayVersion => Ok(Invocation::Version(error.to_string())),
        _ => Err(CliError::from_clap(error)),
    }
}
