//! What a RUN is, once every word of it is expanded.

use super::FilesFrom;
use crate::dockerfile::Sharing;

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    /// Program and arguments.
    pub args: Vec<String>,
    /// The whole environment but for HOME, which the user's entry in /etc/passwd decides, and for what
    /// mounts add: secrets and SSH_AUTH_SOCK.
    pub env: Vec<(String, String)>,
    /// Variables that stand above those: proxies that were given for this build. How a machine reaches
    /// the network does not change what a step is.
    pub proxies: Vec<(String, String)>,
    /// Working directory, absolute.
    pub cwd: String,
    /// As in USER; empty for root.
    pub user: String,
    /// `--network`; the build's own choice where absent.
    pub network: Option<NetworkMode>,
    /// What it sees at places of its own, the first one mounted first.
    pub mounts: Vec<StepMount>,
}

impl RunStep {
    /// All variables: proxies stand above the image's own.
    pub fn environment(&self) -> Vec<(String, String)> {
        let given = |name: &String| self.proxies.iter().any(|(proxy, _)| proxy == name);
        let own = self.env.iter().filter(|(name, _)| !given(name));
        own.chain(&self.proxies).cloned().collect()
    }

    /// Where the mounts take files from.
    pub fn files_from(&self) -> impl Iterator<Item = &FilesFrom> {
        self.mounts.iter().filter_map(|mount| match mount {
            StepMount::Bind(BindMount { from: BindSource::Files(from), .. })
            | StepMount::Cache(CacheMount { seed: Some(BindSource::Files(from)), .. }) => {
                Some(from)
            }
            _ => None,
        })
    }
}

/// The network of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// What a RUN has without a word: kiln's own.
    Default,
    /// Nothing but loopback.
    None,
    /// kiln's own.
    Host,
}

/// One mount. Targets are absolute and clean, and never `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepMount {
    /// `type=bind`
    Bind(BindMount),
    /// `type=cache`
    Cache(CacheMount),
    /// `type=tmpfs`
    Tmpfs {
        /// Where.
        target: String,
        /// At most so many bytes.
        size: Option<u64>,
        /// Whether the command may not write there.
        read_only: bool,
    },
    /// `type=secret`
    Secret(SecretMount),
    /// `type=ssh`
    Ssh(SshMount),
    /// A heredoc that says itself which program reads it.
    Script {
        /// Where.
        target: String,
        /// The whole file.
        text: String,
    },
}

/// `type=bind`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindMount {
    /// Where.
    pub target: String,
    /// Whose files.
    pub from: BindSource,
    /// Which of them: absolute, from the root of where they are.
    pub source: String,
    /// Whether the command may not write there. What it writes vanishes.
    pub read_only: bool,
}

/// Whose files a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindSource {
    /// Nobody's: `from=scratch`.
    Nothing,
    /// Those.
    Files(FilesFrom),
}

/// `type=cache`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// Where.
    pub target: String,
    /// Its name, with that of BUILDKIT_CACHE_MOUNT_NS before a slash.
    pub id: String,
    /// What happens when two use it.
    pub sharing: Sharing,
    /// What is in it at first; nothing if absent.
    pub seed: Option<BindSource>,
    /// Which part of the seed; absolute.
    pub source: String,
    /// Whether the command may not write there.
    pub read_only: bool,
    /// Mode of a new directory; without it and an owner, the seed's.
    pub mode: Option<u32>,
    /// Its owner.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
}

/// `type=secret`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMount {
    /// Which one.
    pub id: String,
    /// The file that shows it, if one does.
    pub target: Option<String>,
    /// The variable that has it, if one does.
    pub env: Option<String>,
    /// Whether it is an error that there is none.
    pub required: bool,
    /// Mode of the file.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// `type=ssh`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshMount {
    /// Which agent.
    pub id: String,
    /// Where its socket is.
    pub target: String,
    /// Whether it is an error that there is none.
    pub required: bool,
    /// Mode of the socket.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}
