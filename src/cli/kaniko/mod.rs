//! kaniko's command line: `executor` and `warmer`, under which names or as first argument.
//!
//! | module | job |
//! |---|---|
//! | `table` | what a flag is |
//! | `executor_flags`, `warmer_flags`, `shared_flags` | all flags, as data |
//! | `values` | arguments → checked values |
//! | `executor`, `warmer`, `cache`, `registry`, `log` | values → requests |
//! | `variables` | what kaniko reads from the environment and kiln does not |
//! | `help` | `--help`, made of the tables |

mod cache;
mod executor;
mod executor_flags;
mod git;
mod help;
mod log;
mod registry;
mod shared_flags;
mod table;
#[cfg(test)]
mod tests;
mod values;
mod variables;
mod warmer;
mod warmer_flags;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use self::table::Flag;
use self::values::Values;
use super::Invocation;
use super::env::Environment;
use super::error::CliError;

/// A program of kaniko's that kiln stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Executor,
    Warmer,
}

impl Tool {
    /// The program of that name, wherever it lies.
    pub(super) fn named(program: &OsStr) -> Option<Self> {
        match Path::new(program).file_name()?.to_str()? {
            "executor" => Some(Self::Executor),
            "warmer" => Some(Self::Warmer),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Executor => "executor",
            Self::Warmer => "warmer",
        }
    }

    fn table(self) -> &'static [&'static [Flag]] {
        match self {
            Self::Executor => executor_flags::FLAGS,
            Self::Warmer => warmer_flags::FLAGS,
        }
    }
}

/// Reads the arguments after the program's name.
pub(super) fn parse(
    tool: Tool,
    args: Vec<OsString>,
    env: &Environment,
) -> Result<Invocation, CliError> {
    read(tool, args, env).map_err(CliError::of_kaniko)
}

fn read(tool: Tool, args: Vec<OsString>, env: &Environment) -> Result<Invocation, CliError> {
    match args.first().and_then(|arg| arg.to_str()) {
        Some("version" | "--version") => {
            return Ok(Invocation::Version(format!("kiln {}\n", env!("CARGO_PKG_VERSION"))));
        }
        Some("login" | "push") if tool == Tool::Executor => {
            return super::kiln([OsString::from("kiln")].into_iter().chain(args).collect(), env);
        }
        Some("bake") if tool == Tool::Executor => return Err(no_bake()),
        _ => {}
    }
    let wants_help = |arg: &OsString| arg == "--help" || arg == "-h";
    if args.iter().take_while(|arg| *arg != "--").any(wants_help) || is_help(&args) {
        return Ok(Invocation::Help(help::text(tool)));
    }
    let values = Values::read(tool.table(), args)?;
    match tool {
        Tool::Executor => {
            let job = executor::job(&values, env)?;
            Ok(if values.switch("dryrun") { Invocation::Plan(job) } else { Invocation::Build(job) })
        }
        Tool::Warmer => warmer::warming(&values, env).map(Invocation::Warm),
    }
}

fn is_help(args: &[OsString]) -> bool {
    args.first().is_some_and(|arg| arg == "help")
}

fn no_bake() -> CliError {
    CliError::new("kiln has no `executor bake`", "call executor once for each image")
}
