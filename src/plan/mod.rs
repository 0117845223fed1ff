//! Instructions + arguments + target → the stages that are needed and their steps, every word
//! expanded. Nothing runs here and nothing is fetched: the caller hands in the configs of the base
//! images that [`graph::Graph`] names.

pub mod graph;
mod metadata;
mod needs;
mod scope;
mod steps;
mod text;
pub mod twins;
mod unsupported;

use std::collections::BTreeMap;

use crate::dockerfile::Span;
use crate::image::{ImageConfig, Platform};

pub use graph::{Graph, ImageKey, NeededImage};
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
}

/// All that has to be done.
#[derive(Debug)]
pub struct Plan {
    /// The needed stages in the order of the file: each uses only earlier ones.
    pub stages: Vec<Stage>,
    /// The stage that becomes the image.
    pub target: StageId,
    /// What is legal but doubtful, one sentence each.
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
}

/// One instruction, ready to be carried out.
#[derive(Debug, PartialEq)]
pub struct Step {
    /// Its place in the Dockerfile.
    pub span: Span,
    /// Its text on one line, for logs.
    pub line: String,
    /// The history entry's `created_by`.
    pub created_by: String,
    /// What it does to files.
    pub action: Action,
}

/// What a step does to files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: it changed the config only.
    Metadata,
    /// Runs a command.
    Run(RunStep),
    /// Copies files; COPY and ADD.
    Copy(CopyStep),
    /// Makes a directory unless it is there.
    Workdir(WorkdirStep),
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    /// Program and arguments.
    pub args: Vec<String>,
    /// The whole environment but for HOME, which the user's entry in /etc/passwd decides.
    pub env: Vec<(String, String)>,
    /// Working directory, absolute.
    pub cwd: String,
    /// As in USER; empty for root.
    pub user: String,
    /// Whether the command gets no network (`--network=none`).
    pub offline: bool,
}

/// COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStep {
    /// Where the sources are.
    pub from: CopyFrom,
    /// Source paths and patterns, expanded.
    pub sources: Vec<String>,
    /// Destination, absolute; a trailing slash is kept.
    pub dest: String,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// Whether local archives are unpacked: ADD.
    pub unpack: bool,
}

/// Where COPY takes files from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyFrom {
    /// The build context.
    Context,
    /// An earlier stage.
    Stage(StageId),
    /// An image.
    Image(ImageKey),
}

/// WORKDIR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkdirStep {
    /// Absolute.
    pub path: String,
    /// As in USER, who will own what is made; empty for root.
    pub user: String,
}
