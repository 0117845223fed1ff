//! Flags and environment → a typed request.
//!
//! In two steps: `flags` holds what was typed, `resolve` makes it ready to use. `gitlab` fills in
//! what a job of GitLab's leaves out. `kaniko` has a command line of its own, which ends in the same
//! request. Nothing outside this module sees clap or a variable of the environment.

mod annotations;
mod build_context;
mod build_context_flags;
mod cache;
mod cache_entry;
mod cache_flags;
mod cache_repo;
mod cache_sum;
mod caching;
mod caching_flags;
mod caching_values;
mod check;
mod check_flags;
mod clouds;
mod context;
mod credentials;
mod doctor;
mod duration;
mod env;
mod error;
mod export_flags;
mod exports;
mod fields;
mod flags;
mod gitlab;
mod index;
mod index_flags;
mod kaniko;
mod login;
mod login_flags;
mod mounts;
mod mounts_flags;
mod outputs;
mod push;
mod push_flags;
mod reach_flags;
mod resolve;
mod result;
mod shell;
mod transfer_flags;
mod trust;
mod values;
mod warm;
mod warm_flags;

#[cfg(test)]
mod tests;

pub use check::{Call, Subject};
pub use env::Environment;
pub use error::CliError;
pub use login::{Entrance, PasswordFrom};

pub use shell::Shell;

use std::ffi::OsString;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use self::caching_flags::CachingFlags;
use self::flags::{BuildFlags, ResultFlags};
use self::kaniko::Tool;
use crate::request::{
    CacheUpkeep, DoctorRequest, IndexRequest, LogoutRequest, PushRequest, Request, WarmRequest,
};
pub use crate::ui::OutputChoice;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Build an image.
    Build(Job),
    /// Say something about a Dockerfile.
    Look {
        /// Which, and how.
        job: Job,
        /// What.
        call: Call,
    },
    /// Say what would be built.
    Plan(Job),
    /// Fetch base images.
    Warm(Warming),
    /// Say what this machine allows.
    Doctor {
        /// What is asked about.
        request: Box<DoctorRequest>,
        /// Whether a program reads the answer.
        json: bool,
    },
    /// Send an image that is there already.
    Push(Pushing),
    /// Join images of several platforms.
    Index(Joining),
    /// Look after caches.
    Upkeep(Caretaking),
    /// Let a registry's login be used from now on.
    Login(Entrance),
    /// Take logins back.
    Logout(Box<LogoutRequest>),
    /// Do nothing; the text says why that is right.
    Nothing(String),
    /// Become a shell.
    Shell(Shell),
    /// Print this text to standard output.
    Help(String),
    /// Print this text to standard output.
    Version(String),
}

/// A build.
#[derive(Debug)]
pub struct Job {
    /// What, and where it goes.
    pub request: Box<Request>,
    /// How it is shown.
    pub output: OutputChoice,
    /// What is to be said first.
    pub remarks: Vec<Remark>,
}

/// An image to be pushed.
#[derive(Debug)]
pub struct Pushing {
    /// Which, and where it goes.
    pub request: Box<PushRequest>,
    /// How it is shown.
    pub output: OutputChoice,
}

/// Images to be joined.
#[derive(Debug)]
pub struct Joining {
    /// Which, and where the index goes.
    pub request: Box<IndexRequest>,
    /// How it is shown.
    pub output: OutputChoice,
}

/// Caches to be looked after.
#[derive(Debug)]
pub struct Caretaking {
    /// Which, and what goes.
    pub request: Box<CacheUpkeep>,
    /// Whether a program reads the answer.
    pub json: bool,
    /// How warnings and errors are shown.
    pub output: OutputChoice,
}

/// Base images to be fetched.
#[derive(Debug)]
pub struct Warming {
    /// Which, and where they go.
    pub request: Box<WarmRequest>,
    /// How it is shown.
    pub output: OutputChoice,
    /// What is to be said first.
    pub remarks: Vec<Remark>,
}

/// Something to be said about a command line; one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Only when all details are wanted.
    Detail(String),
    /// What was found where.
    Note(String),
    /// What the user should change.
    Warning(String),
}

/// Reads a command line; the first argument is the program's name. Looks at the file system only
/// to see whether what was named is there.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: &Environment,
) -> Result<Invocation, CliError> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let program = args.first().cloned().unwrap_or_default();
    let rest = args.get(1..).unwrap_or_default();
    if let Some(shell) = Shell::wanted(rest) {
        return Ok(Invocation::Shell(shell));
    }
    if let Some(tool) = Tool::named(&program) {
        return kaniko::parse(tool, rest.to_vec(), env);
    }
    match rest.first().and_then(|arg| arg.to_str()) {
        Some("executor") => return kaniko::parse(Tool::Executor, rest[1..].to_vec(), env),
        Some("warmer") => return kaniko::parse(Tool::Warmer, rest[1..].to_vec(), env),
        // The one-line job, where kiln is the image's command.
        None if rest.is_empty() && gitlab::is_job(env) => args.push("build".into()),
        _ => {}
    }
    kiln(args, env)
}

/// kiln's own command line.
fn kiln(args: Vec<OsString>, env: &Environment) -> Result<Invocation, CliError> {
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
        Some(flags::Command::Build(flags)) => match check::of_build(&flags.call) {
            Some(call) => look(call, *flags, env),
            None => Ok(Invocation::Build(job(*flags, env)?)),
        },
        Some(flags::Command::Check(flags)) => {
            let (call, flags) = check::of_check(*flags)?;
            look(call, flags, env)
        }
        Some(flags::Command::Push(flags)) => push::push(*flags, env).map(Invocation::Push),
        Some(flags::Command::Index(flags)) => index::index(*flags, env).map(Invocation::Index),
        Some(flags::Command::Warm(flags)) => warm::warm(*flags, env).map(Invocation::Warm),
        Some(flags::Command::Cache(flags)) => cache::cache(*flags, env).map(Invocation::Upkeep),
        Some(flags::Command::Login(flags)) => login::login(*flags, env),
        Some(flags::Command::Logout(flags)) => login::logout(flags, env),
        Some(flags::Command::Doctor(flags)) => {
            let json = flags.json;
            let request = Box::new(doctor::request(flags, env)?);
            Ok(Invocation::Doctor { request, json })
        }
    }
}

/// A question has no image that could go anywhere, so it needs no name for one, and no cache.
fn look(call: Call, mut flags: BuildFlags, env: &Environment) -> Result<Invocation, CliError> {
    flags.result = ResultFlags { no_push: true, ..Default::default() };
    flags.export.output.clear();
    flags.caching = CachingFlags::off();
    Ok(Invocation::Look { job: job(flags, env)?, call })
}

fn job(mut flags: BuildFlags, env: &Environment) -> Result<Job, CliError> {
    let in_gitlab = gitlab::is_job(env);
    let mut remarks = if in_gitlab { gitlab::fill(&mut flags, env)? } else { Vec::new() };
    let output = resolve::output(&flags.output, env, in_gitlab);
    let (request, more) = resolve::request(flags, env)?;
    remarks.extend(more);
    Ok(Job { request: Box::new(request), output, remarks })
}

/// clap reports a wish for help as an error too.
fn from_clap(error: &clap::Error) -> Result<Invocation, CliError> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Ok(Invocation::Help(error.to_string()))
        }
        ErrorKind::DisplayVersion => Ok(Invocation::Version(error.to_string())),
        _ => Err(CliError::from_clap(error)),
    }
}
