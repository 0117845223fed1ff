//! What a build leaves on this machine: the image as files, its root file system, and what programs
//! read of it.

use std::path::{Path, PathBuf};

/// What is written beside the push.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exports {
    /// The image and its files; at most one of them goes to standard output.
    pub all: Vec<Export>,
    /// Gets the image's id: the digest of its config, or of the index where there are several.
    pub iid_file: Option<PathBuf>,
    /// Gets a JSON object that describes the image, as docker buildx writes it.
    pub metadata_file: Option<PathBuf>,
    /// Whether the layers that the build adds become one.
    pub squash: bool,
}

impl Exports {
    /// Whether standard output is taken.
    pub fn use_stdout(&self) -> bool {
        self.all.iter().any(|export| export.sink() == Some(&Sink::Stdout))
    }
}

/// One way to write an image, and where. Directories are absolute; names are as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Export {
    /// An OCI image layout.
    OciLayout {
        /// Where.
        dir: PathBuf,
        /// What the image is called there.
        names: Vec<String>,
    },
    /// A tar of an OCI image layout.
    OciArchive {
        /// Where.
        to: Sink,
        /// What the image is called there.
        names: Vec<String>,
    },
    /// An archive for `docker load`.
    DockerArchive {
        /// Where.
        to: Sink,
        /// What the image is called there.
        names: Vec<String>,
    },
    /// The files of the image, below a directory.
    RootDirectory(PathBuf),
    /// The files of the image, in one tar.
    RootArchive(Sink),
}

/// Where one file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// Absolute.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl Export {
    /// Where the file goes, if it is one.
    pub fn sink(&self) -> Option<&Sink> {
        match self {
            Self::OciArchive { to, .. } | Self::DockerArchive { to, .. } => Some(to),
            Self::RootArchive(to) => Some(to),
            Self::OciLayout { .. } | Self::RootDirectory(_) => None,
        }
    }

    /// Where it is afterwards; nowhere that has a name if it went to standard output.
    pub fn path(&self) -> Option<&Path> {
        match (self, self.sink()) {
            (Self::OciLayout { dir, .. } | Self::RootDirectory(dir), _) => Some(dir),
            (_, Some(Sink::File(path))) => Some(path),
            _ => None,
        }
    }

    /// What is written, for people.
    pub fn what(&self) -> &'static str {
        match self {
            Self::OciLayout { .. } => "OCI layout",
            Self::OciArchive { .. } => "OCI archive",
            Self::DockerArchive { .. } => "docker archive",
            Self::RootDirectory(_) => "files",
            Self::RootArchive(_) => "tar of the files",
        }
    }
}

impl std::fmt::Display for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path() {
            Some(path) => write!(f, "{} {}", self.what(), path.display()),
            None => write!(f, "{} to standard output", self.what()),
        }
    }
}
