//! What a RUN is asked for, and what comes back.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::mount_request::RunMount;
use super::ulimit::Ulimit;

/// The root of a command in namespaces: layers put on one another.
#[derive(Debug, Clone)]
pub struct LayeredRoot {
    /// The absolute directory that holds the directories below. A `stub` is made in it, once.
    pub base: PathBuf,
    /// Directories of the unpacked layers, relative to `base`, lowest first; none for scratch. Their
    /// names have to be short: together they go into one page (mount(2)).
    pub lowers: Vec<PathBuf>,
    /// Where the command's changes go, relative to `base`. Its own mode and owner are those of `/`.
    pub upper: PathBuf,
    /// The overlay's own directory, empty, relative to `base`, on the file system of `upper`.
    pub work: PathBuf,
}

/// The root of a command in a chroot: one directory, which it changes.
#[derive(Debug, Clone)]
pub struct DirectoryRoot {
    /// Absolute, and not `/`.
    pub path: PathBuf,
    /// An empty directory on the same file system, for what the image has in the way of /proc, /sys,
    /// /dev and the files of /etc that are kiln's.
    pub aside: PathBuf,
    /// Symbolic links of the image that lead into /proc, /sys or /dev, relative to `path`.
    pub links: Vec<PathBuf>,
}

/// One command.
#[derive(Clone)]
pub struct RunRequest {
    /// The program, looked up in `env`'s PATH if it has no slash, and its arguments.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// The absolute working directory; made (0755) if it is missing.
    pub cwd: String,
    /// Who runs it.
    pub user: UserSpec,
    /// The host name that it sees.
    pub hostname: String,
    /// More lines for /etc/hosts: names and their addresses.
    pub hosts: Vec<(String, String)>,
    /// Size of /dev/shm in bytes.
    pub shm_size: u64,
    /// Which network it sees.
    pub network: Network,
    /// What it sees at places of its own, the first one mounted first.
    pub mounts: Vec<RunMount>,
    /// Limits of its resources; what is not among them is as kiln has it.
    pub ulimits: Vec<Ulimit>,
}

impl fmt::Debug for RunRequest {
    /// Values of the environment may be secrets, so only the names are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunRequest")
            .field("args", &self.args)
            .field("env", &self.env.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("cwd", &self.cwd)
            .field("user", &self.user)
            .field("hostname", &self.hostname)
            .field("hosts", &self.hosts)
            .field("shm_size", &self.shm_size)
            .field("network", &self.network)
            .field("mounts", &self.mounts)
            .field("ulimits", &self.ulimits)
            .finish()
    }
}

/// Ids as the command sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSpec {
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// The network of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// kiln's own.
    Host,
    /// A loopback interface, nothing else.
    None,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunStatus {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

/// What a RUN left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// How the command ended.
    pub status: RunStatus,
    /// What kiln made in the root to mount on, relative to it, parents first, and what is still there:
    /// it is no change of the command's. A directory among them stays if the command has put something
    /// into it. Rarely any: most mount points come from a stub layer below the image, and where nothing
    /// is mounted kiln has removed what it made.
    pub placeholders: Vec<PathBuf>,
    /// How many system calls the broker was asked about; none without one.
    pub asked: u64,
}
