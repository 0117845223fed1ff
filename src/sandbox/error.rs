//! Why a RUN could not be run. (A command that fails is no error: see [`super::RunStatus`].)

use std::io;
use std::path::PathBuf;

use super::enter::Unable;
use crate::cancel::Cancelled;

/// A sandbox that could not do its job.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// An isolation was asked for by name and is not to be had.
    #[error("isolation `{isolation}` is not possible here: {unable}")]
    Unavailable {
        /// Its name.
        isolation: &'static str,
        /// Why, and what to do.
        unable: Unable,
    },
    /// The work directory cannot hold the upper directory of an overlay.
    #[error(
        "`{}` ({file_system}) cannot hold the changes of a RUN: {problem}; use --work-dir with a \
         directory on another file system, such as ext4, xfs or (Linux 6.6) tmpfs",
        dir.display()
    )]
    WorkDir {
        /// The directory.
        dir: PathBuf,
        /// Its file system's type, e.g. `overlay`.
        file_system: String,
        /// What did not work there.
        problem: String,
    },
    /// Layers that could not be looked at together.
    #[error("cannot mount a view of {layers} layers at `{}`: {source}", mountpoint.display())]
    View {
        /// Where.
        mountpoint: PathBuf,
        /// How many.
        layers: usize,
        /// Why.
        source: io::Error,
    },
    /// A request that makes no sense.
    #[error("a RUN cannot be prepared: {0}")]
    Request(String),
    /// A step on the way to the command, made by kiln or by one of its child processes.
    #[error("cannot {step}: {source}")]
    Step {
        /// What was to be done, e.g. `mount /proc`.
        step: String,
        /// Why not.
        source: io::Error,
    },
    /// The command's program could not be executed.
    #[error("{}", explain_command(program, *exists, reason))]
    Command {
        /// The program as the command names it.
        program: String,
        /// Whether a file of that name was found.
        exists: bool,
        /// The kernel's answer, which the sentence explains.
        reason: io::Error,
    },
    /// The user or a group cannot be taken on.
    #[error(
        "cannot run as user {uid}:{gid}: {source}; only ids that are mapped into kiln's user \
         namespace can be used: give the account that runs kiln a range in /etc/subuid and \
         /etc/subgid and install newuidmap and newgidmap (package uidmap or shadow-utils)"
    )]
    User {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A child process that ended without a report.
    #[error("the process that runs the command ended unexpectedly: {0}")]
    Lost(String),
    /// The build was told to stop.
    #[error("{0}")]
    Cancelled(#[from] Cancelled),
}

fn explain_command(program: &str, exists: bool, source: &io::Error) -> String {
    match source.raw_os_error() {
        Some(libc::ENOENT) if exists => format!(
            "`{program}` cannot be executed: its interpreter (the dynamic loader of a program, the \
             `#!` line of a script) is not in the image"
        ),
        Some(libc::ENOENT) if program == "/bin/sh" => "`/bin/sh` is not in the image, so there is \
             no shell to run the command: use the exec form, RUN [\"program\", \"argument\"], copy \
             a shell into the image, or start from a base image that has one (scratch is empty)"
            .to_owned(),
        Some(libc::ENOENT) => {
            format!("`{program}` is not in the image, or not in a directory that PATH names")
        }
        Some(libc::EACCES) => format!(
            "`{program}` cannot be executed: permission denied; it needs execute permission for \
             the user of the RUN, and must not be a directory"
        ),
        Some(libc::ENOEXEC) => format!(
            "`{program}` cannot be executed: it is a program for another architecture, or a script \
             without a `#!` line. For another architecture the machine needs an emulator (docker run \
             --privileged --rm tonistiigi/binfmt --install all), or let the stage run here and \
             cross-compile: FROM --platform=$BUILDPLATFORM"
        ),
        _ => format!("`{program}` cannot be executed: {source}"),
    }
}

/// Names the step that an I/O error happened in.
pub(super) trait During<T> {
    fn during(self, step: impl Into<String>) -> Result<T, SandboxError>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, step: impl Into<String>) -> Result<T, SandboxError> {
        self.map_err(|error| SandboxError::Step { step: step.into(), source: error.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exec_error_says_what_is_wrong_with_the_program() {
        let rows = [
            ("/bin/sh", false, libc::ENOENT, "no shell"),
            ("make", false, libc::ENOENT, "`make` is not in the image"),
            ("/app", true, libc::ENOENT, "interpreter"),
            ("/etc", true, libc::EACCES, "execute permission"),
            ("/app", true, libc::ENOEXEC, "another architecture"),
            ("/app", true, libc::E2BIG, "Argument list too long"),
        ];
        for (program, exists, errno, expected) in rows {
            let error = SandboxError::Command {
                program: program.to_owned(),
                exists,
                reason: io::Error::from_raw_os_error(errno),
            };
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
