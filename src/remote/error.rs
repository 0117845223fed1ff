//! What can go wrong with something that is fetched, in sentences for the person who has to act.

use std::io;
use std::path::PathBuf;

use crate::cancel::Cancelled;
use crate::digest::Digest;
use crate::registry::RegistryError;

/// Something that could not be fetched. Addresses are shown without passwords.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The build was told to stop.
    #[error("{0}")]
    Cancelled(#[from] Cancelled),
    /// No file came.
    #[error("cannot fetch {address}: {reason}")]
    Http {
        /// Without secrets.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A file came that is not the expected one. BuildKit's words first.
    #[error(
        "digest mismatch {found}: {expected}: the file at {address} is not the one that the \
         checksum names"
    )]
    Checksum {
        /// Without secrets.
        address: String,
        /// Of what came.
        found: Digest,
        /// As it was given.
        expected: Digest,
    },
    /// There is no program to fetch with.
    #[error(
        "there is no git here, which {remote} is fetched with: install git (and ssh, if the address \
         needs it) where kiln runs, in a directory of PATH; or write an https address, which kiln reads \
         itself, for a private repository with the secret GIT_AUTH_TOKEN"
    )]
    NoGit {
        /// Without secrets.
        remote: String,
    },
    /// git could not do it.
    #[error("failed to {action} {remote}: {said}")]
    Git {
        /// `fetch remote`, as BuildKit has it.
        action: &'static str,
        /// Without secrets.
        remote: String,
        /// git's words on one line, and what to do.
        said: String,
    },
    /// A repository without what was asked for.
    #[error("repository does not contain ref {reference}: {remote} has {hint}")]
    NoRef {
        /// As it was asked for.
        reference: String,
        /// Without secrets.
        remote: String,
        /// What there is instead; ends the sentence.
        hint: String,
    },
    /// Another commit. BuildKit's words first.
    #[error("expected checksum to match {expected}, got {found}")]
    Commit {
        /// As it was given.
        expected: String,
        /// One name, or two: of an annotated tag, and of its commit.
        found: String,
    },
    /// A repository without the directory.
    #[error("{remote} has no directory `{subdir}`")]
    NoDirectory {
        /// Without secrets.
        remote: String,
        /// As it was given.
        subdir: String,
    },
    /// A file of this machine.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl RemoteError {
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// The same in words that fit any server, since the client's are about registries.
    pub(super) fn http(address: String, host: &str, error: RegistryError) -> Self {
        match error {
            RegistryError::Cancelled(cancelled) => cancelled.into(),
            error => Self::Http { address, reason: reason(host, error) },
        }
    }
}

fn reason(host: &str, error: RegistryError) -> String {
    match error {
        RegistryError::Dns { host, cause, .. } => format!(
            "`{host}` cannot be found: {cause}. Check the name, and this machine's DNS and proxy \
             settings"
        ),
        RegistryError::Connection { host, cause, hint } => {
            format!("the connection to `{host}` failed: {cause}{hint}")
        }
        RegistryError::Refused { host, cause } => format!(
            "`{host}` refuses connections ({cause}). Check the host and port, and that the server \
             runs"
        ),
        RegistryError::Tls { host, plain: true, .. } => {
            format!(
                "`{host}` does not speak TLS; if it is meant to speak plain HTTP, write http://"
            )
        }
        RegistryError::Tls { host, cause, hint, .. } => {
            format!("no secure connection to `{host}`: {cause}. {hint}")
        }
        RegistryError::Truncated { received: 0, source, .. } => reason(host, *source),
        RegistryError::Truncated { received, size, source, .. } => {
            let of = if size > received { format!(" of {size}") } else { String::new() };
            format!("{received}{of} bytes came, and then {}", reason(host, *source))
        }
        RegistryError::Status { status, .. } => status_reason(status, host),
        RegistryError::TooManyRequests { .. } => status_reason(429, host),
        RegistryError::Protocol { reason, .. } | RegistryError::Option { reason, .. } => reason,
        other => other.to_string(),
    }
}

/// BuildKit's words, and what may help.
fn status_reason(status: u16, host: &str) -> String {
    let help = match status {
        401 | 403 => format!(
            ": the server wants other credentials; kiln sends the secret HTTP_AUTH_TOKEN_{host} or \
             HTTP_AUTH_HEADER_{host}"
        ),
        404 | 410 => ": there is no such file".to_owned(),
        429 => ": the server allows no more requests now".to_owned(),
        500.. => ", and no better answer came when kiln tried again".to_owned(),
        _ => String::new(),
    };
    format!("invalid response status {status}{help}")
}
