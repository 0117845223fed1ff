use std::io;
use std::path::PathBuf;

use crate::rootfs::RootError;
use crate::rootfs::ignore::IgnoreError;

/// A context that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// Nothing is there.
    #[error("the context `{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// Something else is there.
    #[error("the context `{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// A directory, or whatever else, where a file is to be read.
    #[error("`{}` is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// A file that cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// On this machine.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is no text one would write.
    #[error("`{}` is longer than {limit} bytes", path.display())]
    TooLong {
        /// On this machine.
        path: PathBuf,
        /// In bytes.
        limit: u64,
    },
    /// An ignore file that cannot be used.
    #[error("`{}`: {source}", path.display())]
    Ignore {
        /// On this machine.
        path: PathBuf,
        /// What is wrong.
        source: IgnoreError,
    },
    /// No Dockerfile.
    #[error("cannot find the Dockerfile: there is no {}", or(.looked_for))]
    NoDockerfile {
        /// In this order.
        looked_for: Vec<PathBuf>,
    },
    /// A Dockerfile that is no text.
    #[error("the Dockerfile `{}` is not UTF-8 text: see byte {offset}", path.display())]
    NotText {
        /// On this machine.
        path: PathBuf,
        /// Of the first byte that is none, from 0.
        offset: usize,
    },
    /// Nobody can type an archive.
    #[error("standard input is a terminal: {0}")]
    Terminal(&'static str),
    /// Neither a context nor a Dockerfile.
    #[error("there is nothing on standard input, where a context or a Dockerfile was to come from")]
    NothingOnStdin,
    /// An archive that cannot be unpacked.
    #[error("cannot unpack the context from {archive}: {reason}")]
    Archive {
        /// Its path, or `standard input`.
        archive: String,
        /// Why; ends a sentence.
        reason: String,
    },
    /// A directory that an archive does not have.
    #[error("{archive} has no directory `{}` to be the context", path.display())]
    NotInArchive {
        /// Its path, or `standard input`.
        archive: String,
        /// Seen from the archive's top.
        path: PathBuf,
    },
    /// The directory could not be opened, or a file in it.
    #[error(transparent)]
    Root(#[from] RootError),
}

fn or(paths: &[PathBuf]) -> String {
    let quoted: Vec<_> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    quoted.join(", and no ")
}
