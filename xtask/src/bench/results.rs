//! What a benchmark found, as it is kept in `docs/benchmarks/*.json`: tables and the chart are made of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One run of `cargo xtask bench`: all its cases, measured side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// When it ended, as `2026-11-30`.
    pub(crate) date: String,
    /// kiln's commit, shortened, with `+` behind it if files were changed.
    pub(crate) commit: String,
    pub(crate) machine: Machine,
    pub(crate) cases: Vec<CaseResult>,
    /// Peers that were not there, and what to give for each.
    pub(crate) missing: Vec<Missing>,
}

impl Results {
    /// How often each case was measured, as "3 rounds" or "3 to 5 rounds".
    pub(crate) fn rounds(&self) -> String {
        let peers = self.cases.iter().flat_map(|case| &case.peers);
        let counts = || peers.clone().map(|peer| peer.samples.len()).filter(|&count| count > 0);
        match (counts().min().unwrap_or(0), counts().max().unwrap_or(0)) {
            (1, 1) => "1 round".to_owned(),
            (least, most) if least == most => format!("{most} rounds"),
            (least, most) => format!("{least} to {most} rounds"),
        }
    }
}

/// Where it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// As `/proc/cpuinfo` names it.
    pub(crate) processor: String,
    pub(crate) processors: usize,
    /// Bytes.
    pub(crate) memory: u64,
    pub(crate) kernel: String,
    /// Of the file system that holds the mounted ones, as `ext4`.
    pub(crate) file_system: String,
    /// The load of the last minute before and after.
    pub(crate) load: [f64; 2],
    /// Programs and their versions, such as `buildah` and `1.28.2`.
    pub(crate) versions: BTreeMap<String, String>,
    /// Whether processors' time and memory are those of control groups.
    #[serde(default)]
    pub(crate) control_groups: bool,
    /// Whether what is read comes from the disk.
    #[serde(default)]
    pub(crate) page_cache_dropped: bool,
}

/// One of the cases, with all who did it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CaseResult {
    /// As `flask-cold`: one word for the command line and for links.
    pub(crate) id: String,
    /// As `flask, cold`.
    pub(crate) title: String,
    /// In the order in which tables show them.
    pub(crate) peers: Vec<PeerResult>,
}

/// What one peer needed for one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PeerResult {
    /// As `kiln-chroot`, `kaniko`, `dind-classic`, `limit`: see [`super::peer`].
    pub(crate) peer: String,
    /// One for each round; that of the warm-up is not among them.
    pub(crate) samples: Vec<Sample>,
    /// Why there are none.
    pub(crate) failure: Option<String>,
}

/// One run of one peer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Seconds from the first program that the peer needs to the end of its last.
    pub(crate) wall: f64,
    /// Seconds of all processors in all programs that it started, the registry's not among them.
    pub(crate) cpu: f64,
    /// The most anonymous memory that these had together, in bytes.
    pub(crate) memory: u64,
    /// Seconds of phases that the peer tells or that its command has, such as `daemon` or `RUN`.
    pub(crate) phases: BTreeMap<String, f64>,
    /// Requests that the registry answered.
    pub(crate) requests: usize,
    /// Compressed bytes of the layers that the build added to its base.
    pub(crate) layers: u64,
}

/// A peer that could not be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Missing {
    pub(crate) peer: String,
    /// What to do, such as `give its executor: --kaniko PATH`.
    pub(crate) advice: String,
}

/// What `cargo xtask bench curves` found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curves {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) machine: Machine,
    pub(crate) curves: Vec<Curve>,
}

/// How the cost of a build grows with one thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curve {
    /// As `files`.
    pub(crate) id: String,
    /// As `files that a RUN writes`.
    pub(crate) title: String,
    pub(crate) points: Vec<Point>,
}

/// One build of a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// How many.
    pub(crate) count: u64,
    pub(crate) samples: Vec<Sample>,
}
