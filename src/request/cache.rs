//! Where the results of earlier builds are looked for, and where those of this one go.

use std::path::PathBuf;
use std::time::Duration;

/// The part of a request that concerns the cache. Without a place nothing is read and nothing kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheChoice {
    /// Read in this order; the first that has a step's result gives it.
    pub from: Vec<CachePlace>,
    /// Written, all of them.
    pub to: Vec<CacheTarget>,
    /// The age from which on a result is as good as none, counted from when it was last used.
    pub ttl: Duration,
    /// Whether the results of RUN (and WORKDIR) are kept and used.
    pub runs: bool,
    /// Whether those of COPY and ADD are. Without it they are made anew, which costs the reading of
    /// files but does not make a later RUN run again.
    pub copies: bool,
    /// Whether `RUN --mount=type=cache` travels with the layers, and how much of it.
    pub mounts: Option<MountLimits>,
    /// Whether each step says why it was, or was not, taken from the cache.
    pub explain: bool,
}

impl CacheChoice {
    /// kaniko's: two weeks.
    pub const TTL: Duration = Duration::from_secs(336 * 3600);

    /// Nothing is read and nothing is kept.
    pub fn none() -> Self {
        Self {
            from: Vec::new(),
            to: Vec::new(),
            ttl: Self::TTL,
            runs: true,
            copies: true,
            mounts: None,
            explain: false,
        }
    }

    /// Whether steps have to be told apart: somebody will read, write or explain.
    pub fn is_used(&self) -> bool {
        self.explain || !self.from.is_empty() || !self.to.is_empty()
    }
}

impl Default for CacheChoice {
    fn default() -> Self {
        Self::none()
    }
}

/// A place that keeps results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachePlace {
    /// A registry, by a name as typed: `registry/name[:tag]`. What is there may also be an image that
    /// carries the keys of its own layers.
    Registry(String),
    /// A directory of this machine in the form of an OCI layout; absolute.
    Layout {
        /// Where it is.
        dir: PathBuf,
        /// Which of the things there.
        tag: String,
    },
}

/// Where results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheTarget {
    /// To a place.
    Place {
        /// Which one.
        place: CachePlace,
        /// Of which steps.
        reach: CacheReach,
        /// Whether a build fails that cannot write there; otherwise it warns.
        must_succeed: bool,
    },
    /// Into the image itself: the keys of its layers, so that it is a place to read from.
    Inline,
}

/// Of which steps the results are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheReach {
    /// Those that are in the image (`mode=min`).
    Image,
    /// All (`mode=max`).
    All,
}

/// How much of the caches of `RUN --mount=type=cache` is kept from build to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountLimits {
    /// Bytes of the files of one cache; what was used longest ago is left out first.
    pub size: u64,
    /// What was not used for so long is left out.
    pub age: Duration,
}

/// `kiln cache`: what is kept at a place, or less of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheUpkeep {
    /// Which places, in the order of the answer.
    pub places: Vec<UpkeepPlace>,
    /// What to take away; nothing where it is only looked at.
    pub prune: Option<Prune>,
    /// How registries are reached.
    pub registry: super::RegistryChoice,
}

/// A place that is looked after. Without a tag it is all records there: tags that begin with `kiln`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpkeepPlace {
    /// A registry.
    Registry {
        /// The name as typed: `registry/name[:tag]`.
        name: String,
        /// The tag in it.
        tag: Option<String>,
    },
    /// A directory in the form of an OCI layout; absolute.
    Layout {
        /// Where it is.
        dir: PathBuf,
        /// Which of the things there.
        tag: Option<String>,
    },
    /// A directory of base images (`--cache-dir`); absolute.
    BaseImages(PathBuf),
    /// A directory of caches of RUN (`--cache-mount-dir`); absolute.
    RunCaches(PathBuf),
}

/// What is taken away from a cache. Without a limit it is everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prune {
    /// Only what was not used for so long.
    pub older_than: Option<Duration>,
    /// Only as much as is over so many bytes; what was used longest ago goes first.
    pub keep: Option<u64>,
    /// Say what would be taken away, and take away nothing.
    pub dry_run: bool,
}
