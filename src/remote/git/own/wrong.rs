//! What goes wrong with a server or with what it sends.

use std::fmt;
use std::io;
use std::path::Path;

use crate::registry::RegistryError;
use crate::remote::RemoteError;

/// Why nothing came, or nothing that can be used.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The connection, or a status.
    Http(RegistryError),
    /// The server's words.
    Refused(String),
    /// The other side ended before it had said all.
    Short,
    /// What came breaks the rules, or a limit; or it is beyond this client.
    Unusable(String),
    /// What concerns this machine, or is complete in itself.
    Ours(RemoteError),
    /// The same, of something that may work later.
    Later(RemoteError),
}

/// Something that cannot be used, in words.
pub(super) fn unusable<T>(why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Unusable(why.into()))
}

/// What writing to a file of this machine ended with, as it goes through a stream: the stream's other
/// failures are the server's.
pub(super) fn written(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    let path = path.to_owned();
    move |error| Wrong::Ours(RemoteError::io(action, path)(error)).into()
}

impl Wrong {
    /// What reading from a server ended with.
    pub(super) fn of_stream(error: io::Error) -> Self {
        let kind = error.kind();
        let words = error.to_string();
        match error.into_inner().map(|inner| inner.downcast::<Self>()) {
            Some(Ok(wrong)) => *wrong,
            Some(Err(other)) => match other.downcast::<RegistryError>() {
                Ok(error) => Self::Http(*error),
                Err(_) => Self::of_kind(kind, words),
            },
            None => Self::of_kind(kind, words),
        }
    }

    fn of_kind(kind: io::ErrorKind, words: String) -> Self {
        match kind {
            io::ErrorKind::UnexpectedEof => Self::Short,
            // The decompressor's.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                Self::Unusable(format!("the pack is damaged: {words}"))
            }
            _ => Self::Unusable(words),
        }
    }

    /// Whether the same may work later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Http(error) => error.may_pass(),
            Self::Short | Self::Later(_) => true,
            _ => false,
        }
    }
}

impl From<Wrong> for io::Error {
    fn from(wrong: Wrong) -> Self {
        Self::other(wrong)
    }
}

impl From<RemoteError> for Wrong {
    fn from(error: RemoteError) -> Self {
        Self::Ours(error)
    }
}

impl From<crate::cancel::Cancelled> for Wrong {
    fn from(stop: crate::cancel::Cancelled) -> Self {
        Self::Ours(stop.into())
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::Refused(said) => write!(f, "the server says: {said}"),
            Self::Short => f.write_str("the server ended before it had sent all"),
            Self::Unusable(why) => f.write_str(why),
            Self::Ours(error) | Self::Later(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Wrong {}

/// In words that fit a server of git.
pub(super) fn words(wrong: Wrong) -> String {
    let error = match wrong {
        Wrong::Http(error) => error,
        other => return other.to_string(),
    };
    match error {
        RegistryError::Status { status: status @ (401 | 403), .. } => format!(
            "the server answered {status}. The server wants other credentials; kiln shows it the secret \
             GIT_AUTH_TOKEN or GIT_AUTH_HEADER"
        ),
        RegistryError::Status { status: 404 | 410, .. } => "the server answered 404: there is no \
             such repository, or it is hidden from who shows no credentials (the secret \
             GIT_AUTH_TOKEN)"
            .to_owned(),
        RegistryError::Status { status, said, .. } if said.is_empty() => {
            format!("the server answered {status}")
        }
        RegistryError::Status { status, said, .. } => {
            format!("the server answered {status}: {said}")
        }
        error => match RemoteError::http(String::new(), "", error) {
            RemoteError::Http { reason, .. } => reason,
            other => other.to_string(),
        },
    }
}
