//! What commands get beside the Dockerfile's word: secrets, agents, limits, network, caches.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

/// The part of a request that concerns RUN.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunChoice {
    /// `--secret`, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// `--ssh`: the sockets of agents that exist, by id; absolute.
    pub agents: BTreeMap<String, PathBuf>,
    /// `--ulimit`, each resource once.
    pub ulimits: Vec<UlimitChoice>,
    /// `--network`: for every RUN that does not say.
    pub network: NetworkChoice,
    /// `--cache-mount-dir`: where caches outlive the build; absolute.
    pub cache_dir: Option<PathBuf>,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// A variable of the environment had it.
    Value(SecretValue),
    /// This variable should have had it and is not set: the secret is empty, as in Docker.
    Unset(String),
    /// In this file; absolute. It is read when a command wants it.
    File(PathBuf),
}

impl Secret {
    /// No secret has more bytes, as in BuildKit.
    pub const MAX_SIZE: u64 = 500 * 1024;

    /// Its bytes.
    ///
    /// # Errors
    /// A file that cannot be read, or is too big; a sentence.
    pub fn read(&self) -> Result<Vec<u8>, String> {
        let path = match self {
            Self::Value(value) => return Ok(value.bytes().to_vec()),
            Self::Unset(_) => return Ok(Vec::new()),
            Self::File(path) => path,
        };
        let mut value = Vec::new();
        File::open(path)
            .and_then(|file| file.take(Self::MAX_SIZE + 1).read_to_end(&mut value))
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        if value.len() as u64 > Self::MAX_SIZE {
            return Err("too big. max size 500KB".to_owned());
        }
        Ok(value)
    }
}

/// The bytes of a secret: they are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

impl SecretValue {
    /// The bytes themselves.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for SecretValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// One limit, in the kernel's unit; nothing for no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UlimitChoice {
    /// One of Of those that the sandbox knows.
    pub name: String,
    /// What counts.
    pub soft: Option<u64>,
    /// How far it may be raised; not less.
    pub hard: Option<u64>,
}

/// The network of commands that do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkChoice {
    /// kiln's own.
    #[default]
    Host,
    /// Nothing but loopback.
    None,
}
