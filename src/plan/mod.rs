//! Instructions + arguments + target → the stages that are needed and their steps, every word
//! expanded. Nothing runs here and nothing is fetched: the caller hands in the configs of the base
//! images that [`graph::Graph`] names.

mod arguments;
mod contexts;
mod files_from;
pub mod graph;
mod metadata;
mod mounts;
mod needs;
mod remotes;
mod run;
mod run_step;
mod scope;
mod stages;
mod steps;
mod text;
mod transfer;
mod trim;
pub mod twins;
mod unsupported;

use std::collections::BTreeMap;

use crate::dockerfile::Span;
use crate::image::{ImageConfig, Platform};
use crate::remote;

pub(crate) use arguments::automatic;
pub use contexts::NamedContext;
pub(crate) use graph::from_words;
pub use graph::{Graph, ImageKey, NeededImage};
pub use run_step::{
    BindMount, BindSource, CacheMount, NetworkMode, RunStep, SecretMount, SshMount, StepMount,
};
pub(crate) use stages::{is_named, stage_by_name};
pub use steps::{Bases, plan};
pub use twins::Twins;

/// A stage's number in the Dockerfile, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StageId(pub usize);

/// What the user asked of the Dockerfile.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// How messages name the Dockerfile.
    pub path: String,
    /// `--build-arg`.
    pub args: BTreeMap<String, String>,
    /// `--target`: a stage's name or number; the last stage where absent.
    pub target: Option<String>,
    /// Whom the image is for.
    pub platform: Platform,
    /// `--label`, added to the target last.
    pub labels: Vec<(String, String)>,
    /// `--build-context`: what stands in for stages and images of these names.
    pub contexts: BTreeMap<String, NamedContext>,
}

/// All that has to be done.
#[derive(Debug)]
pub struct Plan {
    /// The needed stages in the order of the file: each uses only earlier ones.
    pub stages: Vec<Stage>,
    /// The stage that becomes the image.
    pub target: StageId,
    /// What the build arguments have to do with the Dockerfile that they should not, one sentence
    /// each. The Dockerfile's own are found by `lint`.
    pub warnings: Vec<String>,
}

impl Plan {
    /// A stage by its number in the file.
    pub fn stage(&self, id: StageId) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.id == id)
    }

    /// Number of steps in all stages.
    pub fn step_count(&self) -> usize {
        self.stages.iter().map(|stage| stage.steps.len()).sum()
    }
}

/// One stage.
#[derive(Debug, PartialEq)]
pub struct Stage {
    /// Its number in the file.
    pub id: StageId,
    /// How logs name it: its name, or `stage-N`; nothing if it has none and is the only one.
    pub label: Option<String>,
    /// What it starts from.
    pub base: Base,
    /// The place of its FROM.
    pub span: Span,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Its config when all steps are done; `rootfs`, `history` and `created` are filled in later.
    pub config: ImageConfig,
    /// Whether a RUN, here or in a stage that starts from this one, needs its files in a directory.
    pub unpacked: bool,
    /// Whom it is for.
    pub platform: Platform,
    /// How logs name that, where stages of several platforms are built.
    pub shown_platform: Option<String>,
    /// The stages that it starts from or takes files from.
    pub uses: Vec<StageId>,
}

impl Stage {
    /// Platform and label, each with a blank, to stand before a step's number.
    pub fn prefix(&self) -> String {
        let parts = [&self.shown_platform, &self.label].into_iter().flatten();
        parts.map(|part| format!("{part} ")).collect()
    }
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(StageId),
    /// An image.
    Image(ImageKey),
    /// A named context, whose files are the root file system.
    Named(String),
}

/// One instruction, ready to be carried out.
#[derive(Debug, PartialEq)]
pub struct Step {
    /// Its place in the Dockerfile.
    pub span: Span,
    /// Its text on one line, for logs.
    pub line: String,
    /// The history entry's `created_by`; nothing if there is no entry.
    pub created_by: Option<String>,
    /// What it does to files.
    pub action: Action,
}

/// What a step does to files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: it changed the config only.
    Metadata,
    /// Nothing that has to be done: an earlier build has done it.
    Cached,
    /// Runs a command.
    Run(RunStep),
    /// Copies files; COPY and ADD.
    Copy(CopyStep),
    /// Makes a directory unless it is there.
    Workdir(WorkdirStep),
}

/// COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStep {
    /// Whether it was written ADD.
    pub is_add: bool,
    /// Where the sources that are paths are.
    pub from: FilesFrom,
    /// What to copy, in order.
    pub sources: Vec<CopySource>,
    /// Destination, absolute; a trailing slash is kept.
    pub dest: String,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// Whether archives are unpacked.
    pub unpack: Unpack,
    /// `--link`: links of the image are not followed in the destination.
    pub link: bool,
    /// `--parents`: the directories of a source are kept.
    pub parents: bool,
    /// `--exclude`: patterns.
    pub exclude: Vec<String>,
}

/// One source of a COPY or an ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path or pattern, expanded.
    Path(String),
    /// Something from elsewhere.
    Remote {
        /// As written, expanded.
        written: String,
        /// What it means.
        source: remote::Source,
    },
    /// A heredoc.
    Inline {
        /// Its delimiter.
        name: String,
        /// Its body, expanded unless its delimiter is quoted.
        body: String,
    },
}

/// Which archives ADD unpacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpack {
    /// None: COPY, and `--unpack=false`.
    Never,
    /// Those of the context.
    Local,
    /// Those that are downloaded too: `--unpack`.
    All,
}

/// Where COPY and `RUN --mount` take files from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilesFrom {
    /// The build context.
    Context,
    /// An earlier stage.
    Stage(StageId),
    /// An image.
    Image(ImageKey),
    /// A named context that is no image.
    Named(String),
    /// Nobody's: `scratch`.
    Nothing,
}

/// WORKDIR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkdirStep {
    /// Absolute.
    pub path: String,
    /// As in USER, who will own what is made; empty for root.
    pub user: String,
}
